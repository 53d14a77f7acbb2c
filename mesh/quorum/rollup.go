package quorum

import "fmt"

// Rollup sums what children report of their own memberships: a sector its
// clusters, the orchestrator its sectors. A child that says nothing is all in
// transit, with its whole membership; so a part that is cut off weighs as much as
// before. 16 bytes a child, O(1) and no allocation per report. It is not safe for
// use by several goroutines.
type Rollup struct {
	children []Counts
	counts   Counts
}

// NewRollup makes a rollup of children with these many counted members each.
func NewRollup(sizes []int32) (*Rollup, error) {
	r := &Rollup{}
	if err := r.Reset(sizes); err != nil {
		return nil, err
	}
	return r, nil
}

// Reset makes the rollup one of other children, of whom nothing is known yet. It
// allocates nothing where there is room from before.
func (r *Rollup) Reset(sizes []int32) error {
	if cap(r.children) < len(sizes) {
		r.children = make([]Counts, len(sizes))
	}
	r.children = r.children[:len(sizes)]
	sum := int64(0)
	for i, size := range sizes {
		sum += int64(size)
		if size < 0 || sum > MaxMembers {
			return fmt.Errorf("make rollup: child %d has %d members, %d in all; 0 to %d are possible", i, size, sum, MaxMembers)
		}
		r.children[i] = Counts{Total: size}
	}
	r.counts = Counts{Total: int32(sum)}
	return nil
}

// Counts gives the sum.
func (r *Rollup) Counts() Counts { return r.counts }

// Child gives what is known of one child; nothing for one that is not there.
func (r *Rollup) Child(child int32) Counts {
	if child < 0 || int(child) >= len(r.children) {
		return Counts{}
	}
	return r.children[child]
}

// Report takes a child's counts. They must be of the membership that was
// addressed: a child that has more or fewer members than that is refused. Late,
// repeated and overtaken reports are told by their progress and change nothing.
func (r *Rollup) Report(child int32, c Counts) Outcome {
	if child < 0 || int(child) >= len(r.children) || !c.Valid() || c.Total != r.children[child].Total {
		return Refused
	}
	old := r.children[child]
	switch {
	case old.Total > 0 && old.Absent == old.Total:
		return Unasked
	case c.progress() <= old.progress():
		return Repeated
	}
	r.children[child] = c
	r.counts = r.counts.minus(old).Add(c)
	if old.Answered() == 0 {
		return Counted
	}
	return Changed
}

// Absent marks a child that was not asked and of whom nothing has been heard; it
// reports whether anything changed.
func (r *Rollup) Absent(child int32) bool {
	old := r.Child(child)
	if old.Total == 0 || old.progress() != 0 {
		return false
	}
	c := Counts{Total: old.Total, Absent: old.Total}
	r.children[child] = c
	r.counts = r.counts.minus(old).Add(c)
	return true
}
