package quorum

import "time"

// EventKind says what a plan wants, or what became of it.
type EventKind uint8

// The events, in the order in which they can come.
const (
	PhaseOpened    EventKind = iota + 1 // send to Plan.Targets(Phase)
	PhaseExtended                       // its window was extended to Deadline
	PhaseClosed                         // its verdict is there
	PlanCommitted                       // every phase has its quorum
	PlanDegraded                        // some phases missed theirs, the whole has its own
	PlanFailed                          // see Plan.Failure
	PlanCancelled                       // by Plan.Cancel
	PhaseCancelled                      // drop what is not sent of the phase, cancel what is: T is not reached
)

// String names the kind.
func (k EventKind) String() string {
	switch k {
	case PhaseOpened:
		return "phase-opened"
	case PhaseExtended:
		return "phase-extended"
	case PhaseClosed:
		return "phase-closed"
	case PlanCommitted:
		return "committed"
	case PlanDegraded:
		return "degraded"
	case PlanFailed:
		return "failed"
	case PlanCancelled:
		return "cancelled"
	case PhaseCancelled:
		return "phase-cancelled"
	}
	return "invalid"
}

// Event is one thing that Step says.
type Event struct {
	Kind     EventKind
	Phase    int           // index; -1 for the plan's own
	Deadline time.Duration // PhaseOpened, PhaseExtended
	Verdict  Verdict       // PhaseClosed, PlanFailed
}

// Step gives the next event at now. Call it after Start, Answer, Summary and
// Cancel and at Deadline, until it says false.
func (p *Plan) Step(now time.Duration) (Event, bool) {
	if p.doubt {
		p.doubt = false
		p.reconsider(now)
	}
	for {
		if e, ok := p.tell(); ok {
			return e, true
		}
		if p.state != Running || !p.advance(now) {
			return Event{}, false
		}
	}
}

// Deadline is when Step has something to do by itself; false when it waits for
// nothing.
func (p *Plan) Deadline() (time.Duration, bool) {
	if p.state != Running {
		return 0, false
	}
	return p.gates[p.current].deadline, true
}

// tell gives what has happened and was not said.
func (p *Plan) tell() (Event, bool) {
	for i := 0; i <= p.current; i++ {
		if e, ok := p.tellPhase(i); ok {
			return e, true
		}
	}
	if p.state == p.toldState || p.state <= Running {
		return p.tellCancelled()
	}
	p.toldState = p.state
	e := Event{Phase: -1}
	switch p.state {
	case Committed:
		e.Kind = PlanCommitted
	case Degraded:
		e.Kind = PlanDegraded
	case Failed:
		e.Kind, e.Verdict = PlanFailed, p.failure.Verdict
	case Cancelled:
		e.Kind = PlanCancelled
	}
	return e, true
}

func (p *Plan) tellPhase(i int) (Event, bool) {
	g, t := &p.gates[i], &p.told[i]
	switch {
	case g.isOpen && !t.opened:
		t.opened = true
		if !g.sent() {
			return p.tellPhase(i)
		}
		return Event{Kind: PhaseOpened, Phase: i, Deadline: g.deadline}, true
	case t.extended < g.extended:
		t.extended = g.extended
		return Event{Kind: PhaseExtended, Phase: i, Deadline: g.deadline}, true
	case g.isClosed && !t.closed:
		t.closed = true
		return Event{Kind: PhaseClosed, Phase: i, Verdict: g.verdict}, true
	}
	return Event{}, false
}

// tellCancelled says for each phase that was sent and has not acted that it is
// called back.
func (p *Plan) tellCancelled() (Event, bool) {
	if p.state != Failed && p.state != Cancelled {
		return Event{}, false
	}
	for p.cancelled <= p.current {
		i := p.cancelled
		p.cancelled++
		if at := p.phases[i].At; p.gates[i].sent() && (at == 0 || p.endedAt < at) {
			return Event{Kind: PhaseCancelled, Phase: i}, true
		}
	}
	return Event{}, false
}

// advance moves a running plan on; it reports whether anything changed.
func (p *Plan) advance(now time.Duration) bool {
	g := &p.gates[p.current]
	if !g.isClosed {
		return g.tick(now)
	}
	if !g.verdict.Achieved() && !p.phases[p.current].Continue {
		p.fail(now, p.current, g.verdict)
		return true
	}
	if p.current+1 < len(p.phases) {
		p.current++
		p.open(now)
		return true
	}
	p.state = Committed
	p.judge(now)
	if last := p.lastAct(); p.confirm && last > 0 && now >= last && p.state != Failed {
		v := g.verdict // a confirmation would come too late
		v.Decision, v.Reason = Retry, NoTime
		p.fail(now, -1, v)
	}
	p.confirmed = p.state != Failed
	return true
}

// judge looks at all closed phases: one that must not miss its quorum and does
// fails the plan; where others miss theirs, the whole needs its own.
func (p *Plan) judge(now time.Duration) {
	missed, held, sum := false, false, Counts{}
	for i := range p.gates {
		g := &p.gates[i]
		v := g.rule.Decide(g.counts, true)
		holds := g.verdict.Achieved() && v.Achieved()
		held = held || holds
		switch {
		case !p.phases[i].Continue && !holds:
			p.fail(now, i, v)
			return
		case p.phases[i].Continue:
			sum = sum.Add(g.counts)
			missed = missed || (!holds && g.counts.Total > 0)
		}
	}
	if held && !missed {
		return
	}
	p.state = Degraded
	if v := p.overall.Decide(sum, true); !v.Achieved() {
		p.fail(now, -1, v)
	}
}

// reconsider judges again after an answer was taken back. Once the last T is
// there nothing can be called back any more.
func (p *Plan) reconsider(now time.Duration) {
	switch {
	case p.state == Running:
		for i := range p.current {
			g := &p.gates[i]
			if g.broken() && !p.phases[i].Continue {
				p.fail(now, i, g.rule.Decide(g.counts, true))
				return
			}
		}
	case (p.state == Committed || p.state == Degraded) && now < p.lastAct():
		p.judge(now)
	}
}

// lastAct is the latest T of the plan, 0 without one.
func (p *Plan) lastAct() time.Duration {
	last := time.Duration(0)
	for i := range p.phases {
		last = max(last, p.phases[i].At)
	}
	return last
}

func (p *Plan) fail(now time.Duration, phase int, v Verdict) {
	p.state, p.endedAt = Failed, now
	p.failure = Failure{Phase: phase, Verdict: v}
	if phase >= 0 {
		p.failure.Tier = p.phases[phase].Tier
	}
}

// Cancel calls the plan back; it reports whether there was anything left to call
// back. Phases whose T is reached have acted; all others never will.
func (p *Plan) Cancel(now time.Duration) bool {
	switch p.state {
	case Idle, Running:
	case Committed, Degraded:
		if now >= p.lastAct() {
			return false
		}
	default:
		return false
	}
	p.state, p.endedAt = Cancelled, now
	return true
}

// Acts says whether the READY nodes of a phase are to act, or have acted, by now:
// never before T, never when the plan ended before T without a quorum, and with
// Options.Confirm never without one.
func (p *Plan) Acts(now time.Duration, phase int) bool {
	if phase < 0 || phase >= len(p.phases) || !p.gates[phase].sent() {
		return false
	}
	at := p.phases[phase].At
	if at == 0 || now < at || (p.confirm && !p.confirmed) {
		return false
	}
	switch p.state {
	case Committed, Degraded:
		return true
	case Failed, Cancelled:
		return at <= p.endedAt
	}
	return true // a phase that may miss its quorum, before the others are done
}
