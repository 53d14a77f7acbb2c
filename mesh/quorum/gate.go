package quorum

import (
	"fmt"
	"math/bits"
	"time"
)

// MaxLength bounds every window: people are not counted in windows, and nothing
// else takes longer.
const MaxLength = 60 * time.Second

// LateGroups is how many groups late answers are put into: up to 10 ms late, up
// to 20 ms, 40 ms and so on; the last one takes the rest (over 160 s).
const LateGroups = 16

// LateGroup is how many answers came that late.
type LateGroup struct{ Ready, Conflict uint32 }

// gate is a quorum with a window around it: it opens, hears of moves, and closes
// at its deadline or when the outcome is settled. About 850 bytes.
type gate struct {
	rule     Rule
	counts   Counts
	opened   time.Duration
	deadline time.Duration // of the window as it is now
	limit    time.Duration // no extension goes beyond
	closedAt time.Duration
	isOpen   bool
	isClosed bool
	extended int
	verdict  Verdict // the one that closed it
	arrivals Spread  // of READY answers, late ones too, since the opening
	late     [LateGroups]LateGroup
}

// lengths checks a window's length and the length to which it may be extended.
func lengths(length, limit time.Duration) error {
	if length <= 0 || limit < length || limit > MaxLength {
		return fmt.Errorf("%w: a window of %s that may grow to %s: it takes 0 < window <= limit <= %s", ErrRule, length, limit, MaxLength)
	}
	return nil
}

func (g *gate) open(now, deadline, limit time.Duration) {
	g.opened, g.deadline, g.limit, g.isOpen = now, min(deadline, limit), limit, true
}

// miss closes a gate that there is no time for: nothing is sent.
func (g *gate) miss(now time.Duration) {
	g.open(now, now, now)
	g.close(now)
	g.verdict.Decision, g.verdict.Reason = Retry, NoTime
}

// sent says whether anybody was asked.
func (g *gate) sent() bool { return g.isOpen && g.verdict.Reason != NoTime }

// move hears that a member went from one state to another.
func (g *gate) move(now time.Duration, from, to code) {
	g.counts.move(from, to)
	switch to {
	case ready:
		g.heard(now, 1, 0)
	case conflict:
		g.heard(now, 0, 1)
	}
}

// heard notes when answers came; the counts have them already.
func (g *gate) heard(now time.Duration, nowReady, nowConflict uint32) {
	g.arrivals.addMany(now-g.opened, nowReady)
	if now > g.deadline {
		group := &g.late[lateGroup(now-g.deadline)]
		group.Ready += nowReady
		group.Conflict += nowConflict
	}
}

func lateGroup(late time.Duration) int {
	return min(bits.Len64(uint64((late-1)/(10*time.Millisecond))), LateGroups-1)
}

// overtake brings the gate up to now before something that comes after its
// deadline is counted: a caller whose clock ticks late gets the same verdict.
func (g *gate) overtake(now time.Duration) {
	for g.isOpen && !g.isClosed && now > g.deadline {
		g.tick(now)
	}
}

// tick closes or extends; it reports whether either happened.
func (g *gate) tick(now time.Duration) bool {
	switch {
	case !g.isOpen || g.isClosed:
		return false
	case now < g.deadline:
		if g.rule.Settled(g.counts) {
			g.close(now)
		}
		return g.isClosed
	}
	v := g.rule.Decide(g.counts, true)
	if v.Decision == Wait && g.deadline < g.limit {
		// Twice as long each time, so that the extensions are few.
		g.deadline = min(g.limit, g.deadline+max(g.deadline-g.opened, time.Millisecond))
		g.extended++
		return true
	}
	g.close(g.deadline)
	return true
}

func (g *gate) close(now time.Duration) {
	g.isClosed, g.closedAt = true, now
	g.verdict = g.rule.Decide(g.counts, true)
}

// now gives the verdict: the one that closed the gate, or the one as of now.
func (g *gate) now() Verdict {
	if g.isClosed {
		return g.verdict
	}
	return g.rule.Decide(g.counts, false)
}

// broken says that a quorum was given and later answers have taken it away.
func (g *gate) broken() bool {
	return g.isClosed && g.verdict.Achieved() && !g.rule.Decide(g.counts, true).Achieved()
}

// Advice is how long the window of another attempt should be.
type Advice struct {
	Window   time.Duration
	Evidence bool // measured: so long after the opening the needed number was READY, late answers counted; otherwise twice the old window
	Ready    int  // READY answers seen, late ones too
}

// advice goes by what was seen: the time of the answer that would have completed
// the quorum. Without so many answers, the old length is doubled.
func (g *gate) advice() Advice {
	length := max(g.deadline-g.opened, time.Millisecond)
	a := Advice{Window: 2 * length, Ready: g.arrivals.Count()}
	if d, ok := g.arrivals.Rank(int(g.rule.Need(g.counts.Total))); ok {
		a.Window, a.Evidence = max(d, length), true
	}
	a.Window = min(a.Window, MaxLength)
	return a
}
