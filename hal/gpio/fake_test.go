//go:build linux

package gpio

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"
)

// board is a small kernel in memory, with the character device's rules as far
// as this package meets them. Its chips are files of a temporary directory.
type board struct {
	t       *testing.T
	devices string
	chips   map[string]*chip // by path
	open    map[int]*chip    // chip descriptors
	lines   map[int]*grant   // line descriptors
	nextFd  int
	now     uint64
	deny    map[string]error // by path
	refuse  error            // of the next request
	gone    bool
}

type chip struct {
	label string
	lines []pin
}

type pin struct {
	name     string
	consumer string
	level    bool // physical
	refuse   error
}

// grant is what a request gave.
type grant struct {
	chip     *chip
	request  uapi.LineRequest
	safe     uapi.LineBitmap
	low      uapi.LineBitmap
	events   []byte
	sequence uint32
}

func newBoard(t *testing.T) *board {
	return &board{
		t: t, devices: t.TempDir(), chips: map[string]*chip{}, open: map[int]*chip{},
		lines: map[int]*grant{}, deny: map[string]error{}, nextFd: 1000, now: 5e9,
	}
}

// add puts a chip with named lines on the board.
func (b *board) add(device, label string, names ...string) *chip {
	b.t.Helper()
	path := filepath.Join(b.devices, device)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
	c := &chip{label: label}
	for _, name := range names {
		c.lines = append(c.lines, pin{name: name})
	}
	b.chips[path] = c
	return c
}

func (b *board) kernel() *kernel {
	return &kernel{
		devices: b.devices, open: b.openChip, peek: b.peek, close: b.close, chip: b.chipInfo,
		cure: func(string) string { return notInGroup },
		info: b.info, request: b.request, get: b.get, set: b.set, read: b.read,
	}
}

func (b *board) openChip(path string) (int, error) {
	c, ok := b.chips[path]
	if err := b.deny[path]; err != nil {
		return -1, err
	}
	if !ok {
		return -1, unix.ENOENT
	}
	b.nextFd++
	b.open[b.nextFd] = c
	return b.nextFd, nil
}

func (b *board) peek(path *byte) (int, error) { return b.openChip(unix.BytePtrToString(path)) }

// notInGroup is what package permission says on a Raspberry Pi.
const notInGroup = "user pi is not in group gpio: sudo usermod -aG gpio pi, then log in again or restart the service"

// requestInputs requests lines; if one is refused, none stays requested.
func requestInputs(k *kernel, configs []InputConfig) ([]*Input, error) {
	inputs := make([]*Input, 0, len(configs))
	for _, c := range configs {
		in := newInput(k, c)
		inputs = append(inputs, in)
		if err := in.Reopen(); err != nil {
			for _, in := range inputs {
				in.Close()
			}
			return nil, err
		}
	}
	return inputs, nil
}

func (b *board) close(fd int) error {
	if g, ok := b.lines[fd]; ok {
		for i := range int(g.request.Lines) {
			g.chip.lines[g.request.Offsets[i]].consumer = ""
		}
	} else if _, ok := b.open[fd]; !ok {
		return unix.EBADF
	}
	delete(b.lines, fd)
	delete(b.open, fd)
	return nil
}

// leaked counts descriptors that nobody closed.
func (b *board) leaked() int { return len(b.open) + len(b.lines) }

func (b *board) chipInfo(fd int) (uapi.ChipInfo, error) {
	c, ok := b.open[fd]
	if !ok || c.label == "not a chip" {
		return uapi.ChipInfo{}, unix.ENOTTY
	}
	info := uapi.ChipInfo{Lines: uint32(len(c.lines))}
	copy(info.Label[:], c.label)
	return info, nil
}

func (b *board) info(fd, offset int) (uapi.LineInfoV2, error) {
	c := b.open[fd]
	if c == nil || offset >= len(c.lines) {
		return uapi.LineInfoV2{}, unix.EINVAL
	}
	info := uapi.LineInfoV2{Offset: uint32(offset)}
	copy(info.Name[:], c.lines[offset].name)
	copy(info.Consumer[:], c.lines[offset].consumer)
	if c.lines[offset].consumer != "" {
		info.Flags = uapi.LineFlagV2Used
	}
	return info, nil
}

func (b *board) request(fd int, r *uapi.LineRequest) error {
	c := b.open[fd]
	if b.refuse != nil {
		return b.refuse
	}
	g := &grant{chip: c, request: *r}
	for i := range int(r.Lines) {
		p := &c.lines[r.Offsets[i]]
		if p.consumer != "" {
			return unix.EBUSY
		}
		if p.refuse != nil {
			return p.refuse
		}
	}
	for i := range int(r.Config.NumAttrs) {
		switch a := r.Config.Attrs[i]; a.Attr.ID {
		case uapi.LineAttributeIDOutputValues:
			g.safe = uapi.LineBitmap(a.Attr.Value64()) & a.Mask
		case uapi.LineAttributeIDFlags:
			if uapi.LineFlagV2(a.Attr.Value64()).IsActiveLow() {
				g.low = a.Mask
			}
		}
	}
	if r.Config.Flags.IsActiveLow() {
		g.low = uapi.NewLineBitMask(int(r.Lines))
	}
	b.nextFd++
	r.Fd = int32(b.nextFd)
	b.lines[b.nextFd] = g
	for i := range int(r.Lines) {
		p := &c.lines[r.Offsets[i]]
		p.consumer = uapi.BytesToString(r.Consumer[:])
		if r.Config.Flags.IsOutput() {
			p.level = (g.safe.Get(i) == 1) != (g.low.Get(i) == 1)
		}
	}
	return nil
}

func (b *board) get(fd int, v *uapi.LineValues) error {
	g := b.lines[fd]
	if g == nil || b.gone {
		return unix.ENODEV
	}
	v.Bits = 0
	for i := range int(g.request.Lines) {
		if v.Mask.Get(i) == 1 && g.chip.lines[g.request.Offsets[i]].level != (g.low.Get(i) == 1) {
			v.Bits = v.Bits.Set(i, 1)
		}
	}
	return nil
}

func (b *board) set(fd int, v *uapi.LineValues) error {
	g := b.lines[fd]
	if g == nil || b.gone {
		return unix.ENODEV
	}
	for i := range int(g.request.Lines) {
		if v.Mask.Get(i) == 1 {
			g.chip.lines[g.request.Offsets[i]].level = (v.Bits.Get(i) == 1) != (g.low.Get(i) == 1)
		}
	}
	return nil
}

// drive changes an input's physical level, and makes an event of it as the
// kernel does: the newest eventBuffer events are kept.
func (b *board) drive(c *chip, offset int, level bool) {
	if c.lines[offset].level == level {
		return
	}
	c.lines[offset].level = level
	b.now += 1000
	for _, g := range b.lines {
		if g.chip != c || g.request.Offsets[0] != uint32(offset) || !g.request.Config.Flags.IsBothEdges() {
			continue
		}
		g.sequence++
		id := uint32(2)
		if level != (g.low == 1) {
			id = 1
		}
		var event [eventSize]byte
		binary.NativeEndian.PutUint64(event[:], b.now)
		binary.NativeEndian.PutUint32(event[8:], id)
		binary.NativeEndian.PutUint32(event[12:], uint32(offset))
		binary.NativeEndian.PutUint32(event[16:], g.sequence)
		binary.NativeEndian.PutUint32(event[20:], g.sequence)
		g.events = append(g.events, event[:]...)
		if over := len(g.events) - eventBuffer*eventSize; over > 0 {
			g.events = g.events[over:]
		}
	}
}

func (b *board) read(fd int, buffer []byte) (int, error) {
	g := b.lines[fd]
	switch {
	case g == nil || b.gone:
		return -1, unix.ENODEV
	case len(g.events) == 0:
		return -1, unix.EAGAIN
	case len(buffer) < eventSize:
		return -1, unix.EINVAL
	}
	n := copy(buffer[:len(buffer)/eventSize*eventSize], g.events)
	g.events = g.events[n:]
	return n, nil
}
