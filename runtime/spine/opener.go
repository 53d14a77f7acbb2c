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
	name   string
	device []byte // with a zero at its end
	stream reopener
	wanted atomic.Bool // from the loop: open it again
	opened atomic.Bool // to the loop: it is open

	trying bool // the rest is the opener's own
	tries  int
	next   time.Time
	told   string
}

func newOpener(r *config.Robot, h *hardware, wakeLoop func(), log *slog.Logger) (*opener, error) {
	wake, err := link.NewPolledWake()
	if err != nil {
		return nil, err
	}
	o := &opener{wake: wake, wakeLoop: wakeLoop, log: log, ports: make([]lostPort, len(h.ports)+len(h.feeds))}
	for i := range h.ports {
		o.ports[i].name = r.Ports[i].Name
		o.ports[i].device = append([]byte(r.Ports[i].Device), 0)
		o.ports[i].stream = h.ports[i].stream
	}
	for i := range h.feeds {
		p := &o.ports[len(h.ports)+i]
		p.name, p.stream, p.device = r.Sources()[h.source(i)], h.feeds[i].feed, []byte("/dev/input\x00") // looked for by its name
		if i < len(r.Joysticks) && r.Joysticks[i].Device != "" {
			p.device = append([]byte(r.Joysticks[i].Device), 0)
		}
	}
	return o, nil
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
		p.trying, p.tries, p.told = true, 0, ""
		p.next = now.Add(o.backoff.Wait(0))
	}
	if !p.trying || now.Before(p.next) {
		return
	}
	p.tries++
	p.next = now.Add(o.backoff.Wait(p.tries))
	if !p.exists() {
		return
	}
	if err := p.stream.Reopen(); err != nil {
		if text := err.Error(); text != p.told {
			p.told = text
			o.log.Warn("port does not open again", "port", p.name, "error", err)
		}
		return
	}
	p.trying = false
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
