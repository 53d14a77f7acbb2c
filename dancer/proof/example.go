package proof

import (
	"math"

	"dancer/dancer"
	"dancer/reflex"
)

var notANumber = math.NaN()

// Named is the value of one signal, output or disturbance.
type Named struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit,omitempty"`
	Value   float64 `json:"value"` // 0 when invalid
	Invalid bool    `json:"invalid,omitempty"`
	Bears   bool    `json:"bears"` // on the question; the others may have any value
}

// Example is a state, and what happens from it: enough to evaluate it by hand
// with the model of the manual. Disturbances has a row for each step from 1 on,
// and in it a value for each of Disturbed.
type Example struct {
	Signals      []Named     `json:"signals"`
	Outputs      []Named     `json:"outputs"`       // before
	Set          []Named     `json:"set,omitempty"` // what the reflex or the option drives outputs to, in the last step
	Disturbed    []string    `json:"disturbed,omitempty"`
	Disturbances [][]float64 `json:"disturbances,omitempty"`
	Step         int         `json:"step,omitempty"`    // at which the index is lower, or under its floor
	Value        string      `json:"value,omitempty"`   // whose index it is
	Index        float64     `json:"index"`             // with the reflex, or with the fallback
	Against      float64     `json:"against"`           // the index without the reflex, or the floor
	Instead      string      `json:"instead,omitempty"` // Fallback: an option that keeps every floor
	Option       string      `json:"option,omitempty"`  // Wins: what the verdict picks

	state []float64
}

// cost is how far the index is below what it is held against.
func (e *Example) cost() float64 { return e.Against - e.Index }

// newExample describes a state.
func newExample(m *dancer.Manual, state []float64, bears []bool) *Example {
	e := &Example{state: append([]float64(nil), state...)}
	for slot, x := range state {
		n := Named{Name: slotName(m, slot), Unit: slotUnit(m, slot), Value: x, Bears: bears[slot]}
		if x != x {
			n.Value, n.Invalid = 0, true
		}
		if slot < len(m.Signals) {
			e.Signals = append(e.Signals, n)
		} else {
			e.Outputs = append(e.Outputs, n)
		}
	}
	return e
}

// follow adds the disturbances, and the settings of the last step.
func (e *Example) follow(m *dancer.Manual, disturbances [][]float64, settings []reflex.Setting) {
	for i := range m.Model.Disturbance {
		e.Disturbed = append(e.Disturbed, "d."+m.Signals[m.Model.Disturbance[i].Signal].Name)
	}
	if len(e.Disturbed) > 0 {
		for _, row := range disturbances {
			e.Disturbances = append(e.Disturbances, append([]float64(nil), row...))
		}
	}
	for _, s := range settings {
		e.Set = append(e.Set, Named{Name: m.Outputs[s.Output].Name, Unit: m.Outputs[s.Output].Unit, Value: s.Value, Bears: true})
	}
}
