package fleet

import (
	"time"

	"dancer/mesh/breaker"
)

// Progress is how far a run has come.
type Progress struct {
	Now, Until time.Duration // simulated
	Events     uint64
	Waiting    int // events
	Up, Agents int32
}

// Watch runs until a time and tells how far it has come after every so much of
// simulated time, and at the end; every has to be over 0. It stops early, and says
// so, when tell returns false.
func (s *Simulation[M]) Watch(until, every time.Duration, tell func(Progress) bool) (done bool) {
	for {
		next := min(until, s.Now()+every)
		s.Run(next)
		p := Progress{s.Now(), until, s.counters.Events, s.queue.len(), s.AgentsUp(), s.topology.Agents()}
		if !tell(p) {
			return s.Now() >= until
		}
		if s.Now() >= until {
			return true
		}
	}
}

// Live is what a display shows while a run goes on.
type Live struct {
	Operations int // begun
	Decided    int
	Last       Operation // the newest; without its percentiles
	Active     int32     // as the mesh knows it
	Members    int32
	Mode       breaker.Mode
	ModeKnown  bool
	Open       BreakerCount // now
	Incidents  int          // that are not over
}

// Live gives the state of the run.
func (r *Recorder) Live() Live {
	l := Live{Operations: len(r.operations), Active: r.active.now, Members: r.active.all, Incidents: len(r.failed)}
	for i := range r.operations {
		if r.operations[i].Decided {
			l.Decided++
		}
	}
	if n := len(r.operations); n > 0 {
		l.Last = r.operations[n-1]
	}
	if n := len(r.modes); n > 0 {
		l.Mode, l.ModeKnown = r.modes[n-1].Mode, true
	}
	if n := len(r.breakersAt); n > 0 {
		l.Open = r.breakersAt[n-1]
	}
	return l
}
