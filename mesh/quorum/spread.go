package quorum

import (
	"math/bits"
	"time"
)

// Spread counts durations in buckets that are at most one eighth wide: exact to
// 1 ms below 16 ms, up to 262 s. 512 bytes; the zero value is empty.
type Spread struct {
	bucket [128]uint32
	count  uint32
}

// Add counts one duration; negative ones count as 0.
func (s *Spread) Add(d time.Duration) { s.addMany(d, 1) }

func (s *Spread) addMany(d time.Duration, n uint32) {
	s.bucket[bucketOf(d)] += n
	s.count += n
}

// Count is how many durations were added.
func (s *Spread) Count() int { return int(s.count) }

// Rank gives a duration that n of those added do not exceed (the upper edge of
// the bucket of the n-th shortest); false if there are fewer.
func (s *Spread) Rank(n int) (time.Duration, bool) {
	if n <= 0 || n > s.Count() {
		return 0, false
	}
	for i, c := range s.bucket {
		if n -= int(c); n <= 0 {
			return upperEdge(i), true
		}
	}
	return 0, false
}

// bucketOf: 0 to 7 ms have a bucket each, every power of two above has eight.
func bucketOf(d time.Duration) int {
	ms := uint64(max(d, 0) / time.Millisecond)
	if ms < 8 {
		return int(ms)
	}
	shift := bits.Len64(ms) - 4
	return min((shift+1)*8+int(ms>>shift)-8, len(Spread{}.bucket)-1)
}

// upperEdge is the shortest duration that is over the bucket.
func upperEdge(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket+1) * time.Millisecond
	}
	shift := bucket/8 - 1
	return time.Duration((9+bucket%8)<<shift) * time.Millisecond
}
