package main

import (
	"github.com/spf13/cobra"

	console "dancer/mesh/operator"
)

func newFreeze() *cobra.Command {
	return newFreezing(console.Freeze, "halt a mesh or a part of it: nothing acts there until dancer thaw",
		"A frozen scope never acts on a command, whoever gives it and whatever was approved. What is held for a T is\n"+
			"dropped. Robots go on reacting, reporting and escalating; dancer stop ROBOT stops one.")
}

func newThaw() *cobra.Command {
	return newFreezing(console.Thaw, "end a freeze of the same scope",
		"Ends what dancer freeze of the same scope began; what was frozen by itself within it stays frozen. Commands\n"+
			"that were dropped do not come back: nothing acts by itself.")
}

func newFreezing(kind console.Kind, short, long string) *cobra.Command {
	var o order
	var yes bool
	cmd := &cobra.Command{
		Use:   string(kind) + " [PLACE]",
		Short: short,
		Long: long + "\n\nPLACE is all (default), sector-N or cluster-N. On a terminal you are asked whether you are sure; elsewhere\n" +
			"give --yes. The command waits up to 10 s until the agents have confirmed and says how many have not.\n\n" +
			"Exit code 0: it is ordered, 1: not, 2: bad usage.",
		Example: "  dancer " + string(kind) + " --yes\n  dancer " + string(kind) + " sector-12",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.body.Scope = args[0]
			}
			if err := o.confirm(cmd, yes, kind, o.body.Scope); err != nil {
				return err
			}
			return o.run(cmd, kind)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "do not ask whether you are sure")
	o.flags(f)
	return cmd
}

func newHeal() *cobra.Command {
	var o order
	cmd := &cobra.Command{
		Use:   "heal [PLACE]",
		Short: "do what waits for a person: probe breakers now, release quarantine, acknowledge an emergency",
		Long: "Looks through a mesh, or PLACE (a sector, a cluster, an agent), for what waits for an operator's word: open\n" +
			"breakers are probed at once, agents in quarantine are released, an EMERGENCY is acknowledged.\n\n" +
			"It makes nothing look well that is not: a breaker closes after its probe is answered and a minute without\n" +
			"failures, and the mode rises as agents are active. Find the cause first.\n\n" +
			"Exit code 0: done, or there was nothing to do, 1: nobody leads there, 2: bad usage.",
		Example: "  dancer heal\n  dancer heal sector-12",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.body.Scope = args[0]
			}
			return o.run(cmd, console.Heal)
		},
	}
	o.flags(cmd.Flags())
	return cmd
}
