package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dancer/mesh"
	"dancer/runtime"
	"dancer/runtime/web"
)

func newStatus() *cobra.Command {
	var c client
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "how a conductor (or, with its address, a robot or a fleet) is, and its mesh",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s web.Status
			if err := c.get(cmd.Context(), "/api/v1/status", &s); err != nil {
				return errors.Join(err, printSpine(cmd))
			}
			if asJSON {
				return printJSON(cmd, s)
			}
			if s.Role != web.RoleFleet {
				if err := printStatus(cmd, s); err != nil {
					return err
				}
			}
			return printMesh(cmd, s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.flags(cmd.Flags())
	return cmd
}

// printSpine prints what the spine of the robot on this machine says, in a line:
// it answers when no page does, because the brain cannot start. Where there is no
// such robot there is nothing to say.
func printSpine(cmd *cobra.Command) error {
	answer, err := runtime.Control(runtime.Target{}, "status", "", "", controlTimeout)
	if err != nil {
		return nil // the error that matters is that of the page
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%-16s %s\n", "spine", plain(strings.TrimPrefix(answer, "ok ")))
	return err
}

// printMesh prints the box of a mesh, where there is one.
func printMesh(cmd *cobra.Command, s web.Status) error {
	if s.Mesh == nil {
		return nil
	}
	return printPainted(cmd, s.Mesh.Text(painter(cmd)))
}

func printStatus(cmd *cobra.Command, s web.Status) error {
	broker := "not connected"
	if s.Broker.Connected {
		broker = "connected"
	}
	if s.Broker.URL == "" {
		broker = "none"
	} else if s.Broker.Embedded {
		broker = s.Broker.URL + " (embedded), " + broker
	} else {
		broker = s.Broker.URL + ", " + broker
	}
	out := cmd.OutOrStdout()
	rows := [][2]string{
		{s.Role, s.Name + ", cell " + s.Cell},
		{"version", s.Version},
		{"up for", s.Uptime.Round(time.Second).String()},
		{"broker", broker},
		{"agents", fmt.Sprintf("%d, %d alive", s.Agents, s.Alive)},
		{"questions", fmt.Sprintf("%d open", s.Open)},
		{"outbox", fmt.Sprintf("%d messages wait for an answer", s.Outbox)},
	}
	rows = append(rows, latencyRows(s.Latency)...)
	rows = append(rows, coordinationRows(s.Coordination)...)
	if s.Recording != nil {
		rows = append(rows, [2]string{"recording", recordingWords(s.Recording)})
	}
	for _, problem := range s.Problems {
		rows = append(rows, [2]string{"problem", problem})
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(out, "%-16s %s\n", plain(row[0]), plain(row[1])); err != nil {
			return err
		}
	}
	return nil
}

// coordinationRows tells how a robot stands in its cell.
func coordinationRows(c *web.Coordination) [][2]string {
	if c == nil {
		return nil
	}
	follows := "follows nobody"
	switch {
	case c.Leading:
		follows = fmt.Sprintf("leads, %d of %d active", c.Active, c.Members)
	case c.Following:
		follows = fmt.Sprintf("follows %s, clock within %.3g ms", c.Lead, c.BoundMS)
	}
	words := fmt.Sprintf("%s, %s; %d of %d members known", c.Mode, follows, c.Known, c.Members)
	if c.Frozen {
		words += "; FROZEN"
	}
	rows := [][2]string{{"coordination", words}}
	if c.Problem != "" {
		rows = append(rows, [2]string{"problem", c.Problem})
	}
	return rows
}

// latencyRows tells how fast a robot reacts; a conductor has no such figures.
func latencyRows(l *web.Latency) [][2]string {
	if l == nil {
		return nil
	}
	minute := fmt.Sprintf("in the last %.0f s", l.LastMinuteS)
	return [][2]string{
		{"edge to output", latencyWords(l.EdgeToOutput.SinceStart) + " since start"},
		{"", latencyWords(l.EdgeToOutput.LastMinute) + " " + minute},
		{"wake-up lateness", latencyWords(l.WakeUpLateness.SinceStart) + " since start"},
		{"", latencyWords(l.WakeUpLateness.LastMinute) + " " + minute},
	}
}

func latencyWords(f mesh.LatencyFigures) string {
	if f.Count == 0 {
		return "nothing measured"
	}
	return fmt.Sprintf("p50 %.1f us, p99 %.1f us, p99.9 %.1f us, longest %.1f us, %d measured", f.P50US, f.P99US, f.P999US, f.MaxUS, f.Count)
}

// recordingWords says in a line how a robot's recording goes.
func recordingWords(r *web.Recording) string {
	text := fmt.Sprintf("%d messages, sealed %d times", r.Messages, r.Sealed)
	if r.Lost > 0 {
		text += fmt.Sprintf(", %d missing", r.Lost)
	}
	if r.Stopped {
		text += ", stopped"
	}
	return text
}
