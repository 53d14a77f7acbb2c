package impedance

import "time"

// classFigures are what is assumed of an agent before it is measured.
type classFigures struct {
	base     time.Duration // processing of a payload of weight 0
	low, top time.Duration // typical delay
}

// classes are the figures of mesh-30k 3.1 (base) and 2.2 (delay). Two are ours:
// an agent of unknown class counts as the slowest class that is a machine, since
// one that is thought too slow is only asked early; and E, which the
// specification calls variable, has the range of a local network whose wireless
// members sleep (power saving adds up to 300 ms). The hours of F are cut to one.
var classes = [...]classFigures{
	ClassUnknown:    {200 * time.Millisecond, 5 * time.Millisecond, 500 * time.Millisecond},
	ClassEdge:       {10 * time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond},
	ClassServerless: {50 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond},
	ClassPersistent: {200 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond},
	ClassGPU:        {100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond},
	ClassLocal:      {150 * time.Millisecond, time.Millisecond, 300 * time.Millisecond},
	ClassHuman:      {time.Minute, time.Second, time.Hour},
}

func (c Class) figures() classFigures {
	if c > ClassHuman {
		c = ClassUnknown
	}
	return classes[c]
}

// BaseProcessing is the time that an agent of the class is taken to need for a
// payload of weight 0 until it has been measured: 10, 50, 200, 100, 150 ms and
// one minute for A to F (mesh-30k 3.1), 200 ms for an unknown class.
func (c Class) BaseProcessing() time.Duration { return c.figures().base }

// TypicalDelay is the range of the delay to an agent of the class (mesh-30k
// 2.2). While nothing is measured the upper end is assumed.
func (c Class) TypicalDelay() (low, top time.Duration) { return c.figures().low, c.figures().top }

// Counted says whether agents of the class count in windows, quorums, means and
// rates. People are addressed and never counted.
func (c Class) Counted() bool { return c != ClassHuman }
