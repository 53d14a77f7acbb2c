package spine

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/hal/serial"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// opener opens ports again, because that can block. While a port is gone it
// belongs to the opener, else to the loop.
type opener struct {
	wake     *link.Wake // of the opener's own goroutine; the loop pokes it
	wakeLoop func()
	backoff  serial.Backoff
	log      *slog.Logger
	ports    []lostPort
}

// reopener is what can be opened again, and may block meanwhile.
type reopener interface{ Reopen() error }

type lostPort struct {
	kind   string // "port" or, of a GPIO line, "signal"
	name   string
	device []byte // with a zero at its end; nil: it looks by itself
	stream reopener
	wanted atomic.Bool // from the loop: open it again
	opened atomic.Bool // to the loop: it is open

	trying   bool // the rest is the opener's own
	tries    int
	refusals int // in a row that left garbage behind, while the device was there
	next     time.Time
	refused  error // the newest
	told     string
}

// refusal is how a device that is there and does not open is tried again: soon, because
// udev gives it to its group a moment after it appears; then rarely, because an error
// that is made anew each time is garbage that nobody collects.
var refusal = serial.Backoff{Max: 10 * time.Second}

func newOpener(r *config.Robot, h *hardware, wakeLoop func(), log *slog.Logger) (*opener, error) {
	wake, err := link.NewPolledWake()
	if err != nil {
		return nil, err
	}
	o := &opener{wake: wake, wakeLoop: wakeLoop, log: log, ports: make([]lostPort, len(h.ports)+len(h.feeds)+len(h.inputs))}
	for i := range h.ports {
		o.ports[i].kind, o.ports[i].name = "port", r.Ports[i].Name
		o.ports[i].device = append([]byte(r.Ports[i].Device), 0)
		o.ports[i].stream = h.ports[i].stream
		o.ports[i].tell(h.ports[i].refused)
	}
	for i := range h.feeds {
		p := &o.ports[len(h.ports)+i]
		p.kind, p.name, p.stream, p.device = "port", r.Sources()[h.source(i)], h.feeds[i].feed, []byte("/dev/input\x00") // looked for by its name
		p.tell(h.feeds[i].refused)
		if i < len(r.Joysticks) && r.Joysticks[i].Device != "" {
			p.device = append([]byte(r.Joysticks[i].Device), 0)
		}
		if bus := i - len(r.Joysticks); bus >= 0 && bus < len(r.CANBuses) {
			p.device = canDevice(&r.CANBuses[bus])
		}
	}
	for i := range h.inputs {
		p, in := &o.ports[len(h.ports)+len(h.feeds)+i], &h.inputs[i]
		p.kind, p.name, p.stream = "signal", r.Manual.Signals[in.line.Signal()].Name, in.line
		p.tell(in.refused)
	}
	return o, nil
}

// tell remembers an error and says whether it is another one than the last.
func (p *lostPort) tell(err error) bool {
	if err == nil || err == p.refused {
		return false
	}
	p.refused = err
	if text := err.Error(); text != p.told {
		p.told = text
		return true
	}
	return false
}

// want asks for a port (loop).
func (o *opener) want(i int) {
	o.ports[i].wanted.Store(true)
	_ = o.wake.Signal() // a full counter wakes as well
}

// take says that a port is open again (loop).
func (o *opener) take(i int) bool { return o.ports[i].opened.Swap(false) }

// longestNap is how long the opener sleeps with nothing to do.
const longestNap = time.Hour

// run opens what is wanted until the context ends.
func (o *opener) run(ctx context.Context) {
	for {
		if _, err := o.wake.Wait(ctx, o.nap(time.Now())); err != nil {
			return
		}
		now := time.Now()
		for i := range o.ports {
			o.try(&o.ports[i], now)
		}
	}
}

func (o *opener) nap(now time.Time) time.Duration {
	nap := longestNap
	for i := range o.ports {
		if p := &o.ports[i]; p.trying {
			nap = min(nap, max(p.next.Sub(now), time.Millisecond))
		}
	}
	return nap
}

func (o *opener) try(p *lostPort, now time.Time) {
	if p.wanted.Swap(false) {
		p.trying, p.tries, p.refusals = true, 0, 0
		p.next = now.Add(o.backoff.Wait(0))
	}
	if !p.trying || now.Before(p.next) {
		return
	}
	p.tries++
	p.next = now.Add(o.backoff.Wait(p.tries))
	if p.device != nil && !p.exists() {
		p.refusals = 0
		return
	}
	if err := p.stream.Reopen(); err != nil {
		if err != p.refused { // made anew, not prepared
			p.next = now.Add(refusal.Wait(p.refusals))
			p.refusals++
		}
		if p.tell(err) {
			o.log.Warn(p.kind+" does not open again", p.kind, p.name, "error", err)
		}
		return
	}
	p.trying, p.refused, p.told = false, nil, ""
	p.opened.Store(true)
	o.wakeLoop()
}

// exists asks the kernel without an allocation: a device can be away for
// months, and nothing here is collected.
func (p *lostPort) exists() bool {
	folder := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_FACCESSAT, uintptr(folder), uintptr(unsafe.Pointer(&p.device[0])), unix.F_OK, 0, 0, 0)
	return errno == 0
}
