package dancer

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// CalibrationBins is the number of bins of equal width into which raw
// confidences (0-1) fall.
const CalibrationBins = 10

// Figures of the calibration.
const (
	// calibrationPrior is the weight of the raw confidence against observed
	// outcomes: as if so many outcomes had come out just as it says.
	calibrationPrior = 20
	// calibrationRaises is how many outcomes a bin needs before it may raise a
	// confidence: decisions that follow each other are not independent, and a
	// quiet half minute must not talk a robot out of asking.
	calibrationRaises = 100
	// calibrationMemory is how many outcomes a bin holds; beyond that the old
	// ones count half, so that a robot that has changed is judged anew.
	calibrationMemory = 1024
	// calibrationDeviate is the standard normal deviate of a one-sided bound
	// that is right 95 times in 100.
	calibrationDeviate = 1.645
)

// Calibration says how often decisions of a raw confidence came out well. It is
// a value: it is never changed once made, so that decisions can hold on to it.
// The zero value and nil leave every confidence as it is.
type Calibration struct {
	Version uint64           `json:"version"` // outcomes counted so far; what a reader compares
	Bins    []CalibrationBin `json:"bins"`    // those with an outcome, lowest first
}

// CalibrationBin holds the outcomes of the decisions whose raw confidence fell
// into [Bin/10, (Bin+1)/10); 1 falls into the last.
type CalibrationBin struct {
	Bin       int     `json:"bin"` // 0 to CalibrationBins-1
	Outcomes  int     `json:"outcomes"`
	Successes int     `json:"successes"` // at most Outcomes, see Outcome.Success
	Score     float64 `json:"score"`     // sum of the raw confidences
}

// ErrCalibration says that a calibration cannot have been counted.
var ErrCalibration = errors.New("calibration is damaged")

// Check says what is wrong with a calibration that was read from outside; the
// error is ErrCalibration.
func (c *Calibration) Check() error {
	last := -1
	for i := range c.Bins {
		b := &c.Bins[i]
		if b.Bin <= last || b.Bin >= CalibrationBins {
			return fmt.Errorf("%w: bin %d after bin %d", ErrCalibration, b.Bin, last)
		}
		if !b.sound() {
			return fmt.Errorf("%w: bin %d has %d successes in %d outcomes, confidence %v in all", ErrCalibration, b.Bin, b.Successes, b.Outcomes, b.Score)
		}
		last = b.Bin
	}
	return nil
}

func (b *CalibrationBin) sound() bool {
	return b.Outcomes > 0 && b.Successes >= 0 && b.Successes <= b.Outcomes &&
		b.Score >= 0 && b.Score <= float64(b.Outcomes)
}

// Outcomes is the number of outcomes that the calibration rests on.
func (c *Calibration) Outcomes() int {
	if c == nil {
		return 0
	}
	n := 0
	for i := range c.Bins {
		n += c.Bins[i].Outcomes
	}
	return n
}

// Calibrate turns a raw confidence (0-1) into one that the outcomes bear out.
//
// The share of successes of each bin (histogram binning, Zadrozny and Elkan,
// "Obtaining calibrated probability estimates from decision trees and naive
// Bayesian classifiers", ICML 2001) is shrunk towards the raw confidence by a
// prior of 20 outcomes, and made monotone by pooling adjacent violators
// (isotonic regression: Zadrozny and Elkan, "Transforming classifier scores into
// accurate multiclass probability estimates", KDD 2002; Ayer et al. 1955). What
// lies between the means of two bins is interpolated.
//
// It errs on the safe side: failures lower a confidence at once, while it rises
// above its raw value no higher than the lower bound of the interval of Wilson
// (1927) for the successes of its bin (one-sided, 95%), and only where the bin has
// 100 outcomes at least. A bin without outcomes never rises, and no confidence rises above what a higher raw one gets.
func (c *Calibration) Calibrate(score float64) float64 {
	score = unit(score)
	if c == nil || len(c.Bins) == 0 {
		return score
	}
	var k calibrationCurve
	k.observe(c)
	k.pool()
	k.restrain()
	return unit(score + k.shift(score))
}

// calibrationCurve is the map from raw to calibrated confidence at one point of
// every bin.
type calibrationCurve struct {
	raw, value, weight, limit [CalibrationBins]float64
}

// observe fills in the shrunk share of successes of every bin.
func (k *calibrationCurve) observe(c *Calibration) {
	for i := range CalibrationBins {
		centre := (float64(i) + 0.5) / CalibrationBins
		k.raw[i], k.value[i], k.limit[i] = centre, centre, centre
	}
	for i := range c.Bins {
		b := &c.Bins[i]
		if b.Bin < 0 || b.Bin >= CalibrationBins || !b.sound() {
			continue
		}
		n, s := float64(b.Outcomes), float64(b.Successes)
		low, high := float64(b.Bin)/CalibrationBins, float64(b.Bin+1)/CalibrationBins
		raw := min(max(b.Score/n, low), high)
		k.raw[b.Bin], k.weight[b.Bin] = raw, n
		k.value[b.Bin] = (s + float64(calibrationPrior*raw)) / (n + calibrationPrior)
		k.limit[b.Bin] = raw
		if n >= calibrationRaises {
			k.limit[b.Bin] = max(raw, wilson(s, n))
		}
	}
}

// wilson is the lower bound of the interval of Wilson (1927) for a share of s
// successes in n.
func wilson(s, n float64) float64 {
	const z = calibrationDeviate
	p, zz := s/n, float64(z*z)
	spread := float64(z * math.Sqrt(float64(p*(1-p))/n+zz/float64(4*n*n)))
	return max(0, (p+zz/float64(2*n)-spread)/(1+zz/n))
}

// pool merges neighbours that fall until the curve rises (pool adjacent
// violators). A bin without outcomes has no weight: it follows its neighbours
// and pulls at none.
func (k *calibrationCurve) pool() {
	var starts [CalibrationBins]int
	var mean, weight [CalibrationBins]float64
	blocks := 0
	for i := range CalibrationBins {
		starts[blocks], mean[blocks], weight[blocks] = i, k.value[i], k.weight[i]
		blocks++
		for blocks > 1 && mean[blocks-2] > mean[blocks-1] {
			a, b := blocks-2, blocks-1
			mean[a] = weighted(mean[a], weight[a], mean[b], weight[b])
			weight[a] += weight[b]
			blocks--
		}
	}
	for b := range blocks {
		end := CalibrationBins
		if b+1 < blocks {
			end = starts[b+1]
		}
		for i := starts[b]; i < end; i++ {
			k.value[i] = mean[b]
		}
	}
}

func weighted(x, wx, y, wy float64) float64 {
	if wx+wy == 0 {
		return min(x, y)
	}
	return (float64(x*wx) + float64(y*wy)) / (wx + wy)
}

// restrain takes back what the evidence does not bear, and keeps the curve
// rising: no bin gets more than the bins above it.
func (k *calibrationCurve) restrain() {
	above := 1.0
	for i := CalibrationBins - 1; i >= 0; i-- {
		above = min(above, k.value[i], k.limit[i])
		k.value[i] = above
	}
}

// shift is how far a raw confidence moves: interpolated between the bins, and
// that of the nearest bin beyond the ends.
func (k *calibrationCurve) shift(score float64) float64 {
	last := CalibrationBins - 1
	if score <= k.raw[0] {
		return k.value[0] - k.raw[0]
	}
	for i := range last {
		if score > k.raw[i+1] {
			continue
		}
		a, b := k.value[i]-k.raw[i], k.value[i+1]-k.raw[i+1]
		if width := k.raw[i+1] - k.raw[i]; width > 0 {
			return a + float64((b-a)*((score-k.raw[i])/width))
		}
		return min(a, b)
	}
	return k.value[last] - k.raw[last]
}

// Calibrator counts outcomes into a calibration. It is not safe for concurrent
// use.
type Calibrator struct {
	current *Calibration
	next    time.Duration // decisions before it overlap with one that was counted
}

// NewCalibrator goes on from a calibration; nil starts anew.
func NewCalibrator(c *Calibration) *Calibrator { return &Calibrator{current: c} }

// Calibration gives the present state; nil before the first outcome. It is never
// changed.
func (k *Calibrator) Calibration() *Calibration { return k.current }

// Add counts an outcome and says whether it did. It counts when the verdict's
// winner ran and its confidence was known (Outcome.Score); a decision that was
// cut short counts only if a floor broke. Decisions are made far more often than
// a horizon passes, and those of one horizon share one future: of decisions
// whose horizons overlap one is counted.
func (k *Calibrator) Add(o *Outcome, band float64) bool {
	if !(o.Score > 0) || o.Score > 1 || o.Cut && len(o.Broken) == 0 || o.At < k.next {
		return false
	}
	k.next = o.At + o.Horizon
	c := &Calibration{Version: 1}
	if k.current != nil {
		c.Version = k.current.Version + 1
		c.Bins = append(c.Bins, k.current.Bins...)
	}
	c.count(o.Score, o.Success(band))
	k.current = c
	return true
}

func (c *Calibration) count(score float64, success bool) {
	bin := min(int(float64(score*CalibrationBins)), CalibrationBins-1)
	at := 0
	for at < len(c.Bins) && c.Bins[at].Bin < bin {
		at++
	}
	if at == len(c.Bins) || c.Bins[at].Bin != bin {
		c.Bins = append(c.Bins, CalibrationBin{})
		copy(c.Bins[at+1:], c.Bins[at:])
		c.Bins[at] = CalibrationBin{Bin: bin}
	}
	b := &c.Bins[at]
	if b.Outcomes >= calibrationMemory {
		half := b.Outcomes / 2
		b.Score = float64(b.Score * float64(half) / float64(b.Outcomes))
		b.Successes, b.Outcomes = min(b.Successes/2, half), half
	}
	b.Outcomes++
	b.Score += score
	if success {
		b.Successes++
	}
}
