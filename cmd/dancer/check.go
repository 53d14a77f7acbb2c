package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"dancer/runtime/config"
)

// checkedFile is one file in the output of `dancer check --json`.
type checkedFile struct {
	File     string          `json:"file"`
	Kind     string          `json:"kind"` // robot | manual | conductor | unknown
	Sound    bool            `json:"sound"`
	Problems config.Problems `json:"problems"`
	Proofs   []checkedProof  `json:"proofs,omitempty"`
}

// checking is what a run of check does.
type checking struct {
	config.Options
	json    bool
	noProof bool
	within  time.Duration
}

// newCheck reads files and reports everything that is wrong with them. Exit
// code 0: sound, 1: faults, 2: a file could not be read.
func newCheck() *cobra.Command {
	var c checking
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "say everything that is wrong with a robot's, a manual's or a conductor's file",
		Long: "check reads a robot's file with the manual that it names, a manual (with the robots in its\n" +
			"folder that name it), or a conductor's file, and reports every fault with file, line, column\n" +
			"and a hint. A manual without faults is then proved: that no reflex makes the first value worse,\n" +
			"that the fallback keeps the floors wherever anything does, that every action can win, and that\n" +
			"no two reflexes keep each other from ending. Exit code 0: sound, 1: faults, 2: a file cannot be\n" +
			"read.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.OutOrStdout(), args)
		},
	}
	cmd.Flags().StringVar(&c.Board, "board", "", "check for this board instead of the one in the file")
	cmd.Flags().BoolVar(&c.Run, "run", false, "count what only a run needs as a fault: devices that exist, no pwm on a real board")
	cmd.Flags().BoolVar(&c.json, "json", false, "write one JSON object")
	cmd.Flags().BoolVar(&c.noProof, "no-proof", false, "leave the proofs out")
	cmd.Flags().DurationVar(&c.within, "proof-time", defaultProofTime, "how long all proofs together may take; what is open then is undecided")
	return cmd
}

func (c *checking) run(out io.Writer, paths []string) error {
	files := make([]checkedFile, 0, len(paths))
	code := exitDone
	p := newProver(c.within)
	for _, path := range paths {
		f := c.file(path, p)
		files = append(files, f)
		switch {
		case f.Problems.Unreadable():
			code = exitUsage
		case !f.Sound:
			code = max(code, exitJob)
		}
	}
	if err := writeChecked(out, files, c.json); err != nil {
		return exitError{exitJob, err}
	}
	if code != exitDone {
		return exitError{code, nil}
	}
	return nil
}

// file checks one file, and proves its manual if it has no fault.
func (c *checking) file(path string, p *prover) checkedFile {
	kind, problems := config.Check(path, c.Options)
	f := checkedFile{File: path, Kind: kind, Sound: problems.Faults() == 0, Problems: problems}
	if f.Problems == nil {
		f.Problems = config.Problems{}
	}
	if !f.Sound || c.noProof {
		return f
	}
	f.Proofs = p.file(path, kind, c.Options)
	for i := range f.Proofs {
		f.Sound = f.Sound && !f.Proofs[i].Fault
	}
	return f
}

func writeChecked(out io.Writer, files []checkedFile, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(map[string]any{"files": files})
	}
	said := map[string]bool{} // two robots can have one manual
	for i := range files {
		if err := writeFile(out, &files[i], said); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes what is wrong with one file, what could not be proved of its
// manual, and a line that sums it up.
func writeFile(out io.Writer, f *checkedFile, said map[string]bool) error {
	var lines []string
	all := slices.Clone(f.Problems)
	for _, p := range f.Problems {
		lines = append(lines, p.Error())
	}
	for i := range f.Proofs {
		for _, p := range f.Proofs[i].problems() {
			all = append(all, p)
			if line := p.Error(); !said[line] {
				said[line] = true
				lines = append(lines, line)
			}
		}
	}
	if len(f.Proofs) > 0 {
		lines = append(lines, tally(f.File, f.Proofs))
	}
	lines = append(lines, config.Summary(f.File, f.Kind, all))
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}
