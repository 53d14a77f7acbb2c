package config

import (
	"fmt"
	"math"
	"slices"

	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
)

// slowest is how long an output may take over its whole range under its rate, in
// seconds; more is a wrong figure.
const slowest = 24 * 3600

// rate reads the greatest change per second of an output, 0 for none.
func (l *loader) rate(x keys, o *hal.Output, onOff bool) float64 {
	if !x.has("rate") {
		return 0
	}
	rate := x.number("rate", math.NaN())
	switch {
	case rate != rate: // reported
		return 0
	case onOff:
		x.fault("rate", "remove it, or give it a pwm frequency", "%s has a rate, but that line is only on or off", x.what)
		return 0
	case !(rate > 0):
		x.fault("rate", "give the greatest change per second, such as 0.5, or remove it", "rate of %s is %s, not over 0", x.what, formatNumber(rate))
		return 0
	case o.Maximum-o.Minimum > rate*slowest:
		x.fault("rate", fmt.Sprintf("give at least %s per second", formatNumber((o.Maximum-o.Minimum)/slowest)),
			"rate of %s is %s per second: over its range it would take more than a day", x.what, formatNumber(rate))
		return 0
	}
	return rate
}

// readBack reads which signal must follow an output.
func (l *loader) readBack(x keys, o *hal.Output) {
	if x.node("read_back") == nil {
		return
	}
	k := l.section(x.node("read_back"), &readBackSection, "read_back of "+x.what)
	if k.broken || !k.has("signal") {
		return
	}
	b := ReadBack{Output: len(l.world.outputs), Rule: -1, Within: k.duration("within", defaultWithin)}
	if b.Signal = l.followed(k, o); b.Signal < 0 {
		return
	}
	b.Tolerance = k.number("tolerance", defaultTolerance(o, &l.world.signals[b.Signal]))
	if b.Tolerance < 0 || b.Tolerance >= o.Maximum-o.Minimum {
		k.fault("tolerance", fmt.Sprintf("give a value from 0 to less than %s, the extent of its range", formatNumber(o.Maximum-o.Minimum)),
			"tolerance of %s is %s, out of range", k.what, formatNumber(b.Tolerance))
		return
	}
	l.world.follows = append(l.world.follows, b)
}

func defaultTolerance(o *hal.Output, s *hal.Signal) float64 {
	if s.Boolean {
		return (o.Maximum - o.Minimum) / 2
	}
	return (o.Maximum - o.Minimum) / 20
}

// followed gives the index of the signal that a read-back names, or -1.
func (l *loader) followed(k keys, o *hal.Output) int {
	name := k.text("signal", "")
	i := l.world.signal(name)
	if i < 0 {
		if name != "" && !l.world.known(name) {
			k.fault("signal", suggest(name, l.world.signalNames(), "signals"), "%s names %s, which is not a signal", k.what, name)
		}
		return -1
	}
	s := &l.world.signals[i]
	switch {
	case l.world.broken[name]:
		return -1
	case s.Boolean && (o.Minimum != 0 || o.Maximum != 1):
		k.fault("signal", "name a signal with a range", "%s names %s, which is only 0 or 1, and the output goes from %s to %s", k.what, name, formatNumber(o.Minimum), formatNumber(o.Maximum))
		return -1
	case !s.Boolean && !sameUnit(s.Unit, o.Unit):
		k.fault("signal", "give both the same unit", "%s names %s, which is in %s, and the output in %s", k.what, name, orNone(s.Unit), orNone(o.Unit))
		return -1
	case !s.Boolean && (s.Minimum > o.Minimum || s.Maximum < o.Maximum):
		k.fault("signal", fmt.Sprintf("give %s a range that holds [%s, %s]: a value out of range is invalid", name, formatNumber(o.Minimum), formatNumber(o.Maximum)),
			"%s names %s, whose range does not hold the output's", k.what, name)
		return -1
	}
	return i
}

// readBackName is the reflex that watches over an output.
func readBackName(output string) string { return "read-back-" + output }

// readBacks adds the reflexes that stop the robot when an output's line does not
// follow. They stand behind those of the manual and are reflexes like these: they
// fire also when the signal is invalid, latch, and act on all outputs.
func (m *manualReader) readBacks(k keys) {
	for i := range m.w.follows {
		b := &m.w.follows[i]
		name := readBackName(m.w.outputs[b.Output].Name)
		if slices.ContainsFunc(m.out.Rules, func(r reflex.Rule) bool { return r.Name == name }) {
			k.fault("reflexes", "rename it", "a reflex is called %s, like the one that watches over the output", name)
			continue
		}
		source := m.readBackSource(b)
		p, err := expr.CompileWindowed(source, m.words.scope, expr.Want{Boolean: true}, m.words.windows)
		if err != nil {
			k.fault("reflexes", "look back less often, or watch over fewer outputs", "reflex %s cannot be made of %s: %v", name, source, err)
			continue
		}
		m.out.Rules = append(m.out.Rules, reflex.Rule{
			Name: name, When: p, Set: safeSettings(m.w), Latch: true, Stop: reflex.Stop0, Confirm: 1,
		})
	}
}

// readBackSource says when a line does not follow: the signal is off by more than
// the tolerance from every value that the output had on the wire within the time.
// So a line may lag behind an output that moves, by that time.
func (m *manualReader) readBackSource(b *ReadBack) string {
	s, o := &m.w.signals[b.Signal], &m.w.outputs[b.Output]
	signal, tolerance := s.Name, formatNumber(b.Tolerance)
	if s.Boolean {
		signal = "(" + s.Name + " ? 1 : 0)"
	} else if o.Unit != "" {
		tolerance += " " + o.Unit
	}
	past := fmt.Sprintf("(%s, %sms)", o.Name, formatNumber(b.Within.Seconds()*1000))
	return fmt.Sprintf("%s < lowest%s - %s || %s > highest%s + %s", signal, past, tolerance, signal, past, tolerance)
}

// readBackRules finds the reflexes that the manual's reader has made.
func (l *loader) readBackRules() {
	if l.robot.Manual == nil {
		return
	}
	l.robot.ReadBacks = slices.Clone(l.world.follows)
	for i := range l.robot.ReadBacks {
		b := &l.robot.ReadBacks[i]
		name := readBackName(l.world.outputs[b.Output].Name)
		b.Rule = slices.IndexFunc(l.robot.Manual.Rules, func(r reflex.Rule) bool { return r.Name == name })
	}
}
