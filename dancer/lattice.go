package dancer

import (
	"math"
	"slices"

	"dancer/hal"
)

// lattice is the decimals of one size inside a signal's range: place n is the
// value n * 10^-decimals.
type lattice struct {
	decimals    int // below 0: tens, hundreds, ...
	first, last int64
}

// Figures of the search: places all over the range, and halvings of one such
// distance close to the recorded value.
const (
	overRange = 64
	closeBy   = 6
	fineness  = 1e4 // places in a range, at least
)

// maximumDecimals bounds a lattice to what is exact in a float64.
const maximumDecimals = 15

// newLattice gives the lattice of a signal; false where its range is not checked
// or beyond what can be searched.
func newLattice(s *hal.Signal) (lattice, bool) {
	if s.Boolean {
		return lattice{last: 1}, true
	}
	span := s.Maximum - s.Minimum
	if !(span > 0) || math.IsInf(span, 0) || span > 1e15 || math.Abs(s.Minimum) > 1e12*span {
		return lattice{}, false
	}
	var l lattice
	for l.step()*fineness > span && l.decimals < maximumDecimals {
		l.decimals++
	}
	for l.step()*10*fineness <= span && l.decimals > -maximumDecimals {
		l.decimals--
	}
	l.first, l.last = int64(math.Ceil(s.Minimum/l.step())), int64(math.Floor(s.Maximum/l.step()))
	return l, l.first < l.last
}

// step is the distance between two places.
func (l lattice) step() float64 {
	if l.decimals < 0 {
		return power10(-l.decimals)
	}
	return 1 / power10(l.decimals)
}

// value of a place: the decimal itself, because one operation on two whole numbers
// rounds once.
func (l lattice) value(n int64) float64 {
	if l.decimals < 0 {
		return float64(n) * power10(-l.decimals)
	}
	return float64(n) / power10(l.decimals)
}

func power10(n int) float64 {
	p := 1.0
	for range n {
		p *= 10
	}
	return p
}

// places to try first, without the recorded value itself: evenly over the range,
// and ever closer to a valid one.
func (l lattice) places(value float64, valid bool) []int64 {
	span := l.last - l.first
	all := make([]int64, 0, overRange+1+2*closeBy)
	for i := range int64(overRange + 1) {
		all = append(all, l.first+span*i/overRange)
	}
	if valid {
		at := int64(math.Round(value / l.step()))
		for k := range closeBy {
			distance := max(span/overRange>>(k+1), 1)
			all = append(all, at-distance, at+distance)
		}
	}
	all = slices.DeleteFunc(all, func(n int64) bool {
		return n < l.first || n > l.last || valid && l.value(n) == value
	})
	slices.Sort(all)
	return slices.Compact(all)
}
