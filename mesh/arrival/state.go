package arrival

import "time"

// state of one target.
type state struct {
	value  [entries]uint32 // us, ascending, distinct
	weight [entries]uint16 // of value, unit an observation
	last   uint32          // us; 0: nothing observed
	total  uint16          // of weight
	round  uint16          // in which last was observed
	count  uint8           // of value
	aim    [Rates]float32  // what its aim is more or less than its sender's, as a part of it
}

// pointWidth is how near delays must be to count as one for Point.
const pointWidth = uint32(10 * time.Millisecond / time.Microsecond)

// whole is a delay in whole microseconds, rounded up, 1 at least.
func whole(d time.Duration) uint32 {
	return uint32((min(d, maxDelay) + time.Microsecond - 1) / time.Microsecond)
}

// add puts one observation in. Where there is no room for another delay, the two
// whose merging lengthens leads the least become one, at the longer of them.
func (s *state) add(now uint32) {
	if s.total >= remember*unit {
		s.forget()
	}
	s.last = now
	s.total += unit
	at := s.find(now)
	if at < int(s.count) && s.value[at] == now {
		s.weight[at] += unit
		return
	}
	if s.count == entries {
		at -= s.merge(at)
	}
	copy(s.value[at+1:s.count+1], s.value[at:s.count])
	copy(s.weight[at+1:s.count+1], s.weight[at:s.count])
	s.value[at], s.weight[at] = now, unit
	s.count++
}

// find is where a delay is or belongs.
func (s *state) find(value uint32) int {
	at := 0
	for at < int(s.count) && s.value[at] < value {
		at++
	}
	return at
}

// merge makes one entry of two, and says whether that was before at: 1 or 0.
func (s *state) merge(at int) int {
	best, least := 0, ^uint64(0)
	for i := range entries - 1 {
		if cost := uint64(s.value[i+1]-s.value[i]) * uint64(s.weight[i]); cost < least {
			best, least = i, cost
		}
	}
	s.weight[best+1] += s.weight[best]
	s.remove(best)
	if best < at {
		return 1
	}
	return 0
}

func (s *state) remove(at int) {
	copy(s.value[at:s.count], s.value[at+1:s.count])
	copy(s.weight[at:s.count], s.weight[at+1:s.count])
	s.count--
}

// forget halves the weights, so that a target's past fades.
func (s *state) forget() {
	s.total = 0
	for i := int(s.count) - 1; i >= 0; i-- {
		if s.weight[i] /= 2; s.weight[i] == 0 {
			s.remove(i)
			continue
		}
		s.total += s.weight[i]
	}
}

func (s *state) weightOf(value uint32) uint16 {
	if at := s.find(value); at < int(s.count) && s.value[at] == value {
		return s.weight[at]
	}
	return 0
}

// repeats is the probability that a new delay equals the last: the share of it
// among all, believed by half after `doubt` observations.
func (s *state) repeats() float32 {
	return float32(s.weightOf(s.last)) / float32(s.total+doubt*unit)
}

// usual is the delay around which most of the others lie that are not near the
// last, and the share of those near it.
func (s *state) usual() (value uint32, share float32) {
	best, low, sum := uint16(0), 0, uint16(0)
	high := 0
	for i := range int(s.count) {
		for high < int(s.count) && s.value[high] <= s.value[i]+pointWidth {
			sum += s.weight[high]
			high++
		}
		for s.value[low]+pointWidth < s.value[i] {
			sum -= s.weight[low]
			low++
		}
		if sum > best && !near(s.value[i], s.last) {
			best, value = sum, s.value[i]
		}
	}
	return value, float32(best) / float32(s.total-s.weightOf(s.last)+doubt*unit)
}

func near(a, b uint32) bool { return max(a, b)-min(a, b) <= pointWidth }
