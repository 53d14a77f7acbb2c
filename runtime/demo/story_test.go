package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestStoryLeavesOutTheStepsOfARamp: forty lines of a drive that slows down bury
// what happened.
func TestStoryLeavesOutTheStepsOfARamp(t *testing.T) {
	var out strings.Builder
	s := &story{began: time.Now(), out: &out, driven: map[string]string{}}
	tell := func(value float64, who string) {
		s.hear("bot", fmt.Appendf(nil, `{"kind":"output","name":"drive","value":%g,"who":%q}`, value, who))
	}
	tell(0.5, "command")
	for _, value := range []float64{0.5, 0.4, 0.3, 0.2, 0.1, 0} {
		tell(value, "reflex")
	}
	tell(0.3, "command")
	tell(0.2, "command")
	var said []string
	for line := range strings.Lines(out.String()) {
		_, what, _ := strings.Cut(strings.TrimSpace(line), "drive = ")
		said = append(said, what)
	}
	if got := strings.Join(said, ", "); got != "0.5 (command), 0.5 (reflex), 0 (reflex), 0.3 (command), 0.2 (command)" {
		t.Errorf("it tells %s", got)
	}
}
