package spine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal/watchdog"
	"dancer/runtime/link"
)

// The window of a watchdog, as parts of its time-out. The loop beats every quarter
// of the shortest one, so that two beats in a row may fail. A watchdog is never
// fed sooner than an eighth after the last time, however fast the loop turns, and
// never for a beat that is older than a half: what was alive then may be dead now.
const (
	beatPart  = 4
	earlyPart = 8
	stalePart = 2
)

// feedFailures in a row of the hardware watchdog end the run: the machine is
// about to reset, and its outputs had better be safe before.
const feedFailures = 2

// notifyAgain is how long a message waits that the service manager had no room for.
const notifyAgain = 50 * time.Millisecond

// watch is one watchdog with its window.
type watch struct {
	timeout time.Duration // 0: nobody watches
	last    time.Duration // fed, CLOCK_MONOTONIC
	fed     uint64
	early   uint64 // beats that found the window not open yet
	stale   uint64 // beats that came too late to be passed on
}

// open says whether a beat of a moment may be passed on now, and counts.
func (w *watch) open(now, beat time.Duration) bool {
	switch {
	case w.timeout == 0:
		return false
	case now-beat > w.timeout/stalePart:
		w.stale++
		return false
	case w.fed > 0 && now-w.last < w.timeout/earlyPart:
		w.early++
		return false
	}
	return true
}

func (w *watch) took(now time.Duration) { w.last, w.fed = now, w.fed+1 }

// hardwareDog is what the feeder needs of hal/watchdog.
type hardwareDog interface {
	Facts() watchdog.Facts
	Feed() error
	Disarm() error
	Abandon() error
}

// feeder passes the heart's beats on to systemd and to the hardware watchdog, and
// the robot's state to systemd. It has no timer that feeds: without a new beat it
// says nothing. It allocates nothing while all is well.
type feeder struct {
	heart   *heart
	clock   func() time.Duration
	latches func() int
	log     *slog.Logger

	system   watch
	notifier *notifier // nil: no service manager
	device   watch
	dog      hardwareDog // nil: none

	readyAsked, stopAsked, endAsked atomic.Bool

	ready, stopped bool // told
	told           string
	status         uint64 // vitals told
	latched        int    // told
	beats          uint64 // passed on, or found too old
	flaws          uint64
	failures       int // of the hardware watchdog, in a row
	again          bool
	set            [1]unix.PollFd
	drained        [link.WakeBuffer]byte
}

func newFeeder(h *heart, clock func() time.Duration, latches func() int, log *slog.Logger) *feeder {
	f := &feeder{heart: h, clock: clock, latches: latches, log: log, latched: -1}
	f.set[0] = unix.PollFd{Fd: int32(h.wake.FD()), Events: unix.POLLIN}
	return f
}

// watchService lets the service manager hear of the robot.
func (f *feeder) watchService(n Notify) (err error) {
	if n.Socket == "" {
		return nil
	}
	if f.notifier, err = newNotifier(n.Socket); err != nil {
		return err
	}
	f.system.timeout = n.Watchdog
	return nil
}

// watchHardware takes an armed watchdog.
func (f *feeder) watchHardware(d hardwareDog) {
	facts := d.Facts()
	f.dog, f.device.timeout = d, facts.Timeout
	f.log.Info("hardware watchdog armed", "device", facts.Device, "identity", facts.Identity, "timeout", facts.Timeout,
		"pretimeout", facts.Pretimeout, "left", facts.Left, "boot_status", facts.BootStatus)
	for _, w := range facts.Warnings() {
		f.log.Warn("hardware watchdog", "device", facts.Device, "note", w)
	}
}

// period is how often the loop has to beat, never if nobody watches.
func (f *feeder) period() time.Duration {
	period := never
	for _, w := range []*watch{&f.system, &f.device} {
		if w.timeout > 0 {
			period = min(period, w.timeout/beatPart)
		}
	}
	return period
}

// reflexesArmed, stopping and end say how far the run has come. They may be
// called from any goroutine.
func (f *feeder) reflexesArmed() { f.ask(&f.readyAsked) }
func (f *feeder) stopping()      { f.ask(&f.stopAsked) }
func (f *feeder) end()           { f.ask(&f.endAsked) }

func (f *feeder) ask(what *atomic.Bool) {
	what.Store(true)
	_ = f.heart.wake.Signal() // a full counter wakes as well
}

// run works until it is asked to end. An error means that the hardware watchdog
// cannot be fed any more.
func (f *feeder) run() error {
	for {
		f.wait()
		ending := f.endAsked.Load()
		err := f.work(f.clock())
		if ending || err != nil {
			return err
		}
	}
}

// wait blocks until the heart has something to say.
func (f *feeder) wait() {
	milliseconds := -1
	if f.again {
		milliseconds = int(notifyAgain / time.Millisecond)
	}
	if n, _ := unix.Poll(f.set[:], milliseconds); n > 0 { // an interruption is an early look
		_ = f.heart.wake.Drain(f.drained[:])
	}
}

func (f *feeder) work(now time.Duration) error {
	beats := f.heart.beats.Load()
	at := time.Duration(f.heart.at.Load())
	beat := beats != f.beats
	f.beats = beats
	if flaws := f.heart.flaws.Load(); flaws != f.flaws {
		f.flaws = flaws
		f.log.Error("the rules' state is damaged: the watchdogs are not fed, so that the spine is started again", "cycles", flaws)
	}
	err := f.feedDevice(now, at, beat)
	f.notify(now, at, beat)
	return err
}

func (f *feeder) feedDevice(now, at time.Duration, beat bool) error {
	if f.dog == nil || !beat || !f.device.open(now, at) {
		return nil
	}
	err := f.dog.Feed()
	if err == nil {
		f.device.took(now)
		f.failures = 0
		return nil
	}
	f.log.Error("hardware watchdog is not fed: the machine is about to reset", "error", err)
	if f.failures++; f.failures < feedFailures {
		return nil
	}
	return fmt.Errorf("%w: it resets the machine unless a new start can feed it", err)
}

// notify sends one message with all that there is to say.
func (f *feeder) notify(now, at time.Duration, beat bool) {
	if f.notifier == nil {
		return
	}
	line := f.notifier.line[:0]
	ready, stop := f.readyAsked.Load() && !f.ready, f.stopAsked.Load() && !f.stopped
	if ready {
		line = append(line, "READY=1\n"...)
	}
	if stop {
		line = append(line, "STOPPING=1\n"...)
	}
	status, latched := f.heart.vitals.Load(), f.latches()
	if status != f.status || latched != f.latched || ready {
		line = unpackVitals(status).append(line, latched)
	}
	fed := beat && f.system.open(now, at)
	if fed {
		line = append(line, "WATCHDOG=1\n"...)
	}
	if f.again = false; len(line) == 0 {
		return
	}
	if err := f.notifier.send(line); err != nil {
		f.unsent(err)
		return
	}
	f.ready, f.stopped, f.status, f.latched = f.ready || ready, f.stopped || stop, status, latched
	if fed {
		f.system.took(now)
	}
}

// unsent tries again soon where the service manager was too busy; a beat is not
// kept for that, the next one comes.
func (f *feeder) unsent(err error) {
	f.again = true
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || err.Error() == f.told {
		return
	}
	f.told = err.Error()
	f.log.Warn("the service manager cannot be told", "error", err)
}

// close gives the watchdogs back. The hardware's is turned off only after an end
// that is known to be safe; else it goes on, and resets the machine unless the
// next start of the spine takes it over.
func (f *feeder) close(safe bool) error {
	var errs []error
	if f.notifier != nil {
		errs = append(errs, f.notifier.close())
		f.notifier = nil
	}
	if f.dog == nil {
		return errors.Join(errs...)
	}
	if safe {
		errs = append(errs, f.dog.Disarm())
	} else {
		f.log.Error("hardware watchdog is left running: it resets the machine unless the robot is started again in time",
			"device", f.dog.Facts().Device, "timeout", f.device.timeout)
		errs = append(errs, f.dog.Abandon())
	}
	f.dog = nil
	return errors.Join(errs...)
}
