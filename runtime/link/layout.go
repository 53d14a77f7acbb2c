package link

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is the layout version of this package. Both processes are the same
// binary, so it differs only when a binary was replaced under a running spine.
const Version = 7

// Bounds of a layout. Outputs are bounded by the width of Command.HoldMask.
const (
	MaxSignals = 4096
	MaxOutputs = 64
	MaxPorts   = 64
	MaxRules   = 4096
)

// EventCapacity, RequestCapacity and TraceCapacity are the sizes of the rings in
// records, powers of two. The ring of traces holds eight seconds at a thousand
// readings a second, which is more than a brain needs to be started again.
const (
	EventCapacity   = 4096
	RequestCapacity = 64
	TraceCapacity   = 8192
)

// Layout says how many of each thing the segment holds. Both sides build it
// from the robot's files; Hash covers everything that gives an index its
// meaning (names, ranges, the manual), so that two sides that read different
// files refuse each other instead of confusing one signal with another.
type Layout struct {
	Signals, Outputs, Ports, Rules int
	Hash                           [32]byte
}

// ErrLayout is wrapped by every error of Attach that means the two sides do not
// speak of the same robot or the same version.
var ErrLayout = errors.New("the shared segment has another layout")

// Hash condenses the parts that give indices their meaning. Parts are length
// prefixed: ("ab", "c") and ("a", "bc") differ.
func Hash(parts ...string) [32]byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}

func (l Layout) check() error {
	for _, c := range []struct {
		name       string
		value, max int
	}{
		{"signals", l.Signals, MaxSignals}, {"outputs", l.Outputs, MaxOutputs},
		{"ports", l.Ports, MaxPorts}, {"rules", l.Rules, MaxRules},
	} {
		if c.value < 0 || c.value > c.max {
			return fmt.Errorf("lay out shared segment: %d %s, at most %d are possible", c.value, c.name, c.max)
		}
	}
	return nil
}

// Words of the header: magic, version, four counts, size in words, four of hash.
const (
	magic       = 0x646e6372_6c696e6b // "dncrlink"
	headerWords = 16
)

// header is what Attach compares word by word.
func (l Layout) header(words int) [headerWords]uint64 {
	h := [headerWords]uint64{magic, Version, uint64(l.Signals), uint64(l.Outputs), uint64(l.Ports), uint64(l.Rules), uint64(words)}
	for i := range 4 {
		h[7+i] = binary.LittleEndian.Uint64(l.Hash[8*i:])
	}
	return h
}

// Sizes of the parts, in 64-bit words.
const (
	slotWords   = 4 // sequence, value, time, tag
	portWords   = 8 // sequence, frames, bytes, errors, dropped, flags, two of line errors
	statusWords = 16
	lineWords   = 8 // one cache line
)

// offsets are the places of the parts, in words from the start of the half that
// they are in: what the spine writes, and what the brain writes.
type offsets struct {
	status, signals, outputs, ports, rules, requestsTail, readingsTail, events, traces, latencies, total int

	mailbox, requests, readings, eventsTail, tracesTail, brainTotal int
}

func (l Layout) offsets() offsets {
	var o offsets
	at := headerWords
	part := func(words int) int {
		start := at
		at += (words + lineWords - 1) / lineWords * lineWords
		return start
	}
	o.status = part(statusWords)
	o.signals = part(l.Signals * slotWords)
	o.outputs = part(l.Outputs * slotWords)
	o.ports = part(l.Ports * portWords)
	o.rules = part(2 * bitWords(l.Rules))
	o.requestsTail = part(1)
	o.readingsTail = part(1)
	o.events = part(ringWords(EventCapacity, recordWords))
	o.traces = part(ringWords(TraceCapacity, traceWords))
	o.latencies = part(int(latencyKinds) * latencyWords)
	o.total = at
	at = 0
	o.mailbox = part(mailboxWords(l.Outputs))
	o.requests = part(ringWords(RequestCapacity, recordWords))
	o.readings = part(ringWords(ReadingCapacity, recordWords))
	o.eventsTail = part(1)
	o.tracesTail = part(1)
	o.brainTotal = at
	return o
}

func bitWords(n int) int { return (n + 63) / 64 }
