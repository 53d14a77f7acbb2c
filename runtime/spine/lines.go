package spine

import (
	"errors"
	"fmt"
	"time"

	"dancer/hal"
	"dancer/hal/gpio"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// line is what the loop needs of a GPIO input: hal/gpio's Input. No call blocks but
// Reopen, which the loop never calls.
type line interface {
	Fd() int
	Signal() int
	Level(at time.Duration) (hal.Reading, error)
	Read(dst []hal.Reading) (int, error)
	Lost() uint64
	TakeLost() uint64
	Reopen() error
	Close() error
}

// lineInput is one GPIO input in the loop. While it is not open it is the opener's.
type lineInput struct {
	line    line
	open    bool
	refused error // at the start
}

// lineGrace is how long a signal whose line is not there at the start is waited for,
// where it has no stale_after: a driver that loads late is no reason to latch.
const lineGrace = time.Second

// openInputs requests the lines of signals. One that cannot be had now, and can later,
// is no reason not to start: its signal is invalid, and rules that read it take their
// unsafe side.
func (h *hardware) openInputs(open openers) error {
	if open.line == nil {
		open.line = func(c gpio.InputConfig) line { return gpio.NewInput(c) }
	}
	var errs []error
	for i := range h.robot.Inputs {
		in := &h.robot.Inputs[i]
		if !in.HasPin {
			continue
		}
		l := lineInput{line: open.line(gpio.InputConfig{
			Line: gpioLine(in.Pin.Name, in.Pin.Chip, in.Pin.Offset, in.Pin.LineName), Signal: i,
			Pull: pulls[in.Pull], ActiveLow: !in.ActiveHigh, Debounce: h.robot.Manual.Signals[i].Debounce,
		})}
		l.refused = l.line.Reopen()
		l.open = l.refused == nil
		h.inputs = append(h.inputs, l)
		if l.open {
			continue
		}
		err := fmt.Errorf("open signal %s: %w", h.robot.Manual.Signals[i].Name, l.refused)
		if lineCanWait(in, l.refused) {
			h.absent = append(h.absent, err)
		} else {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var pulls = map[config.Pull]gpio.Pull{
	config.PullNone: gpio.PullDefault, config.PullUp: gpio.PullUp, config.PullDown: gpio.PullDown, config.PullOff: gpio.PullOff,
}

// lineCanWait says of an error at the start whether it can end while the robot runs:
// somebody may let go of the line, plug its chip in, or be given the right to open it.
// What only another file or kernel cures refuses the start.
func lineCanWait(in *config.Input, err error) bool {
	return errors.Is(err, gpio.ErrBusy) || errors.Is(err, gpio.ErrPermission) || errors.Is(err, gpio.ErrNoChip) || errors.Is(err, gpio.ErrGone) ||
		errors.Is(err, gpio.ErrNoLine) && in.Pin.Chip == "" // looked for by its name, on any chip
}

// outputError says of each error which output it is about: a line has one use.
func (h *hardware) outputError(err error) error {
	if all, joined := err.(interface{ Unwrap() []error }); joined {
		var errs []error
		for _, err := range all.Unwrap() {
			errs = append(errs, h.outputError(err))
		}
		return errors.Join(errs...)
	}
	var refused *gpio.Error
	if errors.As(err, &refused) {
		for i := range h.robot.Drives {
			p := &h.robot.Drives[i].Pin
			if h.robot.Drives[i].HasPin && gpioLine(p.Name, p.Chip, p.Offset, p.LineName).String() == refused.Line {
				return fmt.Errorf("open output %s: %w", h.robot.Manual.Outputs[i].Name, err)
			}
		}
	}
	return fmt.Errorf("open outputs: %w", err)
}

// levels takes the first reading of every GPIO input. One that went away meanwhile is
// not open.
func (h *hardware) levels(now time.Duration, take func(hal.Reading)) {
	for i := range h.inputs {
		in := &h.inputs[i]
		if !in.open {
			continue
		}
		r, err := in.line.Level(now)
		if err != nil {
			in.open = false
			continue
		}
		take(r)
	}
}

// openerOf is the place of a line in the opener, behind ports and feeds.
func (l *loop) openerOf(input int) int { return len(l.hardware.ports) + len(l.hardware.feeds) + input }

// beginLines asks for the lines that are not there at the start.
func (l *loop) beginLines(now time.Duration) {
	l.lineDue = never
	for i := range l.hardware.inputs {
		if !l.hardware.inputs[i].open {
			l.opener.want(l.openerOf(i))
			l.lineDue = now + lineGrace
		}
	}
}

// giveUpLines ends the wait for signals whose lines are not there: they are invalid. A
// signal with stale_after ends it by itself.
func (l *loop) giveUpLines(now time.Duration) {
	l.lineDue = never
	for i := range l.hardware.inputs {
		in := &l.hardware.inputs[i]
		if signal := in.line.Signal(); !in.open && l.core.table.Validity(signal) == hal.NeverSeen && l.core.signals[signal].StaleAfter == 0 {
			l.core.giveUp(signal, now)
		}
	}
	l.core.frame(now, now, 0)
}

// readInput takes the edges of one GPIO line, each a frame with the kernel's
// time stamp.
func (l *loop) readInput(i int, now time.Duration) {
	in := &l.hardware.inputs[i]
	if !in.open {
		return
	}
	n, err := in.line.Read(l.edges[:])
	if err != nil {
		l.lineGone(i, now)
		return
	}
	l.tellLost(in.line, now)
	l.takeEdges(l.edges[:n], now)
}

// tellLost tells of edges of a line that the kernel had no room for.
func (l *loop) tellLost(in line, now time.Duration) {
	more := in.TakeLost()
	if more == 0 {
		return
	}
	l.core.status.EdgesLost += more
	e := link.Event{Kind: link.EventEdges, Index: int32(in.Signal()), At: now, Cause: -1, Frame: in.Lost()}
	l.core.emit(&e)
	l.core.notes.note(&e, nil)
}

// takeEdges gives edges to the rules, each a frame with the kernel's time stamp.
func (l *loop) takeEdges(edges []hal.Reading, now time.Duration) {
	if len(edges) > 0 { // the oldest is what the loop woke for
		l.core.measured(link.LatencyWakeUp, now-edges[0].At)
	}
	for _, r := range edges {
		l.core.reading(r.Signal, r.Value, r.At)
		l.core.frame(max(now, r.At), r.At, 0)
	}
}

// lineGone gives a line whose chip went away to the opener. Its signal is invalid at
// once.
func (l *loop) lineGone(i int, now time.Duration) {
	in := &l.hardware.inputs[i]
	in.open = false
	l.poller.forget(in.line.Fd())
	l.core.invalidate(in.line.Signal(), now)
	l.noteLine(i, now, link.PortGone)
	l.opener.want(l.openerOf(i))
}

// lineBack takes a line from the opener. Edges that came before now are older than its
// level, and ignored.
func (l *loop) lineBack(i int, now time.Duration) {
	in := &l.hardware.inputs[i]
	if err := l.poller.watch(in.line.Fd(), tokenInput+i); err != nil {
		l.opener.want(l.openerOf(i))
		return
	}
	in.open = true
	r, err := in.line.Level(now)
	if err != nil {
		l.lineGone(i, now)
		return
	}
	l.core.reading(r.Signal, r.Value, r.At)
	l.core.frame(now, now, 0)
	l.noteLine(i, now, link.PortBack)
}

// noteLine is for the log alone: the brain hears of the signal.
func (l *loop) noteLine(i int, now time.Duration, state link.PortState) {
	e := link.Event{Kind: link.EventSignal, Index: int32(l.hardware.inputs[i].line.Signal()), Flags: uint8(state), At: now, Cause: -1}
	l.keeper.note(&e, nil)
}
