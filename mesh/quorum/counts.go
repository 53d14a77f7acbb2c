package quorum

// Counts is what is known of one membership: 16 bytes, however many agents.
// Total is fixed when the coordination is addressed and never changes.
type Counts struct {
	Total    int32 // counted members: all addressed agents but those of class F (people)
	Ready    int32
	Conflict int32
	Absent   int32 // members that were not or cannot be asked: skipped for want of lead, cut off, behind an open breaker
}

// Transit is how many members are still unknown.
func (c Counts) Transit() int32 { return c.Total - c.Ready - c.Conflict - c.Absent }

// Answered is how many members have been heard: READY or CONFLICT.
func (c Counts) Answered() int32 { return c.Ready + c.Conflict }

// Valid says whether no part is negative and all parts fit into the total.
func (c Counts) Valid() bool {
	parts := int64(c.Ready) + int64(c.Conflict) + int64(c.Absent)
	return c.Total >= 0 && c.Ready >= 0 && c.Conflict >= 0 && c.Absent >= 0 && parts <= int64(c.Total)
}

// Add sums two memberships that share nobody.
func (c Counts) Add(other Counts) Counts {
	return Counts{c.Total + other.Total, c.Ready + other.Ready, c.Conflict + other.Conflict, c.Absent + other.Absent}
}

// minus takes a part out again.
func (c Counts) minus(other Counts) Counts {
	return Counts{c.Total - other.Total, c.Ready - other.Ready, c.Conflict - other.Conflict, c.Absent - other.Absent}
}

// Confidence is the ready share less half the conflict share, 0 to 1; 0 for an
// empty membership.
func (c Counts) Confidence() float64 {
	if c.Total <= 0 || !c.Valid() {
		return 0
	}
	return max(0, float64(2*int64(c.Ready)-int64(c.Conflict))/float64(2*int64(c.Total)))
}

// progress orders the states that one membership goes through: each answer that
// changes anything raises it, so that of two summaries the one with the higher
// progress is the later one, without a sequence number.
func (c Counts) progress() int64 {
	return int64(c.Ready) + 2*int64(c.Conflict) + int64(c.Absent)
}

// move takes one member from a state to another.
func (c *Counts) move(from, to code) {
	c.add(from, -1)
	c.add(to, 1)
}

// add changes the counter of a state; transit has none, as it is what is left.
func (c *Counts) add(state code, by int32) {
	switch state {
	case ready:
		c.Ready += by
	case conflict:
		c.Conflict += by
	case absent:
		c.Absent += by
	}
}
