package spine

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"path/filepath"
	"sync/atomic"
	"time"

	"dancer/runtime/config"
	"dancer/runtime/link"
)

// byLength bounds the name of whoever asked, as it is kept for the log.
const byLength = 64

// noteCapacity is how many notes can wait for the keeper, a power of two.
const noteCapacity = 256

// note is one line for the log, without its words.
type note struct {
	event    link.Event
	by       [byLength]byte
	byLength int
}

// keeper does for the loop what may block: it writes the log and the latch
// file. The loop leaves notes in a ring and never waits for it.
type keeper struct {
	log     *slog.Logger
	robot   *config.Robot
	latches *latchFile
	record  runRecord // of this run, but for its latches
	wake    *link.Wake

	ring  [noteCapacity]note
	head  atomic.Uint64 // loop
	tail  atomic.Uint64 // keeper
	lost  atomic.Uint64
	bits  []atomic.Uint64 // latched rules
	moved atomic.Bool     // the file is behind

	ready   bool // loop: something to do since the last poke
	allowed int  // keeper: lines left in this window
	window  time.Time
	hidden  int
	failing string // why the latch file cannot be written
}

// logWindow and logLines bound the log: the spine has no garbage collection, so
// a fault that repeats must not talk it to death.
const (
	logWindow    = 10 * time.Second
	logLines     = 30
	overrunLines = 10 // of them at most for deadlines met late and lost edges: the rest is for reasons
)

func newKeeper(r *config.Robot, latches *latchFile, log *slog.Logger) (*keeper, error) {
	wake, err := link.NewPolledWake()
	if err != nil {
		return nil, err
	}
	return &keeper{
		log: log, robot: r, latches: latches, wake: wake,
		bits: make([]atomic.Uint64, len(r.Manual.Rules)/64+1),
	}, nil
}

// note leaves an event for the log (loop).
func (k *keeper) note(e *link.Event, by []byte) {
	k.ready = true
	head := k.head.Load()
	if head-k.tail.Load() >= noteCapacity {
		k.lost.Add(1)
		return
	}
	n := &k.ring[head%noteCapacity]
	n.event = *e
	n.byLength = copy(n.by[:], by)
	k.head.Store(head + 1)
}

// latched leaves the state of a latch for the file (loop).
func (k *keeper) latched(rule int, on bool) {
	k.ready = true
	if on {
		k.bits[rule/64].Or(1 << (rule % 64))
	} else {
		k.bits[rule/64].And(^uint64(1 << (rule % 64)))
	}
	k.moved.Store(true)
}

// remember takes what the last run left, before the loop starts.
func (k *keeper) remember(h *heritage) {
	for _, rule := range h.latches {
		k.latched(rule, true)
	}
	k.record = h.record
	k.moved.Store(!h.stored)
}

// toldReset remembers that the operator knows of the reset, before the loop starts.
func (k *keeper) toldReset() {
	k.record.ResetTold = true
	k.moved.Store(true)
}

// poke wakes the keeper if there is something to do (loop).
func (k *keeper) poke() {
	if k.ready {
		k.ready = false
		_ = k.wake.Signal() // a full counter wakes as well
	}
}

// prepare makes what the next start may need. It writes in the first run on a data
// folder, and where the robot's files have changed; after it, while the loop runs,
// nothing is allocated without a cause.
func (k *keeper) prepare() {
	if err := k.latches.reserve(); err != nil {
		k.log.Warn("the latch file has no room of its own: a full disk would keep latches from being stored", "error", err)
	}
	if err := keepWiring(filepath.Dir(k.latches.path), k.robot); err != nil {
		k.log.Warn("if the robot's files have faults at the next start, the outputs keep their level", "error", err)
	}
}

// run works until the context ends, then does what is left.
func (k *keeper) run(ctx context.Context) {
	k.work()
	for {
		nap := longestNap
		if k.moved.Load() {
			nap = latchRetry
		}
		_, err := k.wake.Wait(ctx, nap)
		k.work()
		if err != nil {
			return
		}
	}
}

func (k *keeper) work() {
	if k.moved.Swap(false) {
		k.store()
	}
	for k.tail.Load() != k.head.Load() {
		n := &k.ring[k.tail.Load()%noteCapacity]
		k.say(n)
		k.tail.Add(1)
	}
}

// latchRetry is how soon a latch file is written again after it could not be.
const latchRetry = time.Second

func (k *keeper) store() {
	err := writeLatches(k.latches, k.record, k.latchedRules())
	text := ""
	if err != nil {
		k.moved.Store(true)
		text = err.Error()
	}
	switch {
	case text == k.failing:
	case err != nil:
		k.log.Error("latches are not stored: a power cut would lose the newest", "error", err, "again_in", latchRetry)
	default:
		k.log.Info("latches are stored again")
	}
	k.failing = text
}

// ended stores that the run has ended in order. It is called after run.
func (k *keeper) ended() {
	k.record.Ended = true
	k.store()
}

func (k *keeper) latchedRules() []string {
	var names []string
	for i := range k.robot.Manual.Rules {
		if k.bits[i/64].Load()&(1<<(i%64)) != 0 {
			names = append(names, k.robot.Manual.Rules[i].Name)
		}
	}
	return names
}

// latchCount is how many rules are latched.
func (k *keeper) latchCount() (n int) {
	for i := range k.bits {
		n += bits.OnesCount64(k.bits[i].Load())
	}
	return n
}

func (k *keeper) say(n *note) {
	if now := time.Now(); now.Sub(k.window) > logWindow {
		if k.hidden > 0 {
			k.log.Warn("log lines left out", "count", k.hidden)
		}
		k.window, k.allowed, k.hidden = now, logLines, 0
	}
	e := &n.event
	if k.allowed == 0 || (e.Kind == link.EventOverrun || e.Kind == link.EventEdges) && k.allowed <= logLines-overrunLines {
		k.hidden++
		return
	}
	k.allowed--
	switch e.Kind {
	case link.EventMode:
		k.log.Info("mode", "mode", link.Mode(e.Flags).String(), "why", link.Reason(e.Cause).String(), "by", string(n.by[:n.byLength]))
	case link.EventLease:
		k.log.Info("lease", "lease", link.LeaseState(e.Flags).String(), "why", link.Reason(e.Cause).String())
	case link.EventLatch:
		k.log.Warn("latch", "reflex", k.robot.Manual.Rules[e.Index].Name, "state", latchWord(e.Flags))
	case link.EventPort:
		k.sayPort(e)
	case link.EventSignal:
		k.sayLine(e)
	case link.EventOutput:
		k.sayDriven(e)
	case link.EventEdges:
		k.log.Warn("edges are lost: the line changes faster than they are read", "signal", k.robot.Manual.Signals[e.Index].Name, "lost", e.Frame)
	case link.EventOverrun:
		k.log.Warn("overrun", "late", e.Latency, "count", e.Frame)
	}
}

// sayDriven says that an output cannot be driven, or that all are driven again.
func (k *keeper) sayDriven(e *link.Event) {
	if e.Flags == 1 {
		k.log.Warn("all outputs are driven again", "cure", "look at the robot, then: dancer start")
		return
	}
	k.log.Error("an output cannot be driven; the robot stops, and it is tried again",
		"output", k.robot.Manual.Outputs[e.Index].Name, "cure", "is its chip still there? dancer doctor looks")
}

// sayPort says what is wrong with a port, and what cures it.
func (k *keeper) sayPort(e *link.Event) {
	i := int(e.Index)
	name, device := k.robot.Source(i)
	args := []any{"port", name, "device", device, "state", link.PortState(e.Flags).String()}
	switch link.PortState(e.Flags) {
	case link.PortGone:
		args = append(args, "why", k.whyGone(i))
	case link.PortGarbled:
		args = append(args, "why", fmt.Sprintf("no good frame in %v at %d baud: is the baud rate right?", lookEvery, k.robot.Ports[i].Baud)) // a serial port: no other is looked at
		if e.Value >= 0 {
			args = append(args, "framing_errors", uint64(e.Value))
		}
		args = append(args, "cure", "write its device's rate as ports."+name+".baud")
	case link.PortStuck:
		args = append(args, "why", "it took nothing of what was written to it: is the device alive, and its cable whole?")
	case link.PortPassive:
		args = append(args, "why", canPassive, "cure", canCure(device))
	case link.PortOff:
		args = append(args, "why", canOff, "cure", canCure(device))
	}
	k.log.Warn("port", args...)
}

// whyGone says what a source that is gone means, and what brings it back.
func (k *keeper) whyGone(source int) string {
	bus := source - len(k.robot.Ports)
	onCAN := bus - len(k.robot.Buses) - len(k.robot.Joysticks)
	switch {
	case bus < 0:
		return "unplugged, or not there yet: its signals are invalid, and it is opened again by itself when it is plugged in"
	case bus < len(k.robot.Buses):
		return "a transfer does not return: its signals are invalid until it does; when it never does, cut the sensors' power for a second"
	case onCAN >= 0 && onCAN < len(k.robot.CANBuses):
		return "its interface is down, unplugged, or not there yet: its signals are invalid, and it is opened again by itself when it is up"
	}
	return "unplugged, or not there yet: its signals are invalid, and it is looked for by itself"
}

// sayLine says that the chip of a GPIO input went away, or that its line is read again.
func (k *keeper) sayLine(e *link.Event) {
	args := []any{"signal", k.robot.Manual.Signals[e.Index].Name, "pin", k.robot.Inputs[e.Index].Pin.Name, "state", link.PortState(e.Flags).String()}
	if link.PortState(e.Flags) == link.PortGone {
		args = append(args, "why", "its GPIO chip went away: the signal is invalid, and the chip is looked for by its label until it is back")
	}
	k.log.Warn("line", args...)
}

func latchWord(flags uint8) string {
	if flags == 1 {
		return "latched"
	}
	return "cleared"
}
