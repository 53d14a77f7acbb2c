package spine

import (
	"fmt"
	"time"

	"dancer/hal/can"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// controller is what a CAN bus can tell beside its frames.
type controller interface{ State() can.State }

// canWatch is what the loop remembers of a CAN bus's controller.
type canWatch struct {
	controller controller
	state      can.State // at the last look
	told       can.State
	toldAt     time.Duration
}

// canQuiet is how long a controller must not have been told of until it is told that it
// is better again.
const canQuiet = time.Second

// begin starts to watch a bus that was opened; nil: it is none.
func (w *canWatch) begin() {
	if w != nil {
		w.state, w.told = can.Active, can.Active
	}
}

// openCAN makes the CAN buses, behind the joysticks. As with those, one that is not there
// is no reason not to start.
func (h *hardware) openCAN(open openers) {
	for i := range h.robot.CANBuses {
		b := &h.robot.CANBuses[i]
		in := input{
			feed:    newCAN(open, can.Config{Interface: b.Interface, Messages: b.Messages, Clock: newClock().now}),
			signals: h.robot.FedBy(func(in *config.Input) bool { return in.CAN != nil && in.CAN.Bus == i }),
		}
		if c, is := in.feed.(controller); is {
			in.can = &canWatch{controller: c}
		}
		if !h.robot.Board.Simulated {
			in.refused = in.feed.Reopen() // then the opener tries
			in.open = in.refused == nil
		}
		if in.refused != nil {
			h.absent = append(h.absent, fmt.Errorf("open CAN bus %s: %w", b.Name, in.refused))
		}
		h.feeds = append(h.feeds, in)
	}
}

func newCAN(open openers, c can.Config) feed {
	if open.can != nil {
		return open.can(c)
	}
	return can.New(c)
}

// canDevice is the file by which the opener sees that an interface is there, with a zero
// at its end.
func canDevice(b *config.CANBus) []byte { return []byte("/sys/class/net/" + b.Interface + "\x00") }

// lookAtController gives up what was read before where a CAN controller got worse: the
// frame that would have said otherwise may be among those that were lost. And it tells of
// its state.
func (l *loop) lookAtController(i int, now time.Duration) {
	in := &l.hardware.feeds[i]
	if in.can == nil || !in.open {
		return
	}
	w, state := in.can, in.can.controller.State()
	if state != w.state && state != can.Active {
		for _, signal := range in.signals {
			l.core.invalidate(signal, now)
		}
	}
	w.state = state
	switch {
	case state == w.told:
	case state < w.told && now-w.toldAt < canQuiet: // a loose wire is told of once a second
		if l.canDue == 0 || w.toldAt+canQuiet < l.canDue {
			l.canDue = w.toldAt + canQuiet
		}
	default:
		w.told, w.toldAt = state, now
		l.tellFeed(i, now, [...]link.PortState{can.Active: link.PortClear, can.Passive: link.PortPassive, can.Off: link.PortOff}[state])
	}
}

// lookAtControllers tells what was kept back.
func (l *loop) lookAtControllers(now time.Duration) {
	l.canDue = 0
	for i := range l.hardware.feeds {
		l.lookAtController(i, now)
	}
}

// What the log says of a controller that counts errors (bad-hardware.md).
const (
	canPassive = "its controller counts over 127 errors: its signals are invalid until their next frames come"
	canOff     = "its controller has left the bus after over 255 errors: its signals are invalid until it is restarted"
)

func canCure(device string) string {
	return "check bit rate, wiring and both terminators: ip -details -statistics link show " + device +
		"; to have it restarted by itself: sudo ip link set " + device + " type can restart-ms 100, while it is down"
}
