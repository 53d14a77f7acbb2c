package fleet

import "math/bits"

// Seed is the source of all randomness of a run. Draws are not a sequence but a
// function of what they are for, whose they are and the how manyth: a fault that is
// added, or one more message of one node, changes what depends on it and shifts
// nobody else's draws. So two runs that differ in one fault can be compared, and a
// schedule of faults can be made smaller without becoming another one.
type Seed uint64

// Purpose keeps the draws of one thing apart from those of another.
type Purpose uint32

// The purposes of this package. Protocols take theirs from PurposeProtocol on.
const (
	purposeNone Purpose = iota
	purposeLink
	purposeClock
	purposePath
	purposeDelay
	purposeWork
	purposeFault
	PurposeProtocol Purpose = 64
)

// Draw gives 64 random bits: the n-th (from 0) that a node draws for a purpose.
// The finalizer is that of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), applied to
// the stream and again to the place in it, in the manner of a counter-based
// generator (Salmon and others, SC 2011).
func (s Seed) Draw(p Purpose, node int32, n uint64) uint64 {
	stream := mix(uint64(s) ^ uint64(p)<<32 ^ uint64(uint32(node)))
	return mix(stream + n*0x9e3779b97f4a7c15)
}

// Below gives a number from 0 to n-1 made of a draw; 0 for n = 0. Its bias is under
// n in 2^64.
func Below(draw, n uint64) uint64 {
	high, _ := bits.Mul64(draw, n)
	return high
}

func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
