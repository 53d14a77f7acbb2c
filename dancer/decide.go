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
}

// Forecast assesses every option over the given number of model steps with at
// most the given roll-outs per option, 1 or more. slots holds signals then
// outputs; an invalid one is NaN. It must be a pure function of its arguments.
// partner.Partner has two methods of this type.
type Forecast func(m *Manual, slots []float64, options []Option, steps, rollouts int, seed uint64) []Assessment

// Decide makes one decision: tier 2 first, and tier 3 where tier 2 may not
// decide. The caller fills in ID, At, Question, Running, Who and Elapsed; all
// else is a function of the manual and the input alone.
//
// Tier 2 looks one step ahead under the worst corners. It decides only when
// going on as now breaks a floor within that step, an option keeps every floor,
// and the ladder's winner is the fallback or brings no output farther from its
// safe value: the hasty look may make a robot safer, never bolder.
func Decide(m *Manual, in Input, tier2, tier3 Forecast) Decision {
	d := newDecision(m, &in)
	slots := m.slots(&in)
	outputs := slots[len(m.Signals):]
	options := m.Options(outputs)
	freshness := m.Freshness(in.validities(m), in.Age)

	d.Tier = 2
	d.Assessments = tier2(m, slots, options, 1, d.Budget, in.Seed)
	d.Verdict = Judge(m, d.Assessments, freshness)
	if !m.hasty(&d, outputs) {
		d.Tier = 3
		d.Assessments = tier3(m, slots, options, m.Model.Steps(), d.Budget, in.Seed)
		d.Verdict = Judge(m, d.Assessments, freshness)
	}
	for i := range d.Assessments {
		d.Assessments[i].Samples = nil // they belong to the forecaster
	}
	return d
}

// hasty says whether tier 2 may decide with the verdict in d.
func (m *Manual) hasty(d *Decision, outputs []float64) bool {
	if d.Verdict.Outcome != OutcomeAct || !m.inactionVetoed(d) {
		return false
	}
	winner := d.Find(d.Verdict.Option)
	fallback := m.Fallback >= 0 && m.Fallback < len(m.Actions) && winner.Is(m.Actions[m.Fallback].Name)
	return fallback || m.towardsSafe(outputs, winner.Outputs)
}

func (m *Manual) inactionVetoed(d *Decision) bool {
	inaction := d.Find(InactionName)
	if inaction == nil {
		return false
	}
	for i := range d.Verdict.Vetoes {
		if d.Verdict.Vetoes[i].Option == inaction.Option {
			return true
		}
	}
	return false
}

func newDecision(m *Manual, in *Input) Decision {
	d := Decision{
		Version: RecordVersion, Robot: in.Robot, Monotonic: in.Monotonic,
		ManualHash: m.Hash, Seed: in.Seed, Budget: in.Rollouts, Who: WhoNone,
		Signals: make([]SignalSnapshot, len(m.Signals)),
		Outputs: make([]NamedValue, len(m.Outputs)),
		Ladder:  make([]Rung, len(m.Values)),
	}
	for i := range m.Values {
		v := &m.Values[i]
		d.Ladder[i] = Rung{Value: v.Name, Floor: v.Floor, HasFloor: v.HasFloor, Enough: v.Enough}
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
	in := Input{Robot: d.Robot, Monotonic: d.Monotonic, Seed: d.Seed, Rollouts: d.Budget}
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
// directly or through the model. One signal's freshness is 1 until half of
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

// SignalsRead says for every signal whether an impact reads it, directly or
// through the model's rules.
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
