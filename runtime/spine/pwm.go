package spine

import (
	"fmt"
	"math"
	"time"

	"dancer/hal"
	"dancer/hal/gpio"
	"dancer/runtime/config"
)

// pulses are the hardware PWM outputs of a robot.
type pulses interface {
	Set(output int, pulse time.Duration) error
	Halt() error
	Close() error
}

func openPulses(configs []gpio.PWMConfig) (pulses, error) {
	p, err := gpio.OpenPWMs(configs)
	if err != nil {
		return nil, err // an interface that holds a nil *gpio.PWMs would not be nil
	}
	return p, nil
}

// pulseOf is what a value of an output means as a pulse: a straight line over the
// output's range.
type pulseOf struct {
	minimum, maximum, safe float64 // of the output
	low, high              float64 // the pulse at both ends, in nanoseconds
}

func newPulseOf(d *config.Drive, o *hal.Output) pulseOf {
	p := pulseOf{minimum: o.Minimum, maximum: o.Maximum, safe: o.Safe, high: 1e9 / d.PWM}
	if d.Servo.High > 0 {
		p.low, p.high = float64(1e3*d.Servo.Low), float64(1e3*d.Servo.High)
	}
	return p
}

// at is the pulse of a value. What is no number is the safe value; what is out of
// range is its end.
func (p *pulseOf) at(value float64) time.Duration {
	if value != value {
		value = p.safe
	}
	value = min(max(value, p.minimum), p.maximum)
	share := (value - p.minimum) / (p.maximum - p.minimum)
	return time.Duration(math.Round(p.low + float64(share*(p.high-p.low))))
}

// openPulses takes the PWM channels, which are at their safe pulse from then on.
func (h *hardware) openPulses(open openers) error {
	if h.dry {
		return nil
	}
	var configs []gpio.PWMConfig
	for i := range h.robot.Drives {
		d := &h.robot.Drives[i]
		if !d.HasPin || d.PWM == 0 {
			continue
		}
		w := &h.wires[i]
		w.pulse = newPulseOf(d, &h.robot.Manual.Outputs[i])
		c, err := pwmConfig(d, w)
		if err != nil {
			return fmt.Errorf("open output %s: %w", h.robot.Manual.Outputs[i].Name, err)
		}
		w.pwm = len(configs)
		configs = append(configs, c)
	}
	if len(configs) == 0 {
		return nil
	}
	p, err := open.pulses(configs)
	if err != nil {
		return h.outputError(err)
	}
	h.pulses = p
	return nil
}

func pwmConfig(d *config.Drive, w *wire) (gpio.PWMConfig, error) {
	if d.Pin.PWM == nil || d.PWMChip.Device == "" {
		return gpio.PWMConfig{}, fmt.Errorf("no hardware PWM is known to reach %s", d.Pin.Name)
	}
	return gpio.PWMConfig{
		Name: d.Pin.Name, Device: d.PWMChip.Device, Channel: d.Pin.PWM.Channel, Setup: d.Pin.PWM.Setup,
		Period: time.Duration(math.Round(1e9 / d.PWM)), Safe: w.pulse.at(w.pulse.safe), ActiveLow: !d.ActiveHigh,
	}, nil
}
