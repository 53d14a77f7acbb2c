package config

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"dancer/boards"
	"dancer/hal"
)

// identifierPattern is what isIdentifier checks, for the schema.
const identifierPattern = `^[A-Za-z][A-Za-z0-9_]{0,63}$`

func isIdentifier(text string) bool {
	return text != "" && len(text) <= 64 && isAlphanumeric(text[0]) && text[0] > '9' &&
		strings.Trim(text, alphanumeric+"_") == ""
}

// reserved words of the expression language and of settings.
var reserved = map[string]bool{
	"true": true, "false": true, "dt": true, "d": true, "safe": true,
	"min": true, "max": true, "abs": true, "clamp": true, "sqrt": true, "exp": true, "log": true,
	"rate": true, "mean": true, "lowest": true, "highest": true, "held": true, "since": true,
}

// identifier reports a name that expressions could not read.
func (l *loader) identifier(key *node, what string) bool {
	name := key.text
	switch {
	case !isIdentifier(name):
		l.faultf(key, "use letters, digits and underscores, up to 64, and start with a letter", "%s name %q cannot be used", what, name)
	case reserved[name] && what != "port":
		l.faultf(key, "choose another name: expressions use this one", "%s name %s is reserved", what, name)
	default:
		return true
	}
	return false
}

func (l *loader) signals(k keys) {
	table := k.table("signals", maxSignals)
	l.world.partial = len(table) == 0
	if k.empty("signals") {
		k.fault("signals", "name at least one input", "signals is empty")
	}
	for _, e := range table {
		if !l.identifier(e.key, "signal") {
			l.world.broken[e.key.text] = true
			continue
		}
		before := len(l.problems)
		x := l.section(e.value, &signalSection, "signal "+e.key.text)
		if !x.broken {
			l.signal(x, e.key.text)
		}
		if l.faultsSince(before) {
			l.world.broken[e.key.text] = true
		}
	}
}

func (l *loader) faultsSince(n int) bool { return l.problems[n:].Faults() > 0 }

func (l *loader) signal(x keys, name string) {
	s := hal.Signal{Name: name, Publish: x.boolean("publish"), StuckAfter: x.duration("stuck_after", 0)}
	in := Input{Port: -1, ActiveHigh: true, Start: math.NaN()}
	s.Unit = x.unit("unit")
	if !x.has("i2c") {
		l.source(x)
	}
	switch {
	case x.has("i2c"):
		l.chipSignal(x, &s, &in)
	case x.has("pin"):
		l.pinSignal(x, &s, &in)
	case x.has("joystick"):
		l.joystickSignal(x, &s, &in)
	case x.has("can"):
		l.canSignal(x, &s, &in)
	case x.has("mqtt"):
		l.topicSignal(x, &s, &in)
	case x.has("from"):
		l.postSignal(x, &s, &in)
	default:
		l.fieldSignal(x, &s, &in)
	}
	x.unused(origin(x))
	if x.has("start") {
		in.Start = x.number("start", math.NaN())
		if in.Start < s.Minimum || in.Start > s.Maximum {
			x.fault("start", fmt.Sprintf("give a value from %s to %s", formatNumber(s.Minimum), formatNumber(s.Maximum)), "start of %s is %s, out of its range", x.what, formatNumber(in.Start))
		}
	}
	l.addSignal(s, in)
}

// source reports a signal or output that comes from nowhere or from two places.
func (l *loader) source(x keys) {
	var has []string
	for _, key := range origins {
		if x.has(key) {
			has = append(has, key)
		}
	}
	switch {
	case x.has("pin") && x.has("port"):
		x.fault("port", "keep one of the two", "%s has both a pin and a port", x.what)
	case len(has) > 1:
		x.fault(has[1], "keep one of them", "%s has %s", x.what, strings.Join(has, " and "))
	case len(has) == 0 && !l.simulated():
		l.faultf(x.at, "add pin: GPIO17, or port: with the name of a port", "%s has neither a pin nor a port", x.what)
	}
}

func (l *loader) pinSignal(x keys, s *hal.Signal, in *Input) {
	s.Boolean, s.Maximum = true, 1
	for _, key := range []string{"field", "unit", "range"} {
		if x.has(key) {
			x.fault(key, "remove it: a GPIO line is 0 or 1", "%s has a pin and %s", x.what, key)
		}
	}
	in.HasPin = true
	in.Pin = l.pin(x, asInput)
	in.Pull = Pull(x.choice("pull", ""))
	l.inputBias(x, in)
	in.ActiveHigh = x.choice("active", "high") == "high"
	s.Debounce = x.duration("debounce", 0)
	s.StaleAfter = x.duration("stale_after", 0)
}

func (l *loader) fieldSignal(x keys, s *hal.Signal, in *Input) {
	for _, key := range []string{"pull", "active", "debounce"} {
		if x.has(key) {
			x.fault(key, "remove it: it is for GPIO lines", "%s has %s but no pin", x.what, key)
		}
	}
	in.Port = l.port(x)
	in.Field = x.text("field", s.Name)
	l.field(x, in)
	l.plausible(x, s, defaultStaleAfter)
}

// plausible reads what a value of text has that may be anything.
func (l *loader) plausible(x keys, s *hal.Signal, stale time.Duration) {
	s.Boolean = x.boolean("boolean")
	s.StaleAfter = x.duration("stale_after", stale)
	if s.Boolean {
		s.Maximum = 1
		return
	}
	if !x.has("range") {
		l.faultf(x.at, "add range: [0, 8], the plausible values: anything else is invalid", "%s has no range", x.what)
	}
	s.Minimum, s.Maximum, _ = x.limits("range")
}

// field checks a field's name against what its port's framing can deliver.
func (l *loader) field(x keys, in *Input) {
	if in.Port < 0 {
		return
	}
	p := l.robot.Ports[in.Port]
	var known []string
	switch p.Framing {
	case FramingCSV:
		known = p.Columns
	case FramingLines:
		known = patternFields(p.Pattern)
	case FramingNMEA:
		l.sentence(x, in.Field)
		return
	}
	if p.Binary() {
		l.packetField(x, p, in.Field)
		return
	}
	if len(known) > 0 && indexOf(known, in.Field) < 0 {
		x.fault("field", suggest(in.Field, known, "fields"), "%s reads field %s, which port %s does not deliver", x.what, in.Field, p.Name)
	}
}

// packetField checks a field of a port of packets: that the framer knows it, and that
// the signal has the unit that the framer delivers.
func (l *loader) packetField(x keys, p Port, field string) {
	var names []string
	for _, f := range hal.KnownFields(p.FramerConfig(nil)) {
		names = append(names, f.Name)
		if f.Name == withoutInstance(field) && !sameUnit(x.text("unit", ""), f.Unit) {
			hint := fmt.Sprintf("write unit: %q", f.Unit)
			if f.Unit == "" {
				hint = "remove the unit"
			}
			x.fault("unit", hint, "%s reads %s, which is in %s", x.what, field, orNone(f.Unit))
		}
	}
	_, err := hal.NewFramer(p.FramerConfig([]string{field}))
	if err == nil {
		return
	}
	_, hint, _ := strings.Cut(err.Error(), `": `) // behind the field: what there is
	if near := nearest(field, names); near != "" && p.Framing == FramingMAVLink {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	x.fault("field", hint, "%s reads field %s, which port %s does not deliver", x.what, field, p.Name)
}

// withoutInstance takes the number out of DISTANCE_SENSOR.2.current_distance.
func withoutInstance(field string) string {
	parts := strings.Split(field, ".")
	if len(parts) == 3 {
		return parts[0] + "." + parts[2]
	}
	return field
}

// sentence checks a field of an nmea port: that the framer knows it, and that
// the signal has the unit that the framer delivers.
func (l *loader) sentence(x keys, field string) {
	var names []string
	for _, f := range hal.NMEAFields() {
		names = append(names, f.Name)
		if f.Name == field && !sameUnit(x.text("unit", ""), f.Unit) {
			x.fault("unit", fmt.Sprintf("write unit: %q", f.Unit), "%s reads %s, which is in %s", x.what, field, orNone(f.Unit))
		}
	}
	if _, err := hal.NewNMEAFramer([]string{field}); err != nil {
		hint := "write the sentence and the field, e.g. GGA.latitude or RMC.speed, or its number, e.g. GGA.9"
		if near := nearest(field, names); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		x.fault("field", hint, "%s reads field %s, which no NMEA sentence has", x.what, field)
	}
}

// sameUnit says whether two units are one: ° and deg.
func sameUnit(a, b string) bool {
	x, y := unitOf(a), unitOf(b)
	return x.Fits(y) && x.Scale() == y.Scale()
}

func orNone(unit string) string {
	if unit == "" {
		return "no unit"
	}
	return unit
}

// port gives the index of the port that a key names, or -1.
func (l *loader) port(x keys) int {
	name := x.text("port", "")
	if name == "" {
		return -1
	}
	names := make([]string, len(l.robot.Ports))
	for i, p := range l.robot.Ports {
		names[i] = p.Name
	}
	i := indexOf(names, name)
	if i < 0 {
		x.fault("port", suggest(name, names, "ports"), "%s names port %s, which does not exist", x.what, name)
	}
	return i
}

// pin finds a line of the board and reports one that is not there or taken.
func (l *loader) pin(x keys, direction string) boards.Line {
	name := x.text("pin", "")
	if name == "" || l.robot.BoardName == "" {
		return boards.Line{Name: name, Offset: -1}
	}
	line, err := l.robot.Board.Line(name)
	if err != nil {
		l.pinFault(x, err)
		return boards.Line{Name: name, Offset: -1}
	}
	if l.pins == nil {
		l.pins = map[string]string{}
	}
	l.usable(x, line, direction)
	l.pins[line.Name] = x.what
	return line
}

func (l *loader) pinFault(x keys, err error) {
	var unknown *boards.UnknownLineError
	if !errors.As(err, &unknown) {
		x.fault("pin", "see dancer board", "%v", err)
		return
	}
	hint := `write a kernel line name or chip and number, such as gpiochip0/17 ("gpioinfo" lists them)`
	if len(unknown.Known) > 0 {
		hint = "pins: " + strings.Join(unknown.Known, ", ")
	}
	if indexOf(unknown.Known, "GPIO"+unknown.Name) >= 0 {
		hint = "did you mean GPIO" + unknown.Name + "?"
	}
	x.fault("pin", hint, "%v", err)
}

func (l *loader) outputs(k keys) {
	table := k.table("outputs", maxOutputs)
	l.world.partial = l.world.partial || len(table) == 0
	if k.empty("outputs") {
		k.fault("outputs", "name at least one actuator", "outputs is empty")
	}
	for _, e := range table {
		if !l.identifier(e.key, "output") {
			l.world.broken[e.key.text] = true
			continue
		}
		if l.world.signal(e.key.text) >= 0 {
			l.faultf(e.key, "expressions could not tell them apart: rename one", "output %s has the name of a signal", e.key.text)
			continue
		}
		before := len(l.problems)
		x := l.section(e.value, &outputSection, "output "+e.key.text)
		if !x.broken {
			l.output(x, e.key.text)
		}
		if l.faultsSince(before) {
			l.world.broken[e.key.text] = true
		}
	}
}

func (l *loader) output(x keys, name string) {
	o := hal.Output{Name: name, Maximum: 1}
	d := Drive{Port: -1, ActiveHigh: x.choice("active", "high") == "high"}
	o.Unit = x.unit("unit")
	l.source(x)
	if low, high, ok := x.limits("range"); ok {
		o.Minimum, o.Maximum = low, high
	}
	if x.has("port") {
		l.portOutput(x, &d)
	} else {
		l.pinOutput(x, &d, o)
	}
	if x.has("safe") {
		o.Safe = x.number("safe", 0)
		if o.Safe < o.Minimum || o.Safe > o.Maximum {
			x.fault("safe", fmt.Sprintf("give a value from %s to %s", formatNumber(o.Minimum), formatNumber(o.Maximum)), "safe of %s is %s, out of its range", x.what, formatNumber(o.Safe))
		}
	}
	onOff := d.HasPin && d.PWM == 0
	o.Rate = l.rate(x, &o, onOff)
	l.readBack(x, &o)
	l.outputAtBoot(x, &o, &d)
	l.addOutput(o, d, onOff)
}

func (l *loader) portOutput(x keys, d *Drive) {
	for _, key := range []string{"active", "pwm", "servo"} {
		if x.has(key) {
			x.fault(key, "remove it: it is for GPIO lines", "%s has a port and %s", x.what, key)
		}
	}
	if !x.has("range") {
		l.faultf(x.at, "add range: [-1, 1], the values that may be written", "%s has a port but no range", x.what)
	}
	d.Port = l.port(x)
	if d.Port >= 0 && l.robot.Ports[d.Port].Binary() {
		x.fault("port", "name the port of the controller that drives it", "%s writes text to port %s, whose framing is %s", x.what, l.robot.Ports[d.Port].Name, l.robot.Ports[d.Port].Framing)
	}
	d.Format = x.text("format", "")
	switch n := strings.Count(d.Format, "{value}"); {
	case !x.has("format"):
		l.faultf(x.at, `add format: "M {value}\n", what is written to the port`, "%s has a port but no format", x.what)
	case n != 1 && d.Format != "":
		x.fault("format", `write it where the number stands, e.g. "M {value}\n"`, "format of %s has {value} %d times, not once", x.what, n)
	case d.Format != "" && !strings.HasSuffix(d.Format, "\n"):
		l.warn(x.where("format"), fmt.Sprintf("format of %s does not end its line", x.what), `end it with \n, in double quotes`)
	}
}

func (l *loader) pinOutput(x keys, d *Drive, o hal.Output) {
	if x.has("format") {
		x.fault("format", "remove it, or name the port that it is written to", "%s has format but no port", x.what)
	}
	l.pulses(x, d)
	if x.has("pin") {
		d.HasPin = true
		d.Pin = l.pin(x, asOutput)
	}
	if d.PWM > 0 && !l.simulated() && l.robot.BoardName != "" {
		l.realPWM(x, d)
	}
	if d.HasPin && !x.has("servo") && (o.Minimum != 0 || o.Maximum != 1) {
		x.fault("range", "write [0, 1]: for a pwm these are duty cycles", "range of %s is [%s, %s], but a GPIO line goes from 0 to 1", x.what, formatNumber(o.Minimum), formatNumber(o.Maximum))
	}
}
