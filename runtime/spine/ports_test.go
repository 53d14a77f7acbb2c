package spine

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"dancer/hal/serial"
)

// instrument is a device on a pseudo-terminal of its own: it says the same again and
// again, and remembers what it was told.
type instrument struct {
	t    *testing.T
	name string // a link that stays, as udev gives

	mutex  sync.Mutex
	master *os.File
	said   []byte
	heard  bytes.Buffer
	waits  []byte // it says nothing before it has heard this
}

func newInstrument(t *testing.T) *instrument {
	t.Helper()
	d := &instrument{t: t, name: filepath.Join(t.TempDir(), "device")}
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
				d.speak()
			}
		}
	}()
	return d
}

func (d *instrument) speak() {
	d.mutex.Lock()
	master, said := d.master, d.said
	if !bytes.Contains(d.heard.Bytes(), d.waits) {
		said = nil
	}
	d.mutex.Unlock()
	if master != nil && len(said) > 0 {
		_ = master.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = master.Write(said)
	}
}

// plug puts a new pseudo-terminal behind the name. A device that listens reads all
// that it is told.
func (d *instrument) plug(listens bool) {
	d.t.Helper()
	opened, slave, err := pty.Open()
	if err != nil {
		d.t.Skipf("no pseudo-terminals here: %v", err)
	}
	fd, err := unix.FcntlInt(opened.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	opened.Close()
	master := os.NewFile(uintptr(fd), "master")
	d.t.Cleanup(func() { slave.Close(); master.Close() })
	os.Remove(d.name)
	if err := os.Symlink(slave.Name(), d.name); err != nil {
		d.t.Fatal(err)
	}
	d.mutex.Lock()
	d.master = master
	d.heard.Reset()
	d.mutex.Unlock()
	if listens {
		go d.listen(master)
	}
}

func (d *instrument) listen(master *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := master.Read(b)
		d.mutex.Lock()
		d.heard.Write(b[:n])
		d.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// unplug also takes the name away, as udev does.
func (d *instrument) unplug() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	os.Remove(d.name)
	d.master.Close()
	d.master = nil
}

func (d *instrument) says(b []byte) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.said = b
}

func (d *instrument) hasHeard(text string) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return bytes.Contains(d.heard.Bytes(), []byte(text))
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// laserTurn is a turn of an RPLIDAR that sees the same distance, in metres,
// everywhere.
func laserTurn(distance float64) []byte {
	var b []byte
	for degree := range 360 {
		angle, q2 := degree*64, int(distance*4000)
		b = append(b, 15<<2|2, byte(angle<<1)|1, byte(angle>>7), byte(q2), byte(q2>>8))
	}
	return b
}

// wiredWith is testManual with its signals on devices of packets, and its outputs on
// the rig's serial line.
func (g *rig) wiredWith(range_, soft, bumper string) {
	g.t.Helper()
	ports := fmt.Sprintf("  scan: {device: %q, framing: rplidar, sectors: 4}\n  pilot: {device: %q, framing: mavlink}\n  radio: {device: %q, framing: sbus}\n", range_, soft, bumper)
	text := strings.NewReplacer(
		"range:  {port: nav, field: range, unit: m, range: [0, 8]", "range:  {port: scan, field: sector.0, unit: m, range: [0, 12]",
		"bumper: {port: nav, field: bumper", "bumper: {port: radio, field: failsafe",
		"soft:   {port: nav, field: soft", "soft:   {port: pilot, field: HEARTBEAT.armed",
	).Replace(insertAfter(wiredRobot(g.device), "ports:\n", ports))
	g.robot = loadRobot(g.t, text, testManual)
	g.cfg.Robot = g.robot
}

// Frames of other programs: see hal/mavlink_test.go and hal/sbus_test.go.
const (
	disarmed = "fd 09 00 00 ef 01 01 00 00 00 00 00 00 00 02 03 51 03 03 73 89"
	armed    = "fd090000000701000000030000000203890403c3cf"
	onAir    = "0F E0 03 1F 58 C0 07 16 B0 80 05 2C 60 01 0B F8 C0 07 00 00 00 00 00 03 00"
	lostAir  = "0F E0 03 1F 58 C0 07 16 B0 80 05 2C 60 01 0B F8 C0 07 00 00 00 00 00 0B 00"
)

// TestDevicesOfPackets: a laser, an autopilot and a radio receiver, each on a
// pseudo-terminal, through the whole spine to an output.
func TestDevicesOfPackets(t *testing.T) {
	g := newRig(t, "steady")
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	for _, d := range []*instrument{laser, pilot, radio} {
		d.plug(true)
	}
	laser.waits = []byte{0xa5, 0x20}
	laser.says(laserTurn(2))
	pilot.says(bytesOf(t, disarmed))
	radio.says(bytesOf(t, onAir))
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.cfg.BrainCommand = brainCommand("steady", g.robot, g.listen())
	g.run()
	g.status("waiting=false") // all three signals were seen
	g.moving()

	laser.says(laserTurn(0.2))
	g.drives("0.1", "0")
	g.status("reflexes=near")
	laser.says(laserTurn(2))
	g.status("reflexes=-")

	pilot.says(bytesOf(t, armed))
	g.status("reflexes=slow-bump")
	pilot.says(bytesOf(t, disarmed))
	g.status("reflexes=-")

	radio.says(bytesOf(t, lostAir))
	g.status("latches=bump")
	g.drives("0", "1")

	laser.unplug()
	g.until("the laser is gone", func() bool { return strings.Contains(g.log.String(), "port=scan") })
	g.status("reflexes=near,bump")
	laser.plug(true)
	g.until("the laser is started again", func() bool { return laser.hasHeard("\xa5\x20") })
	g.status("reflexes=bump")

	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
	g.until("the laser is told to stop", func() bool { return laser.hasHeard("\xa5\x25") })
	if pilot.hasHeard("\xa5") || radio.hasHeard("\xa5") {
		t.Error("the others were told something as well")
	}
}

// TestWrongBaud: bytes and no frame are told of with the cure, once, and it is told
// when that is over.
func TestWrongBaud(t *testing.T) {
	g := newRig(t, "")
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	for _, d := range []*instrument{laser, pilot, radio} {
		d.plug(true)
	}
	pilot.says(bytes.Repeat([]byte{0x80, 0xf8, 0x00, 0x78}, 20))
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.run()
	const message = `port=pilot device=`
	g.until("it is told", func() bool {
		return strings.Contains(g.log.String(), `state=garbled why="no good frame in 3s at 115200 baud: is the baud rate right?" cure="write its device's rate as ports.pilot.baud"`)
	})
	if log := g.log.String(); !strings.Contains(log, message) || strings.Contains(log, "framing_errors") { // a pseudo-terminal counts none
		t.Errorf("log %s", log)
	}
	pilot.says(bytesOf(t, disarmed))
	g.until("it is over", func() bool { return strings.Contains(g.log.String(), "state=clear") })
	if n := strings.Count(g.log.String(), "state=garbled"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestDeviceWithoutPowerIsStartedAgain: a laser that lost its power while its adapter
// kept the port says nothing until it is started again.
func TestDeviceWithoutPowerIsStartedAgain(t *testing.T) {
	g := newRig(t, "")
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	for _, d := range []*instrument{laser, pilot, radio} {
		d.plug(true)
	}
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.run()
	g.until("it is started", func() bool { return laser.hasHeard("\xa5\x20") })
	g.until("it is started again", func() bool { return laser.hasHeard("\xa5\x20\xa5\x20") })
}

// TestStuckPort: a controller that takes nothing is given up within the write's
// deadline and opened again; then it is told what holds now.
func TestStuckPort(t *testing.T) {
	g := newRig(t, "")
	base := newInstrument(t)
	base.plug(false) // it does not listen
	text := insertAfter(wiredRobot(g.device), "ports:\n", fmt.Sprintf("  base: {device: %q, framing: json}\n", base.name))
	text = strings.Replace(text, `drive: {port: nav`, `drive: {port: base`, 1)
	g.robot = loadRobot(t, text, testManual)
	g.cfg.Robot = g.robot
	g.run()
	stuck := func() bool { return strings.Contains(g.log.String(), "state=stuck") }
	for deadline := time.Now().Add(patient); !stuck(); { // the reflex comes and goes, and with it the drive
		if time.Now().After(deadline) {
			t.Fatalf("never stuck: %s", g.log.String())
		}
		for range 20 {
			fmt.Fprintln(g.master, `{"range": 0.2, "bumper": 0, "soft": 0}`)
			fmt.Fprintln(g.master, `{"range": 2, "bumper": 0, "soft": 0}`)
		}
	}
	if log := g.log.String(); !strings.Contains(log, `port=base`) || !strings.Contains(log, `why="it took nothing of what was written to it: is the device alive, and its cable whole?"`) {
		t.Errorf("log %s", log)
	}
	go base.listen(base.master)
	g.until("it is opened again", func() bool { return strings.Contains(g.log.String(), "state=back") })
	g.until("it is told its value", func() bool { return base.hasHeard("D 0\n") })
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
}

// TestUnpluggedSensorIsWaitedFor: the robot runs with what it has; what it does not
// see is invalid, and is seen once it is plugged in.
func TestUnpluggedSensorIsWaitedFor(t *testing.T) {
	g := newRig(t, "")
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	pilot.plug(true)
	radio.plug(true)
	laser.says(laserTurn(2))
	pilot.says(bytesOf(t, disarmed))
	radio.says(bytesOf(t, onAir))
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.run()
	want := fmt.Sprintf(`error="open port scan: open %s: no such device (`, laser.name)
	if log := g.log.String(); !strings.Contains(log, "the robot starts without this: its signals are invalid until it comes") || !strings.Contains(log, want) {
		t.Errorf("log %s", log)
	}
	g.status("reflexes=near") // not seen within stale_after: the unsafe side
	laser.plug(true)
	g.status("reflexes=-")
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
}

// TestBusySensorIsWaitedFor: as long as another program has it.
func TestBusySensorIsWaitedFor(t *testing.T) {
	g := newRig(t, "")
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	for _, d := range []*instrument{laser, pilot, radio} {
		d.plug(true)
	}
	other, err := serial.Open(pilot.name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.run()
	if log := g.log.String(); !strings.Contains(log, "in use by another process (stop the other program") {
		t.Errorf("log %s", log)
	}
	other.Close()
	g.until("it is opened", func() bool { return strings.Contains(g.log.String(), "state=back") })
}

// TestDeniedSensorIsWaitedFor: until somebody gives the robot the right to open it. That a
// real port denies it is tried in hal/serial: here the test may be root.
func TestDeniedSensorIsWaitedFor(t *testing.T) {
	g := newRig(t, "")
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	for _, d := range []*instrument{laser, pilot, radio} {
		d.plug(true)
	}
	how := defaultOpeners()
	open := how.port
	how.port = func(p *portConfig) (stream, error) {
		if p.Name == "pilot" {
			return nil, &serial.Error{Verb: "open", Device: p.Device, Cause: serial.ErrPermission, Hint: "the cure"}
		}
		return open(p)
	}
	g.cfg.openers = &how
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.run()
	want := fmt.Sprintf(`error="open port pilot: open %s: permission denied (the cure)"`, pilot.name)
	if log := g.log.String(); strings.Count(log, want) != 1 {
		t.Errorf("the log lacks %s\n%s", want, log)
	}
	g.until("it is opened", func() bool { return strings.Contains(g.log.String(), "port=pilot device="+pilot.name+" state=back") })
}

// TestDryRunStartsSensors: nothing is driven, and the laser turns all the same.
func TestDryRunStartsSensors(t *testing.T) {
	g := newRig(t, "")
	g.cfg.DryRun = true
	laser, pilot, radio := newInstrument(t), newInstrument(t), newInstrument(t)
	for _, d := range []*instrument{laser, pilot, radio} {
		d.plug(true)
	}
	g.wiredWith(laser.name, pilot.name, radio.name)
	g.run()
	g.until("the laser is started", func() bool { return laser.hasHeard("\xa5\x20") })
	g.end()
	g.until("and stopped", func() bool { return laser.hasHeard("\xa5\x25") })
	if lines, _ := g.snapshot(); len(lines) > 0 {
		t.Errorf("driven: %q", lines)
	}
}

// TestUnpluggedControllerRefusesToStart: outputs that cannot be told are not known to
// be safe; the others are made so before the robot says what is missing.
func TestUnpluggedControllerRefusesToStart(t *testing.T) {
	g := newRig(t, "")
	far := "  far: {device: " + g.device + "-unplugged, framing: json}\n"
	text := insertAfter(insertAfter(wiredRobot(g.device), "ports:\n", far), "outputs:\n", "  lamp: {port: far, format: \"L {value}\\n\", range: [0, 1], safe: 0}\n")
	g.cfg.Robot = loadRobot(t, text, testManual)
	_, err := Run(context.Background(), g.cfg)
	want := "open port far, which drives lamp: open " + g.device + "-unplugged: no such device (plug it in, or correct its device"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	g.drives("0", "1")
}
