package dbc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.einride.tech/can"
	"go.einride.tech/can/pkg/dbc"
	"go.einride.tech/can/pkg/descriptor"
	"pgregory.net/rapid"
)

// writeSignal draws a signal of a message of eight bytes as a file writes it.
func writeSignal(t *rapid.T, name, multiplexing string) string {
	bits := rapid.IntRange(1, 64).Draw(t, "bits")
	first := rapid.IntRange(0, 64-bits).Draw(t, "first") // in the order of reading
	order, sign := rapid.SampledFrom([]string{"0", "1"}).Draw(t, "order"), rapid.SampledFrom([]string{"+", "-"}).Draw(t, "sign")
	if order == "0" {
		first = first/8*8 + 7 - first%8
	}
	factor := rapid.SampledFrom([]string{"1", "0.01", "-0.5", "1E-05", "0.0078125", "250"}).Draw(t, "factor")
	offset := rapid.SampledFrom([]string{"0", "-40", "0.25", "-1E3"}).Draw(t, "offset")
	if bits == 1 { // the library gives 0 or 1, whatever the file says
		sign, factor, offset = "+", "1", "0"
	}
	return fmt.Sprintf(" SG_ %s %s: %d|%d@%s%s (%s,%s) [0|0] \"\" X\n", name, multiplexing, first, bits, order, sign, factor, offset)
}

// TestDecodeAgainstLibrary holds what is made of a file, and the values that are made of
// frames by it, against the library: Intel and Motorola, signed, scaled, multiplexed.
func TestDecodeAgainstLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString("BO_ 291 A: 8 X\n")
		pages := rapid.IntRange(0, 3).Draw(t, "pages")
		if pages > 0 {
			text.WriteString(" SG_ PAGE M : 60|2@1+ (1,0) [0|0] \"\" X\n")
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "signals") {
			multiplexing := ""
			if pages > 0 && rapid.Bool().Draw(t, "paged") {
				multiplexing = fmt.Sprintf("m%d ", rapid.IntRange(0, pages).Draw(t, "page"))
			}
			text.WriteString(writeSignal(t, fmt.Sprintf("S%d", i), multiplexing))
		}
		d, err := Parse("f.dbc", []byte(text.String()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, &text)
		}
		m := d.Messages[0]
		if m.Fault != nil {
			t.Fatalf("%v in\n%s", m.Fault, &text)
		}
		theirs := descriptors(t, text.String())
		for range 8 {
			var data can.Data
			copy(data[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "data"))
			got, want := ours(t, &m, data[:]), decoded(theirs, data)
			if !slices.Equal(got, want) {
				t.Fatalf("% x is\n%v, by the library\n%v; of\n%s", data, got, want, &text)
			}
		}
	})
}

// ours are the values in a frame.
func ours(t *rapid.T, m *Message, data []byte) (all []string) {
	page := uint64(0)
	if m.Switch >= 0 {
		page = m.Signals[m.Switch].Field.Bits(data)
	}
	for i := range m.Signals {
		s := &m.Signals[i]
		if s.Fault != nil {
			t.Fatal(s.Fault)
		}
		if !s.Paged || s.Page == page {
			all = append(all, fmt.Sprintf("%s=%v", s.Name, s.Field.Value(data)))
		}
	}
	return all
}

// descriptors are the library's signals, made as its own generator makes them. No range
// is given: it would pull values into it, where here they are invalid.
func descriptors(t *rapid.T, text string) (all []descriptor.Signal) {
	p := dbc.NewParser("f.dbc", []byte(text))
	if err := p.Parse(); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Defs()[0].(*dbc.MessageDef).Signals {
		all = append(all, descriptor.Signal{
			Name: string(s.Name), Start: uint8(s.StartBit), Length: uint8(s.Size), IsBigEndian: s.IsBigEndian, IsSigned: s.IsSigned,
			IsMultiplexer: s.IsMultiplexerSwitch, IsMultiplexed: s.IsMultiplexed, MultiplexerValue: uint(s.MultiplexerSwitch),
			Scale: s.Factor, Offset: s.Offset,
		})
	}
	return all
}

// decoded are the values in a frame by the library.
func decoded(signals []descriptor.Signal, data can.Data) (all []string) {
	page := uint64(0)
	for i := range signals {
		if signals[i].IsMultiplexer {
			page = signals[i].UnmarshalUnsigned(data)
		}
	}
	for i := range signals {
		s := &signals[i]
		if !s.IsMultiplexed || uint64(s.MultiplexerValue) == page {
			all = append(all, fmt.Sprintf("%s=%v", s.Name, s.UnmarshalPhysical(data)))
		}
	}
	return all
}
