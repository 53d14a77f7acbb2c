package spine

import (
	"time"

	"dancer/runtime/link"
)

// A real-time thread that never waits starves everything else on its processor,
// and the kernel then stops it for 50 ms of every second (the fair server, or the
// real-time bandwidth of older kernels). So of each floodWindow at most floodBudget
// goes to reading. When it is used up, whoever has taken floodShare or more of it
// is not read until the window is over; what comes meanwhile waits in the kernel,
// and is lost there, or on the line, when that is full.
const (
	floodWindow = 10 * time.Millisecond
	floodBudget = 8 * time.Millisecond
	floodShare  = time.Millisecond

	// What one reading counts at most: it handles chunkSize bytes or a few edges, and
	// when it took longer, something else had the processor. Whoever was read then must
	// not be kept waiting for it.
	floodMost = time.Millisecond
)

// floodFrames is how many frames of one port in a window are called a flood: a
// hundred thousand a second, more than any serial line brings.
const floodFrames = 1000

// floodQuiet is how long a port must not be flooded before a flood is told again.
const floodQuiet = time.Second

// source is what reading one port or line has taken in this window.
type source struct {
	spent  time.Duration
	frames uint64 // counter of the port at the window's start
	muted  bool
	told   time.Duration // when it was last flooded, 0 never
}

// floodGate shares the loop's time among what is read.
type floodGate struct {
	from          time.Duration // start of the window
	spent         time.Duration
	muted         bool // at least one source
	ports, inputs []source
	feeds         []source
}

func newFloodGate(h *hardware) floodGate {
	return floodGate{ports: make([]source, len(h.ports)), inputs: make([]source, len(h.inputs)), feeds: make([]source, len(h.feeds))}
}

// take counts what one reading took, and says whether its source is not to be
// read again in this window.
func (g *floodGate) take(s *source, took time.Duration) bool {
	took = min(max(took, 1), floodMost) // a clock that stands still counts readings
	s.spent += took
	g.spent += took
	return g.spent >= floodBudget && s.spent >= floodShare
}

// over says whether the window has ended.
func (g *floodGate) over(now time.Duration) bool { return now-g.from >= floodWindow }

// turn begins the next window. Frames of the ports are counted from here.
func (g *floodGate) turn(now time.Duration) {
	g.from, g.spent, g.muted = now, 0, false
	for i := range g.ports {
		g.ports[i].spent, g.ports[i].muted = 0, false
	}
	for i := range g.inputs {
		g.inputs[i].spent, g.inputs[i].muted = 0, false
	}
	for i := range g.feeds {
		g.feeds[i].spent, g.feeds[i].muted = 0, false
	}
}

// tookPort is told of each reading of a port, from its begin.
func (l *loop) tookPort(i int, begin time.Duration) {
	now := l.clock.now()
	l.turnFlood(now)
	s, p := &l.flood.ports[i], &l.hardware.ports[i]
	if p.open && p.framer != nil {
		frames := p.framer.Counters().Frames
		if s.spent == 0 {
			s.frames = frames // the first reading of this window is not counted
		} else if frames-s.frames > floodFrames {
			l.tellFlood(i, s, now)
		}
	}
	if l.flood.take(s, now-begin) && p.open && !s.muted {
		s.muted, l.flood.muted = true, true
		l.poller.forget(p.stream.Fd())
	}
}

// tookInput is told of each reading of a line.
func (l *loop) tookInput(i int, begin time.Duration) {
	now := l.clock.now()
	l.turnFlood(now)
	s, in := &l.flood.inputs[i], &l.hardware.inputs[i]
	if l.flood.take(s, now-begin) && in.open && !s.muted {
		s.muted, l.flood.muted = true, true
		l.poller.forget(in.line.Fd())
	}
}

// tookFeed is told of each reading of a feed.
func (l *loop) tookFeed(i int, begin time.Duration) {
	now := l.clock.now()
	l.turnFlood(now)
	s, in := &l.flood.feeds[i], &l.hardware.feeds[i]
	if l.flood.take(s, now-begin) && in.open && !s.muted {
		s.muted, l.flood.muted = true, true
		l.poller.forget(in.feed.Fd())
	}
}

// turnFlood begins a new window where it is time, and reads again what was not
// read.
func (l *loop) turnFlood(now time.Duration) {
	if !l.flood.over(now) {
		return
	}
	if l.flood.muted {
		l.unmute()
	}
	l.flood.turn(now)
}

func (l *loop) unmute() {
	for i := range l.flood.ports {
		p := &l.hardware.ports[i]
		if !l.flood.ports[i].muted || !p.open {
			continue
		}
		_ = l.poller.watch(p.stream.Fd(), tokenPort+i) // as at the start
		p.writing = false
		l.hardware.watchWriting(i)
	}
	for i := range l.flood.inputs {
		if in := &l.hardware.inputs[i]; l.flood.inputs[i].muted && in.open {
			_ = l.poller.watch(in.line.Fd(), tokenInput+i)
		}
	}
	for i := range l.flood.feeds {
		if in := &l.hardware.feeds[i]; l.flood.feeds[i].muted && in.open {
			_ = l.poller.watch(in.feed.Fd(), tokenFeed+i)
		}
	}
}

// tellFlood tells of a flood once, and again when the port was quiet in between.
func (l *loop) tellFlood(i int, s *source, now time.Duration) {
	if s.told == 0 || now-s.told > floodQuiet {
		l.tellPort(i, now, link.PortFlooded)
	}
	s.told = now
}
