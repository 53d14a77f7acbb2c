//go:build linux

package i2c

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for something that must come.
const patience = 10 * time.Second

func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// lockedBus is a simulated bus that a test may change while a poller uses it.
type lockedBus struct {
	mutex sync.Mutex
	simulatedBus
}

func (b *lockedBus) Tx(address uint16, w, r []byte) error {
	b.mutex.Lock()
	block := b.block
	b.mutex.Unlock()
	if block != nil {
		<-block
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.simulatedBus.Tx(address, w, r)
}

func (b *lockedBus) Claim(address uint16) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.simulatedBus.Claim(address)
}

func (b *lockedBus) change(how func(b *simulatedBus)) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	how(&b.simulatedBus)
}

// polled is a running poller with what it reported.
type polled struct {
	*Poller
	t      *testing.T
	bus    *lockedBus
	mutex  sync.Mutex
	told   []string
	absent error // why the bus cannot be opened
}

// newPolled polls an INA219 "battery" at 0x40 and switches "front" at 0x20.
func newPolled(t *testing.T) *polled {
	p := &polled{t: t, bus: &lockedBus{simulatedBus: simulatedBus{taken: map[uint16]bool{}, chips: map[uint16]simulated{
		0x40: &words{values: map[byte]uint16{0x01: 1000, 0x02: 3000 << 3}}, 0x20: &pins{in: 0x01},
	}}}}
	var err error
	p.Poller, err = NewPoller(Config{
		Bus: "/dev/i2c-1", Now: monotonic,
		Devices: []Device{
			{Name: "battery", Driver: "ina219", Address: 0x40, Every: 5 * time.Millisecond, Settings: DefaultSettings(), Used: make([]bool, 3)},
			{Name: "front", Driver: "pcf8574", Address: 0x20, Every: 2 * time.Millisecond, Settings: DefaultSettings(), Used: make([]bool, 8)},
		},
		Report: func(device int, err error) {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			p.told = append(p.told, fmt.Sprintf("%d: %v", device, err))
		},
		Open: func(string) (Wire, error) {
			p.bus.mutex.Lock()
			defer p.bus.mutex.Unlock()
			if p.absent != nil {
				return nil, p.absent
			}
			p.bus.open = true
			return p.bus, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *polled) start() {
	go p.Run(context.Background())
	p.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			p.t.Error(err)
		}
	})
}

// frame waits for a frame of which something is so.
func (p *polled) frame(what string, is func(f *Frame) bool) Frame {
	p.t.Helper()
	var f Frame
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if p.Next(&f) && is(&f) {
			return f
		}
		set := []unix.PollFd{{Fd: int32(p.Fd()), Events: unix.POLLIN}}
		_, _ = unix.Poll(set, 1)
		time.Sleep(100 * time.Microsecond)
	}
	p.t.Fatalf("never: %s (told %q)", what, p.reports())
	return f
}

func (p *polled) reports() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return append([]string(nil), p.told...)
}

func of(device int, lost bool) func(*Frame) bool {
	return func(f *Frame) bool { return f.Device == device && f.Lost == lost }
}

func TestPollerReads(t *testing.T) {
	p := newPolled(t)
	before := monotonic()
	p.start()
	battery := p.frame("battery", of(0, false))
	front := p.frame("front", of(1, false))
	if battery.Count != 3 || battery.Values[0] != 12 || math.Abs(battery.Values[1]-0.1) > 1e-9 {
		t.Errorf("battery is %+v", battery)
	}
	if front.Count != 8 || front.Values[0] != 1 || front.Values[1] != 0 {
		t.Errorf("front is %+v", front)
	}
	last := before
	for range 50 {
		f := p.frame("battery again", of(0, false))
		if now := monotonic(); f.At < last || f.At > now {
			t.Fatalf("a reading of %v comes after one of %v, at %v", f.At, last, now)
		}
		last = f.At
	}
	c := p.Counters()
	if c.Frames < 50 || c.Transfers < c.Frames || c.Bytes == 0 || c.Errors != 0 || c.Timeouts != 0 {
		t.Errorf("counters are %+v", c)
	}
	if told := p.reports(); len(told) != 0 {
		t.Errorf("told %q", told)
	}
}

// TestPollerLosesAndFinds: a device that is silent is lost, told once with its cure,
// and found again; the other one goes on meanwhile.
func TestPollerLosesAndFinds(t *testing.T) {
	p := newPolled(t)
	p.start()
	p.frame("battery", of(0, false))
	gone := p.bus.chips[0x40]
	p.bus.change(func(b *simulatedBus) { delete(b.chips, 0x40) })
	p.frame("battery lost", of(0, true))
	p.frame("front goes on", of(1, false))
	p.frame("battery still lost", of(0, true))
	p.bus.change(func(b *simulatedBus) { b.chips[0x40] = gone })
	p.frame("battery back", of(0, false))
	want := []string{
		"0: read /dev/i2c-1 address 0x40 (ina219 battery): no device answers (check its supply, SDA, SCL and the address pins; i2cdetect -y -r 1 lists who answers)",
		"0: <nil>",
	}
	if told := p.reports(); strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told %q, want %q", told, want)
	}
	if c := p.Counters(); c.Errors < lostAfter || c.Timeouts != 0 {
		t.Errorf("counters are %+v", c)
	}
}

// TestPollerForgivesOneDisturbance: one transfer that fails costs one reading, and
// nobody is told.
func TestPollerForgivesOneDisturbance(t *testing.T) {
	p := newPolled(t)
	p.start()
	p.frame("battery", of(0, false))
	failures := 0
	p.bus.change(func(b *simulatedBus) {
		b.fail = func(address uint16) error {
			if address == 0x40 && failures < lostAfter-1 {
				failures++
				return ErrStuck
			}
			return nil
		}
	})
	for range 10 {
		if f := p.frame("battery", func(f *Frame) bool { return f.Device == 0 }); f.Lost {
			t.Fatal("lost after one disturbance")
		}
	}
	if c := p.Counters(); c.Timeouts != lostAfter-1 || len(p.reports()) != 0 {
		t.Errorf("counters are %+v, told %q", c, p.reports())
	}
}

// TestPollerSetsUpAgain: a chip that lost its settings gets them again without being
// lost.
func TestPollerSetsUpAgain(t *testing.T) {
	p := newPolled(t)
	p.start()
	p.frame("battery", of(0, false))
	chip := p.bus.chips[0x40].(*words)
	p.bus.change(func(*simulatedBus) { chip.values[0x00] = 0 })
	seen := p.frame("battery with its settings", func(f *Frame) bool {
		p.bus.mutex.Lock()
		defer p.bus.mutex.Unlock()
		return f.Lost || f.Device == 0 && chip.values[0x00] == ina219Config && len(chip.written) == 2
	})
	if seen.Lost {
		t.Error("lost")
	}
}

// TestPollerOnAStuckBus: a transfer that never returns is seen from outside, without
// waiting for it; when it returns, readings go on.
func TestPollerOnAStuckBus(t *testing.T) {
	p := newPolled(t)
	p.start()
	p.frame("battery", of(0, false))
	if p.Stuck(monotonic()) {
		t.Error("stuck while it works")
	}
	block := make(chan struct{})
	p.bus.change(func(b *simulatedBus) { b.block = block })
	for deadline := time.Now().Add(patience); !p.Stuck(monotonic() + StuckAfter); {
		if time.Now().After(deadline) {
			t.Fatal("a transfer that hangs is not seen")
		}
		time.Sleep(time.Millisecond)
	}
	p.bus.change(func(b *simulatedBus) { b.block = nil })
	close(block)
	var f Frame
	for p.Next(&f) { // from before
	}
	p.frame("battery goes on", of(0, false))
}

// TestCloseDoesNotWaitForever: the process ends though a transfer does not.
func TestCloseDoesNotWaitForever(t *testing.T) {
	p := newPolled(t)
	block := make(chan struct{})
	p.bus.block = block
	done := make(chan struct{})
	go func() { defer close(done); p.Run(context.Background()) }()
	for p.meter.began.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := p.Close(); !errors.Is(err, ErrStuck) {
		t.Errorf("close is %v", err)
	}
	close(block)
	<-done
}

// TestPollerWithoutBus: a bus that is not there is opened when it comes, and one that
// is unplugged again when it comes back.
func TestPollerWithoutBus(t *testing.T) {
	p := newPolled(t)
	p.absent = failed("open", "/dev/i2c-1", ErrAbsent)
	p.start()
	p.frame("battery lost", of(0, true))
	p.frame("front lost", of(1, true))
	p.bus.change(func(*simulatedBus) { p.absent = nil })
	p.frame("battery", of(0, false))
	p.bus.change(func(b *simulatedBus) {
		b.fail = func(uint16) error { return ErrGone }
		p.absent = failed("open", "/dev/i2c-1", ErrAbsent)
	})
	p.frame("battery lost", of(0, true))
	p.bus.change(func(b *simulatedBus) { b.fail, p.absent = nil, nil })
	p.frame("battery", of(0, false))
	told := strings.Join(p.reports(), "\n")
	for _, want := range []string{"-1: open /dev/i2c-1: no such I2C bus (enable it", "-1: <nil>", "-1: read /dev/i2c-1: I2C bus gone (plug it in again"} {
		if !strings.Contains(told, want) {
			t.Errorf("not told: %s\n%s", want, told)
		}
	}
}

// TestPollerRefusesATakenAddress: nothing is sent to a chip that a kernel driver has.
func TestPollerRefusesATakenAddress(t *testing.T) {
	p := newPolled(t)
	p.bus.taken[0x40] = true
	p.start()
	p.frame("battery lost", of(0, true))
	p.frame("front", of(1, false))
	p.bus.mutex.Lock()
	defer p.bus.mutex.Unlock()
	if w := p.bus.chips[0x40].(*words).written; len(w) != 0 {
		t.Errorf("written: %v", w)
	}
	if told := p.reports(); len(told) != 1 || !strings.Contains(told[0], "address 0x40 (ina219 battery): a kernel driver has it") {
		t.Errorf("told %q", told)
	}
}

// TestPollAllocatesNothing: nothing in the spine is collected, so a poll may leave
// nothing behind, well or failing.
func TestPollAllocatesNothing(t *testing.T) {
	for _, driver := range Drivers() {
		t.Run(driver.Name, func(t *testing.T) {
			chips := map[string]simulated{
				"ina219": &words{values: map[byte]uint16{}}, "pcf8574": &pins{}, "ads1115": newConverter(),
				"ina226":  &words{values: map[byte]uint16{0xfe: 0x5449, 0xff: 0x2260}},
				"mpu6050": newMPU(t), "bme280": newBME(t), "vl53l0x": newLaser(t), "vl53l1x": newLongLaser(t),
			}
			bus := &simulatedBus{chips: map[uint16]simulated{0x29: chips[driver.Name]}, taken: map[uint16]bool{}}
			now := time.Duration(1)
			p, err := NewPoller(Config{
				Bus: "x", Now: func() time.Duration { now += time.Millisecond; return now },
				Devices: []Device{{Driver: driver.Name, Address: 0x29, Every: driver.Every, Settings: DefaultSettings(), Used: []bool{true, false, false, false, false, false, false, false}[:len(driver.Fields(DefaultSettings()))]}},
				Open:    func(string) (Wire, error) { return bus, nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var f Frame
			turn := func() {
				for range 50 {
					now += p.turn()
				}
				for p.Next(&f) {
				}
			}
			for p.frames.Load() < 3 {
				turn()
				stopWriting(chips[driver.Name])
			}
			before := p.frames.Load()
			if n := testing.AllocsPerRun(20, turn); n != 0 {
				t.Errorf("%v allocations in 50 turns", n)
			}
			if p.frames.Load() == before {
				t.Error("no reading was measured")
			}
			delete(bus.chips, 0x29)
			turn()
			turn()
			if n := testing.AllocsPerRun(20, turn); n != 0 {
				t.Errorf("%v allocations in 50 turns of a silent chip", n)
			}
		})
	}
}

// stopWriting keeps a simulated chip from noting what is written, which allocates.
func stopWriting(s simulated) {
	switch c := s.(type) {
	case *words:
		c.quiet = true
	case *converter:
		c.quiet = true
	case *registers8:
		c.quiet = true
	case *laser:
		c.quiet, c.done = true, make([]string, 0, 100)
	case *long:
		c.quiet = true
	}
}

// TestRing: frames come in their order, and what finds it full is counted.
func TestRing(t *testing.T) {
	var r ring
	for i := range ringSize + 5 {
		if added := r.add(&Frame{Device: i}); added != (i < ringSize) {
			t.Fatalf("frame %d is added: %v", i, added)
		}
	}
	if n := r.dropped.Load(); n != 5 {
		t.Errorf("%d are dropped", n)
	}
	var f Frame
	for i := range ringSize {
		if !r.take(&f) || f.Device != i {
			t.Fatalf("took %+v, want %d", f, i)
		}
	}
	if r.take(&f) {
		t.Error("an empty ring gives a frame")
	}
}

// TestRingBetweenGoroutines: no frame is torn, none comes twice (the race detector
// looks at the rest).
func TestRingBetweenGoroutines(t *testing.T) {
	const frames = 100_000
	var r ring
	go func() {
		for i := 1; i <= frames; {
			f := Frame{Device: i, At: time.Duration(i)}
			for k := range f.Values {
				f.Values[k] = float64(i)
			}
			if r.add(&f) {
				i++
			}
		}
	}()
	var f Frame
	for last := 0; last < frames; {
		if !r.take(&f) {
			continue
		}
		if f.Device != last+1 || f.At != time.Duration(f.Device) {
			t.Fatalf("frame %d comes after %d, at %v", f.Device, last, f.At)
		}
		for _, v := range f.Values {
			if v != float64(f.Device) {
				t.Fatalf("frame %d has values of another: %v", f.Device, f.Values)
			}
		}
		last = f.Device
	}
}

// BenchmarkFrame is what one reading costs the loop: taken from the ring.
func BenchmarkFrame(b *testing.B) {
	var r ring
	f := Frame{Device: 1, Count: maxFields}
	b.ReportAllocs()
	for b.Loop() {
		r.add(&f)
		r.take(&f)
	}
}

// BenchmarkPoll is one reading of an INA219 without the bus: the poller's own time.
func BenchmarkPoll(b *testing.B) {
	bus := &simulatedBus{chips: map[uint16]simulated{0x40: &words{values: map[byte]uint16{}, quiet: true}}}
	now := time.Duration(1)
	p, err := NewPoller(Config{
		Bus: "x", Now: func() time.Duration { return now }, Open: func(string) (Wire, error) { return bus, nil },
		Devices: []Device{{Driver: "ina219", Address: 0x40, Every: time.Millisecond, Settings: DefaultSettings()}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var f Frame
	b.ReportAllocs()
	for b.Loop() {
		now += time.Millisecond
		p.turn()
		p.Next(&f)
	}
}

func TestBackOff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: firstWait, 1: firstWait, 2: 2 * firstWait, 3: 4 * firstWait, 50: mostWait} {
		if got := backOff(failures, mostWait); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}

// TestDrivers holds what configuration and documentation take for granted.
func TestDrivers(t *testing.T) {
	for i, d := range Drivers() {
		if i > 0 && drivers[i-1].Name >= d.Name {
			t.Errorf("%s comes after %s", d.Name, drivers[i-1].Name)
		}
		fields := d.Fields(DefaultSettings())
		if len(fields) == 0 || len(fields) > maxFields || len(d.Addresses) == 0 || d.Fastest > d.Every || d.Datasheet == "" || d.Title == "" {
			t.Errorf("%s is not complete", d.Name)
		}
		for _, f := range fields {
			if f.Minimum >= f.Maximum || f.Name == "" {
				t.Errorf("%s: field %+v", d.Name, f)
			}
		}
		for _, a := range d.Addresses {
			if a < 0x08 || a > 0x77 {
				t.Errorf("%s: address 0x%02x is reserved", d.Name, a)
			}
		}
	}
	if _, known := FindDriver("bme281"); known {
		t.Error("a bme281 is known")
	}
	if _, err := NewPoller(Config{Devices: []Device{{Name: "air", Driver: "bme281"}}}); err == nil {
		t.Error("a poller of a bme281 is made")
	}
}
