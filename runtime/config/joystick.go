package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"dancer/hal"
	"dancer/hal/evdev"
)

// joysticks reads the devices of the input layer.
func (l *loader) joysticks(k keys) {
	for _, e := range k.table("joysticks", maxJoysticks) {
		if !l.sourceName(e.key, "joystick") {
			continue
		}
		x := l.section(e.value, &joystickSection, "joystick "+e.key.text)
		j := Joystick{
			Name: e.key.text, Device: x.text("device", ""), DeviceName: x.text("device_name", ""),
			StaleAfter: x.duration("stale_after", defaultSilence), Grab: x.boolean("grab"),
		}
		j.DeadMan, j.HasDeadMan = x.code("dead_man", "button", evdev.Button, evdev.Buttons)
		l.joystickDevice(x, &j)
		l.robot.Joysticks = append(l.robot.Joysticks, j)
	}
}

// joystickDevice checks where the device is. One that is not there may be plugged in
// later, and the robot starts without it.
func (l *loader) joystickDevice(x keys, j *Joystick) {
	switch {
	case x.broken:
	case j.Device != "" && j.DeviceName != "":
		x.fault("device_name", "keep one of the two", "%s has both a device and a device_name", x.what)
	case j.Device == "" && j.DeviceName == "":
		if !l.simulated() && !x.has("device") && !x.has("device_name") {
			l.faultf(x.at, "name it: "+l.joystickHint(), "%s has neither a device nor a device_name", x.what)
		}
	case j.Device != "" && !filepath.IsAbs(j.Device):
		x.fault("device", l.joystickHint(), "device of %s is %q: not an absolute path", x.what, j.Device)
	case j.Device == "" || l.simulated() || l.opt.Recorded || l.robot.BoardName == "":
	default:
		if _, err := fs.Stat(l.opt.root(), strings.TrimPrefix(j.Device, "/")); err != nil {
			l.warn(x.where("device"), fmt.Sprintf("device %s of %s does not exist on this machine: its signals are invalid until it does", j.Device, x.what), l.joystickHint())
		}
	}
}

// joystickHint names what is plugged in.
func (l *loader) joystickHint() string {
	found, _ := fs.Glob(l.opt.root(), "dev/input/by-id/*-event-joystick") // the pattern is right
	if len(found) == 0 {
		return "no joystick is plugged in: ls /dev/input/by-id/"
	}
	for i := range found {
		found[i] = "/" + found[i]
	}
	return "joysticks here: " + strings.Join(found, ", ")
}

// code gives the number of an axis or a button.
func (k keys) code(name, what string, find func(string) (uint16, bool), known func() []string) (code uint16, ok bool) {
	text := k.text(name, "")
	if text == "" {
		return 0, false
	}
	if code, ok = find(text); !ok {
		hint := "write its kernel name or number, as evtest shows it, e.g. " + strings.Join(known()[:3], ", ")
		if near := nearest(text, known()); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		k.fault(name, hint, "%s of %s is %q, which is no %s", name, k.what, text, what)
	}
	return code, ok
}

// joystickSignal reads an axis or a button.
func (l *loader) joystickSignal(x keys, s *hal.Signal, in *Input) {
	x.without("an axis goes from -1 to 1, a button is 0 or 1", "unit", "range", "boolean", "field")
	x.without("it is for GPIO lines", "pull", "active", "debounce")
	x.without("the joystick has it for all its signals", "stale_after")
	c := &Control{Joystick: -1, DeadZone: x.number("dead_zone", defaultDeadZone), Invert: x.boolean("invert"), Minimum: x.choice("rest", "middle") == "minimum"}
	name := x.text("joystick", "")
	names := make([]string, len(l.robot.Joysticks))
	for i := range names {
		names[i] = l.robot.Joysticks[i].Name
	}
	if c.Joystick = indexOf(names, name); c.Joystick >= 0 {
		s.StaleAfter = l.robot.Joysticks[c.Joystick].StaleAfter
	} else if name != "" {
		x.fault("joystick", suggest(name, names, "joysticks"), "%s names joystick %s, which does not exist", x.what, name)
	}
	in.Control = c
	s.Maximum = 1
	switch {
	case x.has("axis") == x.has("button"):
		l.faultf(x.at, "add axis: ABS_Y, or button: BTN_TL", "%s needs one axis or one button of its joystick", x.what)
	case x.has("axis"):
		c.Axis = true
		c.Code, _ = x.code("axis", "axis", evdev.Axis, evdev.Axes)
		if !c.Minimum {
			s.Minimum = -1
		}
	default:
		s.Boolean = true
		c.Code, _ = x.code("button", "button", evdev.Button, evdev.Buttons)
		for _, key := range []string{"rest", "invert", "dead_zone"} {
			if x.has(key) {
				x.fault(key, "remove it: it is for axes", "%s is a button and has %s", x.what, key)
			}
		}
	}
}

// checkTeleoperation warns where letting go of the dead-man would not stop what a
// joystick moves. An output is teleoperated if an index or the model reads it together
// with a signal of the joystick.
func (l *loader) checkTeleoperation(k keys) {
	if l.robot.Manual == nil || l.faultsSince(0) {
		return
	}
	for i := range l.robot.Joysticks {
		j := &l.robot.Joysticks[i]
		at := k.where("joysticks")
		for _, e := range at.entries {
			if e.key.text == j.Name {
				at = e.key
			}
		}
		l.checkDeadMan(at, i, l.teleoperated(i))
	}
}

func (l *loader) checkDeadMan(at *node, joystick int, outputs []int) {
	j := &l.robot.Joysticks[joystick]
	isControl := func(in *Input) bool { return in.Control != nil && in.Control.Joystick == joystick }
	if !j.HasDeadMan {
		if len(l.robot.FedBy(func(in *Input) bool { return isControl(in) && in.Control.Axis })) > 0 {
			l.warn(at, fmt.Sprintf("joystick %s has no dead_man: an axis goes on as it was left when nobody holds the joystick", j.Name),
				"add dead_man: BTN_TL, a button that has to be held")
		}
		return
	}
	held := l.robot.FedBy(func(in *Input) bool { return isControl(in) && !in.Control.Axis && in.Control.Code == j.DeadMan })
	if len(held) == 0 {
		l.warn(at, fmt.Sprintf("joystick %s has a dead_man that is no signal, so no reflex can stop the robot when it is let go", j.Name),
			fmt.Sprintf("add a signal such as hand: {joystick: %s, button: ...}, and a reflex with when: \"!hand\"", j.Name))
		return
	}
	var loose []string
	for _, o := range outputs {
		if !l.stoppedBy(o, held) {
			loose = append(loose, l.world.outputs[o].Name)
		}
	}
	if len(loose) > 0 {
		l.warn(at, fmt.Sprintf("joystick %s moves %s, and no reflex that reads its dead-man %s sets that", j.Name, strings.Join(loose, ", "), l.world.signals[held[0]].Name),
			fmt.Sprintf("add to the manual {name: dead-man, when: \"!%s\", set: safe}", l.world.signals[held[0]].Name))
	}
}

// teleoperated gives the outputs that an index or the model reads with a signal of a
// joystick.
func (l *loader) teleoperated(joystick int) []int {
	m := l.robot.Manual
	programs := slices.Clone(m.Impact)
	for i := range m.Model.Next {
		programs = append(programs, m.Model.Next[i].Program)
	}
	var all []int
	for _, p := range programs {
		signals, outputs := l.reads(p)
		if slices.ContainsFunc(signals, func(s int) bool { c := l.robot.Inputs[s].Control; return c != nil && c.Joystick == joystick }) {
			all = append(all, outputs...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// stoppedBy says whether a reflex that reads one of the signals sets an output.
func (l *loader) stoppedBy(output int, signals []int) bool {
	m := l.robot.Manual
	for i := range m.Rules {
		reads, _ := l.reads(m.Rules[i].When)
		for _, set := range m.Rules[i].Set {
			if set.Output == output && slices.ContainsFunc(reads, func(s int) bool { return slices.Contains(signals, s) }) {
				return true
			}
		}
	}
	return false
}
