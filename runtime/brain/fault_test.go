package brain

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"dancer/runtime/link"
)

// TestFault: only a report-only robot has one, and it says how the brain died and
// what to do.
func TestFault(t *testing.T) {
	ends, err := link.NewEnds(link.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	defer ends.Close()
	b := &brain{ends: ends, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, c := range []struct {
		status link.Status
		want   string // "": no fault
	}{
		{link.Status{Mode: link.ModeSafe, Deaths: 2, LastExit: 1, LastDeath: link.ReasonBrainEnded}, ""},
		{link.Status{Mode: link.ModeRunning}, ""},
		{link.Status{Mode: link.ModeReportOnly, Strikes: 3, LastExit: 3, LastDeath: link.ReasonBrainEnded}, "died 3 times in a row soon after its start and without a decision, the last time with exit code 3; "},
		{link.Status{Mode: link.ModeReportOnly, Strikes: 4, LastExit: -9, LastDeath: link.ReasonBrainEnded}, "died 4 times in a row soon after its start and without a decision, the last time by signal 9 (killed); "},
		{link.Status{Mode: link.ModeReportOnly, Strikes: 3, LastExit: -9, LastDeath: link.ReasonBrainHung}, "the last time because it hung and the watchdog ended it; "},
	} {
		ends.Segment.StoreStatus(&c.status)
		got := b.fault()
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || c.want != "" && !strings.HasSuffix(got, "restart dancer run") {
			t.Errorf("%+v: %q, want %q", c.status, got, c.want)
		}
	}
}
