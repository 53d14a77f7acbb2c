package dancer

import "math"

// InactionName is the name of the option not to act: to go on as now, or what the
// manual's baseline says instead. An action with the same outputs is that option
// too; it keeps its own name then (so that a name means the same thing in every
// cycle) and carries this one as an alias.
const InactionName = "inaction"

// Option is one set of outputs that the robot could have next.
type Option struct {
	Name          string
	Action        int       // index into Manual.Actions of the action that gives the name; -1 for inaction alone
	Inaction      bool      // the outputs are those of the baseline (default: of now)
	Outputs       []float64 // one per Manual.Outputs, in their units
	Aliases       []string  // other names of the same outputs
	Disruption    float64   // 0-10, the highest of the merged actions
	Reversibility float64   // 0-1, the lowest of the merged actions
}

// Options lists what the robot can do from the present outputs: inaction first,
// then the actions in the manual's order. Options with the same outputs are one.
// It is named after the action that accounts for most of the outputs that are
// away from their safe value (the first name on a tie): a robot that goes on
// extinguishing says so, although its halt would leave the same outputs.
//
// Inaction is stepwise (Krakovna et al. 2018, "Penalizing side effects using
// stepwise relative reachability"; Turner et al. 2020, "Conservative agency via
// attainable utility preservation"): it starts from the world as it is now, with
// what the robot did before as a part of it, so that no option is ever measured
// against a past that it could only restore.
func (m *Manual) Options(outputs []float64) []Option {
	options := make([]Option, 0, len(m.Actions)+1)
	options = append(options, Option{
		Name: InactionName, Action: -1, Inaction: true,
		Outputs: m.inaction(outputs), Reversibility: 1,
	})
	for i := range m.Actions {
		after := m.Actions[i].Apply(outputs)
		if same := findOutputs(options, after); same >= 0 {
			options[same].merge(m, i)
			continue
		}
		options = append(options, Option{
			Name: m.Actions[i].Name, Action: i, Outputs: after,
			Disruption: m.Actions[i].Disruption, Reversibility: m.Actions[i].Reversibility,
		})
	}
	return options
}

// inaction gives the outputs that not acting leaves.
func (m *Manual) inaction(outputs []float64) []float64 {
	if i := m.Action(m.Baseline); i >= 0 {
		return m.Actions[i].Apply(outputs)
	}
	return append([]float64(nil), outputs...)
}

// Apply gives the outputs after the action: those it does not name go on as
// they are. The argument is not changed.
func (a *Action) Apply(outputs []float64) []float64 {
	after := append([]float64(nil), outputs...)
	for _, s := range a.Set {
		after[s.Output] = s.Value
	}
	return after
}

// merge makes an action a part of the option. The more cautious figures win.
func (o *Option) merge(m *Manual, index int) {
	a := &m.Actions[index]
	if o.Action < 0 {
		o.Action, o.Name = index, a.Name
		o.Aliases = append(o.Aliases, InactionName)
		o.Disruption, o.Reversibility = a.Disruption, a.Reversibility
		return
	}
	other := a.Name
	if bolder, than := m.boldness(a), m.boldness(&m.Actions[o.Action]); bolder > than || bolder == than && a.Name < o.Name {
		o.Action, o.Name, other = index, a.Name, o.Name
	}
	o.Aliases = append(o.Aliases, other)
	o.Disruption = max(o.Disruption, a.Disruption)
	o.Reversibility = min(o.Reversibility, a.Reversibility)
}

// boldness counts the outputs that the action drives away from their safe value.
func (m *Manual) boldness(a *Action) int {
	n := 0
	for _, s := range a.Set {
		if s.Value != m.Outputs[s.Output].Safe {
			n++
		}
	}
	return n
}

func findOutputs(options []Option, outputs []float64) int {
	for i := range options {
		if equalOutputs(options[i].Outputs, outputs) {
			return i
		}
	}
	return -1
}

func equalOutputs(a, b []float64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Action finds the action of that name; -1 if there is none.
func (m *Manual) Action(name string) int {
	for i := range m.Actions {
		if m.Actions[i].Name == name {
			return i
		}
	}
	return -1
}

// importance of a merged option is that of its most important action, and it is
// a precedent if any of its actions is.
func (m *Manual) importance(a *Assessment) (importance Importance, precedent bool) {
	first := true
	for i := range m.Actions {
		if !a.Is(m.Actions[i].Name) {
			continue
		}
		action := &m.Actions[i]
		precedent = precedent || action.Precedent
		if first || rank(action.Importance) > rank(importance) {
			importance, first = action.Importance, false
		}
	}
	return importance, precedent
}

func rank(i Importance) int {
	switch i {
	case Critical:
		return 2
	case Experimental:
		return 0
	}
	return 1
}

// towardsSafe says whether no output of the option is farther from its safe
// value than it is now.
func (m *Manual) towardsSafe(now, option []float64) bool {
	for i := range m.Outputs {
		safe := m.Outputs[i].Safe
		if !(math.Abs(option[i]-safe) <= math.Abs(now[i]-safe)) {
			return false
		}
	}
	return true
}
