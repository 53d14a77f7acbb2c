package config

import (
	"fmt"
	"math"
	"slices"

	"dancer/dancer"
	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// kinds of the functions that look back in time.
var windowKinds = map[string]reflex.WindowKind{
	"rate": reflex.RateWindow, "mean": reflex.MeanWindow, "lowest": reflex.LowestWindow, "highest": reflex.HighestWindow,
	"held": reflex.HeldWindow, "since": reflex.SinceWindow,
}

// derived gives the signals that the manual's windows make.
func (m *manualReader) derived() []hal.Signal {
	list := m.words.windows.List()
	out := make([]hal.Signal, len(list))
	for i := range list {
		w := &list[i]
		out[i] = hal.Signal{Name: w.Name, Boolean: w.Boolean, Unit: w.Unit.String()}
		out[i].Minimum, out[i].Maximum = m.windowRange(w)
	}
	return out
}

// windowRange gives a range that the window leaves by rounding at most, or 0 and 0, no range,
// where its argument is more than one signal that has one.
func (m *manualReader) windowRange(w *expr.Window) (low, high float64) {
	switch w.Function {
	case "held":
		return 0, 1
	case "since":
		return 0, reflex.SinceAtMost
	}
	for i := range m.w.outputs {
		if o := &m.w.outputs[i]; (w.Function == "lowest" || w.Function == "highest") && o.Name == w.Argument.String() {
			return o.Minimum, o.Maximum
		}
	}
	reads := w.Argument.Reads()
	if len(reads) != 1 || reads[0] >= len(m.w.signals) {
		return 0, 0
	}
	s := &m.w.signals[reads[0]]
	if s.Name != w.Argument.String() || !(s.Minimum < s.Maximum) {
		return 0, 0
	}
	if w.Function == "rate" {
		steepest := (s.Maximum - s.Minimum) / reflex.RateOver.Seconds()
		if math.IsInf(steepest, 0) {
			return 0, 0
		}
		return -steepest, steepest
	}
	return s.Minimum, s.Maximum
}

// finishWindows completes the manual once every expression is compiled.
func (m *manualReader) finishWindows() {
	for _, w := range m.words.windows.List() {
		m.out.Windows = append(m.out.Windows, reflex.Window{
			Kind: windowKinds[w.Function], Slot: w.Slot, Argument: w.Argument, Length: w.Length, Refresh: reflex.DefaultRefresh,
		})
	}
	m.relax()
	m.warnStill()
}

// relax lets windows that only decisions read be looked at less often: once in a
// step of the model. What reflexes read is looked at every 20 ms.
func (m *manualReader) relax() {
	if len(m.out.Windows) == 0 {
		return
	}
	urgent := make([]bool, len(m.out.Signals))
	mark := func(p *program.Program) {
		for _, slot := range readsOf(p) {
			if slot < len(urgent) {
				urgent[slot] = true
			}
		}
	}
	for i := range m.out.Rules {
		mark(m.out.Rules[i].When)
		mark(m.out.Rules[i].Until)
	}
	for _, w := range slices.Backward(m.out.Windows) { // a window reads those before it
		if urgent[w.Slot] {
			mark(w.Argument)
		}
	}
	for i := range m.out.Windows {
		if w := &m.out.Windows[i]; !urgent[w.Slot] {
			w.Refresh = max(w.Refresh, m.out.Model.Step)
		}
	}
}

func readsOf(p *program.Program) []int {
	if p == nil {
		return nil
	}
	return p.Reads()
}

// forecast is an expression that the forecast evaluates.
type forecast struct {
	node    *node
	what    string
	program *program.Program
}

// warnStill warns of forecasts that read a window over what the forecast moves:
// the window does not move with it.
func (m *manualReader) warnStill() {
	for _, f := range m.forecasts {
		for _, slot := range readsOf(f.program) {
			if name := m.moved(slot); name != "" {
				m.warn(f.node, fmt.Sprintf("%s reads %s, which stays as measured throughout the forecast, though %s moves in it", f.what, m.out.Signals[slot].Name, name),
					"read the signal itself where the forecast shall see it change")
				break
			}
		}
	}
}

// moved names what a window looks back at and the forecast moves: a signal with a
// rule or a disturbance in the model, or an output. It is "" if the slot is no
// window or nothing moves.
func (m *manualReader) moved(slot int) string {
	layout, own := m.out.Layout(), len(m.out.Measured())
	if slot < own || slot >= layout.Signals || slot-own >= len(m.out.Windows) {
		return ""
	}
	for _, s := range m.out.Windows[slot-own].Argument.Reads() {
		switch {
		case s >= layout.Signals:
			return m.out.Outputs[s-layout.Signals].Name
		case s >= own:
			if name := m.moved(s); name != "" {
				return name
			}
		case moves(&m.out.Model, s):
			return m.out.Signals[s].Name
		}
	}
	return ""
}

func moves(model *dancer.Model, signal int) bool {
	return slices.ContainsFunc(model.Next, func(n dancer.Next) bool { return n.Signal == signal }) ||
		slices.ContainsFunc(model.Disturbance, func(d dancer.Disturbance) bool { return d.Signal == signal })
}
