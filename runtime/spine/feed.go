package spine

import (
	"fmt"
	"time"

	"dancer/hal"
	"dancer/hal/evdev"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// feed is a device that brings readings of its own accord and takes nothing: a
// joystick, a CAN bus, or the socket that other programs post to. No call blocks
// but Reopen, which the loop never calls.
type feed interface {
	Fd() int
	// Level gives what is known without waiting for an event; a feed that knows nothing
	// until then gives nothing.
	Level(now time.Duration, report func(at time.Duration, readings []hal.Reading)) error
	// Read calls report once for each atomic update. An error means that the device is
	// gone.
	Read(report func(at time.Duration, readings []hal.Reading)) error
	Reopen() error
	Close() error
	Counters() hal.Counters
}

// input is one feed in the loop.
type input struct {
	feed    feed
	signals []int
	open    bool
	refused error     // at the start
	can     *canWatch // nil: no CAN bus
}

// openFeeds makes the feeds of a robot, in the order of config.Robot.Sources behind its
// ports. A device that is not there is no reason not to start: a robot without its
// joystick has invalid signals, and rules that read them fire.
func (h *hardware) openFeeds(cfg *Config, open openers) error {
	if cfg.DataDir == "" {
		return nil // it is only opened to make the outputs safe: see LeaveSafe
	}
	if open.joystick == nil {
		open.joystick = func(c evdev.Config) feed { return evdev.New(c) }
	}
	h.feeds = make([]input, 0, len(h.robot.Joysticks)+len(h.robot.CANBuses)+1)
	for i := range h.robot.Joysticks {
		in := input{feed: open.joystick(joystickConfig(h.robot, i)), signals: h.robot.FedBy(func(in *config.Input) bool {
			return in.Control != nil && in.Control.Joystick == i
		})}
		if !h.robot.Board.Simulated {
			in.refused = in.feed.Reopen() // then the opener tries
			in.open = in.refused == nil
		}
		if in.refused != nil {
			h.absent = append(h.absent, fmt.Errorf("open joystick %s: %w", h.robot.Joysticks[i].Name, in.refused))
		}
		h.feeds = append(h.feeds, in)
	}
	h.openCAN(open)
	posted := h.robot.FedBy(func(in *config.Input) bool { return in.Post })
	if len(posted) == 0 {
		return nil
	}
	socket, err := listenPost(cfg.DataDir, h.robot, newClock().now)
	if err != nil {
		return err
	}
	h.feeds = append(h.feeds, input{feed: socket, signals: posted, open: true})
	return nil
}

// source is the index of a feed among config.Robot.Sources, which is that of its
// counters in the segment.
func (h *hardware) source(feed int) int { return len(h.ports) + len(h.robot.Buses) + feed }

func joystickConfig(r *config.Robot, index int) evdev.Config {
	j := &r.Joysticks[index]
	c := evdev.Config{
		Path: j.Device, Name: j.DeviceName, Grab: j.Grab,
		DeadMan: j.DeadMan, HasDeadMan: j.HasDeadMan, Silence: j.StaleAfter,
	}
	for i := range r.Inputs {
		if k := r.Inputs[i].Control; k != nil && k.Joystick == index {
			c.Controls = append(c.Controls, evdev.Control{
				Signal: i, Axis: k.Axis, Code: k.Code, Invert: k.Invert, Minimum: k.Minimum, DeadZone: k.DeadZone,
			})
		}
	}
	return c
}

// beginFeeds takes the first readings and has what is missing looked for.
func (l *loop) beginFeeds(now time.Duration) {
	l.takeFed = func(at time.Duration, readings []hal.Reading) {
		for i := range readings {
			l.core.reading(readings[i].Signal, readings[i].Value, readings[i].At)
		}
		l.core.frame(max(l.fedAt, at), at, l.fedFrom)
		l.fedFrom++
	}
	for i := range l.hardware.feeds {
		in := &l.hardware.feeds[i]
		switch {
		case in.open:
			l.fedAt = now
			if err := in.feed.Level(now, l.takeFed); err != nil {
				l.feedGone(i, now)
			}
		case l.hardware.board == nil:
			l.wantFeed(i, now)
		}
		l.storeFeed(i)
	}
}

// readFeed takes what a device has.
func (l *loop) readFeed(i int, now time.Duration) {
	in := &l.hardware.feeds[i]
	if !in.open {
		return
	}
	l.fedAt, l.fedFrom = now, in.feed.Counters().Frames
	if err := in.feed.Read(l.takeFed); err != nil {
		l.feedGone(i, now)
		return
	}
	l.lookAtController(i, now)
	l.storeFeed(i)
}

// feedGone gives a device that is unplugged to the opener. Its signals are invalid at
// once.
func (l *loop) feedGone(i int, now time.Duration) {
	in := &l.hardware.feeds[i]
	in.open = false
	l.poller.forget(in.feed.Fd())
	for _, signal := range in.signals {
		l.core.invalidate(signal, now)
	}
	l.wantFeed(i, now)
}

func (l *loop) wantFeed(i int, now time.Duration) {
	l.tellFeed(i, now, link.PortGone)
	l.opener.want(len(l.hardware.ports) + i)
}

func (l *loop) feedBack(i int, now time.Duration) {
	in := &l.hardware.feeds[i]
	if err := l.poller.watch(in.feed.Fd(), tokenFeed+i); err != nil {
		l.opener.want(len(l.hardware.ports) + i)
		return
	}
	in.open = true
	in.can.begin()
	l.tellFeed(i, now, link.PortBack)
	l.fedAt = now
	if err := in.feed.Level(now, l.takeFed); err != nil {
		l.feedGone(i, now)
	}
}

func (l *loop) tellFeed(i int, now time.Duration, state link.PortState) {
	l.storeFeed(i)
	e := link.Event{Kind: link.EventPort, Index: int32(l.hardware.source(i)), Flags: uint8(state), At: now, Cause: -1}
	l.core.tell(&e)
	l.keeper.note(&e, nil)
}

func (l *loop) storeFeed(i int) {
	in := &l.hardware.feeds[i]
	c := in.feed.Counters()
	l.core.segment.StorePort(l.hardware.source(i), link.Port{
		Frames: c.Frames, Bytes: c.Bytes, Errors: c.Errors, Dropped: c.Dropped, Open: in.open || l.hardware.board != nil,
	})
}
