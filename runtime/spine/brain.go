package spine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dancer/runtime/link"
)

// patience is how the spine deals with a brain that ends, as values.
type patience struct {
	first   time.Duration // wait before the first restart; doubles each time
	most    time.Duration // longest wait
	soon    time.Duration // a life shorter than this counts against it
	strikes int           // so many short lives in a row without a decision: report-only
	grace   time.Duration // from SIGTERM to SIGKILL at the end
}

// defaultPatience is what design part 2 says.
func defaultPatience() patience {
	return patience{first: 500 * time.Millisecond, most: 10 * time.Second, soon: 20 * time.Second, strikes: 3, grace: 3 * time.Second}
}

// supervisor starts the brain and starts it again. It runs on a thread of its
// own without real-time priority, because the brain dies with the thread that
// forked it (Pdeathsig), and talks to the loop through atomics alone.
type supervisor struct {
	command  func() *exec.Cmd
	ends     *link.Ends
	patience patience
	log      *slog.Logger
	wakeLoop func()

	// From the supervisor to the loop.
	started    atomic.Uint64 // generation that is starting or runs
	ended      atomic.Uint64 // generation that was reaped last
	exit       atomic.Int64  // its exit code, negative: the signal that ended it
	pidfd      atomic.Int64  // of a brain just started, 0: none; the loop takes and closes it
	reportOnly atomic.Bool

	// From the loop to the supervisor.
	decided atomic.Uint64 // newest generation with a completed decision
}

// run keeps a brain running until the context ends, then ends the brain. It
// returns when the brain's process is gone.
func (s *supervisor) run(ctx context.Context) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	leaveRealTime(s.log)
	s.preferBrain()
	wait, strikes := s.patience.first, 0
	for generation := uint64(1); ctx.Err() == nil; generation++ {
		s.started.Store(generation)
		s.wakeLoop()
		life, why := s.live(ctx, generation)
		s.ended.Store(generation)
		s.wakeLoop()
		if ctx.Err() != nil {
			return
		}
		if life >= s.patience.soon {
			wait = s.patience.first
		}
		if life < s.patience.soon && s.decided.Load() != generation {
			strikes++
		} else {
			strikes = 0
		}
		if strikes >= s.patience.strikes && !s.reportOnly.Swap(true) {
			s.wakeLoop()
			s.log.Error("brain died too often without a decision: report-only until dancer run is restarted",
				"deaths", strikes, "within", s.patience.soon)
		}
		s.log.Warn("brain ended", "why", why, "after", life.Round(time.Millisecond), "restart_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, s.patience.most)
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

// live runs one brain to its end.
func (s *supervisor) live(ctx context.Context, generation uint64) (time.Duration, string) {
	pidfd := -1
	begin := time.Now()
	cmd, err := s.start(&pidfd)
	if errors.Is(err, syscall.EINVAL) {
		// qemu-user refuses a pidfd from clone. Without one the loop learns of the
		// brain's end when it has been reaped, a little later.
		cmd, err = s.start(nil)
	}
	if err != nil {
		s.exit.Store(127)
		return 0, err.Error()
	}
	if pidfd >= 0 {
		s.pidfd.Store(int64(pidfd))
		s.wakeLoop()
	}
	s.log.Info("brain started", "pid", cmd.Process.Pid, "start", generation)
	err = s.wait(ctx, cmd)
	if fd := s.pidfd.Swap(0); fd > 0 { // the loop was too late to want it
		unix.Close(int(fd))
	}
	s.exit.Store(exitCode(cmd))
	return time.Since(begin), reason(err)
}

// start starts a brain that dies with this thread; pidfd may be nil.
func (s *supervisor) start(pidfd *int) (*exec.Cmd, error) {
	cmd := s.command()
	cmd.ExtraFiles = s.ends.Files()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C on the terminal is for the spine
	cmd.SysProcAttr.PidFD = pidfd
	return cmd, cmd.Start()
}

// wait reaps the brain. When the context ends it asks, then kills.
func (s *supervisor) wait(ctx context.Context, cmd *exec.Cmd) error {
	done := make(chan struct{})
	asked := make(chan struct{})
	go func() { // joined below
		defer close(asked)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		_ = cmd.Process.Signal(syscall.SIGTERM) // gone already: nothing to ask
		select {
		case <-done:
		case <-time.After(s.patience.grace):
			_ = cmd.Process.Kill()
		}
	}()
	err := cmd.Wait()
	close(done)
	<-asked
	return err
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
		l.core.brainEnded(now, ended, w.exit.Load())
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

// pidReady is the fast path: the kernel says that the brain's process has ended.
func (l *loop) pidReady(now time.Duration) {
	l.dropPidfd()
	l.core.brainGone(now)
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
