package config

import (
	"fmt"

	"dancer/hal"
	"dancer/reflex"
)

// world is what a manual speaks of: the signals and outputs of the robot's
// file, and what is already reported of them.
type world struct {
	signals []hal.Signal
	outputs []hal.Output
	broken  map[string]bool
	follows []ReadBack
	partial bool // signals or outputs could not be read at all: any name may be theirs
}

// known says whether a name that is neither a signal nor an output is reported
// already.
func (w *world) known(name string) bool { return w.partial || w.broken[name] }

func (w *world) signal(name string) int {
	for i, s := range w.signals {
		if s.Name == name {
			return i
		}
	}
	return -1
}

func (w *world) output(name string) int {
	for i, o := range w.outputs {
		if o.Name == name {
			return i
		}
	}
	return -1
}

func (w *world) signalNames() []string {
	names := make([]string, len(w.signals))
	for i, s := range w.signals {
		names[i] = s.Name
	}
	return names
}

func (w *world) outputNames() []string {
	names := make([]string, len(w.outputs))
	for i, o := range w.outputs {
		names[i] = o.Name
	}
	return names
}

// settings reads {output: value, ...}, or safe for all outputs.
func (k keys) settings(name string, w *world) []reflex.Setting {
	n := k.node(name)
	if n == nil {
		return nil
	}
	if n.kind == kindScalar && n.text == "safe" {
		return safeSettings(w)
	}
	if n.kind != kindMapping || len(n.entries) == 0 {
		k.fault(name, "write {output: value, ...}, or safe for all outputs", "%s of %s names no output", name, k.what)
		return nil
	}
	var out []reflex.Setting
	for _, e := range k.r.distinct(n.entries, name+" of "+k.what) {
		if s, ok := k.setting(e, w); ok {
			out = append(out, s)
		}
	}
	return out
}

func safeSettings(w *world) []reflex.Setting {
	out := make([]reflex.Setting, len(w.outputs))
	for i, o := range w.outputs {
		out[i] = reflex.Setting{Output: i, Value: o.Safe}
	}
	return out
}

func (k keys) setting(e entry, w *world) (reflex.Setting, bool) {
	i := w.output(e.key.text)
	if i < 0 {
		if !w.known(e.key.text) {
			k.r.faultf(e.key, suggest(e.key.text, w.outputNames(), "outputs"), "%s sets %s, which is not an output", k.what, e.key.text)
		}
		return reflex.Setting{}, false
	}
	v, ok := k.settingValue(e)
	if !ok || w.broken[e.key.text] {
		return reflex.Setting{}, false
	}
	o := w.outputs[i]
	switch {
	case v < o.Minimum || v > o.Maximum:
		k.r.faultf(e.value, fmt.Sprintf("give a value from %s to %s", formatNumber(o.Minimum), formatNumber(o.Maximum)),
			"%s sets %s to %s, out of its range", k.what, o.Name, formatNumber(v))
		return reflex.Setting{}, false
	case o.Switch && v != o.Minimum && v != o.Maximum:
		k.r.faultf(e.value, fmt.Sprintf("give %s or %s, or give %s a pwm frequency", formatNumber(o.Minimum), formatNumber(o.Maximum), o.Name),
			"%s sets %s to %s, but that line is only on or off", k.what, o.Name, formatNumber(v))
		return reflex.Setting{}, false
	}
	return reflex.Setting{Output: i, Value: v}, true
}

func (k keys) settingValue(e entry) (float64, bool) {
	if e.value.kind == kindScalar && !e.value.quoted && !e.value.bad {
		switch e.value.text {
		case "true":
			return 1, true
		case "false":
			return 0, true
		}
	}
	return k.r.number(e.value, "value of "+e.key.text+" in "+k.what)
}
