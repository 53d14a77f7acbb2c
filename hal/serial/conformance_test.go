//go:build linux

package serial

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/hal"
	"dancer/hal/haltest"

	"golang.org/x/sys/unix"
)

// serialRig is a port with a JSON framer, and a controller board at the other
// end of the wire that understands "O <output> <value>".
type serialRig struct {
	*Port
	t      *testing.T
	wire   *wire
	link   string // stays when the device is another one, as in /dev/serial/by-id
	gone   bool
	framer hal.Framer
	buffer [512]byte
	heard  strings.Builder
	told   map[int]float64
	line   []byte
}

func (r *serialRig) Stimulate(signal int, value float64) {
	r.wire.send(fmt.Sprintf("{\"%c\":%v}\n", 'a'+rune(signal), value))
}

func (r *serialRig) Collect(emit func(hal.Reading)) {
	if r.Fd() >= 0 {
		poll(r.Fd(), unix.POLLIN, 2*time.Millisecond)
	}
	r.collect(emit)
}

func (r *serialRig) collect(emit func(hal.Reading)) {
	n, err := r.Port.Read(r.buffer[:])
	r.gone = errors.Is(err, ErrGone)
	if err != nil {
		return
	}
	now := monotonic()
	for chunk := r.buffer[:n]; len(chunk) > 0; {
		frame, n, ok := r.framer.Next(chunk)
		chunk = chunk[n:]
		if !ok {
			continue
		}
		for _, v := range frame {
			emit(hal.Reading{Signal: v.Field, Value: v.Value, At: now})
		}
	}
}

func (r *serialRig) Drive(output int, value float64) error {
	return r.Write(output, fmt.Appendf(r.line[:0], "O %d %v\n", output, value))
}

func (r *serialRig) World(output int) (float64, bool) {
	b := make([]byte, 512)
	r.wire.device.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
	n, err := r.wire.device.Read(b)
	if err != nil && !os.IsTimeout(err) {
		return math.NaN(), false
	}
	r.heard.Write(b[:n])
	for {
		line, rest, found := strings.Cut(r.heard.String(), "\n")
		if !found {
			break
		}
		r.heard.Reset()
		r.heard.WriteString(rest)
		var o int
		var v float64
		if _, err := fmt.Sscanf(line, "O %d %g", &o, &v); err == nil {
			r.told[o] = v
		}
	}
	value, ok := r.told[output]
	return value, ok
}

func (r *serialRig) Turn() {
	r.collect(func(hal.Reading) {})
	_ = r.Write(0, r.line)
}

// Break unplugs the device, Broken says that a read told of it, and Mend plugs
// another one in under the same name.
func (r *serialRig) Break() {
	r.wire.hangUp()
	if err := os.Remove(r.link); err != nil {
		r.t.Fatal(err)
	}
}

func (r *serialRig) Broken() bool { return r.gone }

func (r *serialRig) Mend() error {
	if _, err := os.Lstat(r.link); err != nil {
		r.wire = newWire(r.t)
		clear(r.told)
		r.heard.Reset()
		r.plugIn()
	}
	r.framer.Reset()
	return r.Reopen()
}

func (r *serialRig) plugIn() {
	if err := os.Symlink(r.wire.name, r.link); err != nil {
		r.t.Fatal(err)
	}
}

// Lost counts lines that the framer could not use.
func (r *serialRig) Lost() uint64 { return r.framer.Counters().Errors + r.framer.Counters().Dropped }

func (r *serialRig) Halt() error { return r.Port.Halt(time.Second) }

func TestConformance(t *testing.T) {
	outputs := []hal.Output{
		{Name: "drive", Minimum: -1, Maximum: 1},
		{Name: "brake", Maximum: 1, Safe: 1},
	}
	haltest.Suite{
		Signals: []hal.Signal{{Name: "range", Minimum: 0, Maximum: 8}, {Name: "bumper", Boolean: true}},
		Outputs: outputs,
		Now:     monotonic,
		Open: func(t *testing.T) haltest.Rig {
			w := newWire(t)
			framer, err := hal.NewJSONFramer([]string{"a", "b"})
			if err != nil {
				t.Fatal(err)
			}
			rig := &serialRig{t: t, wire: w, link: filepath.Join(t.TempDir(), "nav"), framer: framer, told: map[int]float64{}, line: []byte("O 0 0.5\n")}
			rig.plugIn()
			if rig.Port, err = Open(rig.link, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { rig.Close() })
			rig.Reserve(len(outputs))
			for i, o := range outputs {
				if err := rig.SetSafe(i, fmt.Appendf(nil, "O %d %v\n", i, o.Safe)); err != nil {
					t.Fatal(err)
				}
			}
			return rig
		},
	}.Run(t)
}
