package spine

import (
	"errors"
	"math"
	"time"

	"dancer/hal"
	"dancer/hal/serial"
	"dancer/runtime/link"
)

// How a port is watched. A device that takes no byte of what waits for it for
// writePatience (longer on slow lines) is given up and opened again: a command that
// comes that late is none, and a USB adapter that hangs comes back that way. A port
// that brings bytes for lookEvery and not one good frame is told of: most often its
// baud rate is wrong.
const (
	writePatience = 500 * time.Millisecond
	lookEvery     = 3 * time.Second
	leastGarbage  = 32 // bytes in lookEvery; less is a boot message or a plug that is being pushed in
)

// writeBytes is how many bytes a slow line may send before the kernel has room again.
const writeBytes = 512

// lineCounter is what a stream can do that counts (hal/serial's Port does).
type lineCounter interface {
	Written() uint64
	LineErrors() (hal.LineErrors, bool)
}

// portWatch is what the loop remembers of one port.
type portWatch struct {
	counter  lineCounter   // nil: not watched
	patience time.Duration // of its writing
	stuckAt  time.Duration // when it is given up; never: nothing waits
	written  uint64        // bytes taken when that was set
	lookAt   time.Duration // when its frames are looked at
	frames   uint64        // then
	bytes    uint64
	line     hal.LineErrors // then, where counted
	counted  bool
	garbled  bool
}

// newPortWatch watches a port for what its stream can tell.
func newPortWatch(s stream, baud int) portWatch {
	counter, _ := s.(lineCounter)
	slow := time.Duration(writeBytes*10) * time.Second / time.Duration(max(baud, 1))
	return portWatch{counter: counter, patience: max(writePatience, slow), stuckAt: never, lookAt: never}
}

// begin starts to watch a port that was opened.
func (w *portWatch) begin(p *port, now time.Duration) {
	w.stuckAt, w.lookAt = never, never
	if w.counter == nil || !p.open {
		return
	}
	if p.framer != nil {
		w.mark(p, now)
	}
}

// mark remembers what the port has brought so far.
func (w *portWatch) mark(p *port, now time.Duration) {
	c := p.framer.Counters()
	w.lookAt, w.frames, w.bytes = now+lookEvery, c.Frames, c.Bytes
	w.line, w.counted = w.counter.LineErrors()
}

// end stops watching a port that is gone.
func (w *portWatch) end() { w.stuckAt, w.lookAt = never, never }

func (w *portWatch) due() time.Duration { return min(w.stuckAt, w.lookAt) }

// watchWaiting notes whether something waits for the device to take it.
func (w *portWatch) watchWaiting(pending bool, now time.Duration) {
	switch {
	case w.counter == nil:
	case !pending:
		w.stuckAt = never
	case w.stuckAt == never || w.counter.Written() != w.written:
		w.stuckAt, w.written = now+w.patience, w.counter.Written()
	}
}

// portsDue is when the next port is to be looked at.
func (l *loop) portsDue() time.Duration {
	due := never
	for i := range l.hardware.ports {
		p := &l.hardware.ports[i]
		if p.open {
			p.watch.watchWaiting(p.writing, l.core.status.Now)
			due = min(due, p.watch.due())
		}
	}
	return due
}

// lookAtPorts does what is due for them.
func (l *loop) lookAtPorts(now time.Duration) {
	for i := range l.hardware.ports {
		p := &l.hardware.ports[i]
		if p.open && now >= p.watch.stuckAt {
			l.portStuck(i, now)
		}
		if p.open && now >= p.watch.lookAt {
			l.lookAtFrames(i, now)
		}
	}
}

// portStuck gives a port up whose device takes nothing; once more bytes went through
// since, it is only slow.
func (l *loop) portStuck(i int, now time.Duration) {
	p := &l.hardware.ports[i]
	if p.watch.counter.Written() != p.watch.written || !p.stream.Pending() {
		p.watch.stuckAt = never
		return
	}
	l.losePort(i, now, link.PortStuck)
}

// lookAtFrames tells of a port that brings nothing but garbage, and when that is over.
// A device that has to be started and says nothing at all is started again: it may
// have been without power.
func (l *loop) lookAtFrames(i int, now time.Duration) {
	p := &l.hardware.ports[i]
	w := &p.watch
	c := p.framer.Counters()
	switch {
	case c.Frames != w.frames:
		if w.garbled {
			w.garbled = false
			l.tellPort(i, now, link.PortClear)
		}
	case c.Bytes == w.bytes:
		p.startDevice()
		l.hardware.watchWriting(i)
	case c.Bytes-w.bytes >= leastGarbage && !w.garbled:
		w.garbled = true
		l.tellGarbled(i, now)
	}
	w.mark(p, now)
	l.storePort(i)
}

// tellGarbled tells of it with the framing errors and breaks that the UART has counted
// since the last look; NaN where its driver does not count.
func (l *loop) tellGarbled(i int, now time.Duration) {
	e := link.Event{Kind: link.EventPort, Index: int32(i), Flags: uint8(link.PortGarbled), At: now, Cause: -1, Value: math.NaN()}
	w := &l.hardware.ports[i].watch
	if line, ok := w.counter.LineErrors(); ok && w.counted {
		e.Value = float64(line.Garbling(w.line))
	}
	l.storePort(i)
	l.core.tell(&e)
	l.keeper.note(&e, nil)
}

// startDevice tells a device that sends on request alone to begin. The line has its
// own slot behind those of the outputs.
func (p *port) startDevice() {
	if len(p.start) > 0 && p.open {
		_ = p.stream.Write(len(p.outputs), p.start) // a hang-up is told by epoll
	}
}

// prepareDevice keeps what such a device is told at the end, and starts it.
func (p *port) prepareDevice(stop []byte) error {
	if len(p.start) == 0 {
		return nil
	}
	if err := p.stream.SetSafe(len(p.outputs), stop); err != nil {
		return err
	}
	p.startDevice()
	return nil
}

// stopDevices ends what startDevice began, as far as the devices are there. It is
// apart from the outputs: a laser that turns on is no danger, and none that is gone
// makes an end unsafe.
func (h *hardware) stopDevices() {
	for i := range h.ports {
		if p := &h.ports[i]; p.open && len(p.start) > 0 && len(p.outputs) == 0 {
			_ = p.stream.Halt(haltBudget / 5)
		}
	}
}

// canWait says of an error at the start whether the robot can go on until the port
// comes: somebody may plug it in, let go of it, or be given the right to open it. Not
// so where outputs are driven through it, which nobody would know to be safe.
func canWait(err error) bool {
	return errors.Is(err, serial.ErrAbsent) || errors.Is(err, serial.ErrBusy) || errors.Is(err, serial.ErrPermission) || errors.Is(err, serial.ErrGone)
}
