package coordination

import "time"

// Touch reads what a heartbeat of this agent, or the answer to one, will need, and
// does nothing. Who keeps a million agents calls it for all that come next, so that
// their memory is fetched at once and not one after the other. The result means
// nothing.
func (a *Agent) Touch() time.Duration {
	return a.deadline + time.Duration(a.freezes[1].sequence) + a.sketch.ProcessingTimes().P95 + a.holds.Limits.Late + a.link.next + time.Duration(a.link.tries)
}

// Touch reads what a message of a child will need; see Agent.Touch. At depth 0 it
// reads where that is, at 1 the thing itself.
func (c *Coordinator) Touch(child, depth int) time.Duration {
	if depth == 0 {
		return c.deadline + time.Duration(c.failures) + time.Duration(c.freezes[2].sequence) + time.Duration(len(c.requests.slots))
	}
	if child < 0 || child >= len(c.children) {
		return 0
	}
	x := &c.children[child]
	sum := x.heard + time.Duration(x.knows) + time.Duration(x.beats) + c.config.Timing.Follow + time.Duration(c.config.Seat.ID) + time.Duration(c.config.Node)
	if c.detector.IsActive(int32(child)) {
		sum++
	}
	return sum
}
