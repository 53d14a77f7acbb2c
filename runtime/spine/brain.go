package spine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dancer/runtime/link"
	"dancer/runtime/privilege"
)

// patience is how the spine deals with a brain that ends, as values.
type patience struct {
	first   time.Duration // wait before the first restart; doubles each time
	most    time.Duration // longest wait
	soon    time.Duration // a life shorter than this counts against it
	strikes int           // so many short lives in a row without a decision: report-only
	grace   time.Duration // from SIGTERM to SIGKILL at the end

	look  time.Duration // how often the watchdog looks at the brain; 0: there is none
	hang  time.Duration // longest time from one completed decision to the next
	begin time.Duration // longest time without a sign of life until the first one
}

// defaultPatience is what design part 2 says. A decision is due with each step of
// the model, so that the lease, three steps by default, bounds a slow robot.
func defaultPatience(lease time.Duration) patience {
	return patience{
		first: 500 * time.Millisecond, most: 10 * time.Second, soon: 20 * time.Second, strikes: 3, grace: 3 * time.Second,
		look: time.Second, hang: max(10*time.Second, 3*lease), begin: max(time.Minute, 3*lease),
	}
}

// supervisor starts the brain and starts it again. It runs on a thread of its
// own without real-time priority, because the brain dies with the thread that
// forked it (Pdeathsig), and talks to the loop through atomics alone.
type supervisor struct {
	command  func() *exec.Cmd
	user     *privilege.User // that the brain becomes; nil: it stays the spine's
	ends     *link.Ends
	patience patience
	log      *slog.Logger
	wakeLoop func()

	// From the supervisor to the loop.
	started    atomic.Uint64 // generation that is starting or runs
	ended      atomic.Uint64 // generation that was reaped last
	exit       atomic.Int64  // its exit code, negative: the signal that ended it
	hung       atomic.Bool   // the watchdog ended it
	strikes    atomic.Uint32 // how many of the last in a row ended soon and without a decision
	starved    atomic.Bool   // it was ended for want of memory
	pidfd      atomic.Int64  // of a brain just started, 0: none; the loop takes and closes it
	reportOnly atomic.Bool

	// From the loop to the supervisor.
	decided   atomic.Uint64 // newest generation with a completed decision
	decisions atomic.Uint64 // completed decisions
	signs     atomic.Uint64 // wake-ups by the brain
}

// run keeps a brain running until the context ends, then ends the brain. It
// returns when the brain's process is gone.
func (s *supervisor) run(ctx context.Context) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	leaveRealTime(s.log)
	s.preferBrain()
	s.limitBrain()
	wait := s.patience.first
	for generation := uint64(1); ctx.Err() == nil; generation++ {
		s.started.Store(generation)
		s.wakeLoop()
		life, why := s.live(ctx, generation)
		s.judge(generation, life)
		s.ended.Store(generation)
		s.wakeLoop()
		if ctx.Err() != nil {
			return
		}
		if life >= s.patience.soon {
			wait = s.patience.first
		}
		s.log.Warn("brain ended", "why", why, "after", life.Round(time.Millisecond), "restart_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, s.patience.most)
	}
}

// judge counts a life that was short and without a decision, and takes the
// commands from a brain that has too many of them.
func (s *supervisor) judge(generation uint64, life time.Duration) {
	if life == 0 { // it could not be started: what is missing is the machine's, and it did not die
		return
	}
	if life >= s.patience.soon || s.decided.Load() == generation {
		s.strikes.Store(0)
		return
	}
	strikes := int(s.strikes.Add(1))
	if strikes >= s.patience.strikes && !s.reportOnly.Swap(true) {
		s.log.Error("brain died too often without a decision: report-only until dancer run is restarted",
			"deaths", strikes, "within", s.patience.soon)
	}
}

// brainNice is above whatever else the machine does: a brain that waits for a
// processor loses its lease, and the robot stops.
const brainNice = -10

// preferBrain raises this thread, whose priority the brain inherits. Without the
// privilege the brain runs as any other process.
func (s *supervisor) preferBrain() {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), brainNice); err != nil {
		s.log.Info("the brain has no priority: on a busy machine it may lose its lease", "cause", err, "cure", "systemd: LimitNICE=-10")
	}
}

// limitBrain takes from this thread what no brain needs, which the brain inherits.
func (s *supervisor) limitBrain() {
	if err := privilege.LimitThread(s.user != nil); err != nil {
		s.log.Warn("the brain has more privileges than it needs", "cause", err, "cure", "a kernel of 4.3 or later")
	}
}

// exposeBrain does what the brain does too: from outside, where the spine has the
// privilege, it is for good.
func (s *supervisor) exposeBrain(pid int) {
	if err := adjustOOM(strconv.Itoa(pid), privilege.OOMAdjustment); err != nil {
		s.log.Debug("the brain takes its own place in the kernel's order for lack of memory", "cause", err)
	}
}

// live runs one brain to its end.
func (s *supervisor) live(ctx context.Context, generation uint64) (time.Duration, string) {
	pidfd := -1
	begin, kills := time.Now(), memoryKills()
	s.hung.Store(false)
	cmd, err := s.start(&pidfd)
	if errors.Is(err, syscall.EINVAL) {
		// qemu-user refuses a pidfd from clone. Without one the loop learns of the
		// brain's end when it has been reaped, a little later.
		cmd, err = s.start(nil)
	}
	if err != nil {
		s.exit.Store(exitNotStarted)
		s.starved.Store(false)
		return 0, err.Error()
	}
	if pidfd >= 0 {
		s.pidfd.Store(int64(pidfd))
		s.wakeLoop()
	}
	s.exposeBrain(cmd.Process.Pid)
	s.log.Info("brain started", "pid", cmd.Process.Pid, "start", generation)
	err = s.wait(ctx, cmd)
	if fd := s.pidfd.Swap(0); fd > 0 { // the loop was too late to want it
		unix.Close(int(fd))
	}
	s.exit.Store(exitCode(cmd))
	if s.hung.Load() {
		return time.Since(begin), "it hung: no decision for too long; ended by the watchdog"
	}
	s.starved.Store(exitCode(cmd) == -int64(unix.SIGKILL) && memoryKills() != kills)
	if s.starved.Load() {
		return time.Since(begin), reason(err) + ": out of memory"
	}
	return time.Since(begin), reason(err)
}

// exitNotStarted stands for the exit code of a brain that could not be started,
// as shells have it.
const exitNotStarted = 127

// start starts a brain that dies with this thread; pidfd may be nil.
func (s *supervisor) start(pidfd *int) (*exec.Cmd, error) {
	cmd := s.command()
	cmd.ExtraFiles = s.ends.Files()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setsid = true // a Ctrl-C on the terminal is for the spine, and the terminal not for the brain
	user := ""
	if s.user != nil {
		user = s.user.String()
	}
	cmd.Env = append(cmd.Environ(), privilege.Environment+"="+user)
	cmd.SysProcAttr.PidFD = pidfd
	return cmd, cmd.Start()
}

// wait reaps the brain, and whatever it started with it. When the context ends it
// asks, then kills; a brain that hangs it kills at once.
func (s *supervisor) wait(ctx context.Context, cmd *exec.Cmd) error {
	done := make(chan struct{})
	joined := make(chan struct{})
	go func() { // joined below
		defer close(joined)
		s.oversee(ctx, cmd.Process, done)
	}()
	awaitEnd(cmd.Process.Pid)
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // its session: nothing of it writes to the segment any more
	err := cmd.Wait()
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // what it started and left in its group; mostly nothing
	close(done)
	<-joined
	return err
}

// awaitEnd waits for the end of a child and leaves it to be reaped, so that its
// number stays its own meanwhile.
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// oversee ends the brain when it hangs or is to end.
func (s *supervisor) oversee(ctx context.Context, brain *os.Process, done chan struct{}) {
	switch s.watch(ctx, done) {
	case watchedEnd:
		return
	case watchedHang:
		s.hung.Store(true)
		_ = brain.Kill() // gone already: nothing to kill
		return
	}
	_ = brain.Signal(syscall.SIGTERM) // gone already: nothing to ask
	select {
	case <-done:
	case <-time.After(s.patience.grace):
		_ = brain.Kill()
	}
}

func exitCode(cmd *exec.Cmd) int64 {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return -int64(status.Signal())
	}
	return int64(cmd.ProcessState.ExitCode())
}

func reason(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// brainWatch is the loop's side of the supervisor.
type brainWatch struct {
	*supervisor
	began, over uint64 // generations the loop has taken notice of
	pid         int    // pidfd being watched, -1 none
}

// lookAtBrain takes over what the supervisor has to say.
func (l *loop) lookAtBrain(now time.Duration) {
	w := &l.brain
	if w.supervisor == nil {
		return
	}
	// An end is told before the start that follows it, and each generation once.
	started, ended := w.started.Load(), w.ended.Load()
	if ended > w.over {
		w.over = ended
		l.core.brainGone(now)
		l.core.brainEnded(now, ended, w.death())
		l.dropPidfd()
	}
	if started > w.began {
		w.began = started
		l.core.brainStarted(now, started)
	}
	if fd := w.pidfd.Swap(0); fd > 0 {
		l.dropPidfd()
		w.pid = int(fd)
		if err := l.poller.watch(w.pid, tokenPid); err != nil {
			l.dropPidfd()
		}
	}
	if w.reportOnly.Load() {
		l.core.reportOnly(now)
	}
}

// death is how the brain that was reaped last ended (loop).
func (s *supervisor) death() death {
	d := death{exit: int32(s.exit.Load()), why: link.ReasonBrainEnded, strikes: s.strikes.Load()}
	if s.hung.Load() {
		d.why = link.ReasonBrainHung
	} else if s.starved.Load() {
		d.why = link.ReasonOutOfMemory
	}
	return d
}

// pidReady is the fast path: the kernel says that the brain's process has ended.
func (l *loop) pidReady(now time.Duration) {
	if l.brain.pid < 0 || !hasEnded(l.brain.pid) {
		return // told of one that was dropped meanwhile
	}
	l.dropPidfd()
	l.core.brainGone(now)
}

// hasEnded asks a pidfd without waiting.
func hasEnded(pidfd int) bool {
	set := [1]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, _ := unix.Poll(set[:], 0)
	return n > 0
}

func (l *loop) dropPidfd() {
	if l.brain.pid >= 0 {
		unix.Close(l.brain.pid) // which takes it out of the epoll set
		l.brain.pid = -1
	}
}

// errNoBrain is what a start without a program looks like.
var errNoBrain = errors.New("no brain to start")

func checkCommand(command func() *exec.Cmd) error {
	if command == nil {
		return nil
	}
	if cmd := command(); cmd == nil || cmd.Path == "" {
		return fmt.Errorf("start brain: %w", errNoBrain)
	}
	return nil
}
