package config

import (
	"fmt"
	"slices"
	"strings"

	"dancer/boards"
	"dancer/hal"
)

// Directions of a pin's use.
const (
	asInput  = "input"
	asOutput = "output"
)

// reserve keeps the pins of a serial port or an I2C bus from being used as GPIO
// lines, where the board says which they are.
func (l *loader) reserve(device, what string) {
	for _, pin := range devicePins(&l.robot.Board, device) {
		if l.reserved == nil {
			l.reserved = map[string]string{}
		}
		l.reserved[pin] = fmt.Sprintf("%s (%s)", what, device)
	}
}

// devicePins are the pins, as boards.Line.Pin names them, of a device that the
// board brings out.
func devicePins(p *boards.Profile, device string) []string {
	for i := range p.Serial {
		if s := &p.Serial[i]; s.Device == device || slices.Contains(s.Aliases, device) {
			return s.Pins
		}
	}
	for i := range p.I2C {
		if p.I2C[i].Device == device {
			return p.I2C[i].Pins
		}
	}
	return nil
}

// usable reports a line that is somebody else's, or cannot be what it is used for.
func (l *loader) usable(x keys, line boards.Line, direction string) {
	free := "choose another pin: dancer board " + l.robot.BoardName + " draws which are free"
	where := line.Name
	if pin := line.Pin(); line.Header > 0 && pin != line.Name {
		where += " (pin " + pin + ")"
	}
	switch other := l.pins[line.Name]; {
	case other != "":
		x.fault("pin", "give each its own line", "%s and %s are on the same pin %s", x.what, other, line.Name)
	case line.Owner != "":
		x.fault("pin", free, "%s is on %s, which belongs to %s", x.what, where, line.Owner)
	case line.Header > 0 && l.reserved[line.Pin()] != "":
		x.fault("pin", "choose another pin, or another port", "%s is on %s, which %s uses", x.what, where, l.reserved[line.Pin()])
	case line.Only != "" && line.Only != direction:
		x.fault("pin", free, "%s is an %s on %s, which this board wires as an %s only", x.what, direction, where, line.Only)
	}
}

// inputBias warns of a pull that a resistor on the board is stronger than.
func (l *loader) inputBias(x keys, in *Input) {
	if in.Pin.FixedPull && in.Pull != PullNone && string(in.Pull) != in.Pin.Pull {
		l.warn(x.where("pull"), fmt.Sprintf("pull of %s is %s, but %s has a resistor on the board that pulls it %s", x.what, in.Pull, in.Pin.Name, in.Pin.Pull),
			"choose another pin, or wire the contact the other way round")
	}
}

// outputAtBoot warns of what an output does before the robot has started.
func (l *loader) outputAtBoot(x keys, o *hal.Output, d *Drive) {
	if !d.HasPin || x.node("pin") == nil {
		return
	}
	if d.Pin.Boot != "" {
		l.warn(x.where("pin"), fmt.Sprintf("%s is on %s, which %s: the output moves while the board starts", x.what, d.Pin.Name, d.Pin.Boot), "choose another pin")
	}
	high, known := safeLevel(o, d)
	if !known || d.Pin.Pull == "" || high == (d.Pin.Pull == "up") {
		return
	}
	level, rail := "low", "ground"
	if high {
		level, rail = "high", "3.3 V"
	}
	l.warn(x.where("pin"), fmt.Sprintf("%s is safe while its line is %s, but %s is pulled %s from power-on until the robot has started", x.what, level, d.Pin.Name, d.Pin.Pull),
		fmt.Sprintf("choose a pin that is pulled the other way, turn the output round (active: high or low), or wire a resistor from the pin to %s", rail))
}

// safeLevel is the line's level in the safe state; known is false where that is
// no steady level, as with half a duty cycle or the pulses of a servo.
func safeLevel(o *hal.Output, d *Drive) (high, known bool) {
	switch {
	case d.Servo.High > 0 || d.PWM > 0 && o.Safe != o.Minimum && o.Safe != o.Maximum:
		return false, false
	case !(o.Safe >= o.Minimum && o.Safe <= o.Maximum): // reported
		return false, false
	}
	return (o.Safe > (o.Minimum+o.Maximum)/2) == d.ActiveHigh, true
}

// Servo is what a value means as the pulse of a servo: Low at the lower end of the
// output's range and High at the upper one, a straight line between them.
type Servo struct{ Low, High float64 } // microseconds; 0, 0: not a servo

const (
	servoFrequency = 50  // Hz: a pulse every 20 ms, which every servo takes
	shortestServo  = 200 // microseconds: no servo follows less
	longestServo   = 5000
)

// pulses reads pwm and servo of an output.
func (l *loader) pulses(x keys, d *Drive) {
	d.PWM = x.frequency("pwm")
	low, high, ok := x.limits("servo")
	if !ok {
		return
	}
	if !x.has("pwm") {
		d.PWM = servoFrequency
	}
	period := 1e6 / d.PWM
	switch {
	case low < shortestServo || high > longestServo || low == high:
		x.fault("servo", "give the pulse at each end of range in microseconds, such as [1000, 2000]",
			"servo of %s is [%s, %s], not two pulse widths from %d to %d microseconds", x.what, formatNumber(low), formatNumber(high), shortestServo, longestServo)
	case d.PWM > 0 && high >= period:
		x.fault("servo", "give a lower pwm frequency, or leave it out for 50Hz",
			"servo of %s has pulses of %s microseconds, and its pwm begins a new one every %s", x.what, formatNumber(high), formatNumber(period))
	default:
		d.Servo = Servo{low, high}
	}
}

// channel is a PWM output that another one has to get along with.
type channel struct {
	what      string
	frequency float64
}

// realPWM finds the hardware PWM that makes an output's pulses.
func (l *loader) realPWM(x keys, d *Drive) {
	key := "pwm"
	if !x.has(key) {
		key = "servo"
	}
	if l.robot.Board.Open {
		l.unsure(x, key, fmt.Sprintf("%s has %s, and board %s does not say which lines have a PWM", x.what, aOr(key), l.robot.BoardName),
			`name the board (see dancer board), or drive the motor through its controller's serial line (port and format: "M {value}\n")`)
		return
	}
	if !d.HasPin || d.Pin.Chip == "" { // reported
		return
	}
	chip, ok := l.robot.Board.PWMChip(d.Pin)
	if !ok {
		x.fault("pin", "pins with a hardware PWM: "+orNothing(pwmPins(&l.robot.Board)), "%s has %s, but no hardware PWM reaches %s", x.what, aOr(key), d.Pin.Name)
		return
	}
	d.PWMChip = chip
	l.shareChip(x, key, d)
	if !l.exists("sys/bus/platform/devices/" + chip.Device) {
		l.unsure(x, key, fmt.Sprintf("PWM %s of %s does not exist on this machine", chip.Device, x.what), d.Pin.PWM.Setup)
	}
}

// shareChip reports outputs that would have to be one: on the same channel, or on
// channels with a common frequency.
func (l *loader) shareChip(x keys, key string, d *Drive) {
	if l.channels == nil {
		l.channels = map[string]channel{}
	}
	own := fmt.Sprintf("channel %d of %s", d.Pin.PWM.Channel, d.PWMChip.Name)
	if other := l.channels[own]; other.what != "" {
		x.fault("pin", "choose a pin with another channel: "+orNothing(pwmPins(&l.robot.Board)), "%s and %s are both on %s", x.what, other.what, own)
	}
	l.channels[own] = channel{x.what, d.PWM}
	if !d.PWMChip.SharedPeriod {
		return
	}
	if other := l.channels[d.PWMChip.Name]; other.what != "" && other.frequency != d.PWM {
		x.fault(key, "give both the same frequency, or choose a pin of another PWM", "%s has %sHz and %s has %sHz, but both are on %s, whose channels have one frequency",
			x.what, formatNumber(d.PWM), other.what, formatNumber(other.frequency), d.PWMChip.Name)
	}
	l.channels[d.PWMChip.Name] = channel{x.what, d.PWM}
}

// unsure is a fault where a robot is about to run, and a warning before: the file
// may be right, and meant for another machine.
func (l *loader) unsure(x keys, key, what, hint string) {
	if l.opt.Run {
		x.fault(key, hint, "%s", what)
		return
	}
	l.warn(x.where(key), what, hint)
}

func aOr(key string) string { return "a " + key }

func orNothing(names []string) string {
	if len(names) == 0 {
		return "none on this board"
	}
	return strings.Join(names, ", ")
}

// pwmPins names the lines of a board that a PWM reaches, with its channel.
func pwmPins(p *boards.Profile) []string {
	var names []string
	for _, l := range p.Lines {
		if l.PWM != nil && l.Owner == "" {
			names = append(names, fmt.Sprintf("%s (%s channel %d)", l.Name, l.PWM.Chip, l.PWM.Channel))
		}
	}
	return names
}
