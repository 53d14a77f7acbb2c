//go:build linux

package evdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
)

// pad is the far end of an input device: a socket pair carries the kernel's struct
// input_event, byte for byte, and what the kernel answers by ioctl is answered here.
// This machine's kernel has no uinput, which would make a real one.
type pad struct {
	t     testing.TB
	near  int // given to the device at open
	far   int
	keys  map[uint16]bool
	axes  map[uint16]AbsInfo
	names string
	fault map[string]error // by question
	asked int              // how often the keys were asked for
}

func newPad(t testing.TB) *pad {
	p := &pad{t: t, near: -1, far: -1, names: "Test Pad", fault: map[string]error{}, keys: map[uint16]bool{0x136: false, 0x130: false}, axes: map[uint16]AbsInfo{
		0x00: {Minimum: -32768, Maximum: 32767}, 0x01: {Minimum: 0, Maximum: 256, Value: 128}, 0x09: {Minimum: 0, Maximum: 1023},
	}}
	t.Cleanup(p.unplug)
	return p
}

// plug makes a new connection.
func (p *pad) plug() {
	p.unplug()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.near, p.far = pair[0], pair[1]
}

func (p *pad) unplug() {
	if p.far >= 0 {
		unix.Close(p.far)
		p.far = -1
	}
}

// kernel answers like the real one.
func (p *pad) kernel() *Kernel {
	return &Kernel{
		Open: func(path *byte) (int, error) {
			if err := p.fault["open"]; err != nil {
				return -1, err
			}
			p.plug()
			return p.near, nil
		},
		Cure:      func(path string) string { return "cure of " + path },
		Monotonic: func(int) error { return p.fault["monotonic"] },
		Grab:      func(int) error { return p.fault["grab"] },
		Name:      func(_ int, into []byte) (int, error) { return copy(into, p.names+"\x00"), nil },
		Parts: func(_ int, kind uint16, into *Bits) error {
			*into = Bits{}
			if kind == typeKey {
				for code := range p.keys {
					into.Add(code)
				}
				return nil
			}
			for code := range p.axes {
				into.Add(code)
			}
			return nil
		},
		Keys: func(_ int, into *Bits) error {
			p.asked++
			*into = Bits{}
			for code, down := range p.keys {
				if down {
					into.Add(code)
				}
			}
			return p.fault["keys"]
		},
		Axis: func(_ int, code uint16, into *AbsInfo) error {
			*into = p.axes[code]
			return nil
		},
	}
}

// wire is an event as the kernel writes it.
func wire(at time.Duration, kind, code uint16, value int32) []byte {
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.NativeEndian, v) } // to memory: cannot fail
	if longSize == 8 {
		put(int64(at / time.Second))
		put(int64(at % time.Second / time.Microsecond))
	} else {
		put(int32(at / time.Second))
		put(int32(at % time.Second / time.Microsecond))
	}
	put(kind)
	put(code)
	put(value)
	return b.Bytes()
}

func (p *pad) send(events ...[]byte) {
	p.t.Helper()
	if _, err := unix.Write(p.far, slices.Concat(events...)); err != nil {
		p.t.Fatal(err)
	}
}

func syn(at time.Duration) []byte { return wire(at, typeSyn, synReport, 0) }

func key(at time.Duration, code uint16, value int32) []byte { return wire(at, typeKey, code, value) }

func abs(at time.Duration, code uint16, value int32) []byte { return wire(at, typeAbs, code, value) }

const (
	deadMan = 0x136 // BTN_TL
	south   = 0x130 // BTN_SOUTH
)

// testConfig: signal 0 the dead-man, 1 BTN_SOUTH, 2 ABS_X, 3 ABS_Y inverted, 4 a pedal.
func testConfig() Config {
	return Config{
		Path: "/dev/input/event7", DeadMan: deadMan, HasDeadMan: true, Silence: 2 * time.Second,
		Controls: []Control{
			{Signal: 0, Code: deadMan}, {Signal: 1, Code: south}, {Signal: 2, Axis: true, Code: 0, DeadZone: 0.1},
			{Signal: 3, Axis: true, Code: 1, Invert: true}, {Signal: 4, Axis: true, Code: 9, Minimum: true, DeadZone: 0.1},
		},
	}
}

func (p *pad) config() Config {
	c := testConfig()
	c.Kernel = p.kernel()
	return c
}

func openPad(t testing.TB) (*pad, *Device) {
	t.Helper()
	p := newPad(t)
	d := New(p.config())
	if err := d.Reopen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return p, d
}

// read gives the reports that are there, one line each.
func read(t testing.TB, d *Device) []string {
	t.Helper()
	var out []string
	if err := d.Read(func(at time.Duration, readings []hal.Reading) { out = append(out, line(at, readings)) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func line(at time.Duration, readings []hal.Reading) string {
	var b strings.Builder
	fmt.Fprint(&b, at, ":")
	for _, r := range readings {
		if r.At != at {
			fmt.Fprintf(&b, " (at %v)", r.At)
		}
		fmt.Fprintf(&b, " %d=%.3g", r.Signal, r.Value+0)
	}
	return b.String()
}

func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// seconds, for short.
func s(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func TestAxesNeedTheDeadMan(t *testing.T) {
	p, d := openPad(t)
	p.send(abs(s(1), 0, 32767), syn(s(1)))
	expect(t, read(t, d), "1s: 0=0 1=0 2=0 3=0 4=0")
	p.send(key(s(1.1), deadMan, 1), abs(s(1.1), 1, 0), abs(s(1.1), 9, 1023), syn(s(1.1)))
	expect(t, read(t, d), "1.1s: 0=1 1=0 2=1 3=1 4=1")
	p.send(abs(s(1.2), 0, -32768), abs(s(1.2), 1, 256), abs(s(1.2), 9, 0), syn(s(1.2)))
	expect(t, read(t, d), "1.2s: 0=1 1=0 2=-1 3=-1 4=0")
	p.send(key(s(1.3), deadMan, 0), syn(s(1.3)))
	expect(t, read(t, d), "1.3s: 0=0 1=0 2=0 3=0 4=0")
}

// A button may be there to stop the robot, so that the dead-man does not hide it.
func TestButtonsDoNotNeedTheDeadMan(t *testing.T) {
	p, d := openPad(t)
	p.send(key(s(1), south, 1), syn(s(1)), key(s(1.1), south, 2), syn(s(1.1)), key(s(1.2), south, 0), syn(s(1.2)))
	expect(t, read(t, d), "1s: 0=0 1=1 2=0 3=0 4=0", "1.1s: 0=0 1=1 2=0 3=0 4=0", "1.2s: 0=0 1=0 2=0 3=0 4=0")
}

// What is held when the device is opened, or when a silence ends, is not held by a hand
// that is known to be there.
func TestDeadManHasToBePressedAnew(t *testing.T) {
	p := newPad(t)
	p.keys[deadMan] = true
	d := New(p.config())
	if err := d.Reopen(); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var got []string
	if err := d.Level(s(1), func(at time.Duration, readings []hal.Reading) { got = append(got, line(at, readings)) }); err != nil {
		t.Fatal(err)
	}
	expect(t, got, "1s: 0=0 1=0 2=0 3=0 4=0")
	p.send(key(s(1.1), deadMan, 2), abs(s(1.1), 0, 32767), syn(s(1.1))) // taped down
	expect(t, read(t, d), "1.1s: 0=0 1=0 2=0 3=0 4=0")
	p.send(key(s(1.2), deadMan, 0), syn(s(1.2)), key(s(1.3), deadMan, 1), syn(s(1.3)))
	expect(t, read(t, d), "1.2s: 0=0 1=0 2=0 3=0 4=0", "1.3s: 0=1 1=0 2=1 3=0 4=0")
	p.send(abs(s(3.299), 1, 0), syn(s(3.299)))
	expect(t, read(t, d), "3.299s: 0=1 1=0 2=1 3=1 4=0")
	p.send(abs(s(5.299), 1, 0), syn(s(5.299))) // 2 s of silence
	expect(t, read(t, d), "5.299s: 0=0 1=0 2=0 3=0 4=0")
	p.send(key(s(5.4), deadMan, 0), key(s(5.5), deadMan, 1), syn(s(5.5)))
	expect(t, read(t, d), "5.5s: 0=1 1=0 2=1 3=1 4=0")
}

// SYN_DROPPED: what comes up to the next report is void, and the state is asked for.
func TestDroppedEventsAreAskedFor(t *testing.T) {
	p, d := openPad(t)
	p.send(key(s(1), deadMan, 1), abs(s(1), 0, 32767), syn(s(1)))
	expect(t, read(t, d), "1s: 0=1 1=0 2=1 3=0 4=0")
	asked := p.asked
	// The release was lost. Of the rest of the queue nothing is believed.
	p.keys[deadMan], p.keys[south] = false, true
	p.axes[0] = AbsInfo{Minimum: -32768, Maximum: 32767, Value: -32768}
	p.send(wire(s(1.1), typeSyn, synDropped, 0), abs(s(1.1), 0, 32767), key(s(1.1), deadMan, 1), syn(s(1.1)))
	expect(t, read(t, d), "1.1s: 0=0 1=1 2=0 3=0 4=0")
	if p.asked != asked+1 || d.Counters().Dropped != 1 {
		t.Errorf("asked %d times, counters %+v", p.asked-asked, d.Counters())
	}
	// The press was lost: seen released before, so a hand has pressed it.
	p.keys[deadMan] = true
	p.send(wire(s(1.2), typeSyn, synDropped, 0), syn(s(1.2)))
	expect(t, read(t, d), "1.2s: 0=1 1=1 2=-1 3=0 4=0")
	// An answer that does not come is a device that is gone.
	p.fault["keys"] = unix.ENODEV
	p.send(wire(s(1.3), typeSyn, synDropped, 0), syn(s(1.3)))
	if err := d.Read(func(time.Duration, []hal.Reading) { t.Error("a report") }); !errors.Is(err, ErrGone) {
		t.Errorf("read says %v", err)
	}
}

func TestUnplugAndReopen(t *testing.T) {
	p, d := openPad(t)
	p.send(key(s(1), deadMan, 1), abs(s(1), 0, 32767), syn(s(1)))
	read(t, d)
	p.unplug()
	if err := d.Read(func(time.Duration, []hal.Reading) { t.Error("a report") }); !errors.Is(err, ErrGone) {
		t.Fatalf("read says %v", err)
	}
	p.axes[0] = AbsInfo{Minimum: -32768, Maximum: 32767, Value: 32767}
	p.keys[deadMan] = true // still held, as far as the device says
	if err := d.Reopen(); err != nil {
		t.Fatal(err)
	}
	p.send(abs(s(2), 1, 0), syn(s(2)))
	expect(t, read(t, d), "2s: 0=0 1=0 2=0 3=0 4=0")
	d.Close()
	if err := d.Reopen(); !errors.Is(err, ErrClosed) {
		t.Errorf("reopen after close says %v", err)
	}
}

func TestNormalise(t *testing.T) {
	stick := Control{Axis: true, DeadZone: 0.1}
	pedal := Control{Axis: true, DeadZone: 0.1, Minimum: true}
	for _, c := range []struct {
		control   Control
		raw, high int32
		want      float64
	}{
		{stick, 128, 256, 0}, {stick, 140, 256, 0}, {stick, 0, 256, -1}, {stick, 256, 256, 1},
		{stick, 300, 256, 1}, {stick, -9, 256, -1}, // outside its own extent
		{stick, 128 + 64, 256, (0.5 - 0.1) / 0.9},
		{pedal, 0, 100, 0}, {pedal, 10, 100, 0}, {pedal, 100, 100, 1}, {pedal, 55, 100, 0.5}, {pedal, -1, 100, 0},
	} {
		if got := c.control.normalise(&state{raw: c.raw, high: c.high}); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%d of %d is %v, want %v (%+v)", c.raw, c.high, got, c.want, c.control)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		what  string
		spoil func(p *pad, c *Config)
		cause error
		says  string
	}{
		{"absent", func(p *pad, _ *Config) { p.fault["open"] = unix.ENOENT }, ErrAbsent,
			"open /dev/input/event7: no such input device (plug it in, or correct its device: ls -l /dev/input/by-id/)"},
		{"permission", func(p *pad, _ *Config) { p.fault["open"] = unix.EACCES }, ErrPermission,
			"open /dev/input/event7: permission denied (cure of /dev/input/event7)"},
		{"js0", func(p *pad, _ *Config) { p.fault["monotonic"] = unix.EINVAL }, ErrNotInput, "name a file such as /dev/input/by-id/...-event-joystick, not js0"},
		{"grabbed", func(p *pad, c *Config) { c.Grab = true; p.fault["grab"] = unix.EBUSY }, ErrBusy, "grabbed by another process"},
		{"no axis", func(_ *pad, c *Config) { c.Controls[2].Code = 0x10 }, ErrMissing, "the device has no such part: axis ABS_HAT0X (it has ABS_X, ABS_Y, ABS_GAS)"},
		{"no dead-man", func(_ *pad, c *Config) { c.DeadMan = 0x2c0 }, ErrMissing, "button 0x2c0 (it has BTN_SOUTH, BTN_TL)"},
		{"no extent", func(p *pad, _ *Config) { p.axes[0] = AbsInfo{} }, ErrMissing, "axis ABS_X has no extent"},
		{"other name", func(_ *pad, c *Config) { c.Path, c.Name = "", "Other Pad" }, ErrAbsent, `open "Other Pad": no such input device (plug it in, or correct its name`},
		{"name not allowed", func(p *pad, c *Config) { c.Path, c.Name = "", "Test Pad"; p.fault["open"] = unix.EACCES }, ErrPermission, `open "Test Pad": permission denied (cure of /dev/input/event63)`},
	} {
		p := newPad(t)
		config := p.config()
		c.spoil(p, &config)
		d := New(config)
		err := d.Reopen()
		var own *Error
		if !errors.As(err, &own) || !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.what, err)
		}
		if d.Fd() >= 0 {
			t.Errorf("%s: it is open", c.what)
		}
	}
}

func TestFoundByName(t *testing.T) {
	p := newPad(t)
	config := p.config()
	config.Path, config.Name = "", "Test Pad"
	d := New(config)
	if err := d.Reopen(); err != nil {
		t.Fatal(err)
	}
	d.Close()
	// A device that is away for months is looked for every two seconds.
	p.fault["open"] = unix.ENOENT
	away := New(config)
	if n := testing.AllocsPerRun(100, func() { _ = away.Reopen() }); n != 0 {
		t.Errorf("%v allocations a look", n)
	}
}

// The numbers of include/uapi/linux/input.h, as a C compiler gives them on 64 bits.
func TestRequests(t *testing.T) {
	for _, c := range []struct {
		got, want uintptr
		name      string
	}{
		{request(iocWrite, 0xa0, 4), 0x400445a0, "EVIOCSCLKID"},
		{request(iocWrite, 0x90, 4), 0x40044590, "EVIOCGRAB"},
		{request(iocRead, 0x06, 256), 0x81004506, "EVIOCGNAME(256)"},
		{request(iocRead, 0x18, 96), 0x80604518, "EVIOCGKEY(96)"},
		{request(iocRead, 0x20+typeAbs, 8), 0x80084523, "EVIOCGBIT(EV_ABS, 8)"},
		{request(iocRead, 0x40, 24), 0x80184540, "EVIOCGABS(0)"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

// The real kernel answers what it is asked, where there is one file to ask: not an
// input device.
func TestRealKernelRefusesOtherFiles(t *testing.T) {
	for path, cause := range map[string]error{"/dev/null": ErrNotInput, "/dev/input/event-none": ErrAbsent, "/proc/self/stat/none": ErrNotInput} {
		c := testConfig()
		c.Path = path
		if err := New(c).Reopen(); !errors.Is(err, cause) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]uint16{"BTN_TL": 0x136, "BTN_TRIGGER_HAPPY1": 0x2c0, "BTN_TRIGGER_HAPPY40": 0x2e7, "304": 304, "0x130": 0x130} {
		if code, ok := Button(name); !ok || code != want {
			t.Errorf("%s is %#x, %v", name, code, ok)
		}
	}
	for _, name := range []string{"", "BTN_TRIGGER_HAPPY0", "BTN_TRIGGER_HAPPY41", "0x300", "ABS_X", "-1", "btn_tl"} {
		if code, ok := Button(name); ok {
			t.Errorf("%s is a button: %#x", name, code)
		}
	}
	if code, ok := Axis("ABS_GAS"); !ok || code != 9 {
		t.Errorf("ABS_GAS is %v, %v", code, ok)
	}
	if _, ok := Axis("0x40"); ok {
		t.Error("0x40 is an axis")
	}
}

func TestGarbage(t *testing.T) {
	p, d := openPad(t)
	p.send([]byte("not an event"), wire(s(1), 0xffff, 0xffff, -1), abs(s(1), 0xffff, 5))
	if err := d.Read(func(time.Duration, []hal.Reading) {}); err != nil {
		t.Fatal(err)
	}
	if d.Counters().Errors != 1 {
		t.Errorf("counters %+v", d.Counters())
	}
}

func BenchmarkReport(b *testing.B) {
	p, d := openPad(b)
	event := slices.Concat(abs(s(1), 0, 32767), abs(s(1), 1, 3), key(s(1), deadMan, 1), syn(s(1)))
	take := func(time.Duration, []hal.Reading) {}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unix.Write(p.far, event); err != nil {
			b.Fatal(err)
		}
		if err := d.Read(take); err != nil {
			b.Fatal(err)
		}
	}
}
