package hal

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// Two frames of a receiver with the channels that its maker's program shows for them,
// as several public decoders test with: 992 992 352 992 352 (352 up to 10) 992 992 and
// zeros, both digital channels on; and 352 352 352 992 1632 1632 1632 992 1632 992 ...
const (
	sbusGolden = "0F E0 03 1F 58 C0 07 16 B0 80 05 2C 60 01 0B F8 C0 07 00 00 00 00 00 03 00"
	sbusSecond = "0F 60 01 0B 58 C0 07 66 30 83 19 7C 60 06 1F F8 C0 07 00 00 00 00 00 03 00"
)

func TestSBUSFrames(t *testing.T) {
	var fields []string
	for _, f := range sbusFields() {
		fields = append(fields, f.Name)
	}
	for text, raw := range map[string][]float64{
		sbusGolden: {992, 992, 352, 992, 352, 352, 352, 352, 352, 352, 992, 992, 0, 0, 0, 0},
		sbusSecond: {352, 352, 352, 992, 1632, 1632, 1632, 992, 1632, 992, 992, 992, 0, 0, 0, 0},
	} {
		f, err := NewSBUSFramer(fields)
		if err != nil {
			t.Fatal(err)
		}
		frame, _, ok := f.Next(append(unhex(t, text), unhex(t, text)...))
		if !ok || len(frame) != len(fields) {
			t.Fatalf("%v", frame)
		}
		for i, r := range raw {
			if want := (r - 992) / 819.5; math.Abs(frame[i].Value-want) > 1e-12 {
				t.Errorf("channel %d is %v, want %v", i+1, frame[i].Value, want)
			}
		}
		for i, want := range []float64{1, 1, 0, 0} {
			if got := frame[16+i].Value; got != want {
				t.Errorf("%s is %v, want %v", fields[16+i], got, want)
			}
		}
	}
}

// TestSBUSChannels packs channels by a dumb second version.
func TestSBUSChannels(t *testing.T) {
	raw := [16]int{172, 1811, 0, 2047, 1, 1024, 992, 555, 1337, 2, 3, 4, 5, 6, 7, 1234}
	b := sbusFrame(raw, 0)
	for i, r := range raw {
		if got, want := sbusValue(b, i), (float64(r)-992)/819.5; got != want {
			t.Errorf("channel %d is %v, want %v", i+1, got, want)
		}
	}
	if low, high := sbusValue(b, 0), sbusValue(b, 1); math.Abs(low+1) > 0.001 || math.Abs(high-1) > 0.001 {
		t.Errorf("the stick's ends are %v and %v", low, high)
	}
}

func sbusFrame(raw [16]int, flags byte) []byte {
	b := make([]byte, sbusLength)
	b[0], b[sbusFlags] = sbusBegin, flags
	for i := range 16 * 11 {
		if raw[i/11]>>(i%11)&1 != 0 {
			b[1+i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// TestSBUSFailsafe: what the receiver makes up is no value.
func TestSBUSFailsafe(t *testing.T) {
	raw := [16]int{992, 992}
	fields := []string{"channel.1", "channel.17", "frame_lost", "failsafe"}
	for flags, want := range map[byte]string{
		0:    "0=0 1=0 2=0 3=0",
		1:    "0=0 1=1 2=0 3=0",
		4:    "0=NaN 1=NaN 2=1 3=0",
		8:    "0=NaN 1=NaN 2=0 3=1",
		0x0d: "0=NaN 1=NaN 2=1 3=1",
	} {
		f := mustFramer(t, FramerConfig{Framing: "sbus", Fields: fields})
		frame := sbusFrame(raw, flags)
		feed(t, f, append(frame, frame...), 99)
		checkFrame(t, fmt.Sprintf("flags %#x", flags), feed(t, f, frame, 99), want)
	}
}

func TestSBUSEndBytes(t *testing.T) {
	for end := range 256 {
		f := mustFramer(t, FramerConfig{Framing: "sbus", Fields: []string{"channel.1"}})
		frame := sbusFrame([16]int{992}, 0)
		feed(t, f, append(frame, frame...), 99)
		frame[sbusEnd] = byte(end)
		good := end == 0 || end == 4 || end == 0x14 || end == 0x24 || end == 0x34
		if got := feed(t, f, frame, 99); (len(got) == 1) != good {
			t.Errorf("end byte %#x gives %q", end, got)
		}
	}
}

func TestSBUSErrors(t *testing.T) {
	_, err := NewSBUSFramer([]string{"channel.19"})
	if !errors.Is(err, ErrFraming) || !strings.Contains(err.Error(), `sbus has no field "channel.19": the fields are channel.1, `) {
		t.Error(err)
	}
}
