package spine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"dancer/hal/watchdog"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/runtime/privilege"
)

// Config of a run. Robot and DataDir must be given.
type Config struct {
	Robot   *config.Robot
	DataDir string // made if it is not there; one spine at a time
	RunDir  string // where a link NAME.sock to the control socket is left; "": nowhere

	// BrainCommand makes the command that starts the brain, anew for each start.
	// The spine adds descriptors 3 to 6 (see link.Inherit), a process group of
	// its own and the death signal. nil: no brain, reflexes alone.
	BrainCommand func() *exec.Cmd

	DryRun   bool          // everything is decided and nothing driven
	Scenario string        // board sim: file that replaces the robot's own
	Seed     uint64        // board sim: of the noise
	For      time.Duration // the run stops by itself after this; 0: never

	// OwnBrainUser gives the brain a folder of its own (see BrainFolder), and where
	// the spine is root a user of its own: its environment names the user that it has
	// to become (see package privilege). Without it the brain stays who we are.
	OwnBrainUser bool

	// Dedicated says that the process exists for the spine alone: garbage
	// collection is turned off, memory locked and the loop's thread made real time.
	// Without it the loop runs as any other thread, as tests want it.
	Dedicated bool

	Log    *slog.Logger // default: discarded
	Stderr io.Writer    // where the last word on the outputs goes; default os.Stderr

	// Notify is how the service manager hears of the spine. The hardware watchdog is
	// Robot.Watchdog; on board sim and in a dry run it is left alone.
	Notify Notify

	// Ready is called once, when the reflexes are armed and the control socket
	// answers. nil: not.
	Ready func()

	patience *patience // tests
	openers  *openers  // tests and measurements

	hardwareWatchdog func(watchdog.Config) (hardwareDog, error) // tests; default watchdog.Open
}

// Report tells what a run did.
type Report struct {
	Cycles      uint64  // times the rules were asked
	Fired       uint64  // reflexes fired
	Frames      uint64  // frames read from ports
	Overruns    uint64  // deadlines met more than 1 ms late
	Discarded   uint64  // commands of the brain that moved nothing
	BrainStarts uint64  // how often the brain was started
	EventsLost  uint64  // events that found the ring to the brain full
	Latency     Latency // of reflexes, input time stamp to output write
	WakeUp      Latency // of the loop: how late it woke for deadlines and edges
	RealTime    bool    // the loop had SCHED_FIFO
}

// ErrOutputs is wrapped by Run's error when not every output is known to be at
// its safe value at the end.
var ErrOutputs = errors.New("not all outputs are known to be safe")

// Run runs a robot until the context ends or the time is over. Outputs are at
// their safe values before anything else is done and when it returns, also
// after an error or a panic. The error is nil after an orderly stop.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Stderr == nil {
		cfg.Stderr = os.Stderr
	}
	if err := checkCommand(cfg.BrainCommand); err != nil {
		return report, err
	}
	if cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	r, err := open(&cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.run(ctx)
}

// running is everything that one run holds.
type running struct {
	cfg      *Config
	lock     *folderLock
	hardware *hardware
	ends     *link.Ends
	keeper   *keeper
	opener   *opener
	feeder   *feeder
	poller   *poller
	inbox    *link.Wake
	control  *controlSocket
	loop     *loop
	heritage heritage
	place    *oneProcessor
	user     *privilege.User // of the brain; nil: our own
	closers  []func() error  // in the order of opening
}

// open takes everything a run needs. On an error nothing stays open.
func open(cfg *Config) (*running, error) {
	r := &running{cfg: cfg, place: newOneProcessor(cfg.Log)}
	if err := r.open(); err != nil {
		if r.hardware != nil {
			err = errors.Join(err, r.hardware.halt()) // the devices have taken their safe values, or it is told
		}
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *running) open() error {
	folder := r.openFolder()
	if errors.Is(folder, ErrFolderInUse) {
		return folder // the robot is in good hands
	}
	// Whatever is wrong with the disk, the outputs are made safe before it is told.
	if err := errors.Join(r.openDevices(), folder); err != nil {
		return err
	}
	if err := r.openLoop(); err != nil {
		return err
	}
	if err := r.openControl(); err != nil {
		return err
	}
	return r.openWatchdogs()
}

func (r *running) opened(undo func() error) { r.closers = append(r.closers, undo) }

func (r *running) openFolder() (err error) {
	if err := os.MkdirAll(r.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if r.lock, err = lockFolder(r.cfg.DataDir); err != nil {
		return err
	}
	r.opened(r.lock.close)
	if !r.cfg.OwnBrainUser {
		return nil
	}
	if r.user, err = settleBrain(r.cfg.DataDir, r.cfg.Log); err == nil && r.user != nil {
		r.opened(func() error {
			if err := giveBack(r.cfg.DataDir); err != nil { // nothing is lost, and the next start says what to do
				r.cfg.Log.Warn("records stay with the brain's user", "error", err)
			}
			return nil
		})
	}
	return err
}

func (r *running) openDevices() (err error) {
	how := defaultOpeners()
	if r.cfg.openers != nil {
		how = *r.cfg.openers
	}
	if r.hardware, err = openHardware(r.cfg.Robot, r.cfg, how); err != nil {
		return err
	}
	r.opened(r.hardware.close)
	for _, err := range r.hardware.absent {
		r.cfg.Log.Warn("the robot starts without this: its signals are invalid until it comes", "error", err)
	}
	return nil
}

func (r *running) openLoop() (err error) {
	if r.ends, err = link.NewEnds(Layout(r.cfg.Robot)); err != nil {
		return err
	}
	r.opened(r.ends.Close)
	r.ends.Segment.Prefault()
	if r.inbox, err = link.NewWake(); err != nil {
		return err
	}
	r.opened(r.inbox.Close)
	if r.poller, err = newPoller(); err != nil {
		return err
	}
	r.opened(r.poller.close)
	latches := newLatchFile(filepath.Join(r.cfg.DataDir, LatchFile), r.cfg.Robot.Manual)
	if r.keeper, err = newKeeper(r.cfg.Robot, latches, r.cfg.Log); err != nil {
		return err
	}
	r.opened(r.keeper.wake.Close)
	if r.opener, err = newOpener(r.cfg.Robot, r.hardware, r.wakeLoop, r.cfg.Log); err != nil {
		return err
	}
	r.opened(r.opener.wake.Close)
	heart, err := newHeart()
	if err != nil {
		return err
	}
	r.opened(heart.wake.Close)
	clock := newClock()
	r.feeder = newFeeder(heart, clock.now, r.keeper.latchCount, r.cfg.Log)
	c, err := newCore(r.cfg.Robot, r.ends.Segment, r.hardware, notes{r.keeper, heart}, clock.now)
	if err != nil {
		return err
	}
	c.status.DryRun = r.cfg.DryRun
	r.heritage = inherit(latches, r.cfg.Robot, thisBoot(), r.cfg.Log)
	r.keeper.remember(&r.heritage)
	r.keeper.prepare()
	c.autostart = c.autostart && r.heritage.autostart
	r.loop = &loop{
		core: c, hardware: r.hardware, poller: r.poller, ends: r.ends, keeper: r.keeper, heart: heart, opener: r.opener,
		brain: brainWatch{pid: -1}, clock: clock, inbox: r.inbox, safeNow: make(chan struct{}),
	}
	return nil
}

func (r *running) openControl() (err error) {
	if r.control, err = listenControl(r.cfg.DataDir); err != nil {
		return err
	}
	r.loop.control = r.control
	r.opened(r.control.close)
	if r.cfg.RunDir == "" {
		return nil
	}
	name := filepath.Join(r.cfg.RunDir, r.cfg.Robot.Name+".sock")
	if err := leaveLink(name, r.control.path); err != nil {
		// The robot is as safe without it; `dancer stop` then needs --data.
		r.cfg.Log.Warn("control socket has no link in the run folder", "error", err)
		return nil
	}
	r.opened(func() error { return removeLink(name, r.control.path) })
	return nil
}

// openWatchdogs comes last: whoever arms a watchdog has to be able to feed it.
func (r *running) openWatchdogs() error {
	if err := r.feeder.watchService(r.cfg.Notify); err != nil {
		r.cfg.Log.Warn("the service manager will not hear of the robot", "error", err)
	}
	r.opened(func() error { return r.feeder.close(false) }) // nothing is left to close after an orderly end
	w := r.cfg.Robot.Watchdog
	switch {
	case w.Device == "":
		return nil
	case r.cfg.Robot.Board.Simulated, r.cfg.DryRun:
		r.cfg.Log.Info("hardware watchdog is left alone: this run drives no hardware", "device", w.Device)
		return nil
	}
	arm := r.cfg.hardwareWatchdog
	if arm == nil {
		arm = func(c watchdog.Config) (hardwareDog, error) { return watchdog.Open(c) }
	}
	dog, err := arm(watchdog.Config{Device: w.Device, Timeout: w.Timeout, Pretimeout: w.Pretimeout})
	if err != nil {
		return err
	}
	r.feeder.watchHardware(dog)
	if dog.Facts().Reset && !r.heritage.record.ResetTold {
		r.heritage.told = append(r.heritage.told, link.RestartWatchdog)
		r.keeper.toldReset()
		r.cfg.Log.Error("start", "why", link.RestartWatchdog.String(), "device", w.Device)
	}
	return nil
}

// wakeLoop tells the loop that something is in its inbox.
func (r *running) wakeLoop() { _ = r.inbox.Signal() }

// close gives everything back, the newest first.
func (r *running) close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// run starts the goroutines, waits for the end, and joins them: the loop drives
// safe first, then the brain is ended, then the loop, which has the last word on
// the outputs.
func (r *running) run(ctx context.Context) (Report, error) {
	if r.cfg.Dedicated {
		defer tune(r.cfg.Log)()
	}
	helpers, stopHelpers := context.WithCancel(context.Background())
	var group sync.WaitGroup
	var failure fault
	beside := func(work func()) { // on a thread that keeps nothing from the loop
		group.Go(func() { r.place.leave(); failure.guard(r.safe, work) })
	}
	beside(func() { r.keeper.run(helpers) })
	beside(func() { r.opener.run(helpers) })
	beside(func() {
		if err := r.feeder.run(); err != nil {
			failure.report(r.safe, err)
		}
	})

	r.pollBuses(helpers, &failure)
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() { ended <- r.runLoop(started) }()

	var err error
	select {
	case <-started:
		err = r.overseeBrain(ctx, &failure, ended)
	case err = <-ended:
	}
	stopHelpers()
	r.feeder.end()
	group.Wait()
	r.logBuses()
	err = errors.Join(err, failure.err())
	if err == nil {
		r.keeper.ended()
	}
	return r.report(), errors.Join(err, r.feeder.close(err == nil))
}

// overseeBrain keeps a brain beside the running loop until the end of both.
func (r *running) overseeBrain(ctx context.Context, failure *fault, ended chan error) error {
	brain, stopBrain := context.WithCancel(context.Background())
	defer stopBrain()
	gone := make(chan struct{})
	if r.loop.brain.supervisor == nil {
		close(gone)
	} else {
		go func() {
			defer close(gone)
			r.place.leaveAltogether() // and the brain with it
			failure.guard(r.safe, func() { r.loop.brain.supervisor.run(brain) })
		}()
	}
	r.feeder.reflexesArmed()
	if r.cfg.Ready != nil {
		r.cfg.Ready()
	}
	select {
	case <-ctx.Done():
	case <-failure.happened():
	case err := <-ended: // a panic: the outputs are safe already
		stopBrain()
		<-gone
		return err
	}
	r.safe()
	r.feeder.stopping()
	select {
	case <-r.loop.safeNow:
	case err := <-ended:
		stopBrain()
		<-gone
		return err
	}
	stopBrain()
	<-gone
	r.loop.endAsked.Store(true)
	r.wakeLoop()
	return <-ended
}

// safe asks the loop for safe outputs and no more starts.
func (r *running) safe() {
	r.loop.safeAsked.Store(true)
	r.wakeLoop()
}

// runLoop is the loop's goroutine. Whatever happens in it, the devices get their
// safe values last.
func (r *running) runLoop(started chan struct{}) (err error) {
	runtime.LockOSThread() // never unlocked: a real-time thread is not given back
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value, debug.Stack()}
		}
		err = errors.Join(err, r.lastWord())
	}()
	if r.cfg.Dedicated {
		r.loop.core.status.RealTime = madeRealTime(r.cfg.Log)
		refuseSignals()
	}
	if r.loop.core.status.RealTime {
		defer r.place.keep()()
		defer raiseHelpers(r.cfg.Log)()
	}
	if r.cfg.BrainCommand != nil {
		p := defaultPatience(r.cfg.Robot.Lease.ExpiresAfter)
		if r.cfg.patience != nil {
			p = *r.cfg.patience
		}
		r.loop.brain.supervisor = &supervisor{
			command: r.cfg.BrainCommand, user: r.user, ends: r.ends, patience: p, log: r.cfg.Log, wakeLoop: r.wakeLoop,
		}
	}
	if err := r.loop.begin(r.heritage.latches, r.heritage.told); err != nil {
		return err
	}
	r.loop.heart.start(r.loop.clock.now(), r.feeder.period())
	close(started)
	r.loop.run()
	return nil
}

// lastWord halts the devices and says so.
func (r *running) lastWord() error {
	r.loop.dropPidfd()
	err := r.hardware.halt()
	if r.cfg.DryRun {
		fmt.Fprintln(r.cfg.Stderr, "dry run: no output was driven")
		return nil
	}
	values := safeValues(r.cfg.Robot)
	if err != nil {
		fmt.Fprintf(r.cfg.Stderr, "NOT all outputs are known to be safe (%s wanted): %v\n", strings.Join(values, " "), err)
		return fmt.Errorf("%w: %w", ErrOutputs, err)
	}
	fmt.Fprintf(r.cfg.Stderr, "all outputs at their safe value: %s\n", strings.Join(values, " "))
	return nil
}

func (r *running) report() Report {
	s := &r.loop.core.status
	report := Report{
		Cycles: s.Cycles, Fired: r.loop.core.fired, Overruns: s.Overruns, Discarded: s.Discarded,
		BrainStarts: s.BrainStarts, EventsLost: r.ends.Segment.EventsLost(),
		Latency: r.loop.core.latencies.kinds[link.LatencyReflex].Figures(), WakeUp: r.loop.core.latencies.kinds[link.LatencyWakeUp].Figures(),
		RealTime: s.RealTime,
	}
	for i := range r.hardware.ports {
		if f := r.hardware.ports[i].framer; f != nil {
			report.Frames += f.Counters().Frames
		}
	}
	return report
}
