package impedance

import (
	"math"
	"time"
)

// Limits of processing times.
const (
	// MaxWeight is the heaviest payload; what is heavier, or no number, counts
	// as this one, so that it is planned too early and never too late.
	MaxWeight = 1000
	// PriorSamples is what the class's base counts against measured samples:
	// the estimate begins as so many samples of the class's base, each measured
	// one takes the place of one of them, and after so many the class has no
	// say any more.
	PriorSamples = 16
	// maxProcessing bounds an estimate: with it, a delay can be added to a time
	// without overflow.
	maxProcessing = 365 * 24 * time.Hour
)

// WeightFactor is how much longer a payload of a weight takes than one of weight
// 0: 1 + weight / 2 (mesh-30k 3.1). A negative weight counts as 0.
func WeightFactor(weight float64) float64 {
	if !(weight <= MaxWeight) { // also NaN
		weight = MaxWeight
	}
	return 1 + float64(max(weight, 0)*0.5)
}

// ProcessingTime is how long it takes from the arrival of a payload until it is
// processed:
//
//	base x (1 + weight / 2) + queue x service
//
// base is for weight 0, service is what one operation that waits takes. The
// specification multiplies by 1 + queue / 10 instead, which lets ten operations
// that wait pass in the time of one; they do not.
func ProcessingTime(base time.Duration, weight float64, queue uint32, service time.Duration) time.Duration {
	own := float64(float64(max(base, 0)) * WeightFactor(weight))
	return bounded(own + float64(float64(queue)*float64(max(service, 0))))
}

// shrunk is the base of a class and of measured samples together.
func shrunk(class, measured time.Duration, samples int) time.Duration {
	n := min(max(samples, 0), PriorSamples)
	return (class*time.Duration(PriorSamples-n) + measured*time.Duration(n)) / PriorSamples
}

func bounded(ns float64) time.Duration {
	return time.Duration(min(math.Round(ns), float64(maxProcessing)))
}
