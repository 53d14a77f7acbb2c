package spine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/runtime/link"
)

// Notify is how a service manager wants to hear of the spine (sd_notify(3),
// sd_watchdog_enabled(3)). The zero value is not at all.
type Notify struct {
	Socket   string        // a path, or @NAME for an abstract socket; "": none
	Watchdog time.Duration // it ends a process that says nothing for so long; 0: it does not watch
}

// errNotify is wrapped when the environment cannot be understood.
var errNotify = errors.New("not understood")

// NotifyFromEnvironment reads what the service manager has left in the
// environment and takes it out: what the process starts must not speak for it.
// What is not understood is an error, and the rest still holds.
func NotifyFromEnvironment() (n Notify, err error) {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // it was readable
	}
	if socket == "" {
		return n, nil
	}
	if _, err := socketAddress(socket); err != nil {
		return n, err
	}
	n.Socket = socket
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) { // meant for another process
		return n, nil
	}
	microseconds, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || microseconds <= 0 || microseconds > int64(time.Hour*24*365/time.Microsecond) {
		return n, fmt.Errorf("read WATCHDOG_USEC: %q: %w: a number of microseconds", usec, errNotify)
	}
	n.Watchdog = time.Duration(microseconds) * time.Microsecond
	return n, nil
}

// address is a socket's address as the kernel takes it.
type address struct {
	raw  unix.RawSockaddrUnix
	size uintptr
}

func socketAddress(name string) (a address, err error) {
	if len(name) < 2 || name[0] != '/' && name[0] != '@' || len(name) >= len(a.raw.Path) {
		return a, fmt.Errorf("read NOTIFY_SOCKET: %q: %w: an absolute path or @NAME of at most %d bytes", name, errNotify, len(a.raw.Path)-1)
	}
	a.raw.Family = unix.AF_UNIX
	for i := range len(name) {
		a.raw.Path[i] = int8(name[i])
	}
	a.size = unsafe.Offsetof(a.raw.Path) + uintptr(len(name)) + 1
	if name[0] == '@' {
		a.raw.Path[0] = 0
		a.size-- // the name of an abstract socket has no end mark
	}
	return a, nil
}

// notifier sends to the service manager. It is used by one goroutine and
// allocates nothing after it was made. It is no client of go-systemd's daemon
// package: that one dials, and so allocates, for every message, and the spine
// collects no garbage for months.
type notifier struct {
	fd   int
	to   address
	line [notifyLine]byte
}

// notifyLine bounds a message, in bytes.
const notifyLine = 512

func newNotifier(socket string) (*notifier, error) {
	to, err := socketAddress(socket)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket to the service manager: %w", err)
	}
	return &notifier{fd: fd, to: to}, nil
}

// send never blocks. An error means that nothing was sent.
func (n *notifier) send(message []byte) error {
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(n.fd), uintptr(unsafe.Pointer(&message[0])), uintptr(len(message)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&n.to.raw)), n.to.size)
	if errno != 0 {
		return errno
	}
	return nil
}

func (n *notifier) close() error { return unix.Close(n.fd) }

// append writes the vitals as one line for `systemctl status`.
func (v vitals) append(b []byte, latches int) []byte {
	b = append(append(b, "STATUS="...), v.mode.String()...)
	switch {
	case v.modeWhy != link.ReasonNone:
		b = append(append(b, ": "...), v.modeWhy.String()...)
	case v.mode == link.ModeSafe:
		b = append(b, ": not started"...)
	}
	b = append(append(b, "; lease "...), v.lease.String()...)
	if v.leaseWhy != link.ReasonNone && v.lease != link.LeaseLive {
		b = append(append(b, ": "...), v.leaseWhy.String()...)
	}
	switch latches {
	case 0:
	case 1:
		b = append(b, "; 1 latch"...)
	default:
		b = append(strconv.AppendInt(append(b, "; "...), int64(latches), 10), " latches"...)
	}
	return append(b, '\n')
}
