//go:build linux

package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"dancer/hal"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"
)

func pi(t *testing.T) (*board, *chip) {
	b := newBoard(t)
	c := b.add("gpiochip0", "pinctrl-bcm2711", "ID_SDA", "ID_SCL", "GPIO2", "GPIO3", "GPIO4", "GPIO5")
	b.add("gpiochip1", "raspberrypi-exp-gpio", "BT_ON", "WL_ON")
	b.add("gpiochip10", "jetson", "PQ.05", "BT_ON")
	if err := os.Symlink("gpiochip0", filepath.Join(b.devices, "gpiochip4")); err != nil {
		t.Fatal(err)
	}
	return b, c
}

func TestFind(t *testing.T) {
	tests := []struct {
		line Line
		want string
	}{
		{Line{Chip: "pinctrl-bcm2711", Offset: 4}, "gpiochip0/4"},
		{Line{Chip: "gpiochip1", Offset: 0}, "gpiochip1/0"},
		{Line{Chip: "gpiochip1", Offset: 1, LineName: "other"}, "gpiochip1/1"},
		{Line{Chip: "jetson", Offset: -1, LineName: "PQ.05"}, "gpiochip10/0"},
		{Line{Chip: "gpiochip10", Offset: -1, LineName: "BT_ON"}, "gpiochip10/1"},
		{Line{Offset: -1, LineName: "GPIO3"}, "gpiochip0/3"},
		{Line{Offset: 0, LineName: "GPIO3"}, "gpiochip0/3"}, // an offset needs a chip
	}
	b, _ := pi(t)
	k := b.kernel()
	for _, test := range tests {
		at, err := k.find(test.line)
		if got := fmt.Sprintf("%s/%d", filepath.Base(at.path), at.offset); err != nil || got != test.want {
			t.Errorf("%+v is %s, %v, want %s", test.line, got, err, test.want)
		}
		k.close(at.fd)
	}
	absolute := Line{Chip: filepath.Join(b.devices, "gpiochip1"), Offset: 1}
	if at, err := k.find(absolute); err != nil || at.offset != 1 {
		t.Errorf("by path: %+v, %v", at, err)
	} else {
		k.close(at.fd)
	}
	if b.leaked() != 0 {
		t.Errorf("%d descriptors are open", b.leaked())
	}
}

const whichBoard = "plug its adapter in, or correct board or pin: dancer board says what this machine is; chips here: "

func TestRequestErrors(t *testing.T) {
	line := Line{Name: "GPIO4", Chip: "pinctrl-bcm2711", Offset: 4}
	tests := []struct {
		name   string
		line   Line
		change func(b *board, c *chip)
		cause  error
		want   string
	}{
		{"busy with us", line, func(_ *board, c *chip) { c.lines[4].consumer = Consumer }, ErrBusy,
			`request GPIO line GPIO4: line is in use: gpiochip0/4 by "dancer" (stop the robot that runs already, see pgrep -a dancer)`},
		{"busy", line, func(_ *board, c *chip) { c.lines[4].consumer = "w1-gpio" }, ErrBusy,
			`request GPIO line GPIO4: line is in use: gpiochip0/4 by "w1-gpio" (stop that program, or take its overlay out of the boot configuration)`},
		{"offset", Line{Chip: "pinctrl-bcm2711", Offset: 99}, nil, ErrNoLine,
			`request GPIO line pinctrl-bcm2711/99: no such GPIO line (correct the pin; the chip is gpiochip0 "pinctrl-bcm2711" with lines 0 to 5)`},
		{"label", Line{Chip: "pinctrl-rp1", Offset: 4}, nil, ErrNoChip,
			`no such GPIO chip: pinctrl-rp1 (` + whichBoard + `gpiochip0 "pinctrl-bcm2711" with lines 0 to 5; gpiochip1 "raspberrypi-exp-gpio" with lines 0 to 1; gpiochip10`},
		{"device", Line{Chip: "gpiochip7", Offset: 4}, nil, ErrNoChip, `no such GPIO chip: gpiochip7 (` + whichBoard},
		{"name", Line{Offset: -1, LineName: "GPIO40"}, nil, ErrNoLine, `request GPIO line GPIO40: no such GPIO line (` + whichBoard},
		{"two of a name", Line{Offset: -1, LineName: "BT_ON"}, nil, ErrAmbiguous,
			`request GPIO line BT_ON: several lines of this name: gpiochip1/0, gpiochip10/1 (name one of them: gpiochip1/0)`},
		{"permission", line, func(b *board, _ *chip) {
			for path := range b.chips {
				b.deny[path] = unix.EACCES
			}
		}, ErrPermission, "gpiochip10 (" + notInGroup + ")"},
		{"permission of the request", line, func(b *board, _ *chip) { b.refuse = unix.EPERM }, ErrPermission, "request GPIO line GPIO4: permission denied: gpiochip0/4 (" + notInGroup + ")"},
		{"no chips", line, func(b *board, _ *chip) {
			os.RemoveAll(b.devices)
			os.Mkdir(b.devices, 0o700)
		}, ErrNoChip, "request GPIO line GPIO4: no such GPIO chip: this machine has none (is its driver loaded, its adapter plugged in? A machine without GPIO runs as board: sim, or with serial ports alone)"},
		{"no directory", line, func(b *board, _ *chip) { os.RemoveAll(b.devices) }, ErrNoChip, "no such file"},
		{"not a chip", Line{Chip: "gpiochip3", Offset: 0}, func(b *board, _ *chip) { b.add("gpiochip3", "not a chip") }, ErrNoChip, "gpiochip3"},
		{"old kernel", line, func(b *board, _ *chip) { b.refuse = unix.ENOTTY }, ErrUnsupported, "older than 5.10"},
		{"no pull", line, func(b *board, _ *chip) { b.refuse = enotsupp }, ErrUnsupported, "without pull or debounce"},
		{"unplugged", line, func(b *board, _ *chip) { b.refuse = unix.ENODEV }, ErrGone, "gpiochip0/4"},
		{"something else", line, func(b *board, _ *chip) { b.refuse = unix.EIO }, ErrUnsupported, "input/output error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, c := pi(t)
			if test.change != nil {
				test.change(b, c)
			}
			good := Line{Chip: "gpiochip1", Offset: 1}
			_, inErr := requestInputs(b.kernel(), []InputConfig{{Line: good}, {Line: test.line}})
			_, outErr := requestOutputs(b.kernel(), []OutputConfig{{Line: test.line}, {Line: good}})
			for _, err := range []error{inErr, outErr} {
				var typed *Error
				if !errors.Is(err, test.cause) && b.refuse == nil || !errors.As(err, &typed) {
					t.Errorf("%v is not %v", err, test.cause)
				}
			}
			if !strings.Contains(outErr.Error(), test.want) {
				t.Errorf("%v\nwant %s", outErr, test.want)
			}
			if b.leaked() != 0 {
				t.Errorf("%d descriptors are open", b.leaked())
			}
		})
	}
}

func TestDebounceIsBounded(t *testing.T) {
	b, _ := pi(t)
	for _, d := range []time.Duration{-1, MaxDebounce + 1} {
		_, err := requestInputs(b.kernel(), []InputConfig{{Line: Line{Chip: "gpiochip0"}, Debounce: d}})
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("debounce %v: %v", d, err)
		}
	}
}

// TestEncoding compares requests with the numbers of include/uapi/linux/gpio.h.
func TestEncoding(t *testing.T) {
	const (
		activeLow, input, output  = 1 << 1, 1 << 2, 1 << 3
		rising, falling           = 1 << 4, 1 << 5
		pullUp, pullDown, pullOff = 1 << 8, 1 << 9, 1 << 10
	)
	if n := unsafe.Sizeof(uapi.LineEvent{}); n != eventSize {
		t.Fatalf("an event has %d bytes", n)
	}
	flags := map[uint64]InputConfig{
		input | rising | falling:                       {},
		input | rising | falling | pullUp:              {Pull: PullUp},
		input | rising | falling | pullDown:            {Pull: PullDown},
		input | rising | falling | pullOff | activeLow: {Pull: PullOff, ActiveLow: true},
	}
	for want, c := range flags {
		r := inputRequest(c, 17)
		if uint64(r.Config.Flags) != want || r.Offsets[0] != 17 || r.Lines != 1 || r.Config.NumAttrs != 0 {
			t.Errorf("%+v: flags %#x, want %#x", c, uint64(r.Config.Flags), want)
		}
		if who := uapi.BytesToString(r.Consumer[:]); who != "dancer" {
			t.Errorf("the consumer is %q", who)
		}
	}
	for debounce, want := range map[time.Duration]uint32{5 * time.Millisecond: 5000, 1: 1, MaxDebounce: 60_000_000} {
		r := inputRequest(InputConfig{Debounce: debounce}, 0)
		if a := r.Config.Attrs[0]; r.Config.NumAttrs != 1 || a.Attr.ID != 3 || a.Attr.Value32() != want || a.Mask != 1 {
			t.Errorf("debounce %v: %+v", debounce, a)
		}
	}
	configs := []OutputConfig{{Safe: true}, {ActiveLow: true}, {}, {Safe: true, ActiveLow: true}}
	places := []place{{offset: 4}, {offset: 9}, {offset: 2}, {offset: 30}}
	r, safe := outputRequest(configs, places, []int{0, 1, 2, 3})
	low, levels := r.Config.Attrs[0], r.Config.Attrs[1]
	if uint64(r.Config.Flags) != output || r.Config.NumAttrs != 2 || safe != 0b1001 ||
		low.Attr.ID != 1 || low.Attr.Value64() != output|activeLow || low.Mask != 0b1010 ||
		levels.Attr.ID != 2 || levels.Attr.Value64() != 0b1001 || levels.Mask != 0b1111 {
		t.Errorf("%+v", r.Config)
	}
	if fmt.Sprint(r.Offsets[:5]) != "[4 9 2 30 0]" || r.Lines != 4 {
		t.Errorf("offsets %v", r.Offsets[:5])
	}
}

func TestInputs(t *testing.T) {
	b, c := pi(t)
	inputs, err := requestInputs(b.kernel(), []InputConfig{
		{Line: Line{Chip: "pinctrl-bcm2711", Offset: 2}, Signal: 7},
		{Line: Line{Chip: "pinctrl-bcm2711", Offset: 3}, Signal: 8, ActiveLow: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if inputs[0].Signal() != 7 || inputs[0].Fd() < 0 || inputs[0].Fd() == inputs[1].Fd() {
		t.Errorf("signal %d, descriptors %d and %d", inputs[0].Signal(), inputs[0].Fd(), inputs[1].Fd())
	}
	for i, want := range []hal.Reading{{Signal: 7, Value: 0, At: 5}, {Signal: 8, Value: 1, At: 5}} {
		if got, err := inputs[i].Level(5); err != nil || got != want {
			t.Errorf("first level is %+v, %v", got, err)
		}
	}
	buffer := make([]hal.Reading, 100)
	if n, err := inputs[0].Read(buffer); n != 0 || err != nil {
		t.Errorf("no edges: %d, %v", n, err)
	}
	b.drive(c, 2, true)
	b.drive(c, 2, false)
	b.drive(c, 3, true)
	if n, _ := inputs[0].Read(buffer); fmt.Sprint(buffer[:n]) != "[{7 1 5.000001s} {7 0 5.000002s}]" {
		t.Errorf("edges are %v", buffer[:n])
	}
	if n, _ := inputs[1].Read(buffer); fmt.Sprint(buffer[:n]) != "[{8 0 5.000003s}]" {
		t.Errorf("edges are %v", buffer[:n])
	}
	checkLost(t, b, c, inputs[0])
	b.gone = true
	if _, err := inputs[0].Read(buffer); !errors.Is(err, ErrGone) {
		t.Errorf("of a chip that is gone: %v", err)
	}
	if _, err := inputs[0].Level(0); !errors.Is(err, ErrGone) {
		t.Errorf("of a chip that is gone: %v", err)
	}
	if err := errors.Join(inputs[0].Close(), inputs[1].Close(), inputs[0].Close()); err != nil || b.leaked() != 0 {
		t.Errorf("close: %v, %d left open", err, b.leaked())
	}
	if _, err := inputs[0].Read(buffer); !errors.Is(err, ErrClosed) || inputs[0].Fd() != -1 {
		t.Errorf("after Close: %v", err)
	}
}

// checkLost: more edges than the kernel keeps are counted, in small reads, and
// the last level is right.
func checkLost(t *testing.T, b *board, c *chip, in *Input) {
	t.Helper()
	for i := range eventBuffer + 11 {
		b.drive(c, 2, i%2 == 0)
	}
	buffer := make([]hal.Reading, 3)
	total, last := 0, hal.Reading{}
	for {
		n, err := in.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		total, last = total+n, buffer[n-1]
	}
	if total != eventBuffer || in.Lost() != 11 || last.Value != 1 {
		t.Errorf("%d edges, %d lost, the last is %v", total, in.Lost(), last)
	}
}

func TestOutputs(t *testing.T) {
	b, c := pi(t)
	k := b.kernel()
	c.lines[4].level = true
	o, err := requestOutputs(k, []OutputConfig{
		{Line: Line{Chip: "gpiochip0", Offset: 4}},
		{Line: Line{Chip: "gpiochip1", Offset: 1}, Safe: true},
		{Line: Line{Chip: "gpiochip0", Offset: 5}, Safe: true, ActiveLow: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Len() != 3 || len(o.chips) != 2 || len(b.open) != 0 {
		t.Errorf("%d outputs on %d chips, %d chips open", o.Len(), len(o.chips), len(b.open))
	}
	exp := b.chips[filepath.Join(b.devices, "gpiochip1")]
	levels := func() string { return fmt.Sprint(c.lines[4].level, exp.lines[1].level, c.lines[5].level) }
	if levels() != "false true false" {
		t.Errorf("requested: %s", levels())
	}
	for i, active := range []bool{true, false, false} {
		if err := o.Set(i, active); err != nil {
			t.Fatal(err)
		}
		if got, err := o.Get(i); got != active || err != nil {
			t.Errorf("output %d reads back %v, %v", i, got, err)
		}
	}
	if levels() != "true false true" {
		t.Errorf("driven: %s", levels())
	}
	if err := o.Halt(); err != nil || levels() != "false true false" {
		t.Errorf("halted: %s, %v", levels(), err)
	}
	if err := o.Set(0, true); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.Close(), o.Close()); err != nil || levels() != "false true false" || b.leaked() != 0 {
		t.Errorf("closed: %s, %v, %d left open", levels(), err, b.leaked())
	}
	_, getErr := o.Get(0)
	for _, err := range []error{o.Set(0, true), o.Halt(), getErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestOutputsOfAChipThatIsGone(t *testing.T) {
	b, _ := pi(t)
	o, err := requestOutputs(b.kernel(), []OutputConfig{{Line: Line{Chip: "gpiochip0"}}, {Line: Line{Chip: "gpiochip1"}}})
	if err != nil {
		t.Fatal(err)
	}
	b.gone = true
	_, getErr := o.Get(1)
	for _, err := range []error{o.Set(0, true), o.Halt(), getErr} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
	}
	if n := strings.Count(o.Halt().Error(), "chip gone"); n != 2 {
		t.Errorf("Halt gave up after %d of 2 chips", n)
	}
	if o.Close() == nil || len(b.lines) != 0 {
		t.Error("Close hides the error, or leaves a line requested")
	}
}

func TestNoOutputs(t *testing.T) {
	b, _ := pi(t)
	o, err := requestOutputs(b.kernel(), nil)
	if err != nil || errors.Join(o.Halt(), o.Close()) != nil {
		t.Error(err)
	}
	big := newBoard(t)
	big.add("gpiochip0", "big", make([]string, 65)...)
	var configs []OutputConfig
	for i := range 65 {
		configs = append(configs, OutputConfig{Line: Line{Chip: "big", Offset: i}})
	}
	if _, err := requestOutputs(big.kernel(), configs); !errors.Is(err, ErrUnsupported) || big.leaked() != 0 {
		t.Errorf("65 outputs on one chip: %v, %d left open", err, big.leaked())
	}
}

// TestRealCallsAllocateNothing measures the path to the running kernel, which
// refuses: the descriptor is no line.
func TestRealCallsAllocateNothing(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	gone := &Error{Verb: "set", Line: "x", Cause: ErrGone}
	k := system()
	o := &Outputs{kernel: k, lines: []outputLine{{gone: gone}}, chips: []outputChip{{fd: int(null.Fd()), mask: 1}}}
	in := &Input{kernel: k, fd: int(null.Fd()), gone: gone}
	buffer := make([]hal.Reading, 16)
	allocs := testing.AllocsPerRun(100, func() {
		_ = o.Set(0, true)
		_, _ = o.Get(0)
		_, _ = in.Level(0)
		_, _ = in.Read(buffer)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a round", allocs)
	}
}

func TestLineNames(t *testing.T) {
	for want, line := range map[string]Line{
		"GPIO17":      {Name: "GPIO17", Chip: "x", Offset: 1},
		"gpiochip0/4": {Chip: "gpiochip0", Offset: 4},
		"PQ.05":       {Chip: "tegra", Offset: -1, LineName: "PQ.05"},
	} {
		if line.String() != want {
			t.Errorf("%+v is %q", line, line.String())
		}
	}
}
