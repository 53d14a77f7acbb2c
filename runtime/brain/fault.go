package brain

import (
	"fmt"
	"syscall"

	"dancer/runtime/link"
)

// fault says in words why a robot in report-only mode does not move, and what to
// do; "" in every other mode. It is shown on the pages, by `dancer status`, and in
// the state that the conductor gets.
func (b *brain) fault() string {
	status, ok := b.ends.Segment.LoadStatus()
	if !ok || status.Mode != link.ModeReportOnly {
		return ""
	}
	return fmt.Sprintf("report-only: the brain died %d times in a row soon after its start and without a decision, the last time %s; "+
		"it commands nothing and cannot be started, reflexes go on: look at the brain's last lines in the log of dancer run, mend the cause, and restart dancer run",
		status.Strikes, deathWords(status.LastExit, status.LastDeath))
}

// deathWords says how a brain ended. exit is its exit code, negative for the
// signal that ended it.
func deathWords(exit int32, why link.Reason) string {
	switch {
	case why == link.ReasonBrainHung:
		return "because it hung and the watchdog ended it"
	case exit < 0:
		signal := syscall.Signal(-exit)
		return fmt.Sprintf("by signal %d (%s)", int(signal), signal)
	}
	return fmt.Sprintf("with exit code %d", exit)
}
