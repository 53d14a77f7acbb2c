package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dancer/boards"
	"dancer/runtime/config"
)

// newBoard says which board this is, or which pins a named one has.
func newBoard() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "board [NAME]",
		Short: "say which board this machine is, which serial ports it has, and the pins of a board",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return showBoard(cmd.OutOrStdout(), args[0], asJSON)
			}
			return detectBoard(cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func showBoard(out io.Writer, name string, asJSON bool) error {
	p, err := boards.Get(name)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("%w (boards: %s)", err, strings.Join(boards.Names(), ", "))}
	}
	if asJSON {
		return writeJSON(out, p)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s: %s\n", p.Name, p.Title)
	for _, note := range p.Notes {
		fmt.Fprintf(w, "- %s\n", note)
	}
	for _, s := range p.Serial {
		fmt.Fprintf(w, "serial %s: %s\n", s.Device, s.Use)
	}
	if len(p.Lines) > 0 {
		fmt.Fprintf(w, "PIN\tNAME\tCHIP\tLINE\tUSE\n")
	}
	for _, l := range p.Lines {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", l.Header, l.Name, l.Chip, l.Offset, l.Use)
	}
	fmt.Fprintf(w, "source: %s\n", p.Source)
	return w.Flush()
}

// detected is the output of `dancer board --json`.
type detected struct {
	Board   string   `json:"board"`
	Model   string   `json:"model"`
	Devices []string `json:"devices"`
	Boards  []string `json:"boards"`
}

func detectBoard(out io.Writer, asJSON bool) error {
	root := os.DirFS("/")
	name, err := boards.Detect(root)
	if err != nil {
		return exitError{exitJob, err}
	}
	model, err := boards.Model(root)
	if err != nil {
		return exitError{exitJob, err}
	}
	d := detected{name, model, config.Devices(root), boards.Names()}
	if d.Devices == nil {
		d.Devices = []string{}
	}
	if asJSON {
		return writeJSON(out, d)
	}
	if d.Model == "" {
		d.Model = "no device tree"
	}
	ports := "none"
	if len(d.Devices) > 0 {
		ports = strings.Join(d.Devices, ", ")
	}
	_, err = fmt.Fprintf(out, "this machine: %s (%s)\nserial ports: %s\nboards: %s\n", d.Board, d.Model, ports, strings.Join(d.Boards, ", "))
	return err
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
