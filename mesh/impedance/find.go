package impedance

// findTries is how often FindBest looks at a ranking that is being changed, about
// half a microsecond. A change takes less, so more means that the owner lost its
// processor in the middle of one.
const findTries = 512

// Read gives the entry of an agent. known is false when it has no place. Any
// goroutine may call it.
func (r *Registry) Read(id AgentID) (e Entry, known bool) {
	if uint64(id) >= uint64(len(r.agents)) {
		return Entry{}, false
	}
	a := &r.agents[id]
	for {
		version := a.version.Load()
		p := a.copied(version)
		if a.version.Load() == version {
			e = p.unpack()
			return e, version != 0 && e.Cell != NoCell
		}
	}
}

// FindBest appends to dst the n active agents with a capability that have the
// lowest scores, none over maxScore, the lowest first; of equal scores the one
// that has had it for the longest, so that the load goes round. MaxScore also
// finds people, and agents that always failed, last of all. Any goroutine may call
// it. It allocates when dst has no room for n.
//
// It is what the rankings say at one moment, unless the owner does not get to the
// end of a change; then the agents may be others than the very best, but each is
// active, has the capability and the score, and none is there twice.
func (r *Registry) FindBest(dst []AgentID, capability Capability, n int, maxScore uint16) []AgentID {
	if capability >= MaxCapabilityKinds {
		return dst
	}
	x := r.index[capability].Load()
	if x == nil {
		return dst
	}
	maxScore = min(maxScore, MaxScore)
	for range findTries {
		sequence := x.sequence.Load()
		if sequence&1 != 0 {
			continue
		}
		found := x.walk(&r.links, dst, n, maxScore)
		if x.sequence.Load() == sequence {
			return found
		}
	}
	return r.sift(x.walk(&r.links, dst, n, maxScore), len(dst), capability, maxScore)
}

// sift keeps of the agents from a place on those that are what was asked for, once
// each, by score.
func (r *Registry) sift(found []AgentID, from int, capability Capability, maxScore uint16) []AgentID {
	kept := found[:from]
next:
	for _, id := range found[from:] {
		e, known := r.Read(id)
		if !known || !e.ranked().Has(capability) || e.Score > maxScore {
			continue
		}
		at := len(kept)
		for i := len(kept); i > from; i-- {
			if kept[i-1] == id {
				continue next
			}
			if other, _ := r.Read(kept[i-1]); other.Score > e.Score {
				at = i - 1
			}
		}
		kept = append(kept, id)
		copy(kept[at+1:], kept[at:])
		kept[at] = id
	}
	return kept
}

// BestInCell is the active member of a cell with a capability that has the
// lowest score, the first of equal ones (mesh-30k 4.2). NoAgent when none has it
// and a score up to maxScore. Only the owner may call it.
func (r *Registry) BestInCell(c CellID, capability Capability, maxScore uint16) AgentID {
	best, least := NoAgent, uint16(MaxScore+1)
	if uint64(c) >= uint64(len(r.cells)) {
		return best
	}
	for _, id := range r.cells[c].members {
		e := r.agents[id].current()
		if e.ranked().Has(capability) && e.Score <= maxScore && e.Score < least {
			best, least = id, e.Score
		}
	}
	return best
}
