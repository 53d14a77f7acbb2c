package conflicts

import (
	"fmt"
	"strings"
	"time"

	"dancer/mesh/conflict"
	"dancer/storage/segment"
)

// Explain says in plain words all that was logged of one conflict.
func Explain(history []conflict.Record) []string {
	first, last := &history[0], &history[len(history)-1]
	lines := []string{
		fmt.Sprintf("%s: %s, priority %d (%s), %s", first.ID, last.Type, last.Priority, last.Priority, last.Event),
		"about:    " + first.Subject,
		"expected: " + valueText(first.Expected),
		"received: " + valueText(first.Received) + from(first),
		fmt.Sprintf("found by: %s, %d times by %d agents", first.Agent, last.Count, last.Agents),
	}
	if first.Context != "" {
		lines = append(lines, "context:  "+first.Context)
	}
	if q := first.Quarantined; q != nil {
		kept := "kept in the log"
		if q.Data == nil {
			kept = "its hash alone is kept"
		}
		lines = append(lines, fmt.Sprintf("held:     %d bytes, sha256 %s, %s", q.Bytes, q.SHA256, kept))
	}
	for i := range history {
		lines = append(lines, step(&history[i]))
	}
	strategy := conflict.StrategyOf(last.Type)
	lines = append(lines, "resolved by "+strategy.Method+":")
	for _, s := range strategy.Steps {
		who := "agents or a person"
		if s.ByRule {
			who = "rule"
		}
		lines = append(lines, "  - "+s.Do+" ["+who+"]")
	}
	return lines
}

func valueText(v conflict.Value) string {
	if v.Bytes > 0 {
		return fmt.Sprintf("%s (%d bytes, sha256 %s)", v.Text, v.Bytes, v.SHA256)
	}
	return v.Text
}

func from(r *conflict.Record) string {
	text := ""
	if r.Source != "" {
		text += ", from " + r.Source
	}
	if r.Message != "" {
		text += ", message " + r.Message
	}
	return text
}

// step says one record of a conflict.
func step(r *conflict.Record) string {
	line := fmt.Sprintf("%s  %s, priority %d, %d times", r.At.Format(time.RFC3339Nano), r.Event, r.Priority, r.Count)
	if r.By != "" {
		line += ", by " + r.By
	}
	if r.Outcome != "" {
		line += ", " + r.Outcome
	}
	if r.Why != "" {
		line += ": " + r.Why
	}
	if len(r.Escalated) > 0 {
		line += "; told: " + strings.Join(r.Escalated, ", ")
	}
	return line
}

// Verdict says in plain words what verify found.
func Verdict(folder string, r *segment.Report) []string {
	var lines []string
	for _, f := range r.Findings {
		lines = append(lines, f.String())
	}
	if r.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more findings", r.More))
	}
	for _, m := range r.Marks {
		lines = append(lines, fmt.Sprintf("note: %s: %s", m.At.Format(time.RFC3339), m.Why))
	}
	what := "sound"
	if !r.Sound() {
		what = fmt.Sprintf("%d findings", len(r.Findings)+r.More)
	}
	lines = append(lines, fmt.Sprintf("%s: %s: %d records in %d segments, %d bytes", folder, what, r.Records, r.Segments, r.Bytes))
	if r.Head.Count > 0 {
		lines = append(lines, "head: "+r.Head.String())
	}
	return lines
}
