package spine

import (
	"time"

	"dancer/reflex"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// leaseStop is the controlled part of a lease stop of category 1 or 2: outputs go
// in a straight line from where they were on the wire to their safe values. Where
// an output has no time for it, it is safe at once.
type leaseStop struct {
	on    bool
	began time.Duration   // the lease's own end, or when the brain was found to be gone
	end   time.Duration   // every output is at its safe value
	step  time.Duration   // the next one
	ramps []reflex.Ramp   // per output
	times []time.Duration // per output: how long its ramp takes; 0: none
}

// newLeaseStop makes the stop that robot.yaml names, not begun.
func newLeaseStop(r *config.Robot) leaseStop {
	outputs := r.Manual.Outputs
	s := leaseStop{step: never, ramps: make([]reflex.Ramp, len(outputs)), times: make([]time.Duration, len(outputs))}
	for o := range outputs {
		s.times[o] = r.Lease.RampOf(&outputs[o])
		s.ramps[o].To, s.ramps[o].Safe = outputs[o].Safe, outputs[o].Safe
	}
	return s
}

// beginLeaseStop starts the controlled part, at the time from which it counts.
func (c *core) beginLeaseStop(at time.Duration) {
	s := &c.leaseStop
	longest := time.Duration(0)
	for o := range s.times {
		if c.written[o].value != c.outputs[o].Safe {
			longest = max(longest, s.times[o])
		}
	}
	if longest == 0 {
		c.endLeaseStop()
		return
	}
	s.on, s.began, s.end = true, at, at+longest
	s.step = at + min(reflex.RampStep, longest)
	for o := range s.ramps {
		s.ramps[o].From = c.written[o].value
	}
}

// endLeaseStop makes every output safe at once, where nothing else drives it.
func (c *core) endLeaseStop() { c.leaseStop.on, c.leaseStop.step = false, never }

// leaseStopOn lets the controlled part go on, or ends it. Its deadlines are counted
// from its beginning: a step that comes late makes none after it late.
func (c *core) leaseStopOn(now time.Duration) {
	s := &c.leaseStop
	switch {
	case now < s.step:
		return
	case now >= s.end:
		c.endLeaseStop()
	default:
		s.step = min(s.began+((now-s.began)/reflex.RampStep+1)*reflex.RampStep, s.end)
	}
	c.dirty = true
}

// stopped is what an output has while nothing may move it: its safe value, or
// where the controlled part of a stop has it.
func (c *core) stopped(o int) target {
	who := link.WhoSafe
	if c.leaseStopped {
		who = link.WhoLeaseStop
	}
	s := &c.leaseStop
	if !s.on || s.times[o] == 0 {
		return c.safe(o, who)
	}
	elapsed := max(c.now-s.began, 0)
	return target{c.clip(o, s.ramps[o].At(elapsed, s.times[o], c.written[o].value)), link.WhoLeaseStop, -1}
}

// stopOver says that no controlled part is on.
func (c *core) stopOver() bool { return !c.leaseStop.on }
