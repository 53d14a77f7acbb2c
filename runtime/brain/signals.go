package brain

import (
	"fmt"

	"dancer/hal"
)

// mostSignalProblems bounds how many invalid signals are named one by one.
const mostSignalProblems = 10

// signalProblems names the measured signals that cannot be used now, each with its
// cause. What was never seen is waited for, and the mode says so.
func (b *brain) signalProblems() []string {
	var out []string
	more := 0
	for i := range b.manual.Measured() {
		_, _, validity := b.ends.Segment.LoadSignal(i)
		if validity == hal.Valid || validity == hal.NeverSeen {
			continue
		}
		if len(out) == mostSignalProblems {
			more++
			continue
		}
		out = append(out, signalProblem(&b.manual.Signals[i], validity))
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more signals are invalid", more))
	}
	return out
}

func signalProblem(s *hal.Signal, validity hal.Validity) string {
	switch validity {
	case hal.Stuck:
		return fmt.Sprintf("signal %s is stuck: it has not changed for %v; look at the sensor, or give it a longer stuck_after", s.Name, s.StuckAfter)
	case hal.Stale:
		return fmt.Sprintf("signal %s is stale: no reading comes, or its port is gone; look at its line and its port", s.Name)
	}
	return fmt.Sprintf("signal %s is %v: look at the sensor, or at its range in robot.yaml", s.Name, validity)
}
