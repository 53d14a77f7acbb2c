//go:build linux

package serial

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Messages as docs/bad-hardware.md has them, of /dev/ttyUSB0 on a machine whose user
// is pi and whose serial ports belong to the group dialout.
const (
	absentPort = "open /dev/ttyUSB0: no such device (plug it in, or correct its device; serial ports here: /dev/ttyAMA0, /dev/ttyS0)"
	busyPort   = "open /dev/ttyUSB0: in use by another process (stop the other program, such as ModemManager, a terminal or a second dancer: sudo fuser -v /dev/ttyUSB0 says which)"
	deniedPort = "open /dev/ttyUSB0: permission denied (user pi is not in group dialout: sudo usermod -aG dialout pi, then log in again or restart the service)"
	closedPort = "open /dev/ttyUSB0: permission denied (it is root:dialout 0000, which lets no group use it: dancer doctor says what to install)"
)

// nobody is a user without rights, as Debian numbers it.
const nobody = 65534

// asNobody runs something on a thread of its own that has given its rights up, where
// the test has any to give up: the calls are the thread's alone, not the process's.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		if os.Geteuid() == 0 {
			err = giveUpRoot()
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("become nobody: %v", err)
	}
}

func giveUpRoot() error {
	for _, call := range [][2]uintptr{{unix.SYS_SETGROUPS, 0}, {unix.SYS_SETRESGID, nobody}, {unix.SYS_SETRESUID, nobody}} {
		id := call[1]
		var errno unix.Errno
		if call[0] == unix.SYS_SETGROUPS {
			_, _, errno = unix.RawSyscall(call[0], 0, 0, 0)
		} else {
			_, _, errno = unix.RawSyscall(call[0], id, id, id)
		}
		if errno != 0 {
			return errno
		}
	}
	return nil
}

// dialout is the group of serial ports, as Debian numbers it.
const dialout = 20

// userName and groupName are what the lists call somebody.
func userName(id int) string {
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return strconv.Itoa(id)
}

func groupName(id int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(id)); err == nil {
		return g.Name
	}
	return strconv.Itoa(id)
}

// TestPermission: a real device that its mode closes to the user, and to everybody.
func TestPermission(t *testing.T) {
	for mode, want := range map[uint32]string{0o660: deniedPort, 0: closedPort} {
		w := newWire(t)
		if os.Geteuid() != 0 {
			ownPort(t, w, mode)
			continue
		}
		if err := errors.Join(unix.Chown(w.name, 0, dialout), unix.Chmod(w.name, mode)); err != nil {
			t.Fatal(err)
		}
		me, group := userName(nobody), groupName(dialout)
		asNobody(t, func() {
			_, err := Open(w.name, 0)
			if !errors.Is(err, ErrPermission) {
				t.Errorf("opened by %s: %v", me, err)
				return
			}
			page := strings.NewReplacer(w.name, "/dev/ttyUSB0", "user "+me, "user pi", " "+me+",", " pi,", "group "+group, "group dialout", "-aG "+group, "-aG dialout",
				"root:"+group, "root:dialout").Replace(err.Error())
			if page != want {
				t.Errorf("mode %04o:\n got %s\nwant %s", mode, page, want)
			}
		})
	}
}

// ownPort: where the test has no rights to give up, its own terminal is closed to it.
func ownPort(t *testing.T, w *wire, mode uint32) {
	t.Helper()
	mode &^= 0o600
	if err := unix.Chmod(w.name, mode); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("open %s: permission denied (user %s owns it, and its mode is %04o: chmod u+rw %s)", w.name, userName(os.Geteuid()), mode, w.name)
	if _, err := Open(w.name, 0); !errors.Is(err, ErrPermission) || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
}

// TestBusy: real ports that another program has: by the lock of a second dancer, which
// root meets too, and by a terminal program's TIOCEXCL, which root passes.
func TestBusy(t *testing.T) {
	for name, take := range map[string]func(fd int) error{
		"a second dancer": func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) },
		"a terminal":      func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0) },
	} {
		w := newWire(t)
		if err := unix.Chmod(w.name, 0o666); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(w.name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := take(fd); err != nil {
			t.Fatal(err)
		}
		asNobody(t, func() {
			_, err := Open(w.name, 0)
			if !errors.Is(err, ErrBusy) || strings.ReplaceAll(err.Error(), w.name, "/dev/ttyUSB0") != busyPort {
				t.Errorf("%s has it:\n got %v\nwant %s", name, err, busyPort)
			}
		})
		unix.Close(fd)
	}
}

// TestBadHardwarePage: what docs/bad-hardware.md shows of serial ports is what they
// say, and all of it.
func TestBadHardwarePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/bad-hardware.md")
	if err != nil {
		t.Fatal(err)
	}
	p := New("/dev/ttyUSB0", 0)
	absent := p.fail("open", ErrAbsent, nil, "plug it in, or "+correct([]string{"/dev/ttyAMA0", "/dev/ttyS0"})).Error()
	if absent != absentPort {
		t.Errorf("%s", absent)
	}
	says := []string{absentPort, busyPort, deniedPort, closedPort}
	for _, want := range says {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("the page lacks: %s", want)
		}
	}
	if n := strings.Count(string(text), "\nopen /dev/tty"); n != len(says) {
		t.Errorf("the page has %d messages of serial ports, want %d", n, len(says))
	}
}
