package breaker

import "math"

// trendIntervals is how many intervals a trend looks at: three thirds of two.
const trendIntervals = 6

// MaxTrend is the score from which on a trend is no chance: 4 standard deviations,
// one in 30,000 intervals if it were the only condition.
const MaxTrend = 4

// Trend tells a failure that spreads from one that is there. It keeps the counts
// of the last seven intervals and says that they grow exponentially when all of
// this holds for the last six, and held for the six before:
//
//   - the score test for a log-linear trend of Poisson counts (Cox and Lewis 1966,
//     also called Laplace's) is over MaxTrend. Given their number, failures at a
//     constant rate fall into the intervals at random; no rate has to be known;
//   - each third of the time has so many times (Entry.Ratio) the failures of the
//     one before, the second at least 2, and there are enough in all (Entry.Count);
//   - the most likely exponential growth explains the counts better than the best
//     single step does, by Pearson's chi-square. A power supply that goes, a burst,
//     a lead that dies: they are steps, and no reason to cut off a sector.
//
// 32 bytes; the zero value is empty.
type Trend struct {
	counts [trendIntervals + 1]uint32 // oldest first
	seen   uint8
}

// Add takes the count of the interval that has ended.
func (t *Trend) Add(count uint32) {
	copy(t.counts[:], t.counts[1:])
	t.counts[trendIntervals] = count
	t.seen = min(t.seen+1, trendIntervals+1)
}

// Growing says whether the counts grow exponentially: see Trend.
func (t *Trend) Growing(ratio float64, count int) bool {
	return int(t.seen) == len(t.counts) && growing(t.counts[1:], ratio, count) && growing(t.counts[:trendIntervals], ratio, count)
}

func growing(counts []uint32, ratio float64, count int) bool {
	first, second, third := third(counts, 0), third(counts, 1), third(counts, 2)
	if first+second+third < float64(count) || second < max(2, float64(ratio*first)) || third < float64(ratio*second) || score(counts) <= MaxTrend {
		return false
	}
	return misfitGrowth(counts) < misfitStep(counts)
}

func third(counts []uint32, i int) float64 {
	return float64(counts[2*i]) + float64(counts[2*i+1])
}

// score is how many standard deviations the counts lean towards the newest. There
// is at least one.
func score(counts []uint32) float64 {
	n, moment := moments(counts)
	const mean = float64(trendIntervals-1) / 2
	const variance = float64(trendIntervals*trendIntervals-1) / 12
	return (moment - float64(n*mean)) / math.Sqrt(float64(n*variance))
}

// moments gives the number of failures and the sum of their intervals.
func moments(counts []uint32) (n, moment float64) {
	for i, c := range counts {
		n += float64(c)
		moment += float64(float64(c) * float64(i))
	}
	return n, moment
}

// misfitGrowth is the misfit of the most likely exponential growth: the factor
// per interval at which the counts lean as far towards the newest as they do. It
// is found by halving, without a logarithm, so that it is the same everywhere.
func misfitGrowth(counts []uint32) float64 {
	n, moment := moments(counts)
	low, high := 1.0, 64.0
	for range 40 {
		factor := (low + high) / 2
		if lean(factor) < moment/n {
			low = factor
		} else {
			high = factor
		}
	}
	sum, power := 0.0, 1.0
	for range counts {
		sum += power
		power *= low
	}
	misfit, expected := 0.0, n/sum
	for _, c := range counts {
		misfit += pearson(float64(c), expected)
		expected *= low
	}
	return misfit
}

// lean is the mean interval of counts that grow by a factor.
func lean(factor float64) float64 {
	sum, moment, power := 0.0, 0.0, 1.0
	for i := range trendIntervals {
		sum += power
		moment += float64(power * float64(i))
		power *= factor
	}
	return moment / sum
}

// misfitStep is the misfit of the best single step between two constant rates,
// which may come within an interval: that one then explains itself.
func misfitStep(counts []uint32) float64 {
	best := math.Inf(1)
	for at := range counts {
		best = min(best, misfitConstant(counts[:at])+misfitConstant(counts[at+1:]))
	}
	return best
}

func misfitConstant(counts []uint32) float64 {
	if len(counts) == 0 {
		return 0
	}
	n, _ := moments(counts)
	misfit, expected := 0.0, n/float64(len(counts))
	for _, c := range counts {
		misfit += pearson(float64(c), expected)
	}
	return misfit
}

// pearson is one term of the chi-square; nothing where nothing is expected.
func pearson(have, expected float64) float64 {
	if expected == 0 {
		return 0
	}
	return float64((have-expected)*(have-expected)) / expected
}
