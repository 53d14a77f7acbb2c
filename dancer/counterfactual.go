package dancer

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"dancer/hal"
)

// Errors of [Counterfactuals].
var (
	// ErrOtherManual: the decision was made by another manual than the one given.
	ErrOtherManual = errors.New("made by another manual")
	// ErrNotRepeated: the same input no longer gives the recorded verdict.
	ErrNotRepeated = errors.New("cannot be repeated")
)

// Counterfactual says what would have been decided had one signal been another,
// and all else the same. What the robot does now (its outputs) is not varied: the
// options of a decision say already what other outputs would give.
type Counterfactual struct {
	Signal   string  `json:"signal"`
	Unit     string  `json:"unit,omitempty"`
	Boolean  bool    `json:"boolean,omitempty"`
	Validity string  `json:"validity"` // as recorded
	Value    float64 `json:"value"`    // as recorded; 0 when not valid
	// Read: an index reads it, directly or through the model. One that is not read
	// is not searched.
	Read bool `json:"read"`
	// Ranges of the signal with one verdict each, ascending, inside its range.
	// Their limits are values that were tried; between the end of one and the
	// start of the next lies the border, closer than a ten-thousandth of the
	// signal's range unless Cut. A range narrower than a sixty-fourth of the signal's
	// may be missed where it is far from the recorded value.
	Ranges []CounterfactualRange `json:"ranges,omitempty"`
	// Below and Above are the nearest values that would have changed the verdict
	// of a valid signal; nil where there is none.
	Below *CounterfactualChange `json:"below,omitempty"`
	Above *CounterfactualChange `json:"above,omitempty"`
	// Decisions made to find this out, and whether more were wanted.
	Decisions int  `json:"decisions"`
	Cut       bool `json:"cut,omitempty"`
	// Words say it for people.
	Words string `json:"words"`
}

// CounterfactualRange is a range of one signal in which the verdict is the same.
type CounterfactualRange struct {
	From    float64 `json:"from"` // inclusive, in the signal's unit
	To      float64 `json:"to"`
	Option  string  `json:"option"`
	Outcome string  `json:"outcome"`
}

// CounterfactualChange is the nearest value of a signal with another verdict.
type CounterfactualChange struct {
	At      float64 `json:"at"`
	Option  string  `json:"option"`
	Outcome string  `json:"outcome"`
}

// maximumBudget is the most roll-outs with which a decision from outside is made
// again.
const maximumBudget = 1 << 16

// maximumTried bounds the decisions that are made for one signal.
const maximumTried = 256

// Counterfactuals says for every signal what would have had to be different for
// another verdict: another option or another outcome. decide makes the decision of
// an input by the same manual, as [Decide] does; it is called at most 256 times a
// signal, and no more once more() says false: what is then left out is named. Each
// input differs from the recorded one in one signal, which is taken as fresh where
// it was invalid. The same decision gives the same answer.
func Counterfactuals(m *Manual, d *Decision, decide func(Input) Decision, more func() bool) (all []Counterfactual, left []string, err error) {
	if d.ManualHash != m.Hash {
		return nil, nil, fmt.Errorf("decision %s: %w: by %s, and the one at hand is %s", orDash(d.ID), ErrOtherManual, d.ManualHash, m.Hash)
	}
	if d.Budget > maximumBudget {
		return nil, nil, fmt.Errorf("decision %s: %w: it has %d roll-outs per option, more than %d", orDash(d.ID), ErrNotRepeated, d.Budget, maximumBudget)
	}
	if again := decide(d.Input()); verdictOf(&again) != verdictOf(d) {
		return nil, nil, fmt.Errorf("decision %s: %w: it says %s, %s now and said %s, %s", orDash(d.ID), ErrNotRepeated,
			again.Verdict.Outcome, again.Verdict.Option, d.Verdict.Outcome, d.Verdict.Option)
	}
	read := m.SignalsRead()
	for i := range m.Signals {
		if i >= len(d.Signals) {
			break
		}
		if read[i] && !more() {
			left = append(left, m.Signals[i].Name)
			continue
		}
		s := search{m: m, d: d, signal: i, decide: decide, more: more}
		all = append(all, s.run(read[i]))
	}
	return all, left, nil
}

// verdict is what counts as the same decision.
type verdict struct{ option, outcome string }

func verdictOf(d *Decision) verdict { return verdict{d.Verdict.Option, d.Verdict.Outcome} }

// search varies one signal. The values tried lie on a lattice of decimals, so that
// the borders are numbers that a person can read and try.
type search struct {
	m       *Manual
	d       *Decision
	signal  int
	decide  func(Input) Decision
	more    func() bool
	lattice lattice
	tried   []tried // ascending
	made    int
	cut     bool
}

// tried is one value and its verdict. low and high are its places on the lattice:
// equal, but for the recorded value, which may lie between two of them.
type tried struct {
	value     float64
	low, high int64
	verdict   verdict
}

func (s *search) run(read bool) Counterfactual {
	signal, snapshot := &s.m.Signals[s.signal], &s.d.Signals[s.signal]
	c := Counterfactual{
		Signal: signal.Name, Unit: signal.Unit, Boolean: signal.Boolean,
		Validity: snapshot.Validity, Value: snapshot.Value, Read: read,
	}
	var ranged bool
	s.lattice, ranged = newLattice(signal)
	if read && ranged {
		s.scan()
		c.Ranges, c.Decisions, c.Cut = s.ranges(), s.made, s.cut
		if s.valid() {
			c.Below, c.Above = s.nearest()
		}
	}
	c.Words = c.explain(s, ranged)
	return c
}

func (s *search) valid() bool { return s.d.Signals[s.signal].Validity == hal.Valid.String() }

// scan tries values all over the signal's range and close to the recorded one,
// then looks for the borders between different verdicts, the nearest first.
func (s *search) scan() {
	for _, n := range s.lattice.places(s.d.Signals[s.signal].Value, s.valid()) {
		s.try(n)
	}
	if s.valid() {
		s.insert(s.recorded())
	}
	pairs := slices.Clone(s.tried)
	at := s.nearestPlace(pairs)
	for reach := range len(pairs) {
		if i := at - 1 - reach; i >= 0 {
			s.refine(pairs[i], pairs[i+1])
		}
		if i := at + reach; i+1 < len(pairs) {
			s.refine(pairs[i], pairs[i+1])
		}
	}
}

func (s *search) recorded() tried {
	x := s.d.Signals[s.signal].Value
	return tried{x, int64(math.Floor(x / s.lattice.step())), int64(math.Ceil(x / s.lattice.step())), verdictOf(s.d)}
}

// nearestPlace is where the recorded value stands in the list; 0 if it is invalid.
func (s *search) nearestPlace(list []tried) int {
	if !s.valid() {
		return 0
	}
	x := s.d.Signals[s.signal].Value
	return slices.IndexFunc(list, func(t tried) bool { return t.value == x })
}

// refine halves the gap between two values with different verdicts until they are
// neighbours on the lattice. A third verdict in between is found on the way.
func (s *search) refine(a, b tried) {
	if a.verdict == b.verdict || b.high-a.low <= 1 {
		return
	}
	middle, ok := s.try(a.low + (b.high-a.low)/2)
	if !ok {
		return
	}
	s.refine(a, middle)
	s.refine(middle, b)
}

// try makes the decision at one place of the lattice, if it may still.
func (s *search) try(n int64) (tried, bool) {
	if s.made >= maximumTried || !s.more() {
		s.cut = true
		return tried{}, false
	}
	s.made++
	in := s.d.Input()
	t := tried{value: s.lattice.value(n), low: n, high: n}
	in.Values[s.signal], in.Validity[s.signal] = t.value, hal.Valid
	if !s.valid() {
		in.Age[s.signal] = 0
	}
	again := s.decide(in)
	t.verdict = verdictOf(&again)
	s.insert(t)
	return t, true
}

func (s *search) insert(t tried) {
	i, known := slices.BinarySearchFunc(s.tried, t.value, func(have tried, x float64) int {
		switch {
		case have.value < x:
			return -1
		case have.value > x:
			return 1
		}
		return 0
	})
	if known {
		s.tried[i] = t // the recorded value, on the lattice
		return
	}
	s.tried = slices.Insert(s.tried, i, t)
}

// ranges joins neighbours with the same verdict.
func (s *search) ranges() []CounterfactualRange {
	var all []CounterfactualRange
	for _, t := range s.tried {
		if n := len(all); n > 0 && (verdict{all[n-1].Option, all[n-1].Outcome}) == t.verdict {
			all[n-1].To = t.value
			continue
		}
		all = append(all, CounterfactualRange{From: t.value, To: t.value, Option: t.verdict.option, Outcome: t.verdict.outcome})
	}
	return all
}

// nearest gives the borders on both sides of the recorded value.
func (s *search) nearest() (below, above *CounterfactualChange) {
	at := s.nearestPlace(s.tried)
	for i := at - 1; i >= 0 && below == nil; i-- {
		below = s.change(i)
	}
	for i := at + 1; i < len(s.tried) && above == nil; i++ {
		above = s.change(i)
	}
	return below, above
}

func (s *search) change(i int) *CounterfactualChange {
	t := s.tried[i]
	if t.verdict == verdictOf(s.d) {
		return nil
	}
	return &CounterfactualChange{At: t.value, Option: t.verdict.option, Outcome: t.verdict.outcome}
}
