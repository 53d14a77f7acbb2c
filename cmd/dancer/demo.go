package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dancer/runtime/demo"
)

func newDemo() *cobra.Command {
	var c demo.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "a conductor, its dashboard and three simulated robots in a burning museum",
		Long: "Starts a conductor with its broker and dashboard, and three robots on the simulated board: one meets a\n" +
			"fire that is put out because doing nothing is worse, one a gas leak in which every option is under a\n" +
			"floor, so that a human is asked. Everything is on loopback, and nothing is left behind.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			executable, err := os.Executable()
			if err != nil {
				return exitError{exitJob, fmt.Errorf("find this program: %w", err)}
			}
			c.Executable, c.Out = executable, cmd.OutOrStdout()
			if err := demo.Run(ctx, c); err != nil {
				return exitError{exitJob, err}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&c.For, "for", 0, "end after this time (default: on Ctrl-C)")
	cmd.Flags().BoolVar(&c.Headless, "headless", false, "print what happened and fail unless all of it did (default --for 20s)")
	cmd.PreRun = func(*cobra.Command, []string) {
		if c.Headless && c.For == 0 {
			c.For = 20 * time.Second
		}
	}
	return cmd
}
