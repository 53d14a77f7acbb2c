package proof

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dancer/dancer"
)

// number prints a figure for people: four digits.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// String gives "name = value unit", or "name invalid", for people.
func (n *Named) String() string {
	if n.Invalid {
		return n.Name + " invalid"
	}
	return n.Name + " = " + quantity(n.Value, n.Unit)
}

// quantity prints an exact value with its unit, so that it can be evaluated
// again.
func quantity(x float64, unit string) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if unit != "" {
		s += " " + unit
	}
	return s
}

// String gives the range in words.
func (r *Range) String() string {
	switch {
	case !r.Valid:
		return r.Name + " invalid"
	case r.Minimum == r.Maximum:
		return r.Name + " = " + quantity(r.Minimum, r.Unit) + orInvalid(r.Invalid)
	}
	s := r.Name + " from " + number(r.Minimum) + " to " + number(r.Maximum)
	if r.Unit != "" {
		s += " " + r.Unit
	}
	return s + orInvalid(r.Invalid)
}

func orInvalid(may bool) string {
	if may {
		return " or invalid"
	}
	return ""
}

// inWords gives the ranges that are not whole.
func inWords(ranges []Range) string {
	var parts []string
	for i := range ranges {
		if r := &ranges[i]; !r.Whole || !r.Valid {
			parts = append(parts, r.String())
		}
	}
	if len(parts) == 0 {
		return "any values"
	}
	return strings.Join(parts, ", ")
}

// String gives the ranges of the hull in words.
func (r *Region) String() string { return inWords(r.Ranges) }

// percent prints a share; a small one is not 0.
func percent(share float64) string {
	if share < 0.001 {
		return "less than 0.1 %"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
}

// State gives the state of an example in words: what bears on the question.
func (e *Example) State() string {
	var parts []string
	for _, list := range [][]Named{e.Signals, e.Outputs} {
		for i := range list {
			if list[i].Bears {
				parts = append(parts, list[i].String())
			}
		}
	}
	if len(parts) == 0 {
		return "any state"
	}
	return strings.Join(parts, ", ")
}

// disturbed gives the disturbances in words, when they are the same in each step.
func (e *Example) disturbed() string {
	if len(e.Disturbances) == 0 {
		return ""
	}
	for _, row := range e.Disturbances {
		if !slices.Equal(row, e.Disturbances[0]) {
			return ", under the disturbances that --json lists"
		}
	}
	var parts []string
	for i, name := range e.Disturbed {
		parts = append(parts, name+" = "+quantity(e.Disturbances[0][i], ""))
	}
	return ", with " + strings.Join(parts, ", ")
}

func (e *Example) after(m *dancer.Manual) string {
	return (time.Duration(e.Step) * m.Model.Step).String()
}

func settings(list []Named) string {
	var parts []string
	for i := range list {
		parts = append(parts, list[i].String())
	}
	return strings.Join(parts, ", ")
}

func (d *domination) says(f *Finding) string {
	value := d.m.Values[first].Name
	switch f.Answer {
	case Proved:
		return fmt.Sprintf("%s never makes %s worse than leaving the outputs as they are, over %s from any state in which it fires", f.Subject, value, d.m.Model.Horizon)
	case Refuted:
		e := f.Example
		return fmt.Sprintf("%s can make %s worse: from %s%s, its index is %s after %s with %s, and %s with the outputs left as they are",
			f.Subject, value, e.State(), e.disturbed(), number(e.Index), e.after(d.m), settings(e.Set), number(e.Against))
	}
	return fmt.Sprintf("it is undecided whether %s can make %s worse, in %s of the states looked at: %s", f.Subject, value, percent(f.Left.Share), f.Left)
}

func (r *refuge) says(f *Finding) string {
	switch f.Answer {
	case Proved:
		return f.Subject + ", the fallback, keeps every floor from every state from which some option does"
	case Refuted:
		e := f.Example
		return fmt.Sprintf("%s, the fallback, does not keep every floor from %s%s: %s falls to %s after %s, under its floor %s, while %s keeps every floor",
			f.Subject, e.State(), e.disturbed(), e.Value, number(e.Index), e.after(r.m), number(e.Against), e.Instead)
	}
	return fmt.Sprintf("it is undecided whether %s, the fallback, keeps every floor wherever some option does, in %s of the states: %s", f.Subject, percent(f.Left.Share), f.Left)
}

// SaysUnder puts the region in which every option is under into words; "" if
// there is none.
func (f *Finding) SaysUnder() string {
	if f.Under == nil {
		return ""
	}
	if f.Under.Share >= 1 {
		return "every option breaks a floor from every state"
	}
	return fmt.Sprintf("every option breaks a floor in at least %s of the states: for instance in all with %s", percent(f.Under.Share), inWords(f.Under.Largest))
}

func (c *contest) says(f *Finding) string {
	switch f.Answer {
	case Proved:
		return fmt.Sprintf("%s wins from %s", f.Subject, f.Example.State())
	case Refuted:
		return fmt.Sprintf("%s never wins: it sets the same outputs as %s", f.Subject, f.Example.Option)
	}
	if f.States == 0 {
		return "no state was tried in which " + f.Subject + " might win"
	}
	return fmt.Sprintf("%s has won in none of %d states that were tried", f.Subject, f.States)
}

func saysNoDeadlock(rules, looked int) string {
	if looked == 0 {
		return fmt.Sprintf("none of the %d reflexes can keep each other from ending: of no two does each read what the other sets", rules)
	}
	return fmt.Sprintf("none of the %d reflexes can keep each other from ending, %s of them reading what the other sets", rules, pairsOf(looked))
}

func saysDeadlock(f *Finding) string {
	if f.Answer == Undecided {
		text := fmt.Sprintf("it is undecided whether %s can keep each other from ending while they hold %s", f.Subject, settings(f.Example.Set))
		if f.Left == nil {
			text += ": they look back at it through a window, which no proof follows"
		}
		return text
	}
	return fmt.Sprintf("%s keep each other from ending: once both hold %s, neither can end whatever the signals say, though each could alone", f.Subject, settings(f.Example.Set))
}

func pairsOf(n int) string {
	if n == 1 {
		return "one pair"
	}
	return fmt.Sprintf("%d pairs", n)
}
