package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	console "dancer/mesh/operator"
)

func newAsk() *cobra.Command {
	var o order
	cmd := &cobra.Command{
		Use:   "ask QUESTION",
		Short: "ask a sample of agents, and group equal answers",
		Long: "Asks a random sample of the agents QUESTION, each by its own lead. Equal answers are one line, the most\n" +
			"frequent first; who cannot answer, or whose answer contradicts what it knows, is shown as CONFLICT.\n" +
			"An answer that has no words is shown as its digest.\n\n" +
			"Exit code 0: somebody answered, 1: nobody did, or the mesh does not allow it now, 2: bad usage.",
		Example: "  dancer ask \"what is your context?\"\n" +
			"  dancer ask \"what is your context?\" --sample 10 --class E --scope sector-3",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.body.Text = strings.Join(args, " ")
			return o.run(cmd, console.Ask)
		},
	}
	f, b := cmd.Flags(), &o.body
	f.IntVar(&b.Sample, "sample", console.DefaultSample, "how many agents, up to 1000")
	f.StringVar(&b.Scope, "scope", "", "all (default), sector-N, cluster-N or an agent")
	f.DurationVar(&b.Deadline, "deadline", console.DefaultAskDeadline, "how long an answer is waited for, up to a minute")
	o.choosing(f)
	o.urging(f)
	o.flags(f)
	return cmd
}

func newDelegate() *cobra.Command {
	var o order
	var to string
	cmd := &cobra.Command{
		Use:   "delegate TASK",
		Short: "give a task to the agent that will have it done first",
		Long: "Gives TASK to one agent: the one with the least impedance of those that can do it, by class or\n" +
			"capability, or of all. Where that one's lead cannot take it the next best gets it. Once it is under way\n" +
			"nobody else gets it, unless --idempotent says that doing it twice does no harm: then an answer that is\n" +
			"late is hedged with another agent of the same cluster.\n\n" +
			"Exit code 0: it is done, 1: it is not, or the mesh does not allow it now, 2: bad usage.",
		Example: "  dancer delegate \"analyze the figures of the third quarter\" --to gpu --deadline 60s\n" +
			"  dancer delegate \"where is the trolley?\" --capability camera --idempotent",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.body.Text = strings.Join(args, " ")
			switch {
			case to == "" || to == "best" || to == "best_available":
			case console.IsClass(to) && o.body.Class == "":
				o.body.Class = to
			default:
				o.body.Scope = to
			}
			return o.run(cmd, console.Delegate)
		},
	}
	f, b := cmd.Flags(), &o.body
	f.StringVar(&to, "to", "best", "best, a class, an agent, or a place: sector-N, cluster-N")
	f.DurationVar(&b.Deadline, "deadline", 30*time.Second, "how long the answer is of use, up to a minute")
	f.BoolVar(&b.Idempotent, "idempotent", false, "doing it twice does no harm: a slow answer may be hedged")
	f.IntVar(&b.MaxScore, "max-impedance", 0, "no agent with a score over this one, 1 to 999 (default: any)")
	o.choosing(f)
	o.urging(f)
	o.flags(f)
	return cmd
}
