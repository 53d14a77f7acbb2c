package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dancer/mesh/conductor"
)

func newAgents() *cobra.Command {
	var c client
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "the robots of a cell: who is alive, what each does, how well it is reached",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list struct {
				Agents []conductor.Agent `json:"agents"`
			}
			if err := c.get(cmd.Context(), "/api/v1/agents", &list); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, list)
			}
			return printAgents(cmd, list.Agents)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.flags(cmd.Flags())
	return cmd
}

func printAgents(cmd *cobra.Command, agents []conductor.Agent) error {
	if len(agents) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no agents")
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCELL\tALIVE\tCONNECTION\tMODE\tLEASE\tRUNS\tQUESTION\tHELD BY\tROUND TRIP\tSCORE")
	for _, a := range agents {
		mode, lease, runs, question, held := "-", "-", "-", "-", "-"
		if s := a.State; s != nil {
			mode, lease, runs, question = s.Mode, s.Lease, s.Running, s.Question
			held = strings.Join(append(append([]string{}, s.Latches...), s.Reflexes...), ",")
		}
		trip, score := impedanceColumns(a.Impedance)
		row := []string{a.Name, a.Cell, life(a), a.Connection, mode, lease, runs, question, held, trip, score}
		for i, cell := range row {
			if row[i] = plain(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func life(a conductor.Agent) string {
	switch {
	case a.Alive:
		return "yes"
	case a.SeenAt.IsZero():
		return "never seen"
	}
	return "seen " + time.Since(a.SeenAt).Round(time.Second).String() + " ago"
}

// impedanceColumns takes the two figures of a record that fit a table.
func impedanceColumns(raw json.RawMessage) (trip, score string) {
	var record struct {
		RoundTripMS float64 `json:"round_trip_ms"`
		Score       float64 `json:"score"`
	}
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &record) != nil {
		return "-", "-"
	}
	trip = "-"
	if record.RoundTripMS > 0 {
		trip = fmt.Sprintf("%.1f ms", record.RoundTripMS)
	}
	return trip, fmt.Sprintf("%.0f", record.Score)
}
