//go:build linux

package gpio

import (
	"errors"
	"strconv"
	"time"
)

// PWMConfig is one output of a hardware PWM, as the kernel's sysfs has it
// (Documentation/ABI/testing/sysfs-class-pwm).
type PWMConfig struct {
	Name      string        // of the pin, for messages, e.g. GPIO18
	Device    string        // the controller under /sys/bus/platform/devices, e.g. fe20c000.pwm
	Channel   int           // 0-based
	Period    time.Duration // 10 us to 1 s
	Safe      time.Duration // how long a pulse is in the safe state; 0 to Period
	ActiveLow bool          // a pulse is low, and the line high between pulses
	Setup     string        // what gives the pin its PWM, for the message where the controller is not there
}

// PWMs are the hardware PWM outputs of a robot. A channel stays enabled at its safe
// pulse after Close, as an output line keeps its level: a disabled PWM would be low,
// which is not safe for every output.
type PWMs struct {
	files    *sysfs
	channels []pwmChannel
	buffer   []byte // of one write
	closed   bool
}

// pwmChannel is one output.
type pwmChannel struct {
	fd     int // of duty_cycle, kept open
	period int64
	safe   int64
	low    bool
	last   int64  // on the wire; -1: not known
	gone   *Error // prepared, so that the hot path does not allocate
}

// OpenPWMs takes channels and brings each to its safe pulse before it is enabled.
// One that runs already, as after a run that was killed, goes to its safe pulse with
// the first write. If one cannot be had, the others are made safe as well and none stays
// open; the errors are *Errors.
func OpenPWMs(configs []PWMConfig) (*PWMs, error) { return openPWMs(systemFiles(), configs) }

func openPWMs(files *sysfs, configs []PWMConfig) (*PWMs, error) {
	p := &PWMs{files: files, buffer: make([]byte, 0, 20)}
	var failed []error
	for i := range configs { // all of them: a motor must not run on because another's channel is gone
		c, err := files.open(&configs[i])
		if err != nil {
			failed = append(failed, err)
			continue
		}
		p.channels = append(p.channels, c)
	}
	if failed != nil {
		return nil, errors.Join(append(failed, p.Close())...)
	}
	return p, nil
}

// Len is the number of outputs.
func (p *PWMs) Len() int { return len(p.channels) }

// Set makes the pulses of output i, in the order of the configs, so long. What is
// shorter than 0 or longer than the period is made so. It is one system call, or
// none when the pulse is that long already.
func (p *PWMs) Set(i int, pulse time.Duration) error {
	if p.closed {
		return ErrClosed
	}
	c := &p.channels[i]
	return p.write(c, c.duty(int64(pulse)))
}

// duty is what the kernel calls the duty cycle: how long the line is high in each
// period, in nanoseconds.
func (c *pwmChannel) duty(pulse int64) int64 {
	pulse = min(max(pulse, 0), c.period)
	if c.low {
		return c.period - pulse
	}
	return pulse
}

func (p *PWMs) write(c *pwmChannel, duty int64) error {
	if duty == c.last {
		return nil
	}
	p.buffer = strconv.AppendInt(p.buffer[:0], duty, 10)
	if err := p.files.write(c.fd, p.buffer); err != nil {
		c.last = -1
		return c.gone
	}
	c.last = duty
	return nil
}

// Halt brings every output to its safe pulse, and writes it whatever was written
// last. It goes on after an error and gives all of them.
func (p *PWMs) Halt() error {
	if p.closed {
		return ErrClosed
	}
	var failed []error
	for i := range p.channels {
		c := &p.channels[i]
		c.last = -1
		if err := p.write(c, c.safe); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// Close halts and gives the files back. A second Close does nothing.
func (p *PWMs) Close() error {
	if p.closed {
		return nil
	}
	failed := []error{p.Halt()}
	for i := range p.channels {
		failed = append(failed, p.files.close(p.channels[i].fd))
	}
	p.closed = true
	return errors.Join(failed...)
}
