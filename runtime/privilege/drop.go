package privilege

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNotDropped is wrapped when rights are not gone that should be. A process
// that gets it must end.
var ErrNotDropped = errors.New("privileges are not dropped")

// ErrParentGone is wrapped when the parent ended while the process changed its
// user, and with it the signal that should have told.
var ErrParentGone = errors.New("the spine has ended")

// files is the most descriptors that a brain may have open, processes the most
// threads that the brains' user may have on this machine, of all robots together: a
// brain has some twenty.
const (
	files     = 4096
	processes = 1024
)

// OOMAdjustment is a brain's oom_score_adj (proc(5)): half of the machine's memory
// is added to what it uses, so that the kernel ends it before what is as large, and
// long before the spine, whose own protection it would inherit.
const OOMAdjustment = 500

// Drop takes from the whole process, for good, what it needed for its start: it
// becomes u, in no other group; it has no capability and gains none; it leaves no
// core and cannot be traced by its user; it cannot ask for real-time priority. With
// a nil u it stays who it is and gives up the rest.
//
// A change of ids clears the signal that tells of the parent's death. It is set
// again, and parent, the process id of the parent as it was at the start, is
// compared afterwards.
func Drop(u *User, parent int) error {
	limitResources(u != nil)
	if err := onAllThreads("forbid new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return err
	}
	if u == nil {
		return onAllThreads("drop capabilities", unix.SYS_CAPSET, headerAddress(), noCapabilities())
	}
	if err := become(u); err != nil {
		return fmt.Errorf("become user %s: %w", u, err)
	}
	if err := onAllThreads("drop capabilities", unix.SYS_CAPSET, headerAddress(), noCapabilities()); err != nil {
		return err
	}
	// The signal is a thread's: one that stays is enough, and all stay.
	if err := onAllThreads("ask for the parent's death", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)); err != nil {
		return err
	}
	if os.Getppid() != parent {
		return ErrParentGone
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid traces: %w", err)
	}
	return verify(u)
}

// become changes all threads; Go's syscall package sees to that.
func become(u *User) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave groups: %w", err)
	}
	if err := syscall.Setresgid(u.Group, u.Group, u.Group); err != nil {
		return fmt.Errorf("set group: %w", err)
	}
	if err := syscall.Setresuid(u.ID, u.ID, u.ID); err != nil {
		return fmt.Errorf("set user: %w", err)
	}
	return nil
}

// limit is a resource (setrlimit(2)) and the most of it.
type limit struct {
	resource int
	most     uint64
}

// limitResources lowers what systemd may have raised for the spine. A limit
// that is lower already stays.
func limitResources(ownUser bool) {
	// The spine has done this too, where it can see us: a raise is never refused.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(OOMAdjustment)), 0)
	limits := []limit{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_RTPRIO, 0}, {unix.RLIMIT_NOFILE, files}}
	if ownUser { // another user has more than a brain
		limits = append(limits, limit{unix.RLIMIT_NPROC, processes})
	}
	for _, limit := range limits {
		var now unix.Rlimit
		if unix.Getrlimit(limit.resource, &now) == nil {
			now.Max = min(now.Max, limit.most)
			now.Cur = min(now.Cur, now.Max)
			_ = unix.Setrlimit(limit.resource, &now) // lowering is never refused
		}
	}
}

// onAllThreads makes a system call on every thread. Where C code has threads of
// its own (a build for the race detector) Go cannot: then the calling thread's
// have to do, and LimitThread has left the others nothing to gain.
func onAllThreads(what string, trap, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(trap, a, b, 0)
	if errno == syscall.ENOTSUP {
		_, _, errno = syscall.Syscall(trap, a, b, 0)
	}
	if errno != 0 {
		return fmt.Errorf("%s: %w", what, errno)
	}
	return nil
}

// The operands of capset stay where they are for the life of the program: their
// addresses go to all threads as numbers.
var (
	emptyHeader       = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	emptyCapabilities capabilities
)

func headerAddress() uintptr  { return uintptr(unsafe.Pointer(&emptyHeader)) }
func noCapabilities() uintptr { return uintptr(unsafe.Pointer(&emptyCapabilities[0])) }

// verify looks at what is left, and tries the way back.
func verify(u *User) error {
	if r, e, s := unix.Getresuid(); r != u.ID || e != u.ID || s != u.ID {
		return fmt.Errorf("%w: user ids are %d, %d and %d, want %d", ErrNotDropped, r, e, s, u.ID)
	}
	if r, e, s := unix.Getresgid(); r != u.Group || e != u.Group || s != u.Group {
		return fmt.Errorf("%w: group ids are %d, %d and %d, want %d", ErrNotDropped, r, e, s, u.Group)
	}
	if others, err := unix.Getgroups(); err != nil || len(others) > 0 {
		return fmt.Errorf("%w: still in groups %v (%v)", ErrNotDropped, others, err)
	}
	var c capabilities
	if err := c.load(); err != nil || c.any() {
		return fmt.Errorf("%w: capabilities are %x (%v)", ErrNotDropped, c, err)
	}
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || on != 1 {
		return fmt.Errorf("%w: a program could still gain privileges (%v)", ErrNotDropped, err)
	}
	if syscall.Setresuid(-1, 0, -1) == nil {
		return fmt.Errorf("%w: root's user id can be taken back", ErrNotDropped)
	}
	return nil
}
