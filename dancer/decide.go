package dancer

import (
	"math"
	"time"

	"dancer/hal"
	"dancer/reflex/program"
)

// RecordVersion is the version of a Decision.
const RecordVersion = 1

// DefaultRollouts is the forecast budget per option where none is given.
const DefaultRollouts = 64

// Who commanded the outputs, as in Decision.Who.
const (
	WhoCommand = "command" // the verdict
	WhoHold    = "hold"    // a question is open or was denied
	WhoRuling  = "ruling"  // a conductor or a human chose
	WhoTimeout = "timeout" // nobody answered in time
	WhoNone    = "none"    // nothing was commanded (report-only, dry-run)
)

// Input is everything that one decision reads. The slices are not kept and not
// changed.
type Input struct {
	Robot     string
	Monotonic time.Duration   // the robot's clock
	Seed      uint64          // of the forecast's samples
	Values    []float64       // slots: signals, then outputs (see Layout); NaN is invalid
	Validity  []hal.Validity  // per signal; anything but hal.Valid makes the value invalid
	Age       []time.Duration // per signal, since its last reading
	Rollouts  int             // budget per option; 0: DefaultRollouts

	// Completed is, of a decision that is made again, how many roll-outs per option
	// it had completed when it was cut short; 0: it was not.
	Completed int

	Calibration *Calibration // of the confidence; nil: none yet
	Widening    *Widening    // of the disturbances by the model's error; nil: as the manual says
}

// Forecast assesses every option over the given number of model steps with at
// most the given roll-outs per option, 1 or more. slots holds signals then
// outputs; an invalid one is NaN. It must be a pure function of its arguments, or
// one that is cut short: then it completed the same number of roll-outs of every
// option, says so in Assessment.Rollouts, and gives exactly what it gives when
// that number is all that it is allowed. partner.Partner has two methods of this
// type.
type Forecast func(m *Manual, slots []float64, options []Option, steps, rollouts int, seed uint64) []Assessment

// Decide makes one decision: tier 2 first, and tier 3 where tier 2 may not
// decide. The caller fills in ID, At, Question, Running, Who and Elapsed; all
// else is a function of the manual and the input alone.
//
// Tier 2 looks one step ahead under the worst corners. It decides only when
// going on as now breaks a floor within that step, an option keeps every floor,
// and the ladder's winner is the fallback or brings no output farther from its
// safe value: the hasty look may make a robot safer, never bolder.
//
// Both tiers forecast under the widened disturbances. There is no reward for
// undoing what the robot found: for a value with a floor the expected index,
// which breaks ties, counts no higher than the index of the signals as they are
// now under the option's own outputs, or the floor where that is higher
// (Index.Repair is what is left out). So of options tied at worst the less
// disruptive one wins and not the one that would repair the world; but to bring
// a value back to its floor counts, whoever put it under, because floors ask for
// it: a robot in a gas leak goes on ventilating. Outputs are the option's, so
// that a robot that stops doing harm of its own gets the credit. Worst indices
// are not capped: they are what keeps harm away. The baseline is Options'; see
// there for its source.
func Decide(m *Manual, in Input, tier2, tier3 Forecast) Decision {
	d := newDecision(m, &in)
	slots := m.slots(&in)
	outputs := slots[len(m.Signals):]
	options := m.Options(outputs)
	freshness := m.Freshness(in.validities(m), in.Age)

	world := m.widened(d.Widening)
	registers := make([]float64, m.registers())
	judge := func() {
		m.leaveOutRepair(slots, registers, d.Assessments)
		d.Verdict = JudgeCalibrated(m, d.Assessments, freshness, d.Calibration)
	}
	d.Tier = 2
	d.Assessments = tier2(world, slots, options, 1, d.Budget, in.Seed)
	judge()
	if !m.hasty(&d, outputs) {
		d.Tier = 3
		budget := d.Budget
		if in.Completed > 0 {
			budget = min(budget, in.Completed)
		}
		d.Assessments = tier3(world, slots, options, m.Model.Steps(), budget, in.Seed)
		d.Completed = d.cutShort()
		judge()
	}
	for i := range d.Assessments {
		d.Assessments[i].Samples = nil // they belong to the forecaster
	}
	return d
}

// cutShort gives the roll-outs per option that a forecast completed, if the
// budget allowed more; 0 otherwise. One is no cut: without disturbances there is
// only one future.
func (d *Decision) cutShort() int {
	if len(d.Assessments) == 0 {
		return 0
	}
	if n := d.Assessments[0].Rollouts; n > 1 && n < d.Budget {
		return n
	}
	return 0
}

// hasty says whether tier 2 may decide with the verdict in d.
func (m *Manual) hasty(d *Decision, outputs []float64) bool {
	if d.Verdict.Outcome == OutcomeUnderFloor || !d.presentVetoed(outputs) {
		return false
	}
	winner := d.Find(d.Verdict.Option)
	fallback := m.Fallback >= 0 && m.Fallback < len(m.Actions) && winner.Is(m.Actions[m.Fallback].Name)
	return fallback || m.towardsSafe(outputs, winner.Outputs)
}

// presentVetoed says whether going on as now is an option that a floor took out.
func (d *Decision) presentVetoed(outputs []float64) bool {
	for i := range d.Assessments {
		a := &d.Assessments[i]
		if len(a.Outputs) != len(outputs) || !equalOutputs(a.Outputs, outputs) {
			continue
		}
		for k := range d.Verdict.Vetoes {
			if d.Verdict.Vetoes[k].Option == a.Option {
				return true
			}
		}
	}
	return false
}

// registers is what the manual's impacts need to be evaluated.
func (m *Manual) registers() int {
	n := 0
	for _, impact := range m.Impact {
		if impact != nil {
			n = max(n, impact.Registers())
		}
	}
	return n
}

// leaveOutRepair fills in what expected indices owe to undoing what was found.
func (m *Manual) leaveOutRepair(slots, registers []float64, assessments []Assessment) {
	state := append([]float64(nil), slots...)
	outputs := state[len(m.Signals):]
	for i := range assessments {
		a := &assessments[i]
		if len(a.Outputs) != len(outputs) {
			continue
		}
		copy(outputs, a.Outputs)
		for v := range min(len(a.Indices), len(m.Values), len(m.Impact)) {
			index, impact := &a.Indices[v], m.Impact[v]
			if impact == nil || !m.Values[v].HasFloor || index.Unknown {
				continue
			}
			found := clampIndex(impact.Eval(state, registers))
			limit := max(found, m.Values[v].Floor)
			if limit < m.Values[v].Enough && index.Expected > limit {
				index.Repair = index.Expected - limit
			}
		}
	}
}

func newDecision(m *Manual, in *Input) Decision {
	d := Decision{
		Version: RecordVersion, Robot: in.Robot, Monotonic: in.Monotonic,
		ManualHash: m.Hash, Seed: in.Seed, Budget: in.Rollouts, Who: WhoNone,
		Calibration: in.Calibration, Widening: m.widening(in.Widening),
		Signals: make([]SignalSnapshot, len(m.Signals)),
		Outputs: make([]NamedValue, len(m.Outputs)),
		Ladder:  make([]Rung, len(m.Values)),
	}
	for i := range m.Values {
		v := &m.Values[i]
		d.Ladder[i] = Rung{Value: v.Name, Floor: v.Floor, HasFloor: v.HasFloor, Enough: v.Enough}
	}
	if in.Calibration != nil && len(in.Calibration.Bins) == 0 {
		d.Calibration = nil
	}
	if m.Action(m.Baseline) >= 0 {
		d.Baseline = m.Baseline
	}
	if d.Budget <= 0 {
		d.Budget = DefaultRollouts
	}
	slots := m.slots(in)
	for i := range m.Signals {
		d.Signals[i] = SignalSnapshot{Name: m.Signals[i].Name, Validity: in.validity(i).String(), Age: in.age(i), Unit: m.Signals[i].Unit}
		if !math.IsNaN(slots[i]) {
			d.Signals[i].Value = slots[i]
		}
	}
	for i := range m.Outputs {
		d.Outputs[i] = NamedValue{Name: m.Outputs[i].Name, Value: slots[len(m.Signals)+i]}
	}
	return d
}

// slots copies the input's values with every invalid signal as NaN. An output
// that is not a number cannot be commanded; its safe value stands in.
func (m *Manual) slots(in *Input) []float64 {
	slots := make([]float64, len(m.Signals)+len(m.Outputs))
	copy(slots, in.Values)
	for i := range m.Signals {
		if in.validity(i) != hal.Valid {
			slots[i] = math.NaN()
		}
	}
	for i := range m.Outputs {
		if slot := len(m.Signals) + i; slot >= len(in.Values) || finite(slots[slot]) != slots[slot] {
			slots[slot] = m.Outputs[i].Safe
		}
	}
	return slots
}

// validity of signal i: a value that is missing or not finite is never valid.
func (in *Input) validity(i int) hal.Validity {
	switch {
	case i >= len(in.Values) || i >= len(in.Validity):
		return hal.NeverSeen
	case in.Validity[i] == hal.Valid && finite(in.Values[i]) != in.Values[i]:
		return hal.NotANumber
	}
	return in.Validity[i]
}

// validities of all signals, as validity gives them.
func (in *Input) validities(m *Manual) []hal.Validity {
	all := make([]hal.Validity, len(m.Signals))
	for i := range all {
		all[i] = in.validity(i)
	}
	return all
}

func (in *Input) age(i int) time.Duration {
	if i >= len(in.Age) {
		return 0
	}
	return in.Age[i]
}

// Input rebuilds what a decision was made from, so that Decide can be run again
// and must give the same record.
func (d *Decision) Input() Input {
	in := Input{Robot: d.Robot, Monotonic: d.Monotonic, Seed: d.Seed, Rollouts: d.Budget, Completed: d.Completed}
	for i := range d.Signals {
		v := parseValidity(d.Signals[i].Validity)
		value := d.Signals[i].Value
		if v != hal.Valid {
			value = math.NaN()
		}
		in.Values = append(in.Values, value)
		in.Validity = append(in.Validity, v)
		in.Age = append(in.Age, d.Signals[i].Age)
	}
	for i := range d.Outputs {
		in.Values = append(in.Values, d.Outputs[i].Value)
	}
	in.Calibration, in.Widening = d.Calibration, d.Widening
	return in
}

func parseValidity(s string) hal.Validity {
	for v := hal.NeverSeen; v <= hal.Stuck; v++ {
		if v.String() == s {
			return v
		}
	}
	return hal.NeverSeen
}

// Freshness is the lowest freshness of the signals that the impacts read,
// directly, through the model or through a window. One signal's freshness is 1 until half of
// stale_after, falls in a straight line to 0 at stale_after, and is 0 when the
// signal is invalid; a signal that never goes stale is fresh while valid.
func (m *Manual) Freshness(validity []hal.Validity, age []time.Duration) float64 {
	lowest := 1.0
	for i, read := range m.SignalsRead() {
		if !read {
			continue
		}
		if i >= len(validity) || validity[i] != hal.Valid {
			return 0
		}
		stale := m.Signals[i].StaleAfter
		if stale <= 0 || i >= len(age) {
			continue
		}
		left := float64(stale-age[i]) / float64(stale)
		lowest = min(lowest, unit(2*left))
	}
	return lowest
}

// SignalsRead says for every signal whether an impact reads it, directly, through
// the model's rules or through a window.
func (m *Manual) SignalsRead() []bool {
	read := make([]bool, len(m.Signals))
	for _, p := range m.Impact {
		m.mark(read, p)
	}
	for changed := true; changed; {
		changed = false
		for _, next := range m.Model.Next {
			if read[next.Signal] {
				changed = m.mark(read, next.Program) || changed
			}
		}
		for i := range m.Windows {
			if read[m.Windows[i].Slot] {
				changed = m.mark(read, m.Windows[i].Argument) || changed
			}
		}
	}
	return read
}

func (m *Manual) mark(read []bool, p *program.Program) (changed bool) {
	if p == nil {
		return false
	}
	for _, slot := range p.Reads() {
		if slot < len(read) && !read[slot] {
			read[slot], changed = true, true
		}
	}
	return changed
}
