package dancer

import (
	"math"
	"time"
)

// Outcome is what really followed a decision, beside what it predicted for the
// option that ran.
type Outcome struct {
	Version   int           `json:"version"`  // 1
	Decision  string        `json:"decision"` // id
	Option    string        `json:"option"`   // the one that ran
	Who       string        `json:"who"`
	At        time.Duration `json:"at"`      // of the decision, on the robot's clock
	Horizon   time.Duration `json:"horizon"` // how long was followed; less than the model's when Cut
	Cut       bool          `json:"cut"`     // something else took over before the horizon had passed: another option, or a reflex or latch
	States    int           `json:"states"`  // measured states that were looked at
	Predicted []Index       `json:"predicted"`
	Followed  []Index       `json:"followed"`         // worst and mean of the measured states
	Broken    []string      `json:"broken,omitempty"` // values that fell under their floor
	// Score is the decision's raw confidence (0-1) where the outcome speaks for
	// it: the verdict's winner ran, and it was not under the floor. Else 0.
	Score float64 `json:"score,omitempty"`
}

// Success says whether every floor was kept, and no value came out worse than
// predicted by more than the band.
func (o *Outcome) Success(band float64) bool {
	if len(o.Broken) > 0 {
		return false
	}
	for i := range min(len(o.Predicted), len(o.Followed)) {
		if o.Followed[i].Worst < o.Predicted[i].Worst-band {
			return false
		}
	}
	return true
}

// trackLimit bounds the decisions that are followed at one time; the oldest is
// cut when there are more.
const trackLimit = 64

// Tracker follows decisions for the horizon of the manual's model. Feed it the
// measured slots in every cycle. It is not safe for concurrent use.
type Tracker struct {
	m         *Manual
	horizon   time.Duration
	open      []track
	registers []float64
	indices   []Index
	dropped   uint64
}

type track struct {
	outcome Outcome
	outputs []float64 // of the option
	sum     []float64
}

// NewTracker follows nothing yet.
func NewTracker(m *Manual) *Tracker {
	t := &Tracker{m: m, horizon: time.Duration(m.Model.Steps()) * m.Model.Step, indices: make([]Index, len(m.Values))}
	for _, impact := range m.Impact {
		if impact != nil && impact.Registers() > len(t.registers) {
			t.registers = make([]float64, impact.Registers())
		}
	}
	return t
}

// Dropped counts decisions that were given up because too many were followed.
func (t *Tracker) Dropped() uint64 { return t.dropped }

// Start follows a decision whose Running option has been commanded. Decisions
// still followed that ran another option are cut here, and returned if at least
// one state of theirs was looked at. A decision that commanded nothing, or whose
// option was not assessed, is not followed.
func (t *Tracker) Start(d *Decision) []Outcome {
	a := d.Find(d.Running)
	if a == nil || d.Who == WhoNone || d.Who == "" {
		return t.cut("", d.Monotonic)
	}
	done := t.cut(a.Option, d.Monotonic)
	if len(t.open) == trackLimit {
		t.open = append(t.open[:0], t.open[1:]...)
		t.dropped++
	}
	t.open = append(t.open, track{
		outputs: append([]float64(nil), a.Outputs...), sum: make([]float64, len(t.m.Values)),
		outcome: Outcome{
			Version: RecordVersion, Decision: d.ID, Option: a.Option, Who: d.Who, At: d.Monotonic,
			Predicted: append([]Index(nil), a.Indices...), Followed: t.fullMarks(), Score: score(d, a),
		},
	})
	return done
}

// score is the raw confidence that the outcome of the option can bear out or
// refute. A hold or a ruling in the winner's place does neither, and where
// nothing kept the floors a broken one says nothing of the choice.
func score(d *Decision, ran *Assessment) float64 {
	v := &d.Verdict
	if v.Parts == nil || v.Outcome == OutcomeUnderFloor || !ran.Is(v.Option) {
		return 0
	}
	return unit(v.Parts.Score)
}

func (t *Tracker) fullMarks() []Index {
	marks := make([]Index, len(t.m.Values))
	for v := range marks {
		marks[v] = Index{Value: t.m.Values[v].Name, Worst: 10}
	}
	return marks
}

// Feed takes in the measured state of one cycle (signals then outputs, invalid
// ones NaN) and gives the outcomes whose horizon has passed, or whose option is
// displaced: a reflex, a latch or a lost lease has its outputs. What then follows
// is not the option's doing. One that was never seen in force is forgotten.
func (t *Tracker) Feed(now time.Duration, slots []float64) []Outcome {
	if len(t.open) == 0 {
		return nil
	}
	t.measure(slots)
	var done []Outcome
	left := t.open[:0]
	for i := range t.open {
		tr := &t.open[i]
		displaced := now > tr.outcome.At && !tr.runs(slots[len(t.m.Signals):])
		if now > tr.outcome.At && (!displaced || tr.outcome.States > 0) {
			tr.take(t.indices)
		}
		switch {
		case displaced && tr.outcome.States == 0:
		case displaced || now-tr.outcome.At >= t.horizon:
			done = append(done, tr.close(t.m, now, displaced))
		default:
			left = append(left, *tr)
		}
	}
	t.open = left
	return done
}

// runs says whether the outputs on the wire are the option's.
func (tr *track) runs(outputs []float64) bool {
	return len(outputs) == len(tr.outputs) && equalOutputs(outputs, tr.outputs)
}

// measure takes the indices of a measured state; what cannot be known is 0.
func (t *Tracker) measure(slots []float64) {
	for v := range t.indices {
		x := math.NaN()
		if v < len(t.m.Impact) && t.m.Impact[v] != nil && !t.m.Impact[v].AnyInvalid(slots) {
			x = t.m.Impact[v].Eval(slots, t.registers)
		}
		t.indices[v] = Index{Worst: clampIndex(x), Unknown: x != x}
	}
}

func (tr *track) take(indices []Index) {
	tr.outcome.States++
	for v := range indices {
		f := &tr.outcome.Followed[v]
		f.Worst = min(f.Worst, indices[v].Worst)
		f.Unknown = f.Unknown || indices[v].Unknown
		tr.sum[v] += indices[v].Worst
	}
}

// cut ends what is followed of options other than the given one.
func (t *Tracker) cut(option string, now time.Duration) []Outcome {
	var done []Outcome
	left := t.open[:0]
	for i := range t.open {
		tr := &t.open[i]
		if tr.outcome.Option == option {
			left = append(left, *tr)
			continue
		}
		if tr.outcome.States > 0 {
			done = append(done, tr.close(t.m, now, true))
		}
	}
	t.open = left
	return done
}

func (tr *track) close(m *Manual, now time.Duration, cut bool) Outcome {
	o := tr.outcome
	o.Horizon, o.Cut = now-o.At, cut
	for v := range o.Followed {
		if o.States == 0 {
			o.Followed[v] = Index{Value: o.Followed[v].Value, Unknown: true}
			continue
		}
		o.Followed[v].Expected = tr.sum[v] / float64(o.States)
		if value := &m.Values[v]; value.HasFloor && o.Followed[v].Worst < value.Floor {
			o.Broken = append(o.Broken, value.Name)
		}
	}
	return o
}
