//go:build linux

package serial

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience bounds the wait for something that must come.
const patience = 10 * time.Second

// wire is a pseudo-terminal: the test has the device's end.
type wire struct {
	t      *testing.T
	device *os.File // master
	slave  *os.File // kept open, so that the terminal lives between opens
	name   string
}

func newWire(t *testing.T) *wire {
	t.Helper()
	device, slave, err := pty.Open()
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	deadlines := pollable(t, device)
	t.Cleanup(func() { deadlines.Close(); slave.Close() })
	return &wire{t, deadlines, slave, slave.Name()}
}

// pollable makes deadlines work: a file whose Fd was asked for blocks.
func pollable(t *testing.T, file *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.SetNonblock(fd, true), file.Close()); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "device")
}

// open opens the port's end.
func (w *wire) open() *Port {
	w.t.Helper()
	p, err := Open(w.name, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

// send writes at the device's end.
func (w *wire) send(text string) {
	w.t.Helper()
	w.device.SetWriteDeadline(time.Now().Add(patience))
	if _, err := w.device.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
}

// take reads what has come to the device's end, until done says that it is
// enough.
func (w *wire) take(done func(text string) bool) string {
	w.t.Helper()
	var text []byte
	b := make([]byte, 4096)
	w.device.SetReadDeadline(time.Now().Add(patience))
	for !done(string(text)) {
		n, err := w.device.Read(b)
		if err != nil {
			w.t.Fatalf("after %q: %v", text, err)
		}
		text = append(text, b[:n]...)
	}
	return string(text)
}

// hangUp unplugs: the device's end is closed.
func (w *wire) hangUp() {
	w.t.Helper()
	if err := errors.Join(w.slave.Close(), w.device.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// read reads from the port until done.
func read(t *testing.T, p *Port, done func(text string) bool) string {
	t.Helper()
	var text []byte
	b := make([]byte, 512)
	for deadline := time.Now().Add(patience); !done(string(text)); {
		n, err := p.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b[:n]...)
		if n == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("only %q came", text)
			}
			poll(p.Fd(), unix.POLLIN, 10*time.Millisecond)
		}
	}
	return string(text)
}

func has(want string) func(string) bool {
	return func(text string) bool { return strings.Contains(text, want) }
}

func TestReadIsRaw(t *testing.T) {
	w := newWire(t)
	p := w.open()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	w.send(string(all))
	got := read(t, p, func(text string) bool { return len(text) >= len(all) })
	if got != string(all) {
		t.Errorf("bytes changed: %q", got)
	}
	if err := p.Write(0, all); err != nil {
		t.Fatal(err)
	}
	got = w.take(func(text string) bool { return len(text) >= len(all) })
	if got != string(all) {
		t.Errorf("written bytes changed, or were echoed: %q", got)
	}
}

func TestReadOfNothing(t *testing.T) {
	p := newWire(t).open()
	for _, size := range []int{0, 1, 100} {
		if n, err := p.Read(make([]byte, size)); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func TestWhatWasSentBeforeOpenIsRead(t *testing.T) {
	w := newWire(t)
	p := w.open() // sets raw mode, which stays with the terminal
	p.Close()
	w.send("before\n")
	if got := read(t, w.open(), has("\n")); got != "before\n" {
		t.Errorf("%q", got)
	}
}

func TestLineSettings(t *testing.T) {
	w := newWire(t)
	for _, baud := range []int{9600, 115200, 250000} {
		p, err := Open(w.name, baud)
		if err != nil {
			t.Fatal(err)
		}
		settings, err := unix.IoctlGetTermios(p.Fd(), unix.TCGETS2)
		if err != nil {
			t.Fatal(err)
		}
		if settings.Ospeed != uint32(baud) {
			t.Errorf("rate is %d, want %d", settings.Ospeed, baud)
		}
		if settings.Cflag&(unix.CSIZE|unix.PARENB|unix.CSTOPB|unix.CRTSCTS) != unix.CS8 {
			t.Errorf("control flags are %o", settings.Cflag)
		}
		flags, _ := unix.FcntlInt(uintptr(p.Fd()), unix.F_GETFD, 0)
		if flags&unix.FD_CLOEXEC == 0 {
			t.Error("children inherit the port")
		}
		p.Close()
	}
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWire(t)
	held := w.open()
	tests := []struct {
		device string
		baud   int
		cause  error
		want   string
	}{
		{filepath.Join(t.TempDir(), "ttyUSB7"), 0, ErrAbsent, "/ttyUSB7: no such device ("},
		{file, 0, ErrNotSerial, "/file: not a serial port ("},
		{t.TempDir(), 0, ErrNotSerial, ": not a serial port ("},
		{"/dev/null", 0, ErrNotSerial, "open /dev/null: not a serial port ("},
		{w.name, 9600, ErrBusy, "in use by another process (stop the other program"},
		{w.name, 10, ErrSetting, "line setting refused (baud 10 is outside 50 to 12000000)"},
		{w.name, MaxBaud + 1, ErrSetting, "baud 12000001 is outside"},
	}
	for _, test := range tests {
		p, err := Open(test.device, test.baud)
		var typed *Error
		if p != nil || !errors.Is(err, test.cause) || !errors.As(err, &typed) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s at %d: %v, want %q", test.device, test.baud, err, test.want)
		}
	}
	held.Close()
	w.open() // no longer busy
}

func TestHangUpAndReopen(t *testing.T) {
	w := newWire(t)
	link := filepath.Join(t.TempDir(), "by-id") // as udev gives a stable name
	if err := os.Symlink(w.name, link); err != nil {
		t.Fatal(err)
	}
	p, err := Open(link, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w.hangUp()
	if _, err := p.Read(make([]byte, 9)); !errors.Is(err, ErrGone) {
		t.Errorf("read: %v", err)
	}
	if err := p.Write(0, []byte("x\n")); !errors.Is(err, ErrGone) {
		t.Errorf("write: %v", err)
	}
	if err := p.Halt(time.Millisecond); !errors.Is(err, ErrGone) {
		t.Errorf("halt: %v", err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := p.Reopen(); !errors.Is(err, ErrAbsent) {
		t.Errorf("reopen while unplugged: %v", err)
	}
	if _, err := p.Read(make([]byte, 9)); !errors.Is(err, ErrGone) || p.Fd() != -1 {
		t.Errorf("read while unplugged: %v", err)
	}
	again := newWire(t)
	if err := os.Symlink(again.name, link); err != nil {
		t.Fatal(err)
	}
	if err := p.Reopen(); err != nil {
		t.Fatal(err)
	}
	if p.Pending() {
		t.Error("a line from before the hang-up is pending")
	}
	again.send("back\n")
	read(t, p, has("back\n"))
	if err := p.Write(0, []byte("there\n")); err != nil {
		t.Fatal(err)
	}
	again.take(has("there\n"))
}

func TestClose(t *testing.T) {
	p := newWire(t).open()
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	_, readErr := p.Read(make([]byte, 1))
	for i, err := range []error{readErr, p.Write(0, nil), p.Flush(), p.Halt(0), p.Reopen()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d after Close: %v", i, err)
		}
	}
}

// fill writes until the port takes no more.
func fill(t *testing.T, p *Port, line string) (lines int) {
	t.Helper()
	for !p.Pending() {
		if err := p.Write(0, []byte(line)); err != nil {
			t.Fatal(err)
		}
		if lines++; lines > 1<<20 {
			t.Fatal("the port never fills")
		}
	}
	return lines
}

func TestUnreadPortKeepsTheNewestLine(t *testing.T) {
	w := newWire(t)
	p := w.open()
	p.Reserve(3)
	filled := fill(t, p, strings.Repeat("a", 99)+"\n")
	for i := range 1000 {
		for slot := range 3 {
			if err := p.Write(slot, fmt.Appendf(nil, "slot %d value %d\n", slot, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !p.Pending() || p.Replaced() == 0 {
		t.Errorf("%d lines were replaced, pending: %v", p.Replaced(), p.Pending())
	}
	var text strings.Builder
	b := make([]byte, 4096)
	for deadline := time.Now().Add(patience); p.Pending() || !strings.Contains(text.String(), "slot 2 value 999\n"); {
		w.device.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := w.device.Read(b)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			t.Fatalf("%v after %d bytes", err, text.Len())
		}
		text.Write(b[:n])
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	checkWhole(t, text.String(), filled)
}

// checkWhole: every line is whole, and the newest of every slot came last.
func checkWhole(t *testing.T, text string, filled int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	long := 0
	for _, line := range lines {
		var slot, value int
		if _, err := fmt.Sscanf(line, "slot %d value %d", &slot, &value); err == nil {
			continue
		}
		if line != strings.Repeat("a", 99) {
			t.Errorf("a damaged line: %q", line)
		}
		long++
	}
	if long < filled-1 || long > filled {
		t.Errorf("%d of %d lines came", long, filled)
	}
	tail := lines[len(lines)-3:]
	slices.Sort(tail)
	if fmt.Sprint(tail) != "[slot 0 value 999 slot 1 value 999 slot 2 value 999]" {
		t.Errorf("the last lines are %q", tail)
	}
}

func TestWriteRefuses(t *testing.T) {
	p := newWire(t).open()
	long := make([]byte, MaxWrite+1)
	for want, err := range map[error][]error{
		ErrSlot:    {p.Write(1, nil), p.Write(-1, nil), p.SetSafe(1, nil), p.SetSafe(-1, nil)},
		ErrTooLong: {p.Write(0, long), p.SetSafe(0, long)},
	} {
		for _, err := range err {
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("65 outputs are accepted")
		}
	}()
	p.Reserve(65)
}

func TestHaltReplacesWhatIsPending(t *testing.T) {
	w := newWire(t)
	p := w.open()
	p.Reserve(2)
	if err := errors.Join(p.SetSafe(0, []byte("M 0\n")), p.SetSafe(1, []byte("B 1\n"))); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(0, []byte("M 9\n")); err != nil {
		t.Fatal(err)
	}
	if err := p.Halt(time.Second); err != nil {
		t.Fatal(err)
	}
	if got := w.take(has("B 1\n")); !strings.HasSuffix(got, "M 0\nB 1\n") {
		t.Errorf("%q", got)
	}
}

// TestHaltOvertakesAFullPort: nobody reads, the kernel's buffer is full of old
// commands, and the safe lines still come first.
func TestHaltOvertakesAFullPort(t *testing.T) {
	w := newWire(t)
	p := w.open()
	if err := p.SetSafe(0, []byte("M 0\n")); err != nil {
		t.Fatal(err)
	}
	filled := fill(t, p, "M 1\n")
	if err := p.Halt(200 * time.Millisecond); err != nil {
		t.Logf("the kernel did not make room: %v", err)
		if !errors.Is(err, ErrUnsent) {
			t.Error(err)
		}
		return
	}
	got := w.take(has("M 0\n"))
	if old := strings.Count(got, "M 1\n"); old >= filled {
		t.Errorf("%d old commands came first, all of %d", old, filled)
	}
}

func TestAllocations(t *testing.T) {
	w := newWire(t)
	p := w.open()
	b := make([]byte, 512)
	line := []byte("M 0.5\n")
	turn := func() {
		_, _ = p.Read(b)
		_ = p.Write(0, line)
		_ = p.Flush()
	}
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
	fill(t, p, "M 0.5\n")
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations a turn of a full port", n)
	}
	w.hangUp()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations a turn of a port that is gone", n)
	}
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		b    Backoff
		n    int
		want time.Duration
	}{
		{Backoff{}, 0, 100 * time.Millisecond},
		{Backoff{}, 1, 200 * time.Millisecond},
		{Backoff{}, 4, 1600 * time.Millisecond},
		{Backoff{}, 5, 2 * time.Second},
		{Backoff{}, 1 << 30, 2 * time.Second},
		{Backoff{First: time.Second, Max: 5 * time.Second}, 2, 4 * time.Second},
		{Backoff{First: time.Second, Max: 5 * time.Second}, 3, 5 * time.Second},
		{Backoff{First: 9 * time.Second}, 0, 2 * time.Second},
	}
	for _, test := range tests {
		if got := test.b.Wait(test.n); got != test.want {
			t.Errorf("%+v attempt %d waits %v, want %v", test.b, test.n, got, test.want)
		}
	}
}

func TestList(t *testing.T) {
	root := fstest.MapFS{
		"dev/serial/by-id/usb-FTDI_x-port0":   {},
		"sys/class/tty/ttyUSB0/device/driver": {},
		"sys/class/tty/ttyTHS1/device/driver": {},
		"sys/class/tty/ttyS0/device/driver":   {},
		"sys/class/tty/ttyS0/type":            {Data: []byte("4\n")},
		"sys/class/tty/ttyS1/device/driver":   {},
		"sys/class/tty/ttyS1/type":            {Data: []byte("0\n")},
		"sys/class/tty/tty0/active":           {},
		"sys/class/tty/console":               {Mode: fs.ModeDir},
	}
	want := "[/dev/serial/by-id/usb-FTDI_x-port0 /dev/ttyS0 /dev/ttyTHS1 /dev/ttyUSB0]"
	if got := fmt.Sprint(list(root)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := list(fstest.MapFS{}); len(got) != 0 {
		t.Errorf("an empty machine has %v", got)
	}
	List() // on this machine, whatever it has
}
