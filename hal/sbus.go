package hal

import (
	"fmt"
	"math"
)

// SBUS frames (Futaba; there is no public standard): 0x0F, sixteen channels of 11
// bits, the lowest bit first, one byte of flags, and an end byte, which is 0 or, on
// receivers with telemetry slots (SBUS2), 0x04, 0x14, 0x24 or 0x34.
const (
	sbusLength   = 25
	sbusBegin    = 0x0f
	sbusFlags    = 23
	sbusEnd      = 24
	sbusChannels = 16

	sbusDigital17 = 1 << 0
	sbusDigital18 = 1 << 1
	sbusLost      = 1 << 2
	sbusFailsafe  = 1 << 3
	sbusUnused    = 0xf0
)

// A transmitter's stick goes from 172 to 1811 (988 to 2012 us of a servo pulse) and
// rests at 992 where its end points are at 100%.
const (
	sbusCentre = 992
	sbusTravel = (1811 - 172) / 2.0
)

// NewSBUSFramer reads the frames of a radio-control receiver. A field is
// "channel.1" to "channel.16", from -1 to 1 over the stick's travel (up to 1.3
// beyond its ends) and 0 in the middle; "channel.17" and "channel.18", 0 or 1;
// "frame_lost" and "failsafe", 0 or 1. In a frame with either of these flags the
// channels are NaN: the receiver makes them up.
//
// The format has no checksum: parity, where the line checks it, drops a damaged
// byte, and a frame that lacks one is refused. After garbage two frames in a row
// must be in order before the first of them is believed.
func NewSBUSFramer(fields []string) (Framer, error) {
	p := &sbusParser{wanted: make([]int, len(fields))}
	known := sbusFields()
	for i, f := range fields {
		if p.wanted[i] = indexOfField(known, f); p.wanted[i] < 0 {
			return nil, unknownField("sbus", f, known)
		}
	}
	return newPacketFramer(p, len(fields)), nil
}

// Places of the flags in sbusFields, behind the channels.
const (
	sbusFieldLost = sbusChannels + 2 + iota
	sbusFieldFailsafe
)

func sbusFields() []KnownField {
	var list []KnownField
	for i := range sbusChannels + 2 {
		list = append(list, KnownField{Name: fmt.Sprintf("channel.%d", i+1)})
	}
	return append(list, KnownField{Name: "frame_lost"}, KnownField{Name: "failsafe"})
}

// indexOfField finds a field by its name, -1 if there is none.
func indexOfField(known []KnownField, name string) int {
	for i, k := range known {
		if k.Name == name {
			return i
		}
	}
	return -1
}

type sbusParser struct {
	wanted []int // place in sbusFields
	inStep bool
}

func (p *sbusParser) reset()       { p.inStep = false }
func (p *sbusParser) longest() int { return 2 * sbusLength }

func (p *sbusParser) scan(held []byte, out *fields) (int, packetVerdict) {
	if held[0] != sbusBegin {
		p.inStep = false
		return until(held, func(b byte) bool { return b == sbusBegin }), noise
	}
	need := sbusLength
	if !p.inStep {
		need = 2 * sbusLength
	}
	if len(held) < sbusLength {
		return sbusLength, needsMore
	}
	if !sbusInOrder(held) {
		p.inStep = false
		return sbusLength, damaged
	}
	if len(held) < need {
		return need, needsMore
	}
	if !p.inStep && !sbusInOrder(held[sbusLength:]) {
		return sbusLength, damaged
	}
	p.inStep = true
	for i, w := range p.wanted {
		out.put(i, sbusValue(held, w))
	}
	return sbusLength, sound
}

// sbusInOrder checks all that a frame has to check.
func sbusInOrder(b []byte) bool {
	end := b[sbusEnd]
	return b[0] == sbusBegin && b[sbusFlags]&sbusUnused == 0 && (end == 0 || end&0xcf == 0x04)
}

// sbusValue reads a field by its place in sbusFields.
func sbusValue(b []byte, field int) float64 {
	flags := b[sbusFlags]
	switch {
	case field == sbusFieldLost:
		return bit(flags, sbusLost)
	case field == sbusFieldFailsafe:
		return bit(flags, sbusFailsafe)
	case flags&(sbusLost|sbusFailsafe) != 0:
		return math.NaN()
	case field == sbusChannels:
		return bit(flags, sbusDigital17)
	case field == sbusChannels+1:
		return bit(flags, sbusDigital18)
	}
	from := 8 + 11*field // in bits, behind the first byte
	at := from / 8
	word := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[min(at+2, sbusFlags)])<<16
	return (float64(word>>(from%8)&0x7ff) - sbusCentre) / sbusTravel
}

// bit gives 1 where the flag is set, else 0.
func bit(flags, flag byte) float64 {
	if flags&flag != 0 {
		return 1
	}
	return 0
}
