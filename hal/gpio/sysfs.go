//go:build linux

package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sysfs is the seam to the kernel's files; tests put a tree with the kernel's rules
// in its place.
type sysfs struct {
	class    string // directory of the PWM chips
	list     func(directory string) ([]string, error)
	readlink func(path string) (string, error)
	read     func(path string) (string, error)
	openFile func(path string) (fd int, err error) // for writing
	write    func(fd int, b []byte) error          // one write, from the start
	close    func(fd int) error
	wait     func(time.Duration)
}

// systemFiles are the running kernel's.
func systemFiles() *sysfs {
	return &sysfs{
		class: "/sys/class/pwm", list: listNames, readlink: os.Readlink, read: readText,
		openFile: func(path string) (int, error) { return unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0) },
		write:    writeOnce, close: unix.Close, wait: time.Sleep,
	}
}

func listNames(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func readText(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// writeOnce writes an attribute: the kernel takes a write as one whole value.
func writeOnce(fd int, b []byte) error {
	for {
		_, err := unix.Pwrite(fd, b, 0)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// The time that udev may take to give a new channel's files to their group.
const (
	udevPatience = 2 * time.Second
	udevStep     = 10 * time.Millisecond
)

// open takes one channel.
func (s *sysfs) open(c *PWMConfig) (pwmChannel, error) {
	chip, err := s.chip(c)
	if err != nil {
		return pwmChannel{}, err
	}
	directory := filepath.Join(chip, "pwm"+strconv.Itoa(c.Channel))
	patience := time.Duration(0)
	if !s.there(directory) {
		if err := s.export(c, chip); err != nil {
			return pwmChannel{}, err
		}
		patience = udevPatience
	}
	channel := pwmChannel{period: int64(c.Period), low: c.ActiveLow, last: -1}
	channel.gone = pwmError("set", c, ErrPWMGone, "", "")
	channel.safe = channel.duty(int64(c.Safe))
	if channel.fd, err = s.patiently(filepath.Join(directory, "duty_cycle"), patience); err != nil {
		return pwmChannel{}, s.refused(c, directory, err)
	}
	if err := s.start(c, directory, &channel); err != nil {
		return pwmChannel{}, errors.Join(err, s.close(channel.fd))
	}
	return channel, nil
}

// chip finds the directory of the controller by its device, since numbers of
// pwmchips move between kernels.
func (s *sysfs) chip(c *PWMConfig) (string, error) {
	names, err := s.list(s.class)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", s.refused(c, s.class, err)
	}
	var here []string
	for _, name := range names {
		device, err := s.readlink(filepath.Join(s.class, name, "device"))
		if err != nil {
			continue
		}
		if filepath.Base(device) == c.Device {
			return filepath.Join(s.class, name), s.channelOf(c, filepath.Join(s.class, name))
		}
		here = append(here, filepath.Base(device))
	}
	slices.Sort(here)
	detail := c.Device + "; this machine has none"
	if len(here) > 0 {
		detail = c.Device + "; here: " + strings.Join(here, ", ")
	}
	return "", pwmError("open", c, ErrNoPWM, detail, c.Setup)
}

// channelOf checks that the chip has the channel.
func (s *sysfs) channelOf(c *PWMConfig, chip string) error {
	text, err := s.read(filepath.Join(chip, "npwm"))
	if err != nil {
		return s.refused(c, chip, err)
	}
	if n, err := strconv.Atoi(text); err != nil || c.Channel >= n {
		return pwmError("open", c, ErrNoPWM, fmt.Sprintf("channel %d of %s, which has %s", c.Channel, c.Device, text), c.Setup)
	}
	return nil
}

func (s *sysfs) there(directory string) bool {
	_, err := s.list(directory)
	return err == nil
}

// export asks for a channel that nobody has.
func (s *sysfs) export(c *PWMConfig, chip string) error {
	err := s.put(filepath.Join(chip, "export"), strconv.Itoa(c.Channel))
	if errors.Is(err, unix.EBUSY) {
		return pwmError("open", c, ErrBusy, fmt.Sprintf("a driver of the kernel has channel %d of %s, such as a fan or the sound output", c.Channel, c.Device),
			"take that driver's overlay out of the boot configuration, or use another pin")
	}
	if err != nil {
		return s.refused(c, filepath.Join(chip, "export"), err)
	}
	return nil
}

// patiently opens a file that udev may still be working on.
func (s *sysfs) patiently(path string, patience time.Duration) (int, error) {
	for {
		fd, err := s.openFile(path)
		if err == nil || patience <= 0 || !(errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT)) {
			return fd, err
		}
		s.wait(udevStep)
		patience -= udevStep
	}
}

// start brings a channel to its safe pulse and enables it. The kernel refuses a
// duty cycle that is longer than the period, and another polarity while the channel
// is enabled.
func (s *sysfs) start(c *PWMConfig, directory string, channel *pwmChannel) error {
	if polarity, err := s.read(filepath.Join(directory, "polarity")); err == nil && polarity == "inversed" {
		// ActiveLow is made of the duty cycle: not every controller can invert.
		for _, f := range [][2]string{{"enable", "0"}, {"polarity", "normal"}} {
			if err := s.put(filepath.Join(directory, f[0]), f[1]); err != nil {
				return s.refused(c, filepath.Join(directory, f[0]), err)
			}
		}
	}
	before, err := s.number(filepath.Join(directory, "period"))
	if err != nil {
		return s.refused(c, directory, err)
	}
	period := func() error {
		return s.put(filepath.Join(directory, "period"), strconv.FormatInt(channel.period, 10))
	}
	duty := func() error { return s.write(channel.fd, strconv.AppendInt(nil, channel.safe, 10)) }
	steps := []func() error{period, duty} // the safe pulse fits the longer period
	switch {
	case before == channel.period:
		steps = []func() error{duty}
	case before > channel.period:
		steps = []func() error{duty, period}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return s.refusedPeriod(c, directory, err)
		}
	}
	channel.last = channel.safe
	if err := s.put(filepath.Join(directory, "enable"), "1"); err != nil {
		return s.refusedPeriod(c, directory, err)
	}
	return nil
}

func (s *sysfs) number(path string) (int64, error) {
	text, err := s.read(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// put writes a file once.
func (s *sysfs) put(path, text string) error {
	fd, err := s.openFile(path)
	if err != nil {
		return err
	}
	return errors.Join(s.write(fd, []byte(text)), s.close(fd))
}

// refusedPeriod explains what the controller did not take.
func (s *sysfs) refusedPeriod(c *PWMConfig, directory string, err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, enotsupp) {
		return pwmError("open", c, ErrUnsupported, fmt.Sprintf("%s does not take a period of %v", c.Device, c.Period),
			"try another pwm frequency; on some controllers all channels have one")
	}
	return s.refused(c, directory, err)
}

// refused names the cause of an error of a file.
func (s *sysfs) refused(c *PWMConfig, path string, err error) error {
	switch {
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return pwmError("open", c, ErrPermission, path, "run as a user of the group that udev gives PWM files to, usually: sudo usermod -aG gpio $USER, then log in again; docs/boards.md has the rule for udev")
	case errors.Is(err, unix.EROFS):
		return pwmError("open", c, ErrPermission, path+" is read-only to this service", "give the unit ReadWritePaths=/sys/devices (docs/boards.md)")
	case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT):
		return pwmError("open", c, ErrPWMGone, path, "")
	}
	return pwmError("open", c, ErrUnsupported, fmt.Sprintf("%s: %v", path, err), "")
}

func pwmError(verb string, c *PWMConfig, cause error, detail, hint string) *Error {
	return &Error{Verb: verb, Kind: "PWM", Line: c.Name, Cause: cause, Detail: detail, Hint: hint}
}
