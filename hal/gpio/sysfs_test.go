//go:build linux

package gpio

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pwmTree is /sys/class/pwm in memory, with the rules of drivers/pwm/sysfs.c and
// drivers/pwm/core.c as far as this package meets them.
type pwmTree struct {
	chips  map[string]*pwmChip // by pwmchipN
	files  map[int]string      // open descriptors
	nextFd int
	deny   map[string]error // by the end of a path
	udev   int              // how many opens of a new channel's files fail before udev is done
	waited time.Duration
	gone   bool
	writes []string // in order, file=value
}

type pwmChip struct {
	device   string
	channels []pwmState
	shared   bool  // one period for all channels
	longest  int64 // period, in nanoseconds
}

// pwmState is one channel.
type pwmState struct {
	exported bool
	kernel   bool // a driver has it
	period   int64
	duty     int64
	enabled  bool
	inversed bool
}

func newTree(chips ...*pwmChip) *pwmTree {
	tree := &pwmTree{chips: map[string]*pwmChip{}, files: map[int]string{}, nextFd: 100, deny: map[string]error{}}
	for i, c := range chips {
		// Numbers begin where they like.
		tree.chips["pwmchip"+strconv.Itoa(7-3*i)] = c
	}
	return tree
}

func (t *pwmTree) sysfs() *sysfs {
	return &sysfs{
		class: "/sys/class/pwm", list: t.list, readlink: t.readlink, read: t.read, openFile: t.open,
		write: func(fd int, b []byte) error { return t.write(fd, b) }, close: t.close,
		wait: func(d time.Duration) { t.waited += d },
	}
}

// at finds the chip and the channel of a path; channel is nil for files of the chip.
func (t *pwmTree) at(path string) (chip *pwmChip, channel *pwmState, file string) {
	parts := strings.Split(strings.TrimPrefix(path, "/sys/class/pwm/"), "/")
	chip = t.chips[parts[0]]
	if chip == nil || len(parts) < 2 {
		return chip, nil, ""
	}
	var n int
	if _, err := fmt.Sscanf(parts[1], "pwm%d", &n); err != nil || strings.Contains(parts[1], "npwm") {
		return chip, nil, parts[1]
	}
	if n < len(chip.channels) && chip.channels[n].exported {
		channel = &chip.channels[n]
	}
	return chip, channel, strings.Join(parts[2:], "/")
}

func (t *pwmTree) list(directory string) ([]string, error) {
	if directory == "/sys/class/pwm" {
		var names []string
		for name := range t.chips {
			names = append(names, name)
		}
		slices.Sort(names)
		return names, nil
	}
	if _, channel, file := t.at(directory); channel == nil || file != "" {
		return nil, unix.ENOENT
	}
	return []string{"duty_cycle", "enable", "period", "polarity"}, nil
}

func (t *pwmTree) readlink(path string) (string, error) {
	chip, _, file := t.at(path)
	if chip == nil || file != "device" {
		return "", unix.ENOENT
	}
	return "../../../platform/soc/" + chip.device, nil
}

func (t *pwmTree) read(path string) (string, error) {
	chip, channel, file := t.at(path)
	switch {
	case chip != nil && file == "npwm":
		return strconv.Itoa(len(chip.channels)), nil
	case channel == nil:
		return "", unix.ENOENT
	case file == "period":
		return strconv.FormatInt(channel.period, 10), nil
	case file == "polarity" && channel.inversed:
		return "inversed", nil
	case file == "polarity":
		return "normal", nil
	}
	return "", unix.ENOENT
}

func (t *pwmTree) open(path string) (int, error) {
	for end, err := range t.deny {
		if strings.HasSuffix(path, end) {
			return -1, err
		}
	}
	chip, channel, file := t.at(path)
	if chip == nil || channel == nil && file != "export" {
		return -1, unix.ENOENT
	}
	if channel != nil && t.udev > 0 {
		t.udev--
		return -1, unix.EACCES
	}
	t.nextFd++
	t.files[t.nextFd] = path
	return t.nextFd, nil
}

func (t *pwmTree) close(fd int) error {
	if t.files[fd] == "" {
		return unix.EBADF
	}
	delete(t.files, fd)
	return nil
}

func (t *pwmTree) write(fd int, b []byte) error {
	path := t.files[fd]
	if path == "" {
		return unix.EBADF
	}
	if t.gone {
		return unix.ENODEV
	}
	chip, channel, file := t.at(path)
	text := string(b)
	t.writes = append(t.writes, file+"="+text)
	if file == "export" {
		return chip.export(text)
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil && file != "polarity" {
		return unix.EINVAL
	}
	return chip.set(channel, file, text, value)
}

func (c *pwmChip) export(text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return unix.EINVAL
	case n >= len(c.channels):
		return unix.ENODEV
	case c.channels[n].kernel || c.channels[n].exported:
		return unix.EBUSY
	}
	c.channels[n].exported = true
	return nil
}

func (c *pwmChip) set(s *pwmState, file, text string, value int64) error {
	switch file {
	case "period":
		if value <= 0 || s.duty > value || c.longest > 0 && value > c.longest || c.conflicts(s, value) {
			return unix.EINVAL
		}
		s.period = value
	case "duty_cycle":
		if s.period == 0 || value < 0 || value > s.period {
			return unix.EINVAL
		}
		s.duty = value
	case "enable":
		if value == 1 && s.period == 0 || value > 1 {
			return unix.EINVAL
		}
		s.enabled = value == 1
	case "polarity":
		if s.enabled {
			return unix.EBUSY
		}
		s.inversed = text == "inversed"
	default:
		return unix.EACCES
	}
	return nil
}

// conflicts: another channel of a chip with one period runs with another.
func (c *pwmChip) conflicts(s *pwmState, period int64) bool {
	for i := range c.channels {
		if other := &c.channels[i]; c.shared && other != s && other.period != 0 && other.period != period {
			return true
		}
	}
	return false
}

// TestSystemFiles runs the real calls over a folder: a channel that is exported
// already is made of files and links alone.
func TestSystemFiles(t *testing.T) {
	root := t.TempDir()
	chip := filepath.Join(root, "class", "pwmchip3")
	channel := filepath.Join(chip, "pwm1")
	device := filepath.Join(root, "devices", "fe20c000.pwm")
	for _, directory := range []string{channel, device} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(device, filepath.Join(chip, "device")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"npwm": "2\n", "pwm1/period": "1000000\n", "pwm1/duty_cycle": "999999\n", "pwm1/enable": "1\n", "pwm1/polarity": "normal\n"} {
		if err := os.WriteFile(filepath.Join(chip, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := systemFiles()
	files.class = filepath.Join(root, "class")
	p, err := openPWMs(files, []PWMConfig{{Name: "GPIO13", Device: "fe20c000.pwm", Channel: 1, Period: time.Millisecond, Safe: 100 * time.Microsecond}})
	if err != nil {
		t.Fatal(err)
	}
	holds := func(want string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(channel, "duty_cycle"))
		if err != nil || strings.TrimSpace(string(text)) != want {
			t.Errorf("duty_cycle is %q, %v, want %s", text, err, want)
		}
	}
	holds("100000")
	if err := p.Set(0, 250*time.Microsecond); err != nil {
		t.Fatal(err)
	}
	holds("250000")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	holds("100000")
}
