//go:build linux

package gpio

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dancer/hal"

	"golang.org/x/sys/unix"
)

// remove takes a chip away: its device is gone, and what was requested of it says so.
func (b *board) remove(device string) {
	b.t.Helper()
	path := filepath.Join(b.devices, device)
	delete(b.chips, path)
	if err := os.Remove(path); err != nil {
		b.t.Fatal(err)
	}
	b.gone = true
}

// TestReopen: whatever refuses a line, it is had when that is over, and the same error
// stands for the same obstacle.
func TestReopen(t *testing.T) {
	line := Line{Name: "GPIO4", Chip: "pinctrl-bcm2711", Offset: 4}
	for _, test := range []struct {
		name        string
		line        Line
		spoil, mend func(b *board, c *chip)
		cause       error
	}{
		{"busy", line, func(_ *board, c *chip) { c.lines[4].consumer = "w1-gpio" }, func(_ *board, c *chip) { c.lines[4].consumer = "" }, ErrBusy},
		{"denied", line, func(b *board, _ *chip) { b.deny[filepath.Join(b.devices, "gpiochip0")] = unix.EACCES },
			func(b *board, _ *chip) { clear(b.deny) }, ErrPermission},
		{"absent", line, func(b *board, _ *chip) { b.remove("gpiochip0") }, func(b *board, c *chip) { b.put("gpiochip0", c) }, ErrNoChip},
		{"comes with another number", line, func(b *board, _ *chip) { b.remove("gpiochip0") }, func(b *board, c *chip) { b.put("gpiochip63", c) }, ErrNoChip},
		{"renamed", line, func(_ *board, c *chip) { c.label = "pinctrl-new" }, func(_ *board, c *chip) { c.label = "pinctrl-bcm2711" }, ErrNoChip},
		{"by the line's name", Line{Offset: -1, LineName: "GPIO4"}, func(b *board, _ *chip) { b.remove("gpiochip0") }, func(b *board, c *chip) { b.put("gpiochip3", c) }, ErrNoLine},
		{"by the chip's device", Line{Chip: "gpiochip0", Offset: 4}, func(b *board, _ *chip) { b.remove("gpiochip0") }, func(b *board, c *chip) { b.put("gpiochip0", c) }, ErrNoChip},
		{"no chip at all", line, func(b *board, _ *chip) {
			b.remove("gpiochip0")
			b.remove("gpiochip1")
			b.remove("gpiochip10")
			os.Remove(filepath.Join(b.devices, "gpiochip4"))
		}, func(b *board, c *chip) { b.put("gpiochip0", c) }, ErrNoChip},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, c := pi(t)
			test.spoil(b, c)
			in := newInput(b.kernel(), InputConfig{Line: test.line, Signal: 3})
			first := in.Reopen()
			if !errors.Is(first, test.cause) {
				t.Fatalf("refused with %v", first)
			}
			if again := in.Reopen(); again != first {
				t.Errorf("another error for the same: %v", again)
			}
			if _, err := in.Read(make([]hal.Reading, 1)); !errors.Is(err, ErrGone) || in.Fd() >= 0 {
				t.Errorf("read of a line that was refused: %v", err)
			}
			b.gone = false
			test.mend(b, c)
			if err := in.Reopen(); err != nil {
				t.Fatal(err)
			}
			b.drive(c, 4, true)
			buffer := make([]hal.Reading, 4)
			if n, err := in.Read(buffer); n != 1 || err != nil || buffer[0].Signal != 3 || buffer[0].Value != 1 || in.Lost() != 0 {
				t.Errorf("%d edges, %v: %+v", n, err, buffer[0])
			}
			if in.Close(); b.leaked() != 0 || !errors.Is(in.Reopen(), ErrClosed) {
				t.Errorf("%d descriptors are open, or it is opened after Close", b.leaked())
			}
		})
	}
}

// put plugs a chip in that is there already.
func (b *board) put(device string, c *chip) {
	b.t.Helper()
	b.add(device, "")
	b.chips[filepath.Join(b.devices, device)] = c
}

// TestChipIsLookedForByItsLabel: a line named by its chip's number is not read from the
// chip that has this number later.
func TestChipIsLookedForByItsLabel(t *testing.T) {
	b, _ := pi(t)
	usb := b.add("gpiochip2", "ft232h", "A", "B")
	in := newInput(b.kernel(), InputConfig{Line: Line{Chip: "gpiochip2", Offset: 1}})
	if err := in.Reopen(); err != nil {
		t.Fatal(err)
	}
	b.drive(usb, 1, true)
	if n, err := in.Read(make([]hal.Reading, 4)); n != 1 || err != nil {
		t.Errorf("%d edges, %v", n, err)
	}
	b.remove("gpiochip2")
	if _, err := in.Read(make([]hal.Reading, 4)); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "the line is requested again by itself") {
		t.Errorf("unplugged: %v", err)
	}
	b.gone = false
	b.add("gpiochip2", "another", "C", "D")
	err := in.Reopen()
	const want = `request GPIO line gpiochip2/1: no such GPIO chip: ft232h (` + whichBoard
	if !errors.Is(err, ErrNoChip) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("its number is another chip's: %v", err)
	}
	b.put("gpiochip3", usb)
	usb.lines[1].consumer = ""
	if err := in.Reopen(); err != nil {
		t.Fatal(err)
	}
	if r, err := in.Level(9); err != nil || r.Value != 1 {
		t.Errorf("its level is %+v, %v", r, err)
	}
	b.drive(usb, 1, false)
	buffer := make([]hal.Reading, 4)
	if n, _ := in.Read(buffer); n != 1 || buffer[0].Value != 0 || in.Lost() != 0 {
		t.Errorf("%d edges %v, %d lost: the kernel counts anew", n, buffer[:n], in.Lost())
	}
}

// TestReopenAllocatesNothing: of the running kernel, while the chip is not there.
func TestReopenAllocatesNothing(t *testing.T) {
	for _, line := range []Line{{Name: "GPIO4", Chip: "a chip that nobody has", Offset: 4}, {Chip: "/nowhere/gpiochip0"}, {Chip: "gpiochip9999"}} {
		in := NewInput(InputConfig{Line: line})
		if err := in.Reopen(); err == nil {
			t.Fatalf("%v is there", line)
		}
		if n := testing.AllocsPerRun(20, func() { _ = in.Reopen() }); n != 0 {
			t.Errorf("%v: %v allocations a try", line, n)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	k := system()
	if n := testing.AllocsPerRun(20, func() {
		_, _ = k.offset(Line{Chip: "x"}, int(null.Fd()))
		_, _ = k.info(int(null.Fd()), 0)
	}); n != 0 {
		t.Errorf("%v allocations a look at a chip", n)
	}
}

// TestRefusedOutputLeavesTheOthersSafe: a motor does not run on because the line of the
// brake is busy, on the same chip or on another, and every line that is refused is named.
func TestRefusedOutputLeavesTheOthersSafe(t *testing.T) {
	b, c := pi(t)
	exp := b.chips[filepath.Join(b.devices, "gpiochip1")]
	c.lines[2].level, c.lines[4].level, exp.lines[1].level = true, true, true
	c.lines[3].consumer, c.lines[5].refuse = "w1-gpio", unix.EPERM
	at := func(chip string, offset int) OutputConfig {
		return OutputConfig{Line: Line{Chip: chip, Offset: offset}}
	}
	_, err := requestOutputs(b.kernel(), []OutputConfig{at("gpiochip0", 2), at("gpiochip0", 3), at("gpiochip1", 1), at("gpiochip0", 5), at("gpiochip0", 4), at("nowhere", 0)})
	for _, want := range []string{
		`request GPIO line gpiochip0/3: line is in use: gpiochip0/3 by "w1-gpio" (`, "request GPIO line gpiochip0/5: permission denied: gpiochip0/5 (", "request GPIO line nowhere/0: no such GPIO chip: nowhere (",
	} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("not told once: %s\n%v", want, err)
		}
	}
	if c.lines[2].level || c.lines[4].level || exp.lines[1].level {
		t.Error("a line runs on")
	}
	if b.leaked() != 0 || c.lines[2].consumer != "" {
		t.Errorf("%d descriptors are open", b.leaked())
	}
}

// TestBadHardwarePage: what docs/bad-hardware.md shows of GPIO lines is what they say,
// and all of it. The kernel is the one in memory: this machine has no GPIO.
func TestBadHardwarePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/bad-hardware.md")
	if err != nil {
		t.Fatal(err)
	}
	unnamed := make([]string, 18)
	old := Line{Name: "GPIO17", Chip: "pinctrl-bcm2711", Offset: 17}
	request := func(spoil func(b *board, c *chip)) string {
		b := newBoard(t)
		c := b.add("gpiochip0", "pinctrl-rp1", unnamed...)
		line := old
		if spoil != nil {
			line.Chip = c.label
			spoil(b, c)
		}
		return strings.ReplaceAll(newInput(b.kernel(), InputConfig{Line: line}).Reopen().Error(), b.devices, "/dev")
	}
	says := []string{
		request(func(_ *board, c *chip) { c.lines[17].consumer = "w1-gpio" }),
		request(func(_ *board, c *chip) { c.lines[17].consumer = Consumer }),
		request(func(b *board, _ *chip) { b.deny[filepath.Join(b.devices, "gpiochip0")] = unix.EACCES }),
		request(nil),
		request(func(b *board, _ *chip) { b.remove("gpiochip0") }),
	}
	for _, want := range says {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("the page lacks: %s", want)
		}
	}
	if n := strings.Count(string(text), "\nrequest GPIO line"); n != len(says) {
		t.Errorf("the page has %d messages of GPIO lines, want %d", n, len(says))
	}
}
