package spine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal/can"
)

// operatorDBC has the dead-man and the stick of roverManual in a message.
const operatorDBC = `VERSION ""
BO_ 256 OPERATOR: 4 PANEL
 SG_ HAND : 0|1@1+ (1,0) [0|1] "" ROVER
 SG_ STICK : 15|16@0- (0.01,0) [-1|1] "" ROVER
`

// canRover is wiredRobot with a CAN bus in place of the sensors.
func canRover(t *testing.T, device string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rover.dbc")
	if err := os.WriteFile(path, []byte(operatorDBC), 0o600); err != nil {
		t.Fatal(err)
	}
	text := wiredRobot(device)
	from, to := strings.Index(text, "signals:"), strings.Index(text, "outputs:")
	return text[:from] + `can:
  panel: {interface: none0, dbc: ` + path + `}
signals:
  hand:  {can: panel, message: OPERATOR, signal: HAND, stale_after: 60s}
  stick: {can: panel, message: OPERATOR, signal: STICK, stale_after: 60s}
` + text[to:]
}

// panel is the far end of a CAN bus: struct can_frame over a socket pair, because the
// machines that build this have no CAN module. TestGuestCAN of cmd/dancer does the same
// with the kernel's.
type panel struct {
	t      *testing.T
	mutex  sync.Mutex
	far    int
	absent bool
}

func (p *panel) socket() *can.Socket {
	return &can.Socket{Open: func(*can.Bus) (int, error) {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		if p.absent {
			return -1, unix.ENETDOWN
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		p.far = pair[1]
		return pair[0], err
	}}
}

func (p *panel) send(id uint32, data ...byte) {
	p.t.Helper()
	b := binary.NativeEndian.AppendUint32(nil, id)
	b = append(append(b, byte(len(data)), 0, 0, 0), data...)
	b = append(b, make([]byte, 16-len(b))...)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	_, err := unix.Write(p.far, b)
	for until := time.Now().Add(patient); err == unix.EAGAIN && time.Now().Before(until); _, err = unix.Write(p.far, b) {
		time.Sleep(time.Millisecond) // the spine has not read what came before
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// move tells where the dead-man and the stick (in hundredths) are.
func (p *panel) move(hand byte, stick int16) {
	p.t.Helper()
	p.send(0x100, hand, byte(uint16(stick)>>8), byte(stick))
}

func (p *panel) unplug() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	unix.Close(p.far)
}

// newCANRover is a rig that is driven over a CAN bus.
func newCANRover(t *testing.T, how string) (*rig, *panel) {
	g := newRig(t, "")
	g.sense("")
	p := &panel{t: t, far: -1}
	g.robot = loadRobot(t, canRover(t, g.device), roverManual)
	g.robot.CANBuses[0].Interface = "lo" // every machine has one; only whether it is there is looked at
	g.cfg.Robot = g.robot
	g.cfg.openers = &openers{port: defaultOpeners().port, can: func(c can.Config) feed {
		c.Socket = p.socket()
		return can.New(c)
	}}
	if how != "" {
		g.cfg.BrainCommand = brainCommand(how, g.robot, g.listen())
	}
	return g, p
}

// toldOfBus waits for a line of the log about the bus, and for so many of them.
func (g *rig) toldOfBus(state string, times int) {
	g.t.Helper()
	g.until("the log says "+state, func() bool {
		return strings.Count(g.log.String(), "port=panel device=lo state="+state) >= times
	})
}

func TestCANDrives(t *testing.T) {
	g, p := newCANRover(t, "steady")
	g.run()
	g.drives("0", "1")
	p.move(0, 100)
	g.status("reflexes=let-go,full")
	p.move(1, 0)
	g.status("reflexes=-")
	g.moving() // an operator's start, as ever
	p.move(1, 100)
	g.drives("0.9", "0")
	p.move(1, 200) // out of the range of its DBC file: invalid, and the rule that reads it fires
	g.status("reflexes=full")
	p.move(0, 0)
	g.drives("0", "1")
	g.status("reflexes=let-go")
}

// A controller that leaves the bus stops the robot at once, not when its signals are
// stale; frames after it drive it again. One that counts errors leaves nothing of what
// was known before.
func TestCANBusOff(t *testing.T) {
	g, p := newCANRover(t, "steady")
	g.run()
	p.move(1, 0)
	g.status("reflexes=-")
	g.moving()
	p.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_BUSOFF, 0, 0, 0, 0, 0, 0, 0, 0)
	g.drives("0", "1")
	g.status("reflexes=let-go,full")
	g.toldOfBus("bus-off", 1)
	p.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_RESTARTED, 0, 0, 0, 0, 0, 0, 0, 0)
	g.toldOfBus("clear", 1)
	g.status("reflexes=let-go,full") // restarted is not heard
	p.move(1, 0)
	g.status("reflexes=-")
	p.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_CRTL, 0, unix.CAN_ERR_CRTL_RX_PASSIVE, 0, 0, 0, 0, 0, 0)
	g.toldOfBus("error-passive", 1)
	g.status("reflexes=let-go,full")
	p.move(1, 0)
	g.status("reflexes=-")
	p.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_CRTL, 0, unix.CAN_ERR_CRTL_ACTIVE, 0, 0, 0, 0, 0, 0)
	g.toldOfBus("clear", 2)
	g.status("reflexes=-")
}

// An interface that goes down stops the robot at once, and when it is up it is read
// again.
func TestCANInterfaceDown(t *testing.T) {
	g, p := newCANRover(t, "steady")
	g.run()
	p.move(1, 0)
	g.status("reflexes=-")
	g.moving()
	p.unplug()
	g.drives("0", "1")
	g.toldOfBus("back", 1)
	g.status("reflexes=let-go,full")
	p.move(1, 100)
	g.drives("0.9", "0")
}

// A robot starts while its bus is down, and stands still.
func TestStartWithoutCAN(t *testing.T) {
	g, p := newCANRover(t, "")
	p.absent = true
	g.run()
	g.drives("0", "1")
	g.toldOfBus("gone", 1)
	const message = `error="open CAN bus panel: open CAN interface lo: the interface is down (sudo ip link set lo up type can bitrate 500000, with the bus's own bit rate)"`
	if log := g.log.String(); strings.Count(log, message) != 1 {
		t.Errorf("the log lacks %s\n%s", message, log)
	}
	p.mutex.Lock()
	p.absent = false
	p.mutex.Unlock()
	g.toldOfBus("back", 1)
	p.move(1, 100)
	g.drives("0.9", "0")
}

// TestCANWiringSurvives: what makes the outputs safe after a run that died has the
// robot's files as they were, without the DBC file.
func TestCANWiringSurvives(t *testing.T) {
	r := loadRobot(t, canRover(t, "/dev/null"), roverManual)
	folder := t.TempDir()
	if err := keepWiring(folder, r); err != nil {
		t.Fatal(err)
	}
	again, err := lastWiring(folder)
	if err != nil {
		t.Fatal(err)
	}
	if Layout(again) != Layout(r) {
		t.Error("the robot is another one without its DBC file")
	}
}

// A loose wire that sends a controller off the bus and back all the time stops the robot
// each time, and does not fill the log.
func TestCANFlapping(t *testing.T) {
	g, p := newCANRover(t, "")
	g.run()
	began := time.Now()
	const times = 200
	for range times {
		p.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_BUSOFF, 0, 0, 0, 0, 0, 0, 0, 0)
		p.send(unix.CAN_ERR_FLAG|unix.CAN_ERR_RESTARTED, 0, 0, 0, 0, 0, 0, 0, 0)
		p.move(1, 0)
	}
	g.status("reflexes=-") // the frame after the last one was read
	g.toldOfBus("clear", 1)
	took := time.Since(began)
	said := strings.Count(g.log.String(), "state=bus-off")
	if most := 1 + int(took/canQuiet); said < 1 || said > most {
		t.Errorf("bus-off is told %d times in %v, want 1 to %d", said, took, most)
	}
}
