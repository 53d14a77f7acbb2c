package dancer

import (
	"time"

	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// Value is one rung of the ladder of values. Values are ordered: the first is
// the highest.
type Value struct {
	Name     string
	Floor    float64 // index 0-10; a hard veto below it; meaningful if HasFloor
	HasFloor bool
	Enough   float64 // above it more is not better; default Floor + 2; meaningful if HasFloor
}

// Importance of an action, as in should_escalate.
type Importance uint8

// The importances; the zero value is the default.
const (
	Normal Importance = iota
	Critical
	Experimental
)

// Action is one thing that the robot can do: a set of outputs. Outputs it does
// not name go on as they are.
type Action struct {
	Name          string
	Set           []reflex.Setting
	Fallback      bool    // the action that keeps the floors when nothing else does; exactly one
	Disruption    float64 // 0-10, default 0
	Reversibility float64 // 0-1, default 1
	Importance    Importance
	Precedent     bool // always asks
}

// Next is the rule that moves one signal one step forward in the model.
type Next struct {
	Signal  int
	Program *program.Program
}

// Disturbance is the adversary's range for one signal, per step. Its slot
// follows the slots of signals and outputs (see Layout).
type Disturbance struct {
	Signal  int
	Minimum float64
	Maximum float64
}

// Model is one step of the world.
type Model struct {
	Step        time.Duration // default 100 ms
	Horizon     time.Duration // default 3 s
	Next        []Next        // all evaluated from the old state, then written
	Disturbance []Disturbance
}

// Steps is the number of model steps in the horizon, at least 1.
func (m Model) Steps() int {
	if m.Step <= 0 || m.Horizon < m.Step {
		return 1
	}
	return int(m.Horizon / m.Step)
}

// EscalationPolicy says what holds while a question is open.
type EscalationPolicy struct {
	Hold      int           // index into Actions; default the fallback
	Deadline  time.Duration // default 5 min
	OnTimeout int           // index into Actions; default the fallback
	Band      float64       // tolerance band on indices; default 0.5
	Settle    time.Duration // how long a change must last before it counts; default 2 s
}

// Manual is a compiled Safety Manual together with the signals and outputs that
// it speaks of. It is immutable after loading.
type Manual struct {
	Hash       string          // "sha256:..." of the manual's bytes
	Signals    []hal.Signal    // the robot's own, then one per window
	Windows    []reflex.Window // of the last len(Windows) signals, in their order
	Outputs    []hal.Output
	Values     []Value
	Impact     []*program.Program // one per value, over the slots of Layout
	Rules      []reflex.Rule
	Model      Model
	Actions    []Action
	Fallback   int // index into Actions
	Escalation EscalationPolicy
	// Baseline names the action whose outputs are what not acting means, for a
	// robot whose rest is not to let the outputs go on. "": they go on as they
	// are (stepwise inaction).
	Baseline string
}

// Layout of slots in every expression of a manual:
//
//	[0, S)          signals: the robot's own, then the derived ones of Manual.Windows
//	[S, S+O)        outputs
//	[S+O, S+O+D)    disturbances d.<signal>, in the order of Model.Disturbance
//
// Impact and reflex programs read only the first S+O; dt is a constant.
type Layout struct{ Signals, Outputs, Disturbances int }

// Layout gives the manual's slot layout.
func (m *Manual) Layout() Layout {
	return Layout{len(m.Signals), len(m.Outputs), len(m.Model.Disturbance)}
}

// Measured gives the robot's own signals: those that have readings. The derived
// signals follow them in Signals. They are what a window makes of the readings,
// and in a forecast, where no rule moves them, they stay as measured.
func (m *Manual) Measured() []hal.Signal { return m.Signals[:len(m.Signals)-len(m.Windows)] }

// Slots is the total number of slots.
func (l Layout) Slots() int { return l.Signals + l.Outputs + l.Disturbances }

// Output gives the slot of output i.
func (l Layout) Output(i int) int { return l.Signals + i }

// Disturbance gives the slot of disturbance i.
func (l Layout) Disturbance(i int) int { return l.Signals + l.Outputs + i }
