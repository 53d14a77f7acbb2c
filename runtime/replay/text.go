package replay

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Write says in words what a replay found.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, recorded by dancer %s from %s, %s in %s\n", r.Robot, r.Recorded,
		r.From.Format(time.RFC3339), r.Duration.Round(time.Millisecond), counted(uint64(r.Files), "file"))
	fmt.Fprintf(&b, "replayed in %s, %.0f times real time: %s, %s\n", r.Took.Round(time.Millisecond), r.Speed,
		counted(r.Messages, "message"), counted(r.Readings, "reading"))
	if r.OtherManual != "" {
		fmt.Fprintf(&b, "with another manual: %s, recorded was %s: verdicts are compared, the question and the reflexes are not\n", r.OtherManual, r.Manual)
	}
	for _, line := range []struct {
		what  string
		count Count
	}{{"decision", r.Decisions}, {"question after a decision", r.Questions}, {"ruling", r.Rulings}, {"reflex transition", r.Reflexes}} {
		if line.count != (Count{}) {
			fmt.Fprintf(&b, "  %-26s %s\n", line.what, line.count)
		}
	}
	if r.Gaps > 0 {
		fmt.Fprintf(&b, "  %s in the recording, %s missing\n", counted(r.Gaps, "gap"), counted(r.Missing, "message"))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	if r.Damage != "" {
		fmt.Fprintf(&b, "  only the good part was replayed: %s\n", r.Damage)
	}
	switch {
	case r.First != nil:
		r.First.write(&b)
	case r.Decisions.Replayed == 0:
		b.WriteString("nothing to compare\n")
	default:
		b.WriteString("identical\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String gives replayed, differing and skipped.
func (c Count) String() string {
	text := fmt.Sprintf("%8d replayed", c.Replayed)
	if c.Differ > 0 {
		text += fmt.Sprintf(", %d differ", c.Differ)
	}
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d not replayed", c.Skipped)
	}
	return text
}

func (d *Difference) write(b *strings.Builder) {
	fmt.Fprintf(b, "the first difference: a %s at %s (%s)\n", d.What, d.At.Format(time.RFC3339Nano), d.File)
	if d.Decision != "" {
		fmt.Fprintf(b, "  decision %s\n", d.Decision)
	}
	fmt.Fprintf(b, "  %s: recorded %s, replayed %s\n", d.Where, d.Recorded, d.Replayed)
	for _, side := range []struct {
		name string
		why  []string
	}{{"recorded", d.RecordedWhy}, {"replayed", d.ReplayedWhy}} {
		if len(side.why) > 0 {
			fmt.Fprintf(b, "  why, as %s:\n    %s\n", side.name, strings.Join(side.why, "\n    "))
		}
	}
}

func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
