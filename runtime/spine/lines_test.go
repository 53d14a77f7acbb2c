package spine

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/hal/gpio"
	"dancer/runtime/link"
)

// fakeLine is a GPIO input with a descriptor of the real kernel, a pipe: its chip can
// go away and come back.
type fakeLine struct {
	t       *testing.T
	mutex   sync.Mutex
	signal  int
	refuse  error
	gone    bool
	closed  bool
	level   float64
	edges   []hal.Reading
	pipe    [2]int
	granted int
}

func newFakeLine(t *testing.T) *fakeLine {
	l := &fakeLine{t: t, pipe: [2]int{-1, -1}}
	t.Cleanup(func() { l.Close() })
	return l
}

func (l *fakeLine) Reopen() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.release()
	if l.refuse != nil {
		return l.refuse
	}
	l.granted++
	l.gone, l.edges = false, nil
	return unix.Pipe2(l.pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
}

func (l *fakeLine) release() {
	for i := range l.pipe {
		if l.pipe[i] >= 0 {
			unix.Close(l.pipe[i])
		}
		l.pipe[i] = -1
	}
}

func (l *fakeLine) Close() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.closed = true
	l.release()
	return nil
}

func (l *fakeLine) Fd() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.pipe[0]
}

func (l *fakeLine) Signal() int { return l.signal }

func (l *fakeLine) Lost() uint64     { return 0 }
func (l *fakeLine) TakeLost() uint64 { return 0 }

func (l *fakeLine) Level(at time.Duration) (hal.Reading, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.gone || l.pipe[0] < 0 {
		return hal.Reading{}, gpio.ErrGone
	}
	return hal.Reading{Signal: l.signal, Value: l.level, At: at}, nil
}

func (l *fakeLine) Read(dst []hal.Reading) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.gone || l.pipe[0] < 0 {
		return 0, gpio.ErrGone
	}
	var b [64]byte
	_, _ = unix.Read(l.pipe[0], b[:])
	n := copy(dst, l.edges)
	l.edges = l.edges[n:]
	return n, nil
}

// ring makes the descriptor readable.
func (l *fakeLine) ring() {
	if _, err := unix.Write(l.pipe[1], []byte{1}); err != nil {
		l.t.Error(err)
	}
}

func (l *fakeLine) drive(level float64) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.level = level
	l.edges = append(l.edges, hal.Reading{Signal: l.signal, Value: level, At: link.Now()})
	l.ring()
}

// unplug takes the chip away; err is what a request says from now on.
func (l *fakeLine) unplug(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.gone, l.refuse = true, err
	l.ring()
}

func (l *fakeLine) mend(level float64) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.refuse, l.level = nil, level
}

// lineRobot is wiredRobot with its bumper on a GPIO line.
func lineRobot(device, bumper string) string {
	return strings.Replace(wiredRobot(device), "bumper: {port: nav, field: bumper, range: [0, 1], stale_after: 5s}", bumper, 1)
}

// lineRig is a robot whose bumper is a line that can be refused.
func lineRig(t *testing.T, how string, refuse error) (*rig, *fakeLine) {
	g := newRig(t, "")
	g.robot = loadRobot(t, lineRobot(g.device, "bumper: {pin: gpiochip0/17}"), busManual)
	g.cfg.Robot = g.robot
	l := newFakeLine(t)
	l.refuse = refuse
	open := defaultOpeners()
	open.line = func(c gpio.InputConfig) line {
		l.signal = c.Signal
		return l
	}
	g.cfg.openers = &open
	g.sense(`{"range": 2, "soft": 0}`)
	if how != "" {
		g.cfg.BrainCommand = brainCommand(how, g.robot, g.listen())
	}
	return g, l
}

// busyLine is what package gpio says of a line that a driver of the kernel has, and
// absentLine of one whose chip has another label now; its tests hold the words.
var (
	busyLine = &gpio.Error{Verb: "request", Line: "gpiochip0/17", Cause: gpio.ErrBusy, Detail: `gpiochip0/17 by "w1-gpio"`,
		Hint: "stop that program, or take its overlay out of the boot configuration"}
	absentLine = &gpio.Error{Verb: "request", Line: "gpiochip0/17", Cause: gpio.ErrNoChip, Detail: "pinctrl-bcm2711", Hint: "chips here: none"}
)

// TestRefusedLineIsWaitedFor: the robot starts, says what is wrong and what to do, takes
// the unsafe side of the rules that read the signal, and goes on with it when it comes.
func TestRefusedLineIsWaitedFor(t *testing.T) {
	for name, refuse := range map[string]error{"busy": busyLine, "renamed": absentLine, "denied": &gpio.Error{Verb: "request", Line: "gpiochip0/17", Cause: gpio.ErrPermission}} {
		t.Run(name, func(t *testing.T) {
			g, l := lineRig(t, "steady", refuse)
			g.run()
			want := `msg="the robot starts without this: its signals are invalid until it comes" error="open signal bumper: ` + strings.ReplaceAll(refuse.Error(), `"`, `\"`) + `"`
			if log := g.log.String(); strings.Count(log, want) != 1 {
				t.Errorf("the log lacks %s\n%s", want, log)
			}
			g.status("latches=bump")  // not there within lineGrace: the unsafe side
			g.status("waiting=false") // and nobody waits for it any more
			if answer := g.control("clear tester"); !strings.HasPrefix(answer, "refused") {
				t.Errorf("the latch is cleared while the signal is missing: %s", answer)
			}
			l.mend(0)
			g.until("it is told", func() bool {
				return strings.Contains(g.log.String(), "msg=line signal=bumper pin=gpiochip0/17 state=back")
			})
			if answer := g.control("clear tester"); !strings.HasPrefix(answer, "ok") {
				t.Errorf("clear says %s", answer)
			}
			g.moving()
			l.drive(1)
			g.drives("0", "1")
			g.status("latches=bump")
			if log := g.log.String(); strings.Contains(log, "does not open again") {
				t.Errorf("the same is told twice: %s", log)
			}
			g.end()
			if g.err != nil || !l.closed {
				t.Errorf("end: %v, closed %v", g.err, l.closed)
			}
		})
	}
}

// TestLineGoneAndBack: what stood between is not missed: the level is read anew.
func TestLineGoneAndBack(t *testing.T) {
	g, l := lineRig(t, "steady", nil)
	g.run()
	g.moving()
	l.unplug(absentLine)
	g.drives("0", "1")
	g.status("latches=bump")
	g.until("it is told", func() bool {
		return strings.Contains(g.log.String(), `msg=line signal=bumper pin=gpiochip0/17 state=gone why="its GPIO chip went away`)
	})
	g.until("and why it does not come back", func() bool {
		return strings.Contains(g.log.String(), `msg="signal does not open again" signal=bumper error="request GPIO line gpiochip0/17: no such GPIO chip: pinctrl-bcm2711 (chips here: none)"`)
	})
	if answer := g.control("clear tester"); !strings.HasPrefix(answer, "refused") {
		t.Errorf("the latch is cleared without the line: %s", answer)
	}
	l.mend(1) // pressed meanwhile
	g.until("it is back", func() bool { return strings.Contains(g.log.String(), "state=back") })
	if answer := g.control("clear tester"); !strings.HasPrefix(answer, "refused") {
		t.Errorf("the latch is cleared while the bumper is pressed: %s", answer)
	}
	l.drive(0)
	g.until("it is released", func() bool { return strings.HasPrefix(g.control("clear tester"), "ok") })
	g.moving()
}

// TestLineThatFileMustCure: what cannot change while the robot runs refuses the start,
// and the outputs are safe before it is said.
func TestLineThatFileMustCure(t *testing.T) {
	g, _ := lineRig(t, "", &gpio.Error{Verb: "request", Line: "gpiochip0/17", Cause: gpio.ErrUnsupported, Hint: "try it without pull"})
	_, err := Run(context.Background(), g.cfg)
	if err == nil || err.Error() != "open signal bumper: request GPIO line gpiochip0/17: not supported (try it without pull)" {
		t.Errorf("error %v", err)
	}
	g.drives("0", "1")
}

// TestRefusedOutputRefusesTheStart: with the running kernel's lines, which has no such
// chip: a robot whose brake cannot be driven does not start, and says which output it
// is; those that can be driven are safe.
func TestRefusedOutputRefusesTheStart(t *testing.T) {
	g := newRig(t, "")
	text := insertAfter(wiredRobot(g.device), "outputs:\n", "  lock: {pin: gpiochip9999/1, safe: 1}\n  lamp: {pin: gpiochip9999/2, safe: 0}\n")
	g.cfg.Robot = loadRobot(t, text, testManual)
	_, err := Run(context.Background(), g.cfg)
	for _, want := range []string{"open output lock: request GPIO line gpiochip9999/1: no such GPIO chip", "open output lamp: request GPIO line gpiochip9999/2: no such GPIO chip"} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	g.drives("0", "1")
}

// TestInputLineOfThisMachine: with the running kernel's lines, of which none is so
// called: the robot starts.
func TestInputLineOfThisMachine(t *testing.T) {
	g := newRig(t, "")
	g.robot = loadRobot(t, lineRobot(g.device, "bumper: {pin: gpiochip9999/17}"), busManual)
	g.cfg.Robot = g.robot
	g.sense(`{"range": 2, "soft": 0}`)
	g.run()
	if log := g.log.String(); !strings.Contains(log, `error="open signal bumper: request GPIO line gpiochip9999/17: no such GPIO chip`) {
		t.Errorf("log %s", log)
	}
	g.status("latches=bump")
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
}
