package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dancer/mesh/conductor"
)

func newEscalations() *cobra.Command {
	var c client
	var asJSON bool
	var state string
	cmd := &cobra.Command{
		Use:   "escalations",
		Short: "the questions of the robots, the most severe first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state != "open" && state != "closed" && state != "all" {
				return exitError{exitUsage, fmt.Errorf("--state %q: no such state (give open, closed or all)", plain(state))}
			}
			var list struct {
				Escalations []conductor.Question `json:"escalations"`
			}
			if err := c.get(cmd.Context(), "/api/v1/escalations?state="+state, &list); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, list)
			}
			return printQuestions(cmd, state, list.Escalations)
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "open", "open, closed or all")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.flags(f)
	return cmd
}

func printQuestions(cmd *cobra.Command, state string, questions []conductor.Question) error {
	out := cmd.OutOrStdout()
	if len(questions) == 0 {
		what := state + " "
		if state == "all" {
			what = ""
		}
		_, err := fmt.Fprintf(out, "no %squestions\n", what)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSEVERITY\tROBOT\tSTATUS\tLEFT\tRUNS\tPROPOSED\tWHY")
	for _, q := range questions {
		why := q.Severity.Why
		if len(q.Because) > 0 {
			why = strings.Join(q.Because, "; ")
		}
		row := []string{q.ID, q.Severity.Level, q.Robot, q.Status, left(q), q.Running, q.Proposed, why}
		for i, cell := range row {
			if row[i] = plain(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// left is the time to answer, as far as the clocks agree: the robot's decides.
func left(q conductor.Question) string {
	if !q.Open() {
		return "-"
	}
	d := time.Until(q.DueAt).Round(time.Second)
	return max(d, 0).String()
}
