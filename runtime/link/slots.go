package link

import (
	"math"
	"time"

	"dancer/hal"
)

// Who says what drives an output. The zero value is the safe state.
type Who uint8

// What can drive an output, see the precedence in the spine's package comment.
const (
	WhoSafe      Who = iota // nothing else does: not started, or no command yet
	WhoReflex               // an active reflex
	WhoLatch                // a reflex that ended and was not cleared
	WhoHold                 // the brain's hold while a question is open
	WhoCommand              // the brain's decision
	WhoWaiting              // a signal was not seen yet
	WhoLeaseStop            // the lease ran out
)

// String names it as in events.
func (w Who) String() string {
	names := [...]string{"safe", "reflex", "latch", "hold", "command", "waiting", "lease-stop"}
	if int(w) < len(names) {
		return names[w]
	}
	return "unknown"
}

// storeSlot publishes one slot under its sequence (a seqlock: odd while it is
// being written). One writer only.
func storeSlot(w []word, a, b, c uint64) {
	seq := w[0].Load() | 1
	w[0].Store(seq)
	w[1].Store(a)
	w[2].Store(b)
	w[3].Store(c)
	w[0].Store(seq + 1)
}

func loadSlot(w []word) (a, b, c uint64, ok bool) {
	for range readTries {
		seq := w[0].Load()
		if seq&1 != 0 {
			continue
		}
		a, b, c = w[1].Load(), w[2].Load(), w[3].Load()
		if w[0].Load() == seq {
			return a, b, c, true
		}
	}
	return 0, 0, 0, false
}

func (s *Segment) signal(i int) []word {
	return slotAt(s.words, s.at.signals, s.layout.Signals, i)
}

func (s *Segment) output(i int) []word {
	return slotAt(s.words, s.at.outputs, s.layout.Outputs, i)
}

func slotAt(words []word, base, count, i int) []word {
	if uint(i) >= uint(count) {
		panic("link: index outside the layout")
	}
	o := base + i*slotWords
	return words[o : o+slotWords]
}

// eraseSlots writes the state before the first reading.
func (s *Segment) eraseSlots() {
	for i := range s.layout.Signals {
		s.StoreSignal(i, math.NaN(), 0, hal.NeverSeen)
	}
	for i := range s.layout.Outputs {
		s.StoreOutput(i, math.NaN(), 0, WhoSafe, -1)
	}
}

// StoreSignal publishes signal i (spine). at is CLOCK_MONOTONIC of the reading.
func (s *Segment) StoreSignal(i int, value float64, at time.Duration, validity hal.Validity) {
	storeSlot(s.signal(i), math.Float64bits(value), uint64(at), uint64(validity))
}

// LoadSignal reads signal i: its last value (even if that is not valid), when
// it came, and whether it may be used. A slot that stays torn reads as never seen.
func (s *Segment) LoadSignal(i int) (value float64, at time.Duration, validity hal.Validity) {
	a, b, c, ok := loadSlot(s.signal(i))
	if !ok || c > uint64(hal.Stuck) {
		return math.NaN(), 0, hal.NeverSeen
	}
	value, at, validity = math.Float64frombits(a), time.Duration(b), hal.Validity(c)
	if validity == hal.Valid && (math.IsNaN(value) || math.IsInf(value, 0)) {
		validity = hal.NotANumber
	}
	return value, at, validity
}

// StoreOutput publishes output i (spine): the value on the wire, since when,
// what drives it, and the rule for WhoReflex and WhoLatch (else -1).
func (s *Segment) StoreOutput(i int, value float64, at time.Duration, who Who, rule int) {
	storeSlot(s.output(i), math.Float64bits(value), uint64(at), uint64(who)|uint64(uint32(int32(rule)))<<32)
}

// LoadOutput reads output i. A value that was never written is NaN.
func (s *Segment) LoadOutput(i int) (value float64, at time.Duration, who Who, rule int) {
	a, b, c, ok := loadSlot(s.output(i))
	if !ok {
		return math.NaN(), 0, WhoSafe, -1
	}
	return math.Float64frombits(a), time.Duration(b), Who(c & 0xff), int(int32(c >> 32))
}

// Port is what is known of one serial port (or of the simulated board).
type Port struct {
	Frames  uint64 // complete frames read
	Bytes   uint64 // bytes read
	Errors  uint64 // frames or bytes that could not be used
	Dropped uint64 // readings or writes given up because something was full
	Open    bool   // the device is there

	// Line is what the UART counted, as of the last look at the port, which is every
	// few seconds. Only where Counted: not every driver does.
	Line    hal.LineErrors
	Counted bool
}

// StorePort publishes the counters of port i (spine).
func (s *Segment) StorePort(i int, p Port) {
	w := s.port(i)
	seq := w[0].Load() | 1
	w[0].Store(seq)
	w[1].Store(p.Frames)
	w[2].Store(p.Bytes)
	w[3].Store(p.Errors)
	w[4].Store(p.Dropped)
	w[5].Store(flag(p.Open, 1) | flag(p.Counted, 2))
	w[6].Store(uint64(p.Line.Framing) | uint64(p.Line.Parity)<<32)
	w[7].Store(uint64(p.Line.Breaks) | uint64(p.Line.Overruns)<<32)
	w[0].Store(seq + 1)
}

// LoadPort reads the counters of port i; false while it stays torn.
func (s *Segment) LoadPort(i int) (Port, bool) {
	w := s.port(i)
	for range readTries {
		seq := w[0].Load()
		if seq&1 != 0 {
			continue
		}
		flags, a, b := w[5].Load(), w[6].Load(), w[7].Load()
		p := Port{
			Frames: w[1].Load(), Bytes: w[2].Load(), Errors: w[3].Load(), Dropped: w[4].Load(), Open: flags&1 != 0, Counted: flags&2 != 0,
			Line: hal.LineErrors{Framing: uint32(a), Parity: uint32(a >> 32), Breaks: uint32(b), Overruns: uint32(b >> 32)},
		}
		if w[0].Load() == seq {
			return p, true
		}
	}
	return Port{}, false
}

func (s *Segment) port(i int) []word {
	if uint(i) >= uint(s.layout.Ports) {
		panic("link: index outside the layout")
	}
	o := s.at.ports + i*portWords
	return s.words[o : o+portWords]
}

// StoreRule publishes whether rule i is active and latched (spine).
func (s *Segment) StoreRule(i int, active, latched bool) {
	s.setRuleBit(i, 0, active)
	s.setRuleBit(i, bitWords(s.layout.Rules), latched)
}

func (s *Segment) setRuleBit(i, base int, on bool) {
	w, bit := s.ruleWord(i, base)
	if on {
		w.Or(bit)
	} else {
		w.And(^bit)
	}
}

// LoadRule reads whether rule i is active and whether it is latched.
func (s *Segment) LoadRule(i int) (active, latched bool) {
	a, bit := s.ruleWord(i, 0)
	l, _ := s.ruleWord(i, bitWords(s.layout.Rules))
	return a.Load()&bit != 0, l.Load()&bit != 0
}

func (s *Segment) ruleWord(i, base int) (*word, uint64) {
	if uint(i) >= uint(s.layout.Rules) {
		panic("link: index outside the layout")
	}
	return &s.words[s.at.rules+base+i/64], 1 << (i % 64)
}

func flag(on bool, bit uint64) uint64 {
	if on {
		return bit
	}
	return 0
}
