package spine

import (
	"time"

	"dancer/runtime/config"
	"dancer/runtime/link"
)

// Stepped is the deciding part of a spine alone, the same that Run drives: whoever
// holds it says what was read and what time it is, so that a robot can be
// simulated faster than real time and exactly repeated. It drives no hardware
// and starts no thread and no brain. It is not safe for concurrent use.
type Stepped struct {
	core *core
	now  time.Duration
}

// NewStepped starts a spine at a moment of its clock; nothing has been seen and
// every output is safe. latches are rules that an earlier run left latched.
func NewStepped(r *config.Robot, segment *link.Segment, now time.Duration, latches ...int) (*Stepped, error) {
	s := &Stepped{now: now}
	var err error
	if s.core, err = newCore(r, segment, s, s, func() time.Duration { return s.now }); err != nil {
		return nil, err
	}
	s.core.start(now, latches)
	s.publish()
	return s, nil
}

func (s *Stepped) write(int, float64) bool  { return true }
func (s *Stepped) commit()                  {}
func (s *Stepped) note(*link.Event, []byte) {}
func (s *Stepped) latched(int, bool)        {}

// BrainStarted says that a brain has been started, the first or another one.
func (s *Stepped) BrainStarted(generation uint64) {
	s.core.brainStarted(s.now, generation)
	s.end()
}

// Pass lets time pass: what is due by then is done at its own time.
func (s *Stepped) Pass(now time.Duration) {
	for {
		due := max(s.core.deadline(), s.now+leastWait) // as in the loop: a deadline that stays never spins
		if due >= now {
			break
		}
		s.now = due
		s.core.tick(due)
	}
	s.now = now
	s.core.tick(now)
	s.publish()
}

// Reading takes a value of a signal; Frame lets the rules look.
func (s *Stepped) Reading(signal int, value float64) { s.core.reading(signal, value, s.now) }

// Frame ends one atomic update.
func (s *Stepped) Frame() { s.end() }

// Brain takes the newest command and all requests of the brain.
func (s *Stepped) Brain() {
	s.core.takeCommand(s.now)
	s.core.frame(s.now, s.now, 0)
	var r link.Request
	for range link.RequestCapacity {
		if !s.core.segment.TakeRequest(&r) {
			break
		}
		s.core.answer(s.now, &r)
		s.core.frame(s.now, s.now, 0)
	}
	s.publish()
}

// Output gives the value on the wire of one output.
func (s *Stepped) Output(i int) float64 { return s.core.written[i].value }

func (s *Stepped) end() {
	s.core.frame(s.now, s.now, 0)
	s.publish()
}

func (s *Stepped) publish() {
	s.core.status.Now = s.now
	s.core.segment.StoreStatus(&s.core.status)
}
