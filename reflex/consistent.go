package reflex

// Consistent evaluates every rule anew, each by its own program, and says whether
// the table's state is what follows from the slots: its conditions, whether a
// rule whose condition is true acts or waits for its filters, and the values that
// Merged gives. It changes nothing. Rules that read outputs are evaluated and not
// compared, because outputs may move after them.
//
// It costs as much as the programs of all rules together. Call it after Evaluate,
// when every change of the slots has been told.
func (t *Table) Consistent(slots []float64) bool {
	same := true
	for i := range t.rules {
		is := t.when(i, slots)
		if t.readsOutputs(i) {
			continue
		}
		word, bit := &t.word[i>>6], uint64(1)<<(i&63)
		same = same && is == (word.condition&bit != 0)
		if is && word.waiting&bit == 0 {
			same = same && (word.active|word.pending)&bit != 0
		}
	}
	return same && t.mergedRight()
}

func (t *Table) readsOutputs(i int) bool {
	for _, slot := range t.rules[i].When.Reads() {
		if slot >= t.slots-len(t.outputs) {
			return true
		}
	}
	return false
}

// mergedRight compares with the merge that settle would make. A controlled stop
// depends on the time of the last call and is left out.
func (t *Table) mergedRight() bool {
	for w := range t.word {
		if t.word[w].stopping != 0 {
			return true
		}
	}
	for o := range t.merged {
		result := choice{}
		for k := range t.setters[o] {
			s := &t.setters[o][k]
			if word, bit := &t.word[s.rule>>6], uint64(1)<<(s.rule&63); (word.active|word.latched)&bit != 0 {
				result = merge(&t.outputs[o], result, choice{value: s.after, by: s.rule, ok: true})
			}
		}
		if result != t.merged[o] {
			return false
		}
	}
	return true
}
