package coordination

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"dancer/mesh/arrival"
	"dancer/mesh/impedance"
)

// ErrConfig says that a configuration cannot work. Correct what it names.
var ErrConfig = errors.New("bad coordination configuration")

// Seat is the place of one coordinator: of a cell's lead, of a sector's, of the
// whole. Everybody who knows it has the same. It is shared and never changed.
type Seat struct {
	ID uint32
	// Line is who may hold it, in this order: the node of Line[(term-1) mod its
	// length] in a term, so that no term ever has two candidates. The first term is
	// the first node's; when it dies the next in line takes over.
	Line []uint32
}

// Holder is the one node that may hold the seat in a term, from 1.
func (s *Seat) Holder(term uint32) uint32 {
	return s.Line[(max(term, 1)-1)%uint32(len(s.Line))]
}

// Timing is how long things take. It is shared and never changed. Zero values mean
// the defaults.
type Timing struct {
	Heartbeat time.Duration // mean period; default impedance.HeartbeatPeriod, 5 s, with a tenth of jitter
	Seek      time.Duration // period while a member follows nobody; default a fifth of Heartbeat
	// Follow is how long a member that heard a coordinator stays with it and promises
	// nothing to another, and so how long a silent one keeps its seat; default what
	// impedance.MissedSuspect heartbeats take at most, 16.5 s. The coordinator counts
	// on a 64th less: so much the clocks of the two may be set meanwhile, together.
	Follow time.Duration
	// Stand is how long a member waits for the next in line; default 1.1 Heartbeat.
	Stand time.Duration
	// Echo is how many heartbeats of a member are answered: each Echo-th; default 1.
	// An answer renews the promise, so Echo heartbeats must fit into Follow.
	Echo uint8
	// MaxBound is how uncertain a clock may be for its agent to act; default 250 ms.
	MaxBound time.Duration
	// MaxDrift is by how much two clocks run apart at most, in parts per million;
	// default impedance.DefaultMaxDrift.
	MaxDrift float64
	Limits   arrival.Limits // of T; default arrival.DefaultLimits
	Sweep    time.Duration  // how often a coordinator looks at silences; default 1 s
	// Retry is after how long without an answer a copy is sent again, doubling;
	// default 200 ms. The lead time and the way back come on top.
	Retry  time.Duration
	Tries  uint8         // copies of one message for one receiver; default 4
	Report time.Duration // how often counts go up while they change; default 50 ms
}

// WithDefaults fills in what is zero.
func (t Timing) WithDefaults() Timing {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&t.Heartbeat, impedance.HeartbeatPeriod)
	set(&t.Seek, t.Heartbeat/5)
	set(&t.Follow, impedance.MissedSuspect*(t.Heartbeat+t.Heartbeat/10))
	set(&t.Stand, t.Heartbeat+t.Heartbeat/10)
	set(&t.MaxBound, 250*time.Millisecond)
	set(&t.Sweep, time.Second)
	set(&t.Retry, 200*time.Millisecond)
	set(&t.Report, 50*time.Millisecond)
	t.Echo, t.Tries = max(t.Echo, 1), max(t.Tries, 1)
	if t.Tries == 1 {
		t.Tries = 4
	}
	if t.Limits == (arrival.Limits{}) {
		t.Limits = arrival.DefaultLimits
	}
	return t
}

// Validate reports what cannot work.
func (t Timing) Validate() error {
	switch {
	case t.Heartbeat <= 0 || t.Heartbeat > time.Hour || t.Seek <= 0 || t.Sweep <= 0 || t.Retry <= 0 || t.Report <= 0 || t.MaxBound < 0:
		return fmt.Errorf("%w: periods must be over 0, heartbeats at most an hour apart", ErrConfig)
	case time.Duration(t.Echo)*(t.Heartbeat+t.Heartbeat/10) >= t.Follow:
		return fmt.Errorf("%w: %d heartbeats of %s do not fit into the %s for which a member follows", ErrConfig, t.Echo, t.Heartbeat, t.Follow)
	case t.Stand < 2*t.Seek:
		return fmt.Errorf("%w: two heartbeats, %s apart, do not fit into the %s for which the next in line is waited for", ErrConfig, t.Seek, t.Stand)
	}
	return nil
}

// held is how long a promise of so many ms is counted on: the clock of who gave it
// may run faster by a thousandth, and be set by a little.
func (t *Timing) held(ms uint32) time.Duration {
	grant := time.Duration(ms) * time.Millisecond
	return grant - grant/1000 - t.Follow/64
}

// Place is where a node stands as a member of a seat.
type Place struct {
	Seat  *Seat
	Node  uint32 // this node
	Child uint32 // its number within the seat
	Epoch uint32 // raised by each start
	// Term that the node stored last for this seat (TermChanged); 0 at its first start. After
	// any other start it promises nothing for Timing.Follow: what the start before
	// promised has to be over.
	Term uint32
	// Quiet says that something may be promised though Term is 0: where no term could
	// be stored, and where another node may have been this member until now.
	Quiet bool
}

func (p Place) validate() error {
	if p.Seat == nil || len(p.Seat.Line) == 0 {
		return fmt.Errorf("%w: node %d has no seat to belong to, or nobody may hold it", ErrConfig, p.Node)
	}
	if p.Node >= 1<<commandNodeBits {
		return fmt.Errorf("%w: node %d; numbers of nodes are below %d", ErrConfig, p.Node, 1<<commandNodeBits)
	}
	return nil
}

// spread is d, a tenth longer or shorter at random: one of equals never speaks with
// all others.
func spread(d time.Duration, random *rand.Rand) time.Duration {
	return d - d/10 + time.Duration(random.Int64N(int64(d/5)+1))
}
