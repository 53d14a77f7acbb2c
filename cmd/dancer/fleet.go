package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	meshfleet "dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/quorum"
	"dancer/runtime/fleet"
)

// newFleet simulates a fleet. Exit code 0: every indicator that was measured meets its
// target, 1: one misses it, or the run was interrupted, 2: bad usage or input.
func newFleet() *cobra.Command {
	o := fleet.Options{Config: run.Config{Conditions: meshfleet.DefaultConditions(), Conflict: 20}}
	var seed uint64
	var pattern string
	var serve fleetServer
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "simulate a whole mesh: up to millions of agents that are ready at T",
		Long: "Runs the coordination core of this program on every node of a simulated mesh, in one process and in\n" +
			"made-up time: agents in clusters of thirty, their leads, sector coordinators and an orchestrator, with the\n" +
			"network between them, their clocks and what goes wrong. It orders cascades of everybody, measures the\n" +
			"success metrics of the specification beside their targets, and prints the report. The same flags give the\n" +
			"same report, byte for byte, on every machine. What is simulated and measured is in docs/fleet.md.\n\n" +
			"Ctrl-C ends the run with the report so far. Exit code 0: every indicator that was measured meets its\n" +
			"target, 1: one misses it or the run was interrupted, 2: bad usage or input.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o.Seed, o.Out, o.Errors, o.Live = meshfleet.Seed(seed), cmd.OutOrStdout(), cmd.ErrOrStderr(), term.IsTerminal(int(os.Stderr.Fd()))
			if o.Pattern, err = run.ParsePattern(pattern); err != nil {
				return exitError{exitUsage, err}
			}
			if serve.real {
				return serve.runReal(cmd, o)
			}
			if serve.address != "" {
				return serve.run(cmd, o)
			}
			return runFleet(cmd, o)
		},
	}
	f := cmd.Flags()
	serve.flags(f)
	f.IntVar(&o.Agents, "agents", 1000, "how many agents, 1 to 4,000,000")
	f.Uint64Var(&seed, "seed", 1, "what everything random is drawn from")
	f.DurationVar(&o.For, "for", 10*time.Minute, "how long, in the fleet's time")
	f.IntVar(&o.Cascades, "cascades", 10, "how many cascades of everybody are ordered, evenly over the run")
	f.StringVar(&pattern, "pattern", "parallel", "how they go down: parallel, wave or priority-first")
	f.DurationVar(&o.Ahead, "ahead", 0, "how long before T each is ordered (default: 1.5s, 2.5s for a wave, 8s for priority-first)")
	f.BoolVar(&o.Confirm, "confirm", false, "agents act only with a confirmation, which is sent when the quorum is there")
	f.StringVar(&o.Faults, "faults", "", "file of faults, one a line (docs/fleet.md)")
	f.IntVar(&o.Random, "random-faults", 0, "so many faults drawn from the seed, beside those")
	f.StringVar(&o.Trace, "trace", "", "delays from a campaign of round trips (plain or gzip), not by class")
	f.StringVar(&o.JSON, "json", "", "write the report to this file as JSON as well")
	f.StringVar(&o.HTML, "html", "", "write the report to this file as one HTML page as well")
	f.Var((*percent)(&o.Conflict), "conflicts", "share of the answers that are CONFLICT")
	fleetConditions(cmd, &o.Conditions)
	return cmd
}

// fleetConditions are the flags of a network and of clocks without faults.
func fleetConditions(cmd *cobra.Command, c *meshfleet.Conditions) {
	f := cmd.Flags()
	f.Var((*percent)(&c.Loss), "loss", "share of the messages that is lost")
	f.Var((*percent)(&c.Duplicate), "duplicate", "share that comes twice")
	f.Var((*percent)(&c.Reorder), "reorder", "share that is overtaken")
	f.Var((*percent)(&c.Corrupt), "corrupt", "share that is damaged, and dropped")
	f.Var((*percent)(&c.Sleep), "sleep", "share of the messages to class E that waits for a radio")
	f.Var((*percent)(&c.Asymmetry), "asymmetry", "by how much the two directions of a link differ from their mean")
	f.DurationVar(&c.Offset, "offset", c.Offset, "by how much clocks are off, either way")
	f.Int32Var(&c.Drift, "drift", c.Drift, "by how much clocks run too fast or too slow, in ppm")
}

// percent is a share as a flag: 0.5%.
type percent quorum.Share

func (p *percent) String() string { return quorum.Share(*p).String() }
func (p *percent) Type() string   { return "percent" }

func (p *percent) Set(text string) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return errors.New("want 0% to 100%, as 0.5%")
	}
	*p = percent(v*100 + 0.5)
	return nil
}

func runFleet(cmd *cobra.Command, o fleet.Options) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if o.Cascades > 0 { // the first after everybody has been heard, the last with time to see it through
		o.First = min(30*time.Second, o.For/3)
		o.Every = max((o.For-o.First)/time.Duration(o.Cascades), time.Second)
	}
	err := fleet.Run(ctx, o)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fleet.ErrInput):
		return exitError{exitUsage, err}
	}
	return exitError{exitJob, fmt.Errorf("simulate fleet: %w", err)}
}
