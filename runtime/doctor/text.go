package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Text says how a report is written for people.
type Text struct {
	Color bool // ANSI colours, for a terminal
	Quiet bool // only what is above ok
}

// colors of the severities; ok has none.
var colors = [...]string{OK: "", Note: "\x1b[36m", Warning: "\x1b[33m", Fault: "\x1b[1;31m"}

const plainColor = "\x1b[0m"

// Write writes a report: one finding after another, the worst first, and a line
// that sums it up.
func (t Text) Write(w io.Writer, r Report) error {
	var b strings.Builder
	for _, f := range r.Findings {
		if !t.Quiet || f.Severity > OK {
			t.finding(&b, f)
		}
	}
	if !t.Quiet || r.Worst > OK {
		fmt.Fprintln(&b, r.Summary())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// finding is a line of what was found, and below it why and the cure.
func (t Text) finding(b *strings.Builder, f Finding) {
	severity := fmt.Sprintf("%-8s", f.Severity)
	if c := colors[f.Severity]; t.Color && c != "" {
		severity = c + severity + plainColor
	}
	found := f.Found
	if f.Subject != "" {
		found = f.Subject + ": " + found
	}
	fmt.Fprintf(b, "%s %-20s %s\n", severity, f.ID, found)
	for _, more := range [][2]string{{"why", f.Why}, {"cure", f.Cure}} {
		if more[1] != "" {
			fmt.Fprintf(b, "%8s %20s %s\n", "", more[0]+":", more[1])
		}
	}
}

// Summary is one line about the whole report.
func (r Report) Summary() string {
	what := fmt.Sprintf("board %s, Linux %s, user %s", r.Board, r.Kernel, r.User)
	if r.Robot != "" {
		what = "robot " + r.Robot + ", " + what
	}
	return fmt.Sprintf("%s: %s, %s, %s, %d ok", printable(what),
		count(r.Counts["fault"], "fault"), count(r.Counts["warning"], "warning"), count(r.Counts["note"], "note"), r.Counts["ok"])
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
