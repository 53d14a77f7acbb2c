package arrival

import (
	"math"
	"slices"
	"time"
)

// BucketSize is how coarsely sends are grouped (mesh-30k 3.2). A bucket is sent
// at its beginning, so that rounding makes a message early and never late: its
// receiver holds it until T.
const BucketSize = 10 * time.Millisecond

// RecentlyHeard is how old the last word of a target may be before the
// confidence in it falls (mesh-30k 3.1).
const RecentlyHeard = 10 * time.Second

// Standing is what a plan has to know of a target besides its delay. The zero
// value is NotRoutable: a target that nobody has described gets nothing.
type Standing uint8

// The standings. A caller sets them from the register of agents.
const (
	NotRoutable Standing = iota // offline, quarantined, behind an open breaker, frozen
	Unmeasured                  // routable, but no delay has been observed yet
	Measured                    // routable, and Lead comes from at least one observation
	Human                       // class F: addressed, never counted in a window
)

// Target is one receiver of a plan, as plain values.
type Target struct {
	Index    uint32        // dense index of the agent, copied into the plan
	Standing Standing      // see its constants
	Lead     time.Duration // Estimator.Lead for the rate asked: delay and processing of a payload of weight 1, without queue
	Queue    uint32        // operations that wait at the target
	Service  time.Duration // processing time of one operation of weight 1

	Reliability float32       // share of operations that succeeded, 0-1
	Drift       float32       // standard deviation over mean of the delay, 0 and up
	Heard       time.Duration // when the target was last heard, on the clock of now
}

// Status says what a plan does with a target. The zero value sends nothing.
type Status uint8

// The two statuses of mesh-30k 3.1.
const (
	Skip Status = iota
	Scheduled
)

// String names the status as it appears in JSON.
func (s Status) String() string {
	if s == Scheduled {
		return "scheduled"
	}
	return "skip"
}

// MarshalText writes the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reason says why a target was skipped.
type Reason uint8

// The reasons. Reasons is their number, for tables of counts.
const (
	ReasonNone        Reason = iota // scheduled
	InsufficientLead                // it needs Lead and has Available
	NoMeasurement                   // no delay observed yet: probe it first
	HumanTarget                     // class F: address it now, apart from the window, and wait for nobody
	NotRoutableTarget               // nothing can be sent to it
	Reasons           = iota
)

// String says the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "none"
	case InsufficientLead:
		return "insufficient lead time"
	case NoMeasurement:
		return "no measurement"
	case HumanTarget:
		return "human: addressed, not counted"
	case NotRoutableTarget:
		return "not routable"
	}
	return "invalid"
}

// MarshalText writes the words.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Entry is what the plan says of one target, in the order of the targets.
type Entry struct {
	Index      uint32
	Status     Status
	Reason     Reason
	Confidence float32       // 0-1 that the target is READY in time; 0 when skipped
	Lead       time.Duration // how long the target needs: residual, queue and payload
	Available  time.Duration // how long there is until T; negative when T has passed
	SendAt     time.Duration // the last moment to send; its bucket is sent at or up to 10 ms before it
	Arrival    time.Duration // when the target is expected READY at the latest: T
}

// Bucket is a group of sends. Its members are Schedule.Members.
type Bucket struct {
	At          time.Duration // send all members now; never before the plan's now
	first, last uint32        // half-open range of order
}

// Schedule is a plan and the buffers it lives in. The zero value is ready; Plan
// overwrites it and allocates only where it has never been so large before.
type Schedule struct {
	Now, At time.Duration
	Entries []Entry      // one a target, in their order
	Buckets []Bucket     // in the order of sending
	Counts  [Reasons]int // targets by reason; [ReasonNone] are scheduled

	keys  []uint64 // bucket number and position in one word, sorted
	order []uint32 // positions in Entries in the order of sending
}

// Plan fills the schedule: each target gets its own send time so that it is
// READY at the time at, or the reason why not. Weight is the payload's, 1 for a
// standard one. The result depends on the arguments alone.
//
// It differs from mesh-30k 3.1 where that is wrong: the network delay is not
// half a round trip but measured one way and inside of Lead; the queue is a time
// of its own (depth x service) and not a tenth of the processing each; a send
// time that is now is in time; and the comparison reads one clock once, not the
// clock again for each of 30,000 agents.
func (s *Schedule) Plan(now, at time.Duration, targets []Target, weight float32) {
	s.Now, s.At, s.Counts = now, at, [Reasons]int{}
	s.Entries, s.keys = slices.Grow(s.Entries[:0], len(targets)), slices.Grow(s.keys[:0], len(targets))
	for i := range targets {
		e := entry(now, at, &targets[i], weight)
		s.Counts[e.Reason]++
		if e.Status == Scheduled {
			s.keys = append(s.keys, uint64((e.SendAt-now)/BucketSize)<<32|uint64(uint32(i)))
		}
		s.Entries = append(s.Entries, e)
	}
	slices.Sort(s.keys)
	s.group()
}

// group makes the buckets from the sorted keys.
func (s *Schedule) group() {
	s.Buckets, s.order = s.Buckets[:0], slices.Grow(s.order[:0], len(s.keys))
	for i, key := range s.keys {
		if i == 0 || key>>32 != s.keys[i-1]>>32 {
			s.Buckets = append(s.Buckets, Bucket{At: s.Now + time.Duration(key>>32)*BucketSize, first: uint32(i)})
		}
		s.order = append(s.order, uint32(key))
		s.Buckets[len(s.Buckets)-1].last = uint32(i) + 1
	}
}

// Members gives the positions in Entries of what the bucket sends, in the order
// of the targets. The slice is the schedule's own, until the next Plan.
func (s *Schedule) Members(b Bucket) []uint32 { return s.order[b.first:b.last] }

// maxAhead bounds how far ahead a bucket can be numbered: 2^31 of them are 248 days.
const maxAhead = math.MaxInt32 * BucketSize

func entry(now, at time.Duration, t *Target, weight float32) Entry {
	e := Entry{Index: t.Index, Available: at - now, Reason: refusal(t)}
	if e.Reason != ReasonNone {
		return e
	}
	e.Lead = Lead(t.Lead, t.Queue, t.Service, weight)
	if e.Lead > e.Available || e.Available > maxAhead {
		e.Reason = InsufficientLead
		return e
	}
	e.Status, e.SendAt, e.Arrival, e.Confidence = Scheduled, at-e.Lead, at, confidence(now, t)
	return e
}

// refusal is the reason not to send that has nothing to do with T.
func refusal(t *Target) Reason {
	switch {
	case t.Standing == Human:
		return HumanTarget
	case t.Standing == Unmeasured, t.Standing == Measured && t.Lead <= 0:
		return NoMeasurement
	case t.Standing == Measured:
		return ReasonNone
	}
	return NotRoutableTarget
}

// Lead is the whole time that a message needs until its target is READY: the
// residual (delay and processing of a payload of weight 1), the time until the
// queue before it is served, and what a heavier payload adds. Weights under 1
// and what is not a number count as 1: the processing of a light payload is
// already inside of the residual, and too early is safe.
func Lead(residual time.Duration, queue uint32, service time.Duration, weight float32) time.Duration {
	return saturate(float64(residual) + load(queue, service, weight))
}

// Residual is the inverse: what an estimator is to observe of a message that took
// `took` from its sending until its target was READY, with the queue and weight
// that it met. It is never negative.
func Residual(took time.Duration, queue uint32, service time.Duration, weight float32) time.Duration {
	return saturate(float64(took) - load(queue, service, weight))
}

// load is the time, in ns, of the queue and of the payload's weight over 1.
func load(queue uint32, service time.Duration, weight float32) float64 {
	if !(weight > 1) {
		weight = 1
	}
	return float64(float64(max(service, 0)) * (float64(queue) + float64(weight) - 1))
}

// saturate makes a duration that cannot overflow when it is added to another.
func saturate(ns float64) time.Duration {
	const most = math.MaxInt64 / 4
	if !(ns > 0) {
		return 0
	}
	if ns >= most {
		return most
	}
	return time.Duration(ns)
}

// confidence is reliability x (1 - 0.3 drift) x freshness, 0-1. The sum of
// mesh-30k 3.1 (half the reliability, minus the drift, plus 0.2 when heard of)
// gives 0.7 to an agent that never failed and 0.2 to one that never answered; as
// a product each term can veto. Freshness is 1 up to 10 s and falls as 10 s/age.
func confidence(now time.Duration, t *Target) float32 {
	fresh := float32(1)
	if age := now - t.Heard; age > RecentlyHeard {
		fresh = float32(RecentlyHeard) / float32(age)
	}
	return share(t.Reliability) * (1 - float32(0.3*share(t.Drift))) * fresh
}

// share clamps to 0-1; what is not a number is 0.
func share(v float32) float32 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}
