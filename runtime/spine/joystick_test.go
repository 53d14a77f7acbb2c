package spine

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/hal/evdev"
	"dancer/runtime/link"
)

// roverManual moves with a joystick: the brain's options are judged by how near they
// come to the stick, and the dead-man stops the robot without a brain.
const roverManual = `
values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: let-go, when: "!hand", set: {drive: 0, brake: 1}, stop: 2}
  - {name: full, when: "stick > 0.9", set: {drive: 0.9, brake: 0}, stop: 2}
model: {step: 100ms, horizon: 1s}
impact:
  human_safety: "10"
  task: "10 - 5 * abs(stick - drive)"
actions:
  - {name: go, set: {drive: 0.5, brake: 0}}
  - {name: halt, set: {drive: 0, brake: 1}, fallback: true}
`

// rover is wiredRobot with a joystick in place of the sensors. Its device file is only
// looked for.
func rover(device string) string {
	text := wiredRobot(device)
	from, to := strings.Index(text, "signals:"), strings.Index(text, "outputs:")
	return text[:from] + `joysticks:
  pad: {device: /dev/null, dead_man: BTN_TL, stale_after: 60s}
signals:
  hand:  {joystick: pad, button: BTN_TL}
  stick: {joystick: pad, axis: ABS_Y}
` + text[to:]
}

// gamePad is the far end of a joystick: struct input_event over a socket pair, and the
// kernel's answers. A kernel with uinput is not needed.
type gamePad struct {
	t      *testing.T
	mutex  sync.Mutex
	near   int
	far    int
	absent bool
}

func newGamePad(t *testing.T) *gamePad { return &gamePad{t: t, near: -1, far: -1} }

func (p *gamePad) kernel() *evdev.Kernel {
	return &evdev.Kernel{
		Open: func(*byte) (int, error) {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			if p.absent {
				return -1, unix.ENOENT
			}
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			p.near, p.far = pair[0], pair[1]
			return p.near, err
		},
		Monotonic: func(int) error { return nil },
		Grab:      func(int) error { return nil },
		Parts: func(_ int, _ uint16, into *evdev.Bits) error {
			*into = evdev.Bits{}
			into.Add(0x136)
			into.Add(0x01)
			return nil
		},
		Keys: func(_ int, into *evdev.Bits) error { *into = evdev.Bits{}; return nil },
		Axis: func(_ int, _ uint16, into *evdev.AbsInfo) error {
			*into = evdev.AbsInfo{Minimum: -100, Maximum: 100}
			return nil
		},
	}
}

// event appends one struct input_event.
func event(b []byte, kind, code uint16, value int32) []byte {
	now := link.Now()
	if unsafe.Sizeof(uintptr(0)) == 8 {
		b = binary.NativeEndian.AppendUint64(b, uint64(now/time.Second))
		b = binary.NativeEndian.AppendUint64(b, uint64(now%time.Second/time.Microsecond))
	} else {
		b = binary.NativeEndian.AppendUint32(b, uint32(now/time.Second))
		b = binary.NativeEndian.AppendUint32(b, uint32(now%time.Second/time.Microsecond))
	}
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, code)
	return binary.NativeEndian.AppendUint32(b, uint32(value))
}

// move tells where the dead-man and the stick are, in one report.
func (p *gamePad) move(hand, stick int32) {
	p.t.Helper()
	b := event(event(event(nil, 1, 0x136, hand), 3, 0x01, stick), 0, 0, 0)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if _, err := unix.Write(p.far, b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *gamePad) unplug(forGood bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.absent = forGood
	unix.Close(p.far)
	p.far = -1
}

// newRover is a rig that is driven by a game pad.
func newRover(t *testing.T, how string) (*rig, *gamePad) {
	g := newRig(t, "")
	g.sense("")
	pad := newGamePad(t)
	g.robot = loadRobot(t, rover(g.device), roverManual)
	g.cfg.Robot = g.robot
	g.cfg.openers = &openers{port: defaultOpeners().port, joystick: func(c evdev.Config) feed {
		c.Kernel = pad.kernel()
		return evdev.New(c)
	}}
	if how != "" {
		g.cfg.BrainCommand = brainCommand(how, g.robot, g.listen())
	}
	return g, pad
}

func TestJoystickDrives(t *testing.T) {
	g, pad := newRover(t, "steady")
	g.run()
	g.drives("0", "1")
	pad.move(0, 100) // the stick alone moves nothing
	g.status("reflexes=let-go")
	pad.move(1, 0)
	g.status("reflexes=-")
	g.moving() // an operator's start, as ever
	pad.move(1, 100)
	g.drives("0.9", "0")
	pad.move(0, 100)
	g.drives("0", "1")
	g.status("reflexes=let-go")
}

// A pad that is unplugged stops the robot at once, not when it is stale, and when it is
// back the dead-man has to be pressed anew.
func TestUnpluggedJoystickStops(t *testing.T) {
	g, pad := newRover(t, "steady")
	g.run()
	pad.move(1, 0)
	g.status("reflexes=-")
	g.moving()
	pad.unplug(false)
	g.drives("0", "1")
	g.until("the pad is back", func() bool {
		return strings.Contains(g.log.String(), "port=pad") && strings.Contains(g.log.String(), "state=back")
	})
	g.status("reflexes=let-go")
	pad.move(0, 100)
	pad.move(1, 100)
	g.drives("0.9", "0")
}

// A robot starts without its pad, and stands still.
func TestStartWithoutJoystick(t *testing.T) {
	g, pad := newRover(t, "")
	pad.absent = true
	g.run()
	g.drives("0", "1")
	g.until("it is told", func() bool {
		return strings.Contains(g.log.String(), "port=pad") && strings.Contains(g.log.String(), "state=gone")
	})
	const message = `error="open joystick pad: open /dev/null: no such input device (plug it in, or correct its device: ls -l /dev/input/by-id/)"`
	if log := g.log.String(); strings.Count(log, message) != 1 {
		t.Errorf("the log lacks %s\n%s", message, log)
	}
	pad.mutex.Lock()
	pad.absent = false
	pad.mutex.Unlock()
	g.until("the pad is there", func() bool { return strings.Contains(g.log.String(), "state=back") })
	pad.move(1, 100)
	g.drives("0.9", "0")
}
