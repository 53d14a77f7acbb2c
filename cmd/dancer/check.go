package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dancer/runtime/config"
)

// checkedFile is one file in the output of `dancer check --json`.
type checkedFile struct {
	File     string          `json:"file"`
	Kind     string          `json:"kind"` // robot | manual | conductor | unknown
	Sound    bool            `json:"sound"`
	Problems config.Problems `json:"problems"`
}

// newCheck reads files and reports everything that is wrong with them. Exit
// code 0: sound, 1: faults, 2: a file could not be read.
func newCheck() *cobra.Command {
	var opt config.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "say everything that is wrong with a robot's, a manual's or a conductor's file",
		Long: "check reads a robot's file with the manual that it names, a manual (with the robots in its\n" +
			"folder that name it), or a conductor's file, and reports every fault with file, line, column\n" +
			"and a hint. Exit code 0: sound, 1: faults, 2: a file cannot be read.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return check(cmd.OutOrStdout(), args, opt, asJSON)
		},
	}
	cmd.Flags().StringVar(&opt.Board, "board", "", "check for this board instead of the one in the file")
	cmd.Flags().BoolVar(&opt.Run, "run", false, "count what only a run needs as a fault: devices that exist, no pwm on a real board")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func check(out io.Writer, paths []string, opt config.Options, asJSON bool) error {
	files := make([]checkedFile, 0, len(paths))
	code := exitDone
	for _, path := range paths {
		kind, problems := config.Check(path, opt)
		if problems == nil {
			problems = config.Problems{}
		}
		files = append(files, checkedFile{path, kind, problems.Faults() == 0, problems})
		switch {
		case problems.Unreadable():
			code = exitUsage
		case problems.Faults() > 0:
			code = max(code, exitJob)
		}
	}
	if err := writeChecked(out, files, asJSON); err != nil {
		return exitError{exitJob, err}
	}
	if code != exitDone {
		return exitError{code, nil}
	}
	return nil
}

func writeChecked(out io.Writer, files []checkedFile, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(map[string]any{"files": files})
	}
	for _, f := range files {
		for _, p := range f.Problems {
			if _, err := fmt.Fprintln(out, p.Error()); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out, config.Summary(f.File, f.Kind, f.Problems)); err != nil {
			return err
		}
	}
	return nil
}
