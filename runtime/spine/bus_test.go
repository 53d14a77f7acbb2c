package spine

import (
	"strings"
	"sync"
	"testing"

	"periph.io/x/conn/v3/physic"

	"dancer/hal/i2c"
)

// busRobot has its range from a laser on one bus (a VL53L1X would do: here an
// ADS1115 of which a volt is a metre, because it is easier to simulate) and its
// bumper from switches on another.
func busRobot(device string) string {
	text := wiredRobot(device)
	text = strings.Replace(text, "signals:\n", `i2c:
  analog:   {bus: /dev/i2c-test-1, driver: ads1115, every: 40ms, full_scale: 6.144}
  switches: {bus: /dev/i2c-test-2, driver: pcf8574, address: 0x20, every: 5ms}
signals:
  volts: {i2c: analog, field: a2, stale_after: 60s}
`, 1)
	return strings.Replace(text, "bumper: {port: nav, field: bumper, range: [0, 1], stale_after: 5s}", "bumper: {i2c: switches, field: p0, stale_after: 60s}", 1)
}

const sigVolts = 0 // and testManual's follow

// busManual is testManual with a bumper that is true or false.
var busManual = strings.Replace(testManual, "bumper > 0.5", "bumper", 1)

// testBus is a bus with one chip: switches or an ADS1115 that is always ready.
type testBus struct {
	mutex  sync.Mutex
	level  byte
	config [2]byte
	raw    uint16
	silent bool
	block  chan struct{}
}

func (b *testBus) String() string                  { return "test" }
func (b *testBus) SetSpeed(physic.Frequency) error { return nil }
func (b *testBus) Close() error                    { return nil }
func (b *testBus) Claim(uint16) error              { return nil }

func (b *testBus) Tx(address uint16, w, r []byte) error {
	b.mutex.Lock()
	block := b.block
	b.mutex.Unlock()
	if block != nil {
		<-block
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	switch {
	case b.silent:
		return i2c.ErrSilent
	case address == 0x20:
		for i := range r {
			r[i] = b.level
		}
	case len(w) == 3:
		copy(b.config[:], w[1:])
	case w[0] == 1:
		copy(r, b.config[:])
	default:
		r[0], r[1] = byte(b.raw>>8), byte(b.raw)
	}
	return nil
}

func (b *testBus) change(how func()) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	how()
}

// busRig is a robot with both buses.
func busRig(t *testing.T) (g *rig, analog, switches *testBus) {
	g = newRig(t, "")
	g.robot = loadRobot(t, busRobot(g.device), busManual)
	g.cfg.Robot = g.robot
	analog, switches = &testBus{raw: 16384}, &testBus{}
	open := defaultOpeners()
	open.bus = func(device string) (i2c.Wire, error) {
		if strings.HasSuffix(device, "1") {
			return analog, nil
		}
		return switches, nil
	}
	g.cfg.openers = &open
	g.sense(`{"range": 2, "soft": 0}`)
	return g, analog, switches
}

// TestBusReadingFiresAReflex: from a switch on I2C to the output.
func TestBusReadingFiresAReflex(t *testing.T) {
	g, _, switches := busRig(t)
	g.run()
	g.until("waiting is over", func() bool { return strings.Contains(g.control("status"), "waiting=false") })
	if strings.Contains(g.control("status"), "latches=bump") {
		t.Fatal("latched before it was hit")
	}
	switches.change(func() { switches.level = 1 })
	g.until("bump latches", func() bool { return strings.Contains(g.control("status"), "latches=bump") })
}

// TestBusSilent: the unsafe side is taken long before stale_after, the other bus goes
// on, the log says what to do, and the device is found again.
func TestBusSilent(t *testing.T) {
	g, analog, switches := busRig(t)
	g.run()
	g.until("waiting is over", func() bool { return strings.Contains(g.control("status"), "waiting=false") })
	switches.change(func() { switches.silent = true })
	g.until("bump latches", func() bool { return strings.Contains(g.control("status"), "latches=bump") })
	g.until("the log says what to do", func() bool {
		return strings.Contains(g.log.String(), "read /dev/i2c-test-2 address 0x20 (pcf8574 switches): no device answers (check its supply")
	})
	if strings.Contains(g.log.String(), "analog") {
		t.Errorf("the other bus is lost as well: %s", g.log.String())
	}
	switches.change(func() { switches.silent = false })
	g.until("it is found again", func() bool { return strings.Contains(g.log.String(), "i2c answers again") })
	analog.change(func() { analog.silent = true })
	g.until("the other one is lost for itself", func() bool { return strings.Contains(g.log.String(), "(ads1115 analog): no device answers") })
}

// TestBusStuck: a transfer that never returns makes its signals invalid, the loop
// goes on and answers, the robot stops in order, and nobody waits for the transfer
// longer than Close does.
func TestBusStuck(t *testing.T) {
	g, _, switches := busRig(t)
	g.run()
	g.until("waiting is over", func() bool { return strings.Contains(g.control("status"), "waiting=false") })
	block := make(chan struct{})
	switches.change(func() { switches.block = block })
	g.until("bump latches", func() bool { return strings.Contains(g.control("status"), "latches=bump") })
	g.until("the log names the bus", func() bool {
		return strings.Contains(g.log.String(), "port=i2c-test-2 device=/dev/i2c-test-2 state=gone")
	})
	g.stop()
	<-g.ended
	if g.err == nil || !strings.Contains(g.err.Error(), "close /dev/i2c-test-2: the bus is stuck") {
		t.Errorf("the end is %v", g.err)
	}
	if !strings.Contains(g.stderr.String(), "all outputs at their safe value") {
		t.Errorf("the last word is %q", g.stderr.String())
	}
	close(block)
}

// TestBusStuckAndBack: what hung answers late; its readings count again, and the one
// that hung does not.
func TestBusStuckAndBack(t *testing.T) {
	g, _, switches := busRig(t)
	g.run()
	g.until("waiting is over", func() bool { return strings.Contains(g.control("status"), "waiting=false") })
	block := make(chan struct{})
	switches.change(func() { switches.block = block })
	g.until("gone", func() bool { return strings.Contains(g.log.String(), "state=gone") })
	switches.change(func() { switches.block = nil })
	close(block)
	g.until("back", func() bool {
		return strings.Contains(g.log.String(), "port=i2c-test-2 device=/dev/i2c-test-2 state=back")
	})
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
	if !strings.Contains(g.log.String(), "i2c bus") || !strings.Contains(g.log.String(), "transfers=") {
		t.Errorf("the counters are not in the log: %s", g.log.String())
	}
}

// TestBusSignals: a field feeds every signal that names it, on its own bus alone.
func TestBusSignals(t *testing.T) {
	robot := loadRobot(t, busRobot("/dev/null"), busManual)
	if got := busSignals(robot, 0)[0]; len(got) != 4 || len(got[2]) != 1 || got[2][0] != sigVolts || len(got[0]) != 0 {
		t.Errorf("signals of the first bus are %v", got)
	}
	if got := busSignals(robot, 1)[0]; len(got) != 8 || len(got[0]) != 1 {
		t.Errorf("signals of the second bus are %v", got)
	}
	layout := Layout(robot)
	if layout.Ports != 3 {
		t.Errorf("the segment has %d ports", layout.Ports)
	}
}

// TestBusNotThere: with the running kernel, which has no such bus: the robot runs, and the
// log says what to do.
func TestBusNotThere(t *testing.T) {
	g, _, _ := busRig(t)
	how := defaultOpeners()
	g.cfg.openers = &how
	g.run()
	const message = `msg="i2c does not answer: its signals are invalid" device=/dev/i2c-test-2 error="open /dev/i2c-test-2: no such I2C bus (enable it, on a Raspberry Pi: sudo raspi-config nonint do_i2c 0; ls /dev/i2c-* lists the buses)"`
	g.until("it is told", func() bool { return strings.Contains(g.log.String(), message) })
	g.end()
	if g.err != nil || strings.Count(g.log.String(), message) != 1 {
		t.Errorf("%v, log %s", g.err, g.log.String())
	}
}
