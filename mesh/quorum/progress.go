package quorum

import "time"

// Progress of one phase, or of one tier.
type Progress struct {
	Tier       Tier
	Counts     Counts
	Sent       int32 // counted nodes that were asked
	Reached    int32 // counted nodes that answered
	Stragglers int32 // counted nodes that were asked and not heard
	Late       int64 // answers after the deadline
	Extended   int   // how often the window was extended
	Opened     time.Duration
	Closed     time.Duration // 0 while it is open
	Verdict    Verdict
}

// State of the plan.
func (p *Plan) State() State { return p.state }

// Failure says where and why the plan failed; the zero value if it did not.
func (p *Plan) Failure() Failure { return p.failure }

// Phases is how many phases the plan has.
func (p *Plan) Phases() int { return len(p.phases) }

// Phase gives what a phase is.
func (p *Plan) Phase(phase int) Phase { return p.phases[phase] }

// Progress of a phase that is there; a phase that is not open has sent nothing.
func (p *Plan) Progress(phase int) Progress {
	g := &p.gates[phase]
	out := Progress{Tier: p.phases[phase].Tier, Counts: g.counts, Extended: g.extended, Opened: g.opened, Closed: g.closedAt, Verdict: g.now()}
	if g.sent() {
		out.Sent = g.counts.Total - g.counts.Absent
		out.Reached = g.counts.Answered()
		out.Stragglers = g.counts.Transit()
	}
	for _, l := range g.late {
		out.Late += int64(l.Ready) + int64(l.Conflict)
	}
	return out
}

// TierProgress sums the phases of one tier; Verdict is of the sum's last phase.
func (p *Plan) TierProgress(tier Tier) Progress {
	sum := Progress{Tier: tier}
	for i := range p.phases {
		if p.phases[i].Tier != tier {
			continue
		}
		x := p.Progress(i)
		x.Counts = x.Counts.Add(sum.Counts)
		x.Sent, x.Reached, x.Stragglers = x.Sent+sum.Sent, x.Reached+sum.Reached, x.Stragglers+sum.Stragglers
		x.Late, x.Extended = x.Late+sum.Late, x.Extended+sum.Extended
		sum = x
	}
	return sum
}

// Advice says how long the window of a phase should be in another attempt.
func (p *Plan) Advice(phase int) Advice { return p.gates[phase].advice() }
