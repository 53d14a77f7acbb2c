package config

import (
	"fmt"
	"time"

	"dancer/dancer"
	"dancer/dancer/expr"
)

// model reads the manual's model of the world.
func (m *manualReader) model(k keys) {
	x := m.section(k.node("model"), &modelSection, "the model")
	out := &m.out.Model
	out.Step = x.duration("step", defaultStep)
	out.Horizon = x.duration("horizon", defaultHorizon)
	switch {
	case out.Horizon < out.Step:
		x.fault("horizon", fmt.Sprintf("give at least %s, one step", formatSeconds(seconds(out.Step))), "horizon of the model is %s, shorter than its step", formatSeconds(seconds(out.Horizon)))
	case out.Horizon/out.Step > maxSteps:
		x.fault("horizon", fmt.Sprintf("give at most %s, or a longer step", formatSeconds(seconds(maxSteps*out.Step))), "horizon of the model has %d steps, more than %d", out.Horizon/out.Step, maxSteps)
	}
	m.disturbances(x)
	m.out.Model.Next = x.next(m.w, m.modelScope(out.Step), "model")
	m.noteNext(x)
}

// noteNext notes where the expressions of the model stand.
func (m *manualReader) noteNext(x keys) {
	n := x.node("next")
	if n == nil {
		return
	}
	for _, e := range n.entries {
		for _, next := range m.out.Model.Next {
			if next.Signal == m.w.signal(e.key.text) {
				m.forecasts = append(m.forecasts, forecast{e.value, "next of " + e.key.text, next.Program})
			}
		}
	}
}

func (m *manualReader) disturbances(x keys) {
	for _, e := range x.table("disturbance", maxSignals) {
		i := m.w.signal(e.key.text)
		if i < 0 {
			if !m.w.known(e.key.text) {
				m.faultf(e.key, suggest(e.key.text, m.w.signalNames(), "signals"), "disturbance of %s, which is not a signal", e.key.text)
			}
			continue
		}
		low, high, _ := m.limits(e.value, "disturbance of "+e.key.text) // kept when it is wrong: d.<signal> is meant to exist
		m.out.Model.Disturbance = append(m.out.Model.Disturbance, dancer.Disturbance{Signal: i, Minimum: low, Maximum: high})
	}
}

// modelScope adds dt and the disturbances to what expressions may read.
func (m *manualReader) modelScope(step time.Duration) words {
	layout := m.out.Layout()
	scope := worldScope(m.w, layout.Signals-len(m.w.signals))
	addStep(scope, step)
	for i, d := range m.out.Model.Disturbance {
		s := m.w.signals[d.Signal]
		scope["d."+s.Name] = expr.Symbol{Slot: layout.Disturbance(i), Unit: unitOf(s.Unit), Unmeasured: true}
	}
	return words{scope: scope, world: m.w, windows: m.words.windows}
}

func addStep(scope expr.Scope, step time.Duration) {
	scope["dt"] = expr.Symbol{Unit: unitOf("s"), Constant: true, Value: step.Seconds()}
}

// next reads {signal: expression}.
func (k keys) next(w *world, scope words, what string) []dancer.Next {
	var out []dancer.Next
	for _, e := range k.table("next", maxSignals) {
		i := w.signal(e.key.text)
		if i < 0 {
			if !w.known(e.key.text) {
				k.r.faultf(e.key, suggest(e.key.text, w.signalNames(), "signals"), "next of %s, which is not a signal", e.key.text)
			}
			continue
		}
		want := expr.Want{Boolean: w.signals[i].Boolean, Unit: unitOf(w.signals[i].Unit)}
		if p := k.r.expression(e.value, e.key.text, "next of the "+what, scope, want); p != nil {
			out = append(out, dancer.Next{Signal: i, Program: p})
		}
	}
	return out
}
