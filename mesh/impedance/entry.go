package impedance

import (
	"hash/fnv"
	"math"
	"math/bits"
	"time"
)

// AgentID is the number of an agent, dense from 0; Names maps names to such numbers.
type AgentID uint32

// CellID is the number of a cell, dense from 0.
type CellID uint32

// RegionID is the number of a region, dense from 0.
type RegionID uint32

// What stands where there is no agent or no cell.
const (
	NoAgent AgentID = math.MaxUint32
	NoCell  CellID  = math.MaxUint32
)

// MaxCapabilityKinds is how many capabilities a registry tells apart. One agent
// has at most MaxCapabilities of them.
const MaxCapabilityKinds = 64

// Capability is the number of a capability, below MaxCapabilityKinds.
type Capability uint8

// Capabilities is a set of them.
type Capabilities uint64

// SetOf makes a set. Numbers that are out of range are left out.
func SetOf(list ...Capability) Capabilities {
	var set Capabilities
	for _, c := range list {
		if c < MaxCapabilityKinds {
			set |= 1 << c
		}
	}
	return set
}

// Has says whether a capability is in the set.
func (s Capabilities) Has(c Capability) bool { return c < MaxCapabilityKinds && s&(1<<c) != 0 }

// Len is the number of capabilities in the set.
func (s Capabilities) Len() int { return bits.OnesCount64(uint64(s)) }

// Flags are what is remarkable about an agent. They say nothing of its
// operational state: an agent whose score made it degraded would have a worse
// score for being degraded, and never come back.
type Flags uint8

// The flags of mesh-30k 4.2 and 6.1.
const (
	FlagSlow     Flags = 1 << iota // score over SlowScore
	FlagUnstable                   // drift over UnstableDrift
	FlagSpike                      // score far over its own average, see Baseline
)

// Report is what a registry is told of an agent: by its heartbeat, completed by
// what its lead measures of the way to it. Times that are 0 are not measured.
type Report struct {
	Class        Class
	Operation    Operation     // Active or Degraded, as the agent says of itself
	Delay        time.Duration // one way, else the round trip; to 71 minutes
	Processing   time.Duration // of a payload of weight 1; to 71 minutes
	Queue        uint32
	Drift        float64 // 0-10; what is no number counts as 10
	Reliability  float64 // 0-1; what is no number counts as 0
	Context      uint64  // see ContextOf
	Capabilities Capabilities
}

// Report gives a record's part in a registry.
func (r Record) Report(capabilities Capabilities) Report {
	delay := r.DelayMS
	if delay == 0 {
		delay = r.RoundTripMS
	}
	return Report{
		Class: r.Class, Operation: r.Operation, Delay: durationOf(delay), Processing: durationOf(r.ProcessingMS), Queue: r.QueueDepth,
		Drift: r.Drift, Reliability: r.Reliability, Context: ContextOf(r.Context), Capabilities: capabilities,
	}
}

func durationOf(ms float64) time.Duration {
	return time.Duration(min(ms, float64(MaxSample/time.Millisecond)) * float64(time.Millisecond))
}

// ContextOf makes a number of a context hash, by FNV-1a: only whether two are the
// same matters.
func ContextOf(hash string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(hash)) // never fails
	return h.Sum64()
}

// Entry is an agent as the registry knows it.
type Entry struct {
	Class        Class
	Operation    Operation
	Flags        Flags
	Score        uint16 // 0-1000, of what is known here: the agent's own word for it does not count
	Drift        uint16 // thousandths, 0-10,000
	Reliability  uint16 // thousandths, 0-1000
	Cell         CellID
	Queue        uint32
	Delay        time.Duration // 0: not measured
	Processing   time.Duration // 0: not measured
	Heard        time.Duration // when the last heartbeat came; meaningless before the first
	Context      uint64
	Capabilities Capabilities
}

// entryOf takes a report over. Delays below a microsecond are one: 0 means that
// they are not measured.
func entryOf(r Report, cell CellID, now time.Duration) Entry {
	return Entry{
		Class: r.Class, Operation: r.Operation, Cell: cell, Queue: r.Queue, Heard: now,
		Drift: thousandths(r.Drift, MaxDrift, MaxDrift), Reliability: thousandths(r.Reliability, 1, 0),
		Delay: kept(r.Delay), Processing: kept(r.Processing), Context: r.Context, Capabilities: r.Capabilities,
	}
}

func thousandths(v, limit, otherwise float64) uint16 {
	if math.IsNaN(v) {
		v = otherwise
	}
	return uint16(math.Round(min(max(v, 0), limit) * 1000))
}

// kept is a duration in whole microseconds, as an entry holds it.
func kept(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return min(max(d.Round(time.Microsecond), time.Microsecond), MaxSample)
}

// judge sets the score and the flags that follow from it.
func (e *Entry) judge() {
	e.Score = score(figures{
		class: e.Class, operation: e.Operation, delay: milliseconds(e.Delay), processing: milliseconds(e.Processing),
		queue: float64(e.Queue), drift: float64(e.Drift) / 1000, reliability: float64(e.Reliability) / 1000,
	})
	e.Flags &= FlagSpike
	if e.asked() && e.Score > SlowScore {
		e.Flags |= FlagSlow
	}
	if e.Drift > UnstableDrift*1000 {
		e.Flags |= FlagUnstable
	}
}

// asked says whether a machine can be asked: what is slow is not what is off.
func (e Entry) asked() bool {
	return e.Class.Counted() && (e.Operation == Active || e.Operation == Degraded)
}

// Ready is the expected time from sending a payload of a weight to the agent until
// it has processed it, behind what waits there now: a mean, without any margin.
// What is not measured is the class's.
func (e Entry) Ready(weight float64) time.Duration {
	delay, processing := e.Delay, e.Processing
	if delay == 0 {
		_, delay = e.Class.TypicalDelay()
	}
	if processing == 0 {
		processing = bounded(float64(e.Class.BaseProcessing()) * WeightFactor(1))
	}
	base := bounded(float64(processing) / WeightFactor(1))
	return delay + ProcessingTime(base, weight, e.Queue, processing)
}

// packed is an entry as readers take it, in as few words as it has.
type packed [6]uint64

func (e Entry) pack() packed {
	return packed{
		uint64(e.Score) | uint64(e.Drift)<<16 | uint64(e.Reliability)<<32 | uint64(e.Class&15)<<48 | uint64(e.Operation&15)<<52 | uint64(e.Flags)<<56,
		uint64(e.Delay/time.Microsecond) | uint64(e.Processing/time.Microsecond)<<32,
		uint64(e.Queue) | uint64(e.Cell)<<32,
		uint64(e.Heard), e.Context, uint64(e.Capabilities),
	}
}

func (p packed) unpack() Entry {
	return Entry{
		Score: uint16(p[0]), Drift: uint16(p[0] >> 16), Reliability: uint16(p[0] >> 32),
		Class: Class(p[0] >> 48 & 15), Operation: Operation(p[0] >> 52 & 15), Flags: Flags(p[0] >> 56),
		Delay: time.Duration(uint32(p[1])) * time.Microsecond, Processing: time.Duration(p[1]>>32) * time.Microsecond,
		Queue: uint32(p[2]), Cell: CellID(p[2] >> 32), Heard: time.Duration(p[3]), Context: p[4], Capabilities: Capabilities(p[5]),
	}
}

// ranked is what an agent can be found by: nothing unless it is active, which one
// without a cell is not.
func (e Entry) ranked() Capabilities {
	if e.Operation != Active {
		return 0
	}
	return e.Capabilities
}
