package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dancer/runtime/replay"
)

// newReplay makes the decisions of a recording again. Exit code 0: identical, 1:
// something differs, 2: it cannot be read.
func newReplay() *cobra.Command {
	var o replay.Options
	var robot, manual string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay FILE.mcap|FOLDER...",
		Short: "make every decision of a recording again and compare",
		Long: "Checks every byte of a recording, makes each of its decisions again from what is recorded with it, and\n" +
			"compares them byte by byte; follows its question and its reflexes in their order. The manual is the one\n" +
			"in the recording. With --manual another one is tried: its verdicts are compared, and the first that\n" +
			"differs is shown with both reasons. A folder is all recordings in it.\n\n" +
			"Exit code 0: identical, 1: something differs, 2: the recording cannot be read or has no decision. A\n" +
			"damaged recording is refused with the last good position. Recordings are never changed.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Robot, err = readIfNamed(robot); err == nil {
				o.Manual, err = readIfNamed(manual)
			}
			if err != nil {
				return exitError{exitUsage, err}
			}
			o.Progress = progress(os.Stderr)
			return runReplay(cmd, args, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&manual, "manual", "", "try this manual on what was recorded")
	f.StringVar(&robot, "robot", "", "robot.yaml for that manual, in place of the recorded one")
	f.BoolVar(&o.Partial, "partial", false, "replay a damaged recording up to its last good position")
	f.BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func readIfNamed(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return data, nil
}

func runReplay(cmd *cobra.Command, args []string, o replay.Options, asJSON bool) error {
	var paths []string
	for _, arg := range args {
		found, err := replay.Find(arg)
		if err != nil {
			return exitError{exitUsage, err}
		}
		paths = append(paths, found...)
	}
	report, err := replay.Run(cmd.Context(), paths, o)
	if err != nil && !errors.Is(err, replay.ErrNothing) {
		return exitError{exitUsage, err}
	}
	if werr := writeReplay(cmd, report, asJSON); werr != nil {
		return exitError{exitJob, werr}
	}
	switch {
	case err != nil:
		return exitError{exitUsage, err}
	case !report.Identical():
		return exitError{exitJob, nil}
	}
	return nil
}

func writeReplay(cmd *cobra.Command, report *replay.Report, asJSON bool) error {
	if asJSON {
		return printJSON(cmd, report)
	}
	return report.Write(cmd.OutOrStdout())
}

// progress shows on a terminal how far a replay is, and nothing elsewhere.
func progress(to *os.File) func(done, all uint64) {
	if !term.IsTerminal(int(to.Fd())) {
		return nil
	}
	var shown time.Time
	return func(done, all uint64) {
		if done == all {
			io.WriteString(to, "\r\x1b[K")
		} else if time.Since(shown) > 200*time.Millisecond {
			shown = time.Now()
			fmt.Fprintf(to, "\r%3d %% of %d messages", 100*done/max(all, 1), all)
		}
	}
}
