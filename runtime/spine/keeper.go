package spine

import (
	"context"
	"log/slog"
	"math/bits"
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
	wake    *link.Wake

	ring  [noteCapacity]note
	head  atomic.Uint64 // loop
	tail  atomic.Uint64 // keeper
	lost  atomic.Uint64
	bits  []atomic.Uint64 // latched rules
	moved atomic.Bool     // bits differ from the file

	ready   bool // loop: something to do since the last poke
	allowed int  // keeper: lines left in this window
	window  time.Time
	hidden  int
}

// logWindow and logLines bound the log: the spine has no garbage collection, so
// a fault that repeats must not talk it to death.
const (
	logWindow = 10 * time.Second
	logLines  = 30
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

// remember sets the latches of the last run, before the loop starts.
func (k *keeper) remember(rules []int) {
	for _, rule := range rules {
		k.latched(rule, true)
	}
}

// poke wakes the keeper if there is something to do (loop).
func (k *keeper) poke() {
	if k.ready {
		k.ready = false
		_ = k.wake.Signal() // a full counter wakes as well
	}
}

// run works until the context ends, then does what is left.
func (k *keeper) run(ctx context.Context) {
	for {
		_, err := k.wake.Wait(ctx, longestNap)
		k.work()
		if err != nil {
			return
		}
	}
}

func (k *keeper) work() {
	if k.moved.Swap(false) {
		if err := k.latches.write(k.latchedRules()); err != nil {
			k.moved.Store(true) // tried again at the next wake-up
			k.log.Error("latches are not stored: a restart would lose them", "error", err)
		}
	}
	for k.tail.Load() != k.head.Load() {
		n := &k.ring[k.tail.Load()%noteCapacity]
		k.say(n)
		k.tail.Add(1)
	}
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
	if k.allowed == 0 {
		k.hidden++
		return
	}
	k.allowed--
	e := &n.event
	switch e.Kind {
	case link.EventMode:
		k.log.Info("mode", "mode", link.Mode(e.Flags).String(), "why", link.Reason(e.Cause).String(), "by", string(n.by[:n.byLength]))
	case link.EventLease:
		k.log.Info("lease", "lease", link.LeaseState(e.Flags).String(), "why", link.Reason(e.Cause).String())
	case link.EventLatch:
		k.log.Warn("latch", "reflex", k.robot.Manual.Rules[e.Index].Name, "state", latchWord(e.Flags))
	case link.EventPort:
		k.log.Warn("port", "port", k.robot.Ports[e.Index].Name, "device", k.robot.Ports[e.Index].Device, "state", portWord(e.Flags))
	case link.EventOverrun:
		k.log.Warn("overrun", "late", e.Latency, "count", e.Frame)
	}
}

func latchWord(flags uint8) string {
	if flags == 1 {
		return "latched"
	}
	return "cleared"
}

func portWord(flags uint8) string {
	if flags == 1 {
		return "back"
	}
	return "gone"
}
