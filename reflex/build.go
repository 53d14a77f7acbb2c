package reflex

import (
	"errors"
	"fmt"
	"slices"

	"dancer/hal"
	"dancer/reflex/program"
)

// NewTable checks the rules and builds their table, for a robot with so many
// signals and these outputs. It reports every faulty rule at once.
func NewTable(rules []Rule, outputs []hal.Output, signals int) (*Table, error) {
	if err := check(rules, outputs, signals); err != nil {
		return nil, err
	}
	words := (len(rules) + 63) / 64
	t := &Table{
		rules:   slices.Clone(rules),
		slots:   signals + len(outputs),
		words:   words,
		scratch: make([]float64, program.Registers),
		outputs: slices.Clone(outputs),
		present: make([]float64, len(outputs)),
		merged:  make([]choice, len(outputs)),
		moves:   make([]Transition, 0, movesPerRule*len(rules)),
		states:  make([]state, len(rules)),
		word:    make([]stateOfWords, words),
		awaited: make([]bool, signals+len(outputs)),
	}
	for o := range outputs {
		t.present[o] = outputs[o].Safe
	}
	t.setters, t.ramps = newSetters(rules, outputs)
	t.limits, t.programs = newLimits(t.rules, t.slots)
	t.index()
	for i := range rules {
		t.word[i>>6].condition |= 1 << (i & 63) // not known to be false
	}
	return t, nil
}

// index notes which rules read which slot.
func (t *Table) index() {
	t.near = make([][]int, t.slots)
	t.readers, t.strict = make([]uint64, t.slots*t.words), make([]uint64, t.slots*t.words)
	for i := range t.rules {
		reads, word, bit := t.rules[i].When.Reads(), i>>6, uint64(1)<<(i&63)
		t.read = append(t.read, reads...)
		for _, s := range reads {
			t.strict[s*t.words+word] |= bit
			t.readers[s*t.words+word] |= bit
			t.near[s] = append(t.near[s], reads...)
		}
		if t.rules[i].Until == nil {
			continue
		}
		for _, s := range t.rules[i].Until.Reads() {
			t.readers[s*t.words+word] |= bit
			t.near[s] = append(t.near[s], reads...)
		}
	}
	t.read = unique(t.read)
	for s := range t.near {
		t.near[s] = unique(t.near[s])
	}
}

func unique(list []int) []int {
	slices.Sort(list)
	return slices.Compact(list)
}

// check finds every fault of the rules.
func check(rules []Rule, outputs []hal.Output, signals int) error {
	var faults []error
	for i := range rules {
		if err := rules[i].check(outputs, signals); err != nil {
			faults = append(faults, fmt.Errorf("check reflex %q: %w", rules[i].Name, err))
		}
	}
	return errors.Join(faults...)
}

func (r *Rule) check(outputs []hal.Output, signals int) error {
	slots := signals + len(outputs)
	switch {
	case r.When == nil:
		return errors.New("it has no when")
	case !readsBelow(r.When, slots) || r.Until != nil && !readsBelow(r.Until, slots):
		return errors.New("it reads a slot that is neither a signal nor an output")
	case r.Stop < Stop0 || r.Stop > Stop2:
		return errors.New("it has no stop category (0, 1 or 2)")
	case r.Debounce < 0 || r.Confirm < 0 || r.Controlled < 0 || r.Ramp < 0:
		return errors.New("debounce, confirm, ramp or the time of a controlled stop is negative")
	case r.Ramp > 0 && r.Stop != Stop1:
		return errors.New("it has a ramp, which is for stop category 1 alone")
	case len(r.Set) == 0:
		return errors.New("it sets no output")
	}
	return checkSettings(r.Set, outputs)
}

func checkSettings(settings []Setting, outputs []hal.Output) error {
	seen := make(map[int]bool)
	for _, s := range settings {
		if s.Output < 0 || s.Output >= len(outputs) {
			return fmt.Errorf("it sets output %d of %d", s.Output, len(outputs))
		}
		o := &outputs[s.Output]
		if !(s.Value >= o.Minimum && s.Value <= o.Maximum) {
			return fmt.Errorf("it sets %s to %v, outside of %v to %v", o.Name, s.Value, o.Minimum, o.Maximum)
		}
		if seen[s.Output] {
			return fmt.Errorf("it sets %s twice", o.Name)
		}
		seen[s.Output] = true
	}
	return nil
}

func readsBelow(p *program.Program, slots int) bool {
	reads := p.Reads()
	return len(reads) == 0 || reads[len(reads)-1] < slots
}
