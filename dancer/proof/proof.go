package proof

import (
	"dancer/dancer"
)

// Answer to one question.
type Answer string

// The answers. The zero value is none.
const (
	Proved    Answer = "proved"    // holds for every state
	Refuted   Answer = "refuted"   // there is an example
	Undecided Answer = "undecided" // the budget was spent, or intervals are too coarse
)

// Property is what a question is about.
type Property string

// The properties.
const (
	// Domination: from every state in which the reflex fires, over the horizon and
	// under the same disturbances, the index of the first value is never lower with
	// the outputs of the reflex than with the outputs as they were.
	Domination Property = "domination"
	// Fallback: wherever some option keeps every floor under every disturbance, so
	// does the fallback action.
	Fallback Property = "fallback"
	// Wins: there is a state in which the verdict picks the action.
	Wins Property = "wins"
	// Deadlock: no two reflexes hold the outputs so that neither can ever end
	// though each could alone.
	Deadlock Property = "deadlock"
)

// Tolerance is by how much, in index points, one index must be lower than another
// to count as lower: less is the rounding of the arithmetic.
const Tolerance = 1e-9

// Defaults of Options.
const (
	DefaultBoxes  = 20_000
	DefaultStates = 1_000
)

// Options bound the work. The answers are a function of the manual and of Boxes
// and States alone, unless Cut comes first; then more may be undecided.
type Options struct {
	Boxes  int         // boxes evaluated per question; 0: DefaultBoxes
	States int         // states in which decisions are tried; 0: DefaultStates
	Cut    func() bool // asked between boxes; true ends the question undecided; nil: never

	// Tier2 and Tier3 are the forecasts of the decisions that actions are tried in.
	// Without them no action is looked at.
	Tier2, Tier3 dancer.Forecast
}

func (o Options) boxes() int {
	if o.Boxes > 0 {
		return o.Boxes
	}
	return DefaultBoxes
}

func (o Options) states() int {
	if o.States > 0 {
		return o.States
	}
	return DefaultStates
}

func (o Options) cut() bool { return o.Cut != nil && o.Cut() }

// Finding is the answer to one question.
type Finding struct {
	Property Property `json:"property"`
	Subject  string   `json:"subject"` // names of the reflexes or of the action
	Answer   Answer   `json:"answer"`
	Says     string   `json:"says"` // one plain sentence
	Reflexes []int    `json:"-"`    // indices into Manual.Rules
	Action   int      `json:"-"`    // index into Manual.Actions; -1: none

	// EmergencyStop marks a reflex of stop category 0 that an operator must clear.
	// An emergency stop overrides every other function (ISO 13850, 4.1.1.2), so a
	// refuted domination of one is a thing to know and not a fault.
	EmergencyStop bool `json:"emergency_stop,omitempty"`

	Example *Example `json:"example,omitempty"` // refuted: the counter-example; Wins, proved: a state in which it wins
	Left    *Region  `json:"left,omitempty"`    // undecided: what is left
	Under   *Region  `json:"under,omitempty"`   // Fallback: where every option breaks a floor
	Boxes   int      `json:"boxes,omitempty"`   // evaluated
	States  int      `json:"states,omitempty"`  // Wins: decisions tried
}

// Task is one question, or the few that are answered together.
type Task struct {
	Property Property
	Subject  string
	run      func(Options) []Finding
}

// Run answers it. It may be run again with a larger budget, from the beginning.
func (t Task) Run(o Options) []Finding { return t.run(o) }

// questions is what they are about.
type questions struct {
	m        *dancer.Manual
	switches []bool
}

// Tasks lists the questions about a manual, in the order of the file. The manual
// must be one without faults. switches says for each output whether it has only
// the two values at the ends of its range, as a line has that is only on or off;
// where it is shorter, outputs have every value of their range.
func Tasks(m *dancer.Manual, switches []bool) []Task {
	var tasks []Task
	q := &questions{m, switches}
	if len(m.Values) == 0 || len(m.Impact) != len(m.Values) {
		return nil
	}
	for i := range m.Rules {
		tasks = append(tasks, Task{Domination, m.Rules[i].Name, func(o Options) []Finding { return []Finding{dominate(q, i, o)} }})
	}
	if len(m.Rules) > 1 {
		tasks = append(tasks, Task{Deadlock, "reflexes", func(o Options) []Finding { return deadlocks(q, o) }})
	}
	if m.Fallback >= 0 && m.Fallback < len(m.Actions) {
		tasks = append(tasks, Task{Fallback, m.Actions[m.Fallback].Name, func(o Options) []Finding { return []Finding{fallback(q, o)} }})
	}
	return append(tasks, Task{Wins, "actions", func(o Options) []Finding { return winners(q, o) }})
}

// Prove answers every question about a manual, each within the options.
func Prove(m *dancer.Manual, switches []bool, o Options) []Finding {
	var findings []Finding
	for _, t := range Tasks(m, switches) {
		findings = append(findings, t.Run(o)...)
	}
	return findings
}
