package arrival

import (
	"math"
	"math/rand/v2"
	"time"
)

// synthetic makes a campaign from a seed: every pair has a base delay that drifts,
// jumps to another route now and then, and swells twice in the campaign as a day
// does; each delay adds noise whose tail has no variance. The senders of the first
// half of the hosts measure anew only every fourth or fifth slice and repeat what
// they know; those of the second half measure always.
func synthetic(seed uint64, hosts, length int) *trace {
	random := rand.New(rand.NewPCG(seed, 7))
	out := &trace{hosts: hosts, slices: make([][]time.Duration, length)}
	for i := range out.slices {
		out.slices[i] = make([]time.Duration, hosts*hosts)
	}
	for from := range hosts {
		fresh := make([]bool, length)
		for next, i := 0, 0; i < length; i++ {
			if fresh[i] = i == next || from >= hosts/2; fresh[i] && i == next {
				next += 4 + random.IntN(2)
			}
		}
		for to := range hosts {
			if to != from {
				syntheticPair(random, fresh, func(slice int, s float64) {
					out.slices[slice][from*hosts+to] = time.Duration(s * float64(time.Second))
				})
			}
		}
	}
	return out
}

func syntheticPair(random *rand.Rand, fresh []bool, set func(slice int, s float64)) {
	base, phase, held := 0.02*math.Exp(random.NormFloat64()), random.Float64()*2*math.Pi, 0.0
	for i := range fresh {
		base *= math.Exp(0.01 * random.NormFloat64())
		if random.IntN(150) == 0 {
			base *= 0.5 + 1.5*random.Float64()
		}
		day := 1 + 0.4*math.Sin(phase+4*math.Pi*float64(i)/float64(len(fresh)))
		noise := 0.3 * base * random.ExpFloat64()
		if random.IntN(30) == 0 {
			noise += 0.05 / math.Sqrt(1-random.Float64()) // no variance
		}
		if fresh[i] {
			held = base*day + noise
		}
		if random.IntN(100) != 0 { // one in a hundred is missing
			set(i, held)
		}
	}
}
