package proof

import (
	"math"

	"dancer/dancer"
	"dancer/reflex/program"
)

// Unranged bounds the signals for which the robot's file gives no range: they are
// taken to lie within plus and minus this, in their unit.
const Unranged = 1e9

// box is a set of states: an interval for each dimension of a space.
type box []program.Interval

// space is the states that bear on a question: the slots of signals and outputs
// that are read, each a dimension.
type space struct {
	m        *dancer.Manual
	switches []bool // per output
	slots    []int  // the dimensions, in ascending order
	whole    box
}

// newSpace spans the signals and outputs that are marked.
func newSpace(w *world) *space {
	m, bears := w.m, w.bears
	s := &space{m: m, switches: w.switches}
	for slot := range len(m.Signals) + len(m.Outputs) {
		if bears[slot] {
			s.slots = append(s.slots, slot)
			s.whole = append(s.whole, rangeOf(m, slot))
		}
	}
	return s
}

// rangeOf gives the valid values of a signal or output.
func rangeOf(m *dancer.Manual, slot int) program.Interval {
	if slot >= len(m.Signals) {
		o := &m.Outputs[slot-len(m.Signals)]
		return program.Between(o.Minimum, o.Maximum)
	}
	signal := &m.Signals[slot]
	switch {
	case signal.Boolean:
		return program.Between(0, 1)
	case signal.Minimum < signal.Maximum:
		return program.Between(signal.Minimum, signal.Maximum)
	}
	return program.Between(-Unranged, Unranged)
}

// dimension gives the number of a slot's dimension; -1 if it has none.
func (s *space) dimension(slot int) int {
	for d, has := range s.slots {
		if has == slot {
			return d
		}
	}
	return -1
}

func (s *space) isSignal(d int) bool { return s.slots[d] < len(s.m.Signals) }

// isBoolean says whether only the two ends of a dimension are possible.
func (s *space) isBoolean(d int) bool {
	if s.isSignal(d) {
		return s.m.Signals[s.slots[d]].Boolean
	}
	o := s.slots[d] - len(s.m.Signals)
	return o < len(s.switches) && s.switches[o]
}

// possible takes away what is impossible at the ends of an interval: the values
// between the two of a boolean dimension.
func (s *space) possible(x interval, d int) interval {
	if all := s.whole[d]; s.isBoolean(d) && !x.Empty() {
		if x.Low > all.Low {
			x.Low = all.High
		}
		if x.High < all.High {
			x.High = all.Low
		}
	}
	return x
}

// finest is the least width of a box, as a share of the whole: below it a box is
// left undecided.
const finest = 1.0 / (1 << 30)

// halves divides a box in one dimension: a signal that may be invalid into valid
// and invalid, a boolean one into its two values, and any other in the middle. It
// gives the parts of the dimension alone.
func (s *space) halves(b box, d int) (low, high program.Interval, ok bool) {
	x := b[d]
	switch {
	case x.Empty():
		return x, x, false
	case x.Invalid:
		return program.Interval{Span: x.Span}, program.Invalid(), true
	case s.isBoolean(d):
		return program.Between(x.Low, x.Low), program.Between(x.High, x.High), x.Low < x.High
	}
	middle := float64(x.Low/2) + float64(x.High/2)
	wide := x.High-x.Low > (s.whole[d].High-s.whole[d].Low)*finest
	return program.Between(x.Low, middle), program.Between(middle, x.High), wide && x.Low < middle && middle < x.High
}

// share is the width of a dimension of a box against the whole.
func (s *space) share(b box, d int) float64 {
	x, all := b[d], s.whole[d]
	switch {
	case x.Empty() || all.Low == all.High:
		return 0
	case x.Invalid:
		return 2
	}
	return (x.High - x.Low) / (all.High - all.Low)
}

// Region is a box of states for people: the signals and outputs that bear on the
// question, and the share of the searched states that it stands for.
type Region struct {
	Share  float64 `json:"share"`  // of the volume searched, 0 to 1
	Boxes  int     `json:"boxes"`  // that it consists of
	Ranges []Range `json:"ranges"` // their hull
	// Largest is the largest of the boxes, all of which belongs to the region.
	Largest []Range `json:"largest"`
}

// Range is the values of one signal or output.
type Range struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit,omitempty"`
	Minimum float64 `json:"minimum"`
	Maximum float64 `json:"maximum"`
	Invalid bool    `json:"invalid,omitempty"` // may be invalid
	Valid   bool    `json:"valid"`             // may be valid; if not, there are no values
	Whole   bool    `json:"whole,omitempty"`   // all values that it can have
}

// region collects boxes.
type region struct {
	share   float64
	boxes   int
	hull    box
	largest box
	most    float64 // share of the largest
}

func (r *region) add(b box, share float64) {
	r.share += share
	r.boxes++
	if share > r.most {
		r.largest, r.most = b, share
	}
	if r.hull == nil {
		r.hull = append(box(nil), b...)
		return
	}
	for d := range b {
		h := &r.hull[d]
		h.Low, h.High = math.Min(h.Low, b[d].Low), math.Max(h.High, b[d].High)
		h.Invalid = h.Invalid || b[d].Invalid
	}
}

// region gives the collected boxes for people; nil if there are none.
func (s *space) region(r *region) *Region {
	if r.boxes == 0 {
		return nil
	}
	return &Region{Share: min(r.share, 1), Boxes: r.boxes, Ranges: s.ranges(r.hull), Largest: s.ranges(r.largest)}
}

func (s *space) ranges(b box) []Range {
	out := []Range{}
	for d, x := range b {
		one := Range{
			Name: slotName(s.m, s.slots[d]), Unit: slotUnit(s.m, s.slots[d]), Invalid: x.Invalid, Valid: !x.Empty(),
			Whole: x.Span == s.whole[d].Span,
		}
		if one.Valid {
			one.Minimum, one.Maximum = x.Low, x.High
		}
		out = append(out, one)
	}
	return out
}

func slotName(m *dancer.Manual, slot int) string {
	if slot < len(m.Signals) {
		return m.Signals[slot].Name
	}
	return m.Outputs[slot-len(m.Signals)].Name
}

func slotUnit(m *dancer.Manual, slot int) string {
	if slot < len(m.Signals) {
		return m.Signals[slot].Unit
	}
	return m.Outputs[slot-len(m.Signals)].Unit
}
