package link

import (
	"math"
	"time"

	"dancer/hal"
)

// TraceKind says what a Trace tells. The zero value is none.
type TraceKind uint8

// The kinds of traces, with the meaning of Index, Value and Flags. What is not
// named is zero.
const (
	TraceNone     TraceKind = iota
	TraceReading            // Index signal, Value as it came, Flags hal.Validity; told to the rules at Now, with TraceEnd the last of its frame
	TraceOvertook           // the same; another reading of the signal came in the same frame, so that no rule saw it
	TraceOutput             // Index output, Value as rules read it; with TraceEnd the last of its pass
	TraceSettled            // Index output, Value; the rules were not asked again
	TraceStart              // every signal is awaited; Index number of outputs
	TraceRestore            // Index rule, latched by an earlier run
	TraceEvaluate           // every rule was evaluated
	TraceSeen               // Index signal, not awaited any more
	TraceTick               // time passed for the rules
	TraceClear              // Index rule, an operator asked to clear its latch
	TraceMove               // Index rule, Flags reflex.Kind: what a rule did
	TraceGap                // Index how many traces were lost here because the ring was full
)

// TraceEnd marks the last trace of a frame or a pass.
const TraceEnd = 1 << 7

// String names the kind as in a recording.
func (k TraceKind) String() string {
	names := [...]string{"none", "reading", "overtook", "output", "settled", "start", "restore", "evaluate", "seen", "tick", "clear", "move", "gap"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// ParseTraceKind is the reverse of String; TraceNone for what is no kind.
func ParseTraceKind(name string) TraceKind {
	for k := TraceReading; k <= TraceGap; k++ {
		if k.String() == name {
			return k
		}
	}
	return TraceNone
}

// Trace is one thing that entered the reflex table or came out of it, in order.
// All of them from TraceStart on, given to a table of the same rules, make it do
// the same: see package replay.
type Trace struct {
	Kind  TraceKind
	Flags uint8
	Index int32
	Value float64
	At    time.Duration // CLOCK_MONOTONIC of the reading
	Now   time.Duration // CLOCK_MONOTONIC as the rules were told
}

// Validity of a reading.
func (t *Trace) Validity() hal.Validity { return hal.Validity(t.Flags &^ TraceEnd) }

// End says whether it is the last of its frame or pass.
func (t *Trace) End() bool { return t.Flags&TraceEnd != 0 }

// traceWords: kind, flags and index; value; time of the reading; now.
const traceWords = 4

type traceRecord [traceWords]uint64

func (t *Trace) pack() traceRecord {
	return traceRecord{
		uint64(t.Kind) | uint64(t.Flags)<<8 | uint64(uint32(t.Index))<<32,
		math.Float64bits(t.Value), uint64(t.At), uint64(t.Now),
	}
}

// PutTrace adds a trace to its ring and wakes nobody (spine). A full ring loses
// it; as soon as there is room again a TraceGap stands where traces are missing.
func (s *Segment) PutTrace(t *Trace) {
	if lost := min(s.traces.lost-s.gapTold, math.MaxInt32); lost != 0 {
		gap := Trace{Kind: TraceGap, Index: int32(lost), At: t.At, Now: t.Now}
		rec := gap.pack()
		if !s.traces.put(rec[:], 0) {
			return // put has counted it: one for this trace, its own was never tried
		}
		s.gapTold += lost
	}
	rec := t.pack()
	s.traces.put(rec[:], 0)
}

// TakeTrace takes the oldest trace (brain, one goroutine); false when there is
// none. Records that make no sense are passed over.
func (s *Segment) TakeTrace(t *Trace) bool {
	var rec traceRecord
	for range TraceCapacity {
		if !s.traces.take(rec[:]) {
			return false
		}
		*t = Trace{
			Kind: TraceKind(rec[0] & 0xff), Flags: uint8(rec[0] >> 8), Index: int32(rec[0] >> 32),
			Value: math.Float64frombits(rec[1]), At: time.Duration(rec[2]), Now: time.Duration(rec[3]),
		}
		if t.Kind != TraceNone && t.Kind <= TraceGap {
			return true
		}
	}
	return false
}

// TracesLost is how many traces found their ring full since the spine's start.
func (s *Segment) TracesLost() uint64 { return s.traces.produced[ringLost].Load() }
