package coordination

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"dancer/mesh/arrival"
)

// TestPage: the times of docs/coordination.md are the defaults, and what it says of
// the tests is so.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/coordination.md")
	if err != nil {
		t.Fatal(err)
	}
	d := Timing{}.WithDefaults()
	for _, want := range []string{
		fmt.Sprintf("| heartbeat, and while nobody is followed | %s and %s, a tenth more or less |", d.Heartbeat, d.Seek),
		fmt.Sprintf("| a silent coordinator keeps its members for | %s |", d.Follow),
		fmt.Sprintf("| the next in line is waited for | %s to %s |", d.Stand, 2*d.Stand),
		fmt.Sprintf("| a clock may be uncertain by, for who is to act | %s |", d.MaxBound),
		fmt.Sprintf("up to %d ms", arrival.DefaultLimits.Late.Milliseconds()),
		fmt.Sprintf("breaks %s things on purpose", map[int]string{9: "nine"}[len(mutants)]),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/coordination.md does not say %q", want)
		}
	}
}
