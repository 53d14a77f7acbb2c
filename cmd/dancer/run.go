package main

import (
	"errors"

	"github.com/spf13/cobra"

	"dancer/runtime"
	"dancer/runtime/config"
)

func newRun() *cobra.Command {
	var o runtime.Options
	cmd := &cobra.Command{
		Use:   "run ROBOT.yaml",
		Short: "run a robot",
		Long: "Runs the robot of ROBOT.yaml until Ctrl-C: its spine in this process, its brain as a child. The outputs\n" +
			"stay at their safe values until an operator says `dancer start`, and go back to them at the end.\n\n" +
			"One Ctrl-C stops in order, a second one aborts.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Robot, o.Version = args[0], version
			return runResult(runtime.Run(cmd.Context(), o))
		},
	}
	runFlags(cmd, &o)
	return cmd
}

// newBrain is the child that run starts. It is hidden: started by hand it has
// nothing to attach to, and says so.
func newBrain() *cobra.Command {
	var o runtime.Options
	cmd := &cobra.Command{
		Use:    "brain ROBOT.yaml",
		Short:  "the second process of a robot; started by run",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Robot, o.Version = args[0], version
			return runResult(runtime.RunBrain(cmd.Context(), o))
		},
	}
	runFlags(cmd, &o)
	return cmd
}

func runFlags(cmd *cobra.Command, o *runtime.Options) {
	f := cmd.Flags()
	f.StringVar(&o.Board, "board", "", "board, in place of the one in ROBOT.yaml (see: dancer board)")
	f.StringVar(&o.Scenario, "scenario", "", "scenario file for the simulated board, in place of the one in ROBOT.yaml")
	f.StringVar(&o.DataDir, "data", "", "folder for what must survive (default: /var/lib/dancer/NAME as root, else ~/.local/state/dancer/NAME)")
	f.StringVar(&o.Events, "events", "", "write one JSON object for every event to this file, or to standard output with -")
	f.StringVar(&o.Record, "record", "", "record everything that enters the core into this new MCAP file (see dancer replay)")
	f.DurationVar(&o.For, "for", 0, "end in order after this time (default: on Ctrl-C)")
	f.BoolVar(&o.DryRun, "dry-run", false, "make every decision and drive no output: for commissioning")
}

// runResult turns an error of a robot into an exit code: faults in its files are
// bad input, everything else is a failed job.
func runResult(err error) error {
	var problems config.Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		return exitError{exitUsage, err}
	}
	return exitError{exitJob, err}
}
