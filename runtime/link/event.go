package link

import (
	"math"
	"time"
)

// EventKind says what an Event tells. The zero value is none.
type EventKind uint8

// The kinds of events, with the meaning of Index, Flags and Value. What is not
// named is zero, and -1 for Cause.
const (
	EventNone    EventKind = iota
	EventSignal            // Index signal, Flags hal.Validity now, Value last reading
	EventReflex            // Index rule, Flags 1 fired or 0 ended, Cause slot that changed (-1 a deadline), Latency, Frame of its port
	EventLatch             // Index rule, Flags 1 latched or 0 cleared
	EventOutput            // Index output, Flags Who, Value written, Cause rule or -1
	EventLease             // Flags LeaseState, Cause Reason
	EventMode              // Flags Mode, Cause Reason
	EventOverrun           // Latency how late, Frame overruns so far
	EventPort              // Index port, Flags PortState; of PortGarbled Value framing errors and breaks of the UART, NaN if not counted
	EventBrain             // Flags 1 started or 0 ended, Index starts so far, Value exit code (negative: signal), Cause Reason of an end
	EventAnswer            // answer to a Request: Index RequestKind, Flags 1 done or 0 refused, Frame Sequence, Cause Reason
	EventLost              // Frame events lost because the ring was full, in all
	EventRestart           // why this spine was started, Flags Restart
	EventEdges             // Index signal of a GPIO line, Frame edges of it that the kernel had no room for, in all
	eventKinds             // how many there are
)

// String names the kind as in --events.
func (k EventKind) String() string {
	names := [...]string{"none", "signal", "reflex", "latch", "output", "lease", "mode", "overrun", "port", "brain", "answer", "lost", "restart", "edges"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// PortState is what an EventPort tells.
type PortState uint8

// The states of a port.
const (
	PortGone    PortState = iota // hung up: its signals are invalid
	PortBack                     // open again
	PortFlooded                  // brings frames so fast that other inputs could suffer; it is read as fast as they allow
	PortStuck                    // takes nothing that is written to it: its signals are invalid, and it is opened again
	PortGarbled                  // brings bytes and not one good frame
	PortClear                    // brings good frames again
	PortPassive                  // of a CAN bus: its controller counts many errors; its signals are invalid until the next frame of theirs
	PortOff                      // of a CAN bus: its controller has left it after too many errors; its signals are invalid
)

// String names the state as in events.
func (s PortState) String() string {
	switch s {
	case PortBack:
		return "back"
	case PortFlooded:
		return "flooded"
	case PortStuck:
		return "stuck"
	case PortGarbled:
		return "garbled"
	case PortClear:
		return "clear"
	case PortPassive:
		return "error-passive"
	case PortOff:
		return "bus-off"
	}
	return "gone"
}

// Event is one thing that happened in the spine.
type Event struct {
	Kind    EventKind
	Flags   uint8
	Index   int32
	Cause   int32
	Value   float64
	At      time.Duration // CLOCK_MONOTONIC of the cause: the input's time stamp for reflexes
	Latency time.Duration // from At to the output's write
	Frame   uint64
}

// Reason says why a mode or a lease changed or a request was refused.
type Reason int32

// The reasons.
const (
	ReasonNone Reason = iota
	ReasonOperator
	ReasonAutostart
	ReasonDecision     // a completed decision renewed the lease
	ReasonLeaseExpired // no completed decision within the lease
	ReasonBrainEnded   // the brain's process is gone
	ReasonBrainLoop    // the brain died too often: report-only
	ReasonNoLease      // refused: no live lease
	ReasonReportOnly   // refused: report-only
	ReasonStillTrue    // refused: the latch's condition still holds
	ReasonNoSuchLatch  // refused: no latch of that number
	ReasonShutdown
	ReasonDryRun
	ReasonUnknownRequest
	ReasonBrainHung    // the brain completed no decision for too long and was ended
	ReasonStaleRequest // refused: asked by an earlier brain, or too long ago
	ReasonOutOfMemory  // the kernel ended the brain for want of memory
	ReasonOutputFailed // an output could not be driven: its line or PWM is gone
)

// String says it in plain words.
func (r Reason) String() string {
	names := [...]string{
		"", "operator", "autostart", "decision completed", "no decision within the lease", "the brain ended",
		"the brain died three times in a row", "no live lease: the brain has not completed a decision",
		"report-only: restart dancer run", "its condition still holds", "no such latch", "shutting down", "dry run",
		"unknown request", "the brain hung and was ended", "it was asked too long ago: ask again", "out of memory",
		"an output could not be driven",
	}
	if r >= 0 && int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Restart says why a spine was started where the one before it did not end in
// order. The zero value is none.
type Restart uint8

// The restarts.
const (
	RestartNone     Restart = iota
	RestartDied             // the spine before it died, in the same boot
	RestartPower            // the machine went down while the spine before it ran
	RestartWatchdog         // the hardware watchdog reset the machine
)

// String says it in plain words.
func (r Restart) String() string {
	names := [...]string{
		"", "the spine before this one died", "the machine went down while the robot ran",
		"the hardware watchdog reset this machine",
	}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// eventReserve is the part of the ring that frequent events leave free.
const eventReserve = 16

// isFrequent says whether a flood of inputs brings this event thousands of times. A
// sixteenth of the ring is closed to these, so that there is room for what says why
// the robot stands as it does.
func (k EventKind) isFrequent() bool {
	switch k {
	case EventSignal, EventReflex, EventOutput, EventOverrun, EventLost, EventEdges:
		return true
	}
	return false
}

// PutEvent adds an event to the ring (spine); false when it is full, for a frequent
// event when a sixteenth of it is left, which is counted.
func (s *Segment) PutEvent(e *Event) bool {
	rec := record{
		uint64(e.Kind) | uint64(e.Flags)<<8 | uint64(uint32(e.Index))<<32,
		uint64(uint32(e.Cause)), math.Float64bits(e.Value), uint64(e.At), uint64(e.Latency), e.Frame,
	}
	free := uint64(0)
	if e.Kind.isFrequent() {
		free = s.events.capacity / eventReserve
	}
	return s.events.put(rec[:], free)
}

// TakeEvent takes the oldest event (brain, one goroutine); false when there is
// none. Records that make no sense are passed over.
func (s *Segment) TakeEvent(e *Event) bool {
	var rec record
	for range EventCapacity {
		if !s.events.take(rec[:]) {
			return false
		}
		*e = Event{
			Kind: EventKind(rec[0] & 0xff), Flags: uint8(rec[0] >> 8), Index: int32(rec[0] >> 32),
			Cause: int32(uint32(rec[1])), Value: math.Float64frombits(rec[2]),
			At: time.Duration(rec[3]), Latency: time.Duration(rec[4]), Frame: rec[5],
		}
		if e.Kind != EventNone && e.Kind < eventKinds {
			return true
		}
	}
	return false
}

// MendTails makes room for what the next brain shall hear of the end of this one,
// which may have written nonsense over its counts of what it has taken (spine). Call
// it when the brain is gone.
func (s *Segment) MendTails() {
	s.events.mendTail()
	s.traces.mendTail()
}

// EventsLost is how many events found the ring full since the spine's start.
func (s *Segment) EventsLost() uint64 { return s.events.produced[ringLost].Load() }

// RequestKind is what the brain asks of the spine on an operator's behalf. The
// zero value is none.
type RequestKind uint8

// The requests.
const (
	RequestNone  RequestKind = iota
	RequestStart             // start moving
	RequestStop              // outputs safe until the next start
	RequestClear             // clear one latch, or all
)

// String names the request as in the control protocol.
func (k RequestKind) String() string {
	names := [...]string{"none", "start", "stop", "clear"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Request is one such question. The answer comes as EventAnswer with the same
// Sequence. Whatever can make a robot move is as perishable as a decision: one of
// another brain's generation, or older than the lease, is refused.
type Request struct {
	Kind     RequestKind
	Index    int32         // clear: the rule, -1 all
	Sequence uint64        // the caller's own number
	Epoch    uint64        // Status.Epoch as the brain read it: see Command
	At       time.Duration // CLOCK_MONOTONIC when it was asked
}

// Words of a request in its record: kind and index, sequence, epoch, time, check.
const requestCheck = 4

func (rec *record) check() uint64 {
	sum := uint64(magic)
	for _, w := range rec[:requestCheck] {
		sum = mix(sum, w)
	}
	return sum
}

// PostRequest adds a request (brain); false when the ring is full. Wake the
// spine after it.
func (s *Segment) PostRequest(r Request) bool {
	s.brain.Lock()
	defer s.brain.Unlock()
	rec := record{uint64(r.Kind) | uint64(uint32(r.Index))<<32, r.Sequence, r.Epoch, uint64(r.At)}
	rec[requestCheck] = rec.check()
	return s.requests.put(rec[:], 0)
}

// TakeRequest takes the oldest request (spine). An unknown kind is handed over
// as it is, for the spine to refuse; a record whose check is wrong comes as
// RequestNone, which asks for nothing and wants no answer. Call it at most RequestCapacity times a
// wake-up: a hostile brain can always make another one.
func (s *Segment) TakeRequest(r *Request) bool {
	var rec record
	if !s.requests.take(rec[:]) {
		return false
	}
	if rec[requestCheck] != rec.check() {
		*r = Request{}
		return true
	}
	*r = Request{
		Kind: RequestKind(rec[0] & 0xff), Index: int32(rec[0] >> 32), Sequence: rec[1],
		Epoch: rec[2], At: time.Duration(rec[3]),
	}
	return true
}
