package hal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// unhex reads bytes as documents print them.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packetCase is one binary framing with a device of its own: turn gives what it sends
// in one turn of its work, always the same, and last the frame that ends it.
type packetCase struct {
	config FramerConfig
	turn   func(t testing.TB) []byte
	frames int    // in a turn, once in step
	last   string // of them
	begins byte   // with which a packet begins
}

// Turns in a square room, made once.
var ld06Room, rplidarRoom = ld06Turn(room), rplidarTurn(room)

var packetCases = []packetCase{
	{
		FramerConfig{Framing: "mavlink", Fields: []string{"HEARTBEAT.armed", "ATTITUDE.roll"}},
		func(t testing.TB) []byte { return unhex(t, pymavHeartbeat2+pymavVFR2+pymavAttitude2) }, 2, "1=0.04363323003053665", mavlinkBegin2,
	},
	{
		FramerConfig{Framing: "ld06", Fields: []string{"sector.0", "nearest"}, Sweep: Sweep{Sectors: 4}},
		func(testing.TB) []byte { return ld06Room }, 40, "", ld06Begin,
	},
	{
		FramerConfig{Framing: "rplidar", Fields: []string{"sector.0"}, Sweep: Sweep{Sectors: 4}},
		func(testing.TB) []byte { return rplidarRoom }, 4, "", rplidarBeginAnswer,
	},
	{
		FramerConfig{Framing: "sbus", Fields: []string{"channel.1", "failsafe"}},
		func(t testing.TB) []byte { return unhex(t, sbusGolden) }, 1, "0=0 1=0", sbusBegin,
	},
}

func eachPacketCase(t *testing.T, check func(t *testing.T, c packetCase)) {
	for _, c := range packetCases {
		t.Run(c.config.Framing, func(t *testing.T) { check(t, c) })
	}
}

// inStep is a framer that has seen three turns.
func (c packetCase) inStep(t testing.TB) Framer {
	t.Helper()
	f := mustFramer(t, c.config)
	feed(t, f, bytes.Repeat(c.turn(t), 3), 4096)
	return f
}

func (c packetCase) checkTurn(t *testing.T, got []string) {
	t.Helper()
	if len(got) != c.frames || got[len(got)-1] != c.last {
		t.Fatalf("a turn gives %d frames %q, want %d that end with %q", len(got), got, c.frames, c.last)
	}
}

func TestPacketsCutAnywhere(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		stream := append(bytes.Repeat(c.turn(t), 3), "garbage\x00\xfe\xfd\x0f\x54\xa5"...)
		stream = append(stream, bytes.Repeat(c.turn(t), 3)...)
		whole := mustFramer(t, c.config)
		want := feed(t, whole, stream, len(stream))
		for size := 1; size < 400; size++ {
			f := mustFramer(t, c.config)
			if got := feed(t, f, stream, size); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("in chunks of %d: %q, want %q", size, got, want)
			}
			if f.Counters() != whole.Counters() {
				t.Fatalf("in chunks of %d: %+v, want %+v", size, f.Counters(), whole.Counters())
			}
		}
		if n := whole.Counters(); n.Bytes != uint64(len(stream)) || n.Frames != uint64(len(want)) {
			t.Errorf("%+v", n)
		}
	})
}

func TestPacketsGoOnInStep(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		f := c.inStep(t)
		before := f.Counters()
		for range 5 {
			c.checkTurn(t, feed(t, f, c.turn(t), 7))
		}
		if after := f.Counters(); after.Errors != before.Errors || after.Dropped != before.Dropped {
			t.Errorf("%+v after %+v", after, before)
		}
	})
}

// TestPacketsFindBackIntoStep: after garbage of any kind, a hundredth of it made of
// the very bytes that packets begin with, two turns later all is as before.
func TestPacketsFindBackIntoStep(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		random := rand.New(rand.NewPCG(3, 4))
		f := c.inStep(t)
		for range 200 {
			garbage := make([]byte, random.IntN(600))
			for i := range garbage {
				garbage[i] = byte(random.UintN(256))
				if random.IntN(4) == 0 {
					garbage[i] = c.begins
				}
			}
			feed(t, f, garbage, 1+random.IntN(40))
			feed(t, f, bytes.Repeat(c.turn(t), 1+600/len(c.turn(t))), 64) // what a false beginning can claim
			feed(t, f, c.turn(t), 64)
			c.checkTurn(t, feed(t, f, c.turn(t), 5))
		}
	})
}

// TestPacketsSurviveDamage: a byte that is changed, lost or added costs at most the
// packet that it is in, which is one error.
func TestPacketsSurviveDamage(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		turn := c.turn(t)
		for at := 0; at < len(turn); at += 1 + len(turn)/300 {
			for _, damage := range []func([]byte) []byte{
				func(b []byte) []byte { b[at] ^= 0x5a; return b },
				func(b []byte) []byte { return append(b[:at:at], b[at+1:]...) },
				func(b []byte) []byte { return append(append(b[:at:at], 0), b[at:]...) },
			} {
				f := c.inStep(t)
				before := f.Counters()
				feed(t, f, damage(bytes.Clone(turn)), 64)
				feed(t, f, bytes.Repeat(turn, 2+300/len(turn)), 64)
				c.checkTurn(t, feed(t, f, turn, 64))
				if errors := f.Counters().Errors - before.Errors; errors > 2 {
					t.Errorf("damage at %d is %d errors", at, errors)
				}
			}
		}
	})
}

func TestPacketsBoundWhatTheyHold(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		for _, b := range []byte{0, c.begins, 0xff} {
			f := c.inStep(t)
			before := f.Counters()
			size := 1 << 20
			if b == 0 {
				size = 10 << 20
			}
			chunk := bytes.Repeat([]byte{b}, 4096)
			for sent := 0; sent < size; sent += len(chunk) {
				for rest := chunk; len(rest) > 0; {
					_, n, ok := f.Next(rest)
					if rest = rest[n:]; ok {
						t.Fatalf("%#x without end gives a frame", b)
					}
				}
			}
			p := f.(*packetFramer)
			n := f.Counters()
			if held := p.to - p.from; len(p.buffer) > 1<<10 || n.Dropped-before.Dropped < uint64(size-held)/2 || n.Errors-before.Errors < uint64(size/1000) {
				t.Errorf("%#x without end: %+v, %d bytes are held", b, n, held)
			}
			feed(t, f, bytes.Repeat(c.turn(t), 2+300/len(c.turn(t))), 64)
			c.checkTurn(t, feed(t, f, c.turn(t), 99))
		}
	})
}

func TestPacketsReset(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		f := c.inStep(t)
		turn := c.turn(t)
		feed(t, f, turn[:len(turn)/2], 99)
		f.Reset()
		fresh := mustFramer(t, c.config)
		got, want := feed(t, f, bytes.Repeat(turn, 3), 99), feed(t, fresh, bytes.Repeat(turn, 3), 99)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after Reset: %q, want %q", got, want)
		}
	})
}

func TestPacketsAllocateNothing(t *testing.T) {
	eachPacketCase(t, func(t *testing.T, c packetCase) {
		f := c.inStep(t)
		turn := c.turn(t)
		bad := bytes.Clone(turn)
		bad[len(bad)/2] ^= 1
		parts := [][]byte{turn, bad[:len(bad)/3], bytes.Repeat([]byte{c.begins}, 700), turn, {0}, turn}
		allocs := testing.AllocsPerRun(50, func() {
			for _, part := range parts {
				for len(part) > 0 {
					_, n, _ := f.Next(part)
					part = part[n:]
				}
			}
			f.Counters()
			f.Reset()
		})
		if allocs != 0 {
			t.Errorf("%v allocations a round", allocs)
		}
	})
}

// BenchmarkPackets reads one turn of a device.
func BenchmarkPackets(b *testing.B) {
	for _, c := range packetCases {
		b.Run(c.config.Framing, func(b *testing.B) {
			f, turn := c.inStep(b), c.turn(b)
			b.SetBytes(int64(len(turn)))
			b.ReportAllocs()
			for range b.N {
				frames := 0
				for rest := turn; len(rest) > 0; {
					_, n, ok := f.Next(rest)
					if rest = rest[n:]; ok {
						frames++
					}
				}
				if frames != c.frames {
					b.Fatalf("%d frames", frames)
				}
			}
		})
	}
}

func TestKnownFieldsAreUsable(t *testing.T) {
	for _, framing := range Framings() {
		c := FramerConfig{Framing: framing, Sweep: Sweep{Sectors: 5}, Pattern: "{x}"}
		for _, f := range KnownFields(c) {
			c.Fields = append(c.Fields, f.Name)
		}
		if _, err := NewFramer(c); err != nil {
			t.Errorf("%s: %v", framing, err)
		}
		if text := framing == "json" || framing == "csv" || framing == "lines"; text != (len(c.Fields) == 0) {
			t.Errorf("%s has %d known fields", framing, len(c.Fields))
		}
	}
}
