package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dancer/mesh/conductor"
	console "dancer/mesh/operator"
	"dancer/runtime/web"
)

// agentFlags select agents of a mesh.
type agentFlags struct {
	client
	console.Filter
	sector, cluster int
	asJSON, all     bool
	mesh            bool
}

func newAgents() *cobra.Command {
	var o agentFlags
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "the robots of a cell, or the agents of a mesh: who is alive, what each does, how well it is reached",
		Long: "Lists the robots that a conductor knows. With one of the flags that select, or where there is a mesh and no\n" +
			"conductor, it lists the agents of the mesh as their leads know them, a page at a time.",
		Example: "  dancer agents\n" +
			"  dancer agents --class E --flagged\n" +
			"  dancer agents --sector 12 --capability gpu --all --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.BoolVar(&o.mesh, "mesh", false, "agents of the mesh, also where there is a conductor")
	f.StringVar(&o.Class, "class", "", "of this class: A to F, or edge, serverless, persistent, gpu, local, human")
	f.StringVar(&o.Capability, "capability", "", "with this capability")
	f.StringVar(&o.State, "state", "", "in this state: active, degraded, offline, quarantined, unknown")
	f.BoolVar(&o.Flagged, "flagged", false, "remarkable ones: slow, spiking, or in no state to be asked")
	f.IntVar(&o.sector, "sector", -1, "of this sector, by its number")
	f.IntVar(&o.cluster, "cluster", -1, "of this cluster, by its number")
	f.IntVar(&o.Limit, "limit", console.DefaultPage, "so many at a time, up to 1000")
	f.IntVar(&o.After, "after", -1, "those after this number")
	f.BoolVar(&o.all, "all", false, "all pages")
	cmd.MarkFlagsMutuallyExclusive("sector", "cluster")
	o.client.flags(f)
	return cmd
}

// selects says whether a flag is given that only a mesh answers.
func (o *agentFlags) selects() bool {
	return o.mesh || o.all || o.Class != "" || o.Capability != "" || o.State != "" || o.Flagged || o.sector >= 0 || o.cluster >= 0 || o.After >= 0
}

func (o *agentFlags) run(cmd *cobra.Command) error {
	if o.selects() {
		return o.pages(cmd)
	}
	var list struct {
		Agents []conductor.Agent `json:"agents"`
	}
	err := o.get(cmd.Context(), "/api/v1/agents", &list)
	var p web.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return o.pages(cmd) // a mesh alone
	}
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd, list)
	}
	return printAgents(cmd, list.Agents)
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
