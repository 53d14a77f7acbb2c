package spine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/runtime/link"
)

// ControlSocket is the name of the control socket in the data folder.
const ControlSocket = "control.sock"

// controlLine bounds a request and its answer, in bytes.
const controlLine = 1024

// controlSocket answers start, stop, clear and status on a datagram socket. The
// loop serves it, without allocating, so that it works while the brain is dead.
type controlSocket struct {
	fd   int
	path string
	in   [controlLine]byte
	out  [controlLine]byte
	peer unix.RawSockaddrUnix
}

// listenControl makes the socket in the data folder, for the owner alone. A
// socket that an earlier run left is replaced: the caller holds the folder's
// lock. The folder is reached through its descriptor, because the name of a
// socket is limited to 108 bytes.
func listenControl(folder string) (*controlSocket, error) {
	fd, path, err := listenDatagrams(folder, ControlSocket, "control socket")
	if err != nil {
		return nil, err
	}
	return &controlSocket{fd: fd, path: path}, nil
}

// listenDatagrams makes a socket of datagrams in a folder, for the owner alone.
func listenDatagrams(folder, name, what string) (fd int, path string, err error) {
	path = filepath.Join(folder, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, path, fmt.Errorf("make %s: %w", what, err)
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, path, fmt.Errorf("make %s: %w", what, err)
	}
	err = unix.Fchmod(fd, 0o600) // before it has a name: never open to others
	if err == nil {
		err = inFolder(folder, func(short string) error {
			return unix.Bind(fd, &unix.SockaddrUnix{Name: short + "/" + name})
		})
	}
	if err != nil {
		unix.Close(fd)
		return -1, path, fmt.Errorf("make %s: %s: %w", what, path, err)
	}
	return fd, path, nil
}

// inFolder gives a short name for a folder while use runs.
func inFolder(folder string, use func(short string) error) error {
	d, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	return use(fmt.Sprintf("/proc/self/fd/%d", d))
}

func (s *controlSocket) close() error {
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(unix.Close(s.fd), err)
}

// serve answers one request (loop).
func (s *controlSocket) serve(c *core, now time.Duration) {
	size := uint32(unsafe.Sizeof(s.peer))
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in[0])), uintptr(len(s.in)),
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(&s.peer)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return
	}
	answer := s.out[:0]
	if int(n) > len(s.in) {
		answer = append(answer, "refused: the request is too long"...)
	} else {
		answer = s.answer(answer, c, s.in[:n], now)
	}
	c.frame(now, now, 0)
	if size <= 2 {
		return // sent without a name: nobody to answer
	}
	_, _, _ = unix.Syscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&answer[0])), uintptr(len(answer)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&s.peer)), uintptr(size))
}

// answer does a request: "start BY", "stop BY", "clear BY [LATCH]", "status".
func (s *controlSocket) answer(b []byte, c *core, line []byte, now time.Duration) []byte {
	verb, rest := word(line)
	by, rest := word(rest)
	what, _ := word(rest)
	switch string(verb) {
	case "start":
		why := c.begin(now, link.ReasonOperator, by)
		b = outcome(b, "start", why)
		if why == link.ReasonReportOnly {
			b = c.appendDeath(append(b, ':'))
		}
		return b
	case "stop":
		c.halt(now, link.ReasonOperator, by)
		return outcome(b, "stop", link.ReasonNone)
	case "clear":
		rule := -1
		if len(what) > 0 {
			if rule = c.ruleNamed(what); rule < 0 {
				return outcome(b, "clear", link.ReasonNoSuchLatch)
			}
		}
		return c.appendLatches(outcome(b, "clear", c.clear(now, rule, by)))
	case "status":
		return c.appendStatus(b)
	}
	return append(b, "refused: unknown request (say start BY, stop BY, clear BY [LATCH] or status)"...)
}

// word cuts the first word off a line.
func word(line []byte) (first, rest []byte) {
	for len(line) > 0 && line[0] <= ' ' {
		line = line[1:]
	}
	for i, c := range line {
		if c <= ' ' {
			return line[:i], line[i:]
		}
	}
	return line, nil
}

func outcome(b []byte, verb string, why link.Reason) []byte {
	if why == link.ReasonNone {
		return append(append(b, "ok "...), verb...)
	}
	b = append(append(append(b, "refused "...), verb...), ": "...)
	return append(b, why.String()...)
}

func (c *core) ruleNamed(name []byte) int {
	for i := range c.rules {
		if c.rules[i].Name == string(name) { // compared without a copy
			return i
		}
	}
	return -1
}

// appendStatus is the robot's state as name=value words in one line.
func (c *core) appendStatus(b []byte) []byte {
	b = append(append(b, "ok mode="...), c.status.Mode.String()...)
	b = append(append(b, " lease="...), c.status.Lease.String()...)
	b = appendBool(append(b, " started="...), c.status.Started)
	b = appendBool(append(b, " dry-run="...), c.status.DryRun)
	b = appendBool(append(b, " waiting="...), c.unseen > 0)
	if c.status.Deaths > 0 {
		b = c.appendDeath(b)
	}
	b = c.appendLatches(b)
	return c.appendRules(b, " reflexes=", c.reflex.Active)
}

// appendDeath tells how the last brain ended, where it is report-only the one that
// made it so: how many ended so far, how many of them in a row soon and without a
// decision, the exit code (negative: the signal), and who ended it.
func (c *core) appendDeath(b []byte) []byte {
	b = strconv.AppendUint(append(b, " brain-deaths="...), c.status.Deaths, 10)
	b = strconv.AppendUint(append(b, " brain-strikes="...), uint64(c.status.Strikes), 10)
	b = strconv.AppendInt(append(b, " brain-exit="...), int64(c.status.LastExit), 10)
	if c.status.LastDeath == link.ReasonBrainHung {
		return append(b, " brain-end=watchdog"...)
	}
	return append(b, " brain-end=itself"...)
}

func appendBool(b []byte, is bool) []byte {
	if is {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

func (c *core) appendLatches(b []byte) []byte { return c.appendRules(b, " latches=", c.reflex.Latched) }

// appendRules lists the rules of which something is so, "-" for none. What does
// not fit into an answer ends in dots.
func (c *core) appendRules(b []byte, title string, is func(int) bool) []byte {
	b = append(b, title...)
	none := true
	for i := range c.rules {
		if !is(i) {
			continue
		}
		if len(b)+len(c.rules[i].Name) > controlLine-200 {
			return append(b, "..."...)
		}
		if !none {
			b = append(b, ',')
		}
		b, none = append(b, c.rules[i].Name...), false
	}
	if none {
		b = append(b, '-')
	}
	return b
}

// ErrNoSpine means that no robot answers at this control socket.
var ErrNoSpine = errors.New("no robot runs here")

// Control sends one line to a running robot and gives its one-line answer,
// which begins with "ok" or "refused". where is the robot's data folder, its
// control socket, or a link to that. It works while the brain is dead.
func Control(where, line string, timeout time.Duration) (string, error) {
	path, err := socketPath(where)
	if err != nil {
		return "", fmt.Errorf("control robot: %s: %w (start it with dancer run, or give its --data folder)", where, err)
	}
	answer, err := exchange(path, line, timeout)
	if err != nil {
		return "", fmt.Errorf("control robot: %s: %w", path, err)
	}
	return answer, nil
}

func socketPath(where string) (string, error) {
	path, err := filepath.EvalSymlinks(where)
	if err != nil {
		return "", ErrNoSpine
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", ErrNoSpine
	}
	if info.IsDir() {
		path = filepath.Join(path, ControlSocket)
	}
	return path, nil
}

// exchange sends a datagram and waits for the one that answers it.
func exchange(path, line string, timeout time.Duration) (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil { // a name of the kernel's choice, to be answered at
		return "", err
	}
	err = inFolder(filepath.Dir(path), func(short string) error {
		return unix.Connect(fd, &unix.SockaddrUnix{Name: short + "/" + filepath.Base(path)})
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return "", fmt.Errorf("%w (start it with dancer run, or give its --data folder)", ErrNoSpine)
	case errors.Is(err, unix.EACCES):
		return "", fmt.Errorf("%w (use the account that runs the robot, or sudo)", err)
	case err != nil:
		return "", err
	}
	until := time.Now().Add(timeout)
	if err := attempt(fd, unix.POLLOUT, until, func() error {
		_, err := unix.Write(fd, []byte(line))
		return err
	}); err != nil {
		return "", fmt.Errorf("send request: %w", err)
	}
	answer, n := make([]byte, controlLine), 0
	if err := attempt(fd, unix.POLLIN, until, func() (err error) {
		n, err = unix.Read(fd, answer)
		return err
	}); err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	return string(answer[:n]), nil
}

// errNoAnswer ends an attempt at its deadline.
var errNoAnswer = errors.New("the robot does not answer in time: it hangs or is very busy")

// attempt repeats what does not block until it is done or the time is over.
func attempt(fd int, events int16, until time.Time, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return errNoAnswer
		}
		set := []unix.PollFd{{Fd: int32(fd), Events: events}}
		ts := unix.NsecToTimespec(int64(left))
		_, _ = unix.Ppoll(set, &ts, nil) // an interruption is an early end of the wait
	}
}
