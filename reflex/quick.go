package reflex

import "dancer/reflex/program"

// quick holds the conditions that are nothing but limits on single slots, which
// most reflexes are. They are evaluated without branches that depend on the
// values: about a nanosecond for each limit, whatever the signals do.
type quick struct {
	limits  []limit // of all rules, sorted by word of 64 rules
	first   []int   // word -> its first limit; one more at the end
	simple  []uint64
	negated []uint64
	rules   []quickRule
}

// limit is broken where !(sign * slot <= limit), for the rule of its bit.
type limit struct {
	limit, sign float64
	slot        int
	bit         uint64
}

// quickRule is one rule by itself.
type quickRule struct {
	bounds  []program.Bound
	negated bool
	simple  bool
}

// evaluate writes the conditions of all simple rules. Rules that read NaN may
// come out either way; the table corrects them.
func (q *quick) evaluate(slots []float64, words []stateOfWords) {
	for w := range words {
		var broken uint64
		limits := q.limits[q.first[w]:q.first[w+1]]
		for i := range limits {
			l := &limits[i]
			var fails uint64
			if !(l.sign*slots[l.slot] <= l.limit) {
				fails = 1
			}
			broken |= -fails & l.bit
		}
		words[w].condition = words[w].condition&^q.simple[w] | (^broken^q.negated[w])&q.simple[w]
	}
}

// one evaluates one rule, true where it reads NaN; not ok if it is not simple.
func (q *quick) one(rule int, slots []float64) (is, ok bool) {
	r := &q.rules[rule]
	if !r.simple {
		return false, false
	}
	holds := true
	for i := range r.bounds {
		b := &r.bounds[i]
		v := slots[b.Slot]
		if v != v {
			return true, true
		}
		if !(b.Sign*v <= b.Limit) {
			holds = false
		}
	}
	return holds != r.negated, true
}

// newQuick collects the rules that are simple and names the others.
func newQuick(rules []Rule, words int) (q quick, slow []int) {
	q.first = make([]int, words+1)
	q.simple, q.negated = make([]uint64, words), make([]uint64, words)
	q.rules = make([]quickRule, len(rules))
	for i := range rules {
		w, bit := i>>6, uint64(1)<<(i&63)
		bounds, negated, ok := rules[i].When.Bounds()
		if ok {
			q.rules[i] = quickRule{bounds: bounds, negated: negated, simple: true}
			q.simple[w] |= bit
			if negated {
				q.negated[w] |= bit
			}
			for _, b := range bounds {
				q.limits = append(q.limits, limit{limit: b.Limit, sign: b.Sign, slot: b.Slot, bit: bit})
			}
		} else {
			slow = append(slow, i)
		}
		q.first[w+1] = len(q.limits)
	}
	return q, slow
}
