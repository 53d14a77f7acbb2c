//go:build linux

package can

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
)

// wire is the far end of a bus. The machines that build this have no CAN module: a
// socket pair carries struct can_frame and struct canfd_frame, byte for byte, and what a
// bus asks of the kernel at its opening is answered here. What the kernel's own socket
// does, its filters, lost frames and an interface that goes down, is tested with the
// module vcan in a guest: TestGuestCAN of cmd/dancer.
type wire struct {
	t     testing.TB
	near  int
	far   int
	fault error // of the next opening
}

func newWire(t testing.TB) *wire {
	w := &wire{t: t, near: -1, far: -1}
	t.Cleanup(w.unplug)
	return w
}

func (w *wire) socket() *Socket {
	return &Socket{Open: func(*Bus) (int, error) {
		if w.fault != nil {
			return -1, w.fault
		}
		w.unplug()
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		w.near, w.far = pair[0], pair[1]
		return w.near, nil
	}}
}

func (w *wire) unplug() {
	if w.far >= 0 {
		unix.Close(w.far)
		w.far = -1
	}
}

func (w *wire) send(frame []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.far, frame); err != nil {
		w.t.Fatal(err)
	}
}

// classic is a struct can_frame.
func classic(id uint32, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, id)
	b = append(b, byte(len(data)), 0, 0, 0)
	return append(append(b, data...), make([]byte, classicData-len(data))...)
}

// flexible is a struct canfd_frame.
func flexible(id uint32, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, id)
	b = append(b, byte(len(data)), 0, 0, 0)
	return append(append(b, data...), make([]byte, hal.MaxCANData-len(data))...)
}

// fault is an error frame of some classes, with a controller's status.
func fault(classes uint32, status byte) []byte {
	return classic(unix.CAN_ERR_FLAG|classes, 0, status, 0, 0, 0, 0, 0, 0)
}

func u8(start uint16) hal.CANField { return hal.CANField{Start: start, Length: 8, Factor: 1} }

// messages of the tests: signal 0 and 1 in one, 2 and 3 on pages of one with 4 on all,
// and 5 at the end of a long one.
func messages() []Message {
	return []Message{
		{ID: 0x200, Switch: u8(0), Paged: true, Entries: []Entry{
			{Signal: 2, Field: u8(8), Paged: true, Page: 1}, {Signal: 3, Field: u8(8), Paged: true, Page: 2}, {Signal: 4, Field: u8(16)},
		}},
		{ID: 0x100, Entries: []Entry{{Signal: 0, Field: u8(0)}, {Signal: 1, Field: hal.CANField{Start: 8, Length: 16, Factor: 0.5}}}},
		{ID: 0x100, Extended: true, Entries: []Entry{{Signal: 5, Field: u8(63 * 8)}}},
	}
}

// heard is a bus with what it reported.
type heard struct {
	*Bus
	w   *wire
	now time.Duration
	all []hal.Reading
	at  []time.Duration
}

func open(t testing.TB) *heard {
	h := &heard{w: newWire(t)}
	h.Bus = New(Config{Interface: "can0", Messages: messages(), Clock: func() time.Duration { return h.now }, Socket: h.w.socket()})
	if err := h.Reopen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// read reads once.
func (h *heard) read() error {
	h.all, h.at = nil, nil
	return h.Read(func(at time.Duration, readings []hal.Reading) {
		h.at = append(h.at, at)
		h.all = append(h.all, readings...)
	})
}

// expect compares what one Read gives, by signal and value in turn.
func (h *heard) expect(t *testing.T, want ...float64) {
	t.Helper()
	if err := h.read(); err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, r := range h.all {
		got = append(got, float64(r.Signal), r.Value)
	}
	same := slices.EqualFunc(got, want, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
	if !same {
		t.Errorf("readings %v, want %v", got, want)
	}
}

func TestFrames(t *testing.T) {
	h := open(t)
	h.now = 5 * time.Second
	h.w.send(classic(0x100, 7, 0x10, 0x01))
	h.w.send(classic(0x100|unix.CAN_EFF_FLAG, 1, 2, 3)) // too short for its signal
	h.w.send(flexible(0x100|unix.CAN_EFF_FLAG, append(make([]byte, 63), 9)...))
	h.w.send(flexible(0x100, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)) // longer than the file says
	h.expect(t, 0, 7, 1, 136, 5, math.NaN(), 5, 9, 0, 8, 1, 0)
	for i, at := range h.at {
		if want := h.now + time.Duration(i); at != want || h.all[0].At != h.now {
			t.Errorf("frame %d is of %v, want %v", i, at, want)
		}
	}
	if c := h.Counters(); c != (hal.Counters{Frames: 4, Bytes: 2*classicSize + 2*flexibleSize, Errors: 1}) {
		t.Errorf("counters %+v", c)
	}
}

func TestPages(t *testing.T) {
	h := open(t)
	for _, data := range [][]byte{{1, 10, 20}, {2, 11, 21}, {3, 12, 22}} {
		h.w.send(classic(0x200, data...))
	}
	h.expect(t, 2, 10, 4, 20, 3, 11, 4, 21, 4, 22)
	h.w.send(classic(0x200)) // which page it is nobody knows: all are invalid
	h.expect(t, 2, math.NaN(), 3, math.NaN(), 4, math.NaN())
	h.w.send(classic(0x200, 2, 5))
	h.expect(t, 3, 5, 4, math.NaN())
	if len(h.at) != 1 {
		t.Errorf("a frame is reported %d times", len(h.at))
	}
	if c := h.Counters(); c.Frames != 5 || c.Errors != 2 {
		t.Errorf("counters %+v", c)
	}
}

// TestUnwantedFrames: what the kernel's filters keep back is no reading where it comes
// all the same, nor is what is no frame.
func TestUnwantedFrames(t *testing.T) {
	h := open(t)
	unwanted := [][]byte{
		classic(0x101, 1), classic(0x200|unix.CAN_EFF_FLAG, 1), classic(0x100|unix.CAN_RTR_FLAG, 1), {1, 2, 3}, make([]byte, 17), make([]byte, 100),
	}
	long, tooLong := classic(0x100, 1, 2, 3), flexible(0x100, 1, 2, 3)
	long[lengthAt], tooLong[lengthAt] = 9, 65
	unwanted = append(unwanted, long, tooLong)
	for _, frame := range unwanted {
		h.w.send(frame)
	}
	h.w.send(classic(0x100, 3, 2, 0))
	h.expect(t, 0, 3, 1, 1)
	if c := h.Counters(); c.Errors != uint64(len(unwanted)) || c.Frames != 1 {
		t.Errorf("counters %+v, want %d errors", c, len(unwanted))
	}
}

// TestReadIsBounded: a flood keeps nobody waiting for longer than so many frames take.
func TestReadIsBounded(t *testing.T) {
	h := open(t)
	for i := range 3*atOnce + 1 {
		h.w.send(classic(0x100, byte(i), 0, 0))
	}
	var got []int
	for range 4 {
		if err := h.read(); err != nil {
			t.Fatal(err)
		}
		got = append(got, len(h.at))
	}
	if want := []int{atOnce, atOnce, atOnce, 1}; !slices.Equal(got, want) {
		t.Errorf("reads of %v frames, want %v", got, want)
	}
}

// TestStates: what the driver tells of its controller, each change by itself, with the
// frames before it reported before it.
func TestStates(t *testing.T) {
	h := open(t)
	good := classic(0x100, 1, 0, 0)
	for _, c := range []struct {
		name   string
		frames [][]byte
		want   State
		read   int // frames reported
	}{
		{"warning", [][]byte{fault(unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_RX_WARNING), good}, Active, 1},
		{"passive", [][]byte{good, fault(unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_TX_PASSIVE|unix.CAN_ERR_CRTL_RX_WARNING)}, Passive, 1},
		{"still passive", [][]byte{good, fault(unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_RX_PASSIVE), good}, Passive, 2},
		{"active again", [][]byte{fault(unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_ACTIVE)}, Active, 0},
		{"passive again", [][]byte{fault(unix.CAN_ERR_CRTL|unix.CAN_ERR_CNT, unix.CAN_ERR_CRTL_RX_PASSIVE)}, Passive, 0},
		{"warning again", [][]byte{fault(unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_TX_WARNING)}, Active, 0},
		{"off", [][]byte{good, fault(unix.CAN_ERR_BUSOFF|unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_TX_PASSIVE)}, Off, 1},
		{"restarted", [][]byte{fault(unix.CAN_ERR_RESTARTED, 0)}, Active, 0},
		{"off again", [][]byte{fault(unix.CAN_ERR_BUSOFF, 0)}, Off, 0},
		{"a frame", [][]byte{good}, Active, 1},
		{"a bus error is no state", [][]byte{fault(unix.CAN_ERR_PROT|unix.CAN_ERR_BUSERROR, 0)}, Active, 0},
	} {
		for _, frame := range c.frames {
			h.w.send(frame)
		}
		if err := h.read(); err != nil {
			t.Fatal(err)
		}
		if h.State() != c.want || len(h.at) != c.read {
			t.Errorf("%s: state %v and %d frames, want %v and %d", c.name, h.State(), len(h.at), c.want, c.read)
		}
	}
	// A change ends a Read, so that what is known before it is given up before the next
	// frame makes it known again.
	for _, frame := range [][]byte{good, fault(unix.CAN_ERR_BUSOFF, 0), fault(unix.CAN_ERR_RESTARTED, 0), good} {
		h.w.send(frame)
	}
	var states []State
	var frames []int
	for range 3 {
		if err := h.read(); err != nil {
			t.Fatal(err)
		}
		states, frames = append(states, h.State()), append(frames, len(h.at))
	}
	if !slices.Equal(states, []State{Off, Active, Active}) || !slices.Equal(frames, []int{1, 0, 1}) {
		t.Errorf("states %v with %v frames", states, frames)
	}
	before := h.Counters().Dropped
	h.w.send(fault(unix.CAN_ERR_CRTL, unix.CAN_ERR_CRTL_RX_OVERFLOW))
	h.expect(t)
	if got := h.Counters().Dropped - before; got != 1 || h.State() != Active {
		t.Errorf("an overflow of the controller counts %d, and the state is %v", got, h.State())
	}
}

// TestLost reads the kernel's count of lost frames from a control message.
func TestLost(t *testing.T) {
	message := func(level, kind int, value uint32) []byte {
		b := make([]byte, unix.CmsgSpace(4))
		if unix.CmsgLen(0) == 16 { // the length is a long
			binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(4)))
			binary.NativeEndian.PutUint32(b[8:], uint32(level))
			binary.NativeEndian.PutUint32(b[12:], uint32(kind))
		} else {
			binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(4)))
			binary.NativeEndian.PutUint32(b[4:], uint32(level))
			binary.NativeEndian.PutUint32(b[8:], uint32(kind))
		}
		binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], value)
		return b
	}
	ours := message(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 77)
	other := message(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 5)
	for _, c := range []struct {
		name    string
		control []byte
		lost    uint32
		known   bool
	}{
		{"nothing", nil, 0, false},
		{"ours", ours, 77, true},
		{"behind another", append(slices.Clone(other), ours...), 77, true},
		{"another", other, 0, false},
		{"cut", ours[:unix.CmsgLen(4)-1], 0, false},
		{"no length", make([]byte, 32), 0, false},
	} {
		if lost, known := lostOf(c.control); lost != c.lost || known != c.known {
			t.Errorf("%s: %d %v, want %d %v", c.name, lost, known, c.lost, c.known)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		fault error
		index int // of the interface, where it has one
		want  error
	}{
		{unix.ENODEV, 0, ErrAbsent}, {unix.ENETDOWN, 3, ErrDown}, {unix.ENODEV, 3, ErrNotCAN}, {unix.EAFNOSUPPORT, 0, ErrSupport},
		{unix.EPROTONOSUPPORT, 0, ErrSupport}, {unix.EPERM, 0, ErrSupport}, {unix.EINVAL, 3, ErrSetting},
	} {
		b := New(Config{Interface: "can0", Messages: messages(), Socket: &Socket{Open: func(b *Bus) (int, error) {
			b.address.Ifindex = c.index
			return -1, c.fault
		}}})
		if err := b.Reopen(); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.fault, err, c.want)
		}
		if b.Fd() != -1 {
			t.Error("it has a descriptor all the same")
		}
		if err := b.Read(nil); !errors.Is(err, ErrGone) {
			t.Errorf("a read of what is not open: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Reopen(); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
	b := New(Config{Interface: "a-name-that-is-too-long"})
	if err := b.Reopen(); !errors.Is(err, ErrAbsent) {
		t.Errorf("an impossible name: %v", err)
	}
}

// TestLookingForIt: an interface can be away or down for months, and nothing is
// collected in the process that looks for it.
func TestLookingForIt(t *testing.T) {
	for _, fault := range []error{unix.ENODEV, unix.ENETDOWN} {
		w := newWire(t)
		w.fault = fault
		b := New(Config{Interface: "can0", Messages: messages(), Socket: w.socket()})
		if n := testing.AllocsPerRun(100, func() { _ = b.Reopen() }); n != 0 {
			t.Errorf("%v: %v allocations a look", fault, n)
		}
	}
}

// TestRealSocket opens the kernel's own socket on what every machine has: an interface
// that is no CAN interface, and none at all.
func TestRealSocket(t *testing.T) {
	for _, name := range []string{"lo", "dancer-none0"} {
		b := New(Config{Interface: name, Messages: messages()})
		err := b.Reopen()
		want := map[string]error{"lo": ErrNotCAN, "dancer-none0": ErrAbsent}[name]
		if !errors.Is(err, want) && !errors.Is(err, ErrSupport) { // a kernel without CAN says that first
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if n := testing.AllocsPerRun(20, func() { _ = b.Reopen() }); errors.Is(err, ErrAbsent) && n != 0 {
			t.Errorf("%s: %v allocations a look", name, n)
		}
	}
}

// TestFilters: frames of the wanted identifiers in their own format, and no remote ones.
func TestFilters(t *testing.T) {
	b := New(Config{Interface: "can0", Messages: messages()})
	passes := func(id uint32) bool {
		return slices.ContainsFunc(b.filters, func(f unix.CanFilter) bool { return id&f.Mask == f.Id&f.Mask })
	}
	for id, want := range map[uint32]bool{
		0x100: true, 0x200: true, 0x101: false, 0x300: false, 0x100 | unix.CAN_EFF_FLAG: true, 0x200 | unix.CAN_EFF_FLAG: false,
		0x100 | unix.CAN_RTR_FLAG: false, 0x100 | unix.CAN_EFF_FLAG | unix.CAN_RTR_FLAG: false, 0x1100 | unix.CAN_EFF_FLAG: false,
	} {
		if got := passes(id); got != want {
			t.Errorf("%#x passes: %v, want %v", id, got, want)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	h := open(b)
	frame := classic(0x100, 7, 0x10, 0x01)
	report := func(time.Duration, []hal.Reading) {}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = unix.Write(h.w.far, frame)
		if err := h.Read(report); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzFrames: no bytes from the socket make it fail, or give a signal that is not there.
func FuzzFrames(f *testing.F) {
	f.Add(classic(0x100, 1, 2, 3))
	f.Add(flexible(0x100|unix.CAN_EFF_FLAG, make([]byte, 64)...))
	f.Add(fault(unix.CAN_ERR_BUSOFF, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 100 {
			return
		}
		b := New(Config{Interface: "can0", Messages: messages(), Clock: func() time.Duration { return 0 }})
		n := copy(b.frame[:], data)
		b.take(n, func(_ time.Duration, readings []hal.Reading) {
			for _, r := range readings {
				if r.Signal < 0 || r.Signal > 5 {
					t.Fatalf("signal %d", r.Signal)
				}
			}
		})
	})
}
