package spine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dancer/hal/i2c"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// busLook is how often the loop looks whether a transfer of a bus hangs, where there
// are buses: a signal on one is invalid at the latest so long after i2c.StuckAfter,
// or sooner by its stale_after.
const busLook = i2c.StuckAfter / 2

// busFrames bounds what one wake-up takes from one bus; it is what its ring holds.
const busFrames = 64

// bus is one I2C bus in the loop. Its transfers wait in the kernel, so they run in a
// goroutine of the poller; the loop takes frames from a ring.
type bus struct {
	poller  *i2c.Poller
	signals [][][]int // of each device, of each of its fields
	stuck   bool      // a transfer hangs: all its signals are invalid
}

// openBuses makes the pollers. None of them opens its bus: that can wait, and a robot
// goes on without a sensor.
func (h *hardware) openBuses(open openers, log *slog.Logger) error {
	h.buses = make([]bus, len(h.robot.Buses))
	if h.robot.Board.Simulated {
		return nil
	}
	for i := range h.buses {
		b, r := &h.buses[i], &h.robot.Buses[i]
		b.signals = busSignals(h.robot, i)
		poller, err := i2c.NewPoller(i2c.Config{
			Bus: r.Device, Devices: r.Devices, Now: link.Now, Open: open.bus,
			Report: func(device int, err error) { tellBus(log, r, device, err) },
		})
		if err != nil {
			return fmt.Errorf("open bus %s: %w", r.Device, err)
		}
		b.poller = poller
	}
	return nil
}

// busSignals gives the signals that each field of each device feeds.
func busSignals(r *config.Robot, index int) [][][]int {
	all := make([][][]int, len(r.Buses[index].Devices))
	for d := range all {
		all[d] = make([][]int, len(r.Buses[index].Devices[d].Used))
	}
	for i := range r.Inputs {
		if c := r.Inputs[i].Chip; c != nil && c.Bus == index {
			all[c.Device][c.Field] = append(all[c.Device][c.Field], i)
		}
	}
	return all
}

// tellBus logs, on the poller's goroutine.
func tellBus(log *slog.Logger, b *config.Bus, device int, err error) {
	name := b.Device
	if device >= 0 {
		name = b.Devices[device].Name
	}
	if err != nil {
		log.Warn("i2c does not answer: its signals are invalid", "device", name, "error", err)
		return
	}
	log.Info("i2c answers again", "device", name)
}

// pollBuses starts the pollers' goroutines. They are not waited for at the end: one
// may hang in the kernel, and the last word on the outputs must not.
func (r *running) pollBuses(ctx context.Context, failure *fault) {
	for i := range r.hardware.buses {
		if p := r.hardware.buses[i].poller; p != nil {
			go func() {
				r.place.leave() // a controller without interrupts spins
				failure.guard(r.safe, func() { p.Run(ctx) })
			}()
		}
	}
}

// closeBuses ends the pollers, all at once: each may wait a second for a transfer. One
// that does not come back ends with the process.
func (h *hardware) closeBuses() error {
	errs := make([]error, len(h.buses))
	var group sync.WaitGroup
	for i := range h.buses {
		if p := h.buses[i].poller; p != nil {
			group.Go(func() { errs[i] = p.Close() })
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

// registerBuses watches the buses' descriptors.
func (l *loop) registerBuses() error {
	l.busDue = never
	for i := range l.hardware.buses {
		l.storeBus(i)
		p := l.hardware.buses[i].poller
		if p == nil {
			continue
		}
		if err := l.poller.watchEdges(p.Fd(), tokenBus+i); err != nil {
			return err
		}
		l.busDue = 0
	}
	return nil
}

// readBus takes what a bus has brought, each poll of a device a frame of its own. A
// reading that took so long that the bus was given up meanwhile is none.
func (l *loop) readBus(i int, now time.Duration) {
	b := &l.hardware.buses[i]
	for range busFrames {
		if !b.poller.Next(&l.busFrame) {
			break
		}
		f := &l.busFrame
		if b.stuck && !f.Lost {
			b.stuck = false
			l.tellBus(i, now, link.PortBack)
		}
		lost := f.Lost || now-f.At >= i2c.StuckAfter
		for field, signals := range b.signals[f.Device] {
			for _, signal := range signals {
				if lost {
					l.core.invalidate(signal, now)
				} else {
					l.core.reading(signal, f.Values[field], f.At)
				}
			}
		}
		l.core.frame(max(now, f.At), f.At, b.poller.Counters().Frames)
	}
	l.storeBus(i)
}

// lookAtBuses gives up the signals of a bus on which a transfer hangs.
func (l *loop) lookAtBuses(now time.Duration) {
	l.busDue = now + busLook
	for i := range l.hardware.buses {
		b := &l.hardware.buses[i]
		if b.poller == nil || b.stuck || !b.poller.Stuck(now) {
			continue
		}
		b.stuck = true
		for _, device := range b.signals {
			for _, signals := range device {
				for _, signal := range signals {
					l.core.invalidate(signal, now)
				}
			}
		}
		l.core.frame(now, now, 0)
		l.tellBus(i, now, link.PortGone)
	}
}

// storeBus publishes a bus's counters, behind those of the ports.
func (l *loop) storeBus(i int) {
	b := &l.hardware.buses[i]
	s := link.Port{Open: !b.stuck}
	if b.poller != nil {
		c := b.poller.Counters()
		s.Frames, s.Bytes, s.Errors, s.Dropped = c.Frames, c.Bytes, c.Errors, c.Dropped
	}
	l.core.segment.StorePort(len(l.hardware.ports)+i, s)
}

func (l *loop) tellBus(i int, now time.Duration, state link.PortState) {
	l.storeBus(i)
	e := link.Event{Kind: link.EventPort, Index: int32(len(l.hardware.ports) + i), Flags: uint8(state), At: now, Cause: -1}
	l.core.tell(&e)
	l.keeper.note(&e, nil)
}

// logBuses leaves the counters in the log at the end of a run.
func (r *running) logBuses() {
	for i := range r.hardware.buses {
		if p := r.hardware.buses[i].poller; p != nil {
			c := p.Counters()
			r.cfg.Log.Info("i2c bus", "bus", r.cfg.Robot.Buses[i].Device, "readings", c.Frames, "transfers", c.Transfers, "errors", c.Errors, "timeouts", c.Timeouts)
		}
	}
}
