package operator

import (
	"fmt"
	"strings"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// slack is what the default T leaves beside the ways of the messages: for timers,
// and for the decision (quorum.DefaultCancelLead).
const slack = 300 * time.Millisecond

// slowest is how slow an agent may be that T is put off for, where nobody says T.
const slowest = 1500 * time.Millisecond

// settle is how long after T who acted is still counted.
const settle = 250 * time.Millisecond

// broadcast is a command to a place.
type broadcast struct {
	command uint64
	target  time.Duration // T by the mesh's time
	tier    quorum.Tier
	ended   State // as its coordinator says; the operation's once T has come, or it failed
	why     string
	hint    string
}

func (b *broadcast) begin(d *Desk, o *operation) error {
	if o.place.Level == AtAgent {
		return invalid(&o.order, "dancer delegate gives one agent a task", "%s is an agent", o.Scope)
	}
	place := d.shape.seat(o.place)
	var err error
	led := d.cores.With(place, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		err = b.order(d, o, now, c, out)
	})
	if !led {
		return unled(o.Kind, o.Scope)
	}
	o.place = place
	return err
}

func unled(kind Kind, scope string) error {
	return fault(ErrNotLed, "it looks for its coordinator by itself: try again in half a minute; in a cell ask the robot that leads it", "%s %s: nobody leads it that can be reached from here", kind, scope)
}

// order gives the command to a coordinator.
func (b *broadcast) order(d *Desk, o *operation, now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) error {
	b.tier = c.Tier()
	pattern := o.order.Pattern
	if pattern == "" {
		pattern = PatternWave
	}
	ahead := o.order.In
	if ahead == 0 {
		ahead = soonest(pattern, b.tier, c.Need())
	}
	task := coordination.Task{Confirm: o.order.Confirm, Kind: breaker.Cascade, Priority: o.order.priority(), Operator: true,
		Approved: o.order.Approved, Weight: o.order.Weight, Phases: phases(pattern, b.tier, now+ahead, o.order.classes())}
	if o.order.Capability != "" {
		bit, err := d.shape.capability(o.order.Capability)
		if err != nil {
			return err
		}
		task.Requires = 1 << bit
	}
	if n := len(task.Phases); n == 0 || task.Phases[n-1].Tier != quorum.TierAgent {
		return invalid(&o.order, "give --class of machines, A to E", "nobody of class %s is counted", o.order.Class)
	}
	if ahead <= quorum.DefaultCancelLead {
		return invalid(&o.order, fmt.Sprintf("give --in %s or more, or leave it out", soonest(pattern, b.tier, c.Need()).Round(10*time.Millisecond)),
			"T in %s is too soon: the decision is due %s before T, and the slowest agent needs %s", ahead, quorum.DefaultCancelLead, c.Need().Round(time.Millisecond))
	}
	command, ruling, err := c.Coordinate(now, task, out)
	if err != nil {
		return refused(string(o.Kind), o.Scope, ruling, err)
	}
	b.command, b.target = command, d.cores.Now()+ahead
	d.carry(command, o.Kind, o.Text)
	o.Broadcast = &BroadcastResult{Pattern: pattern, Class: o.order.Class, Command: fmt.Sprintf("%x", command), TargetMS: ms(ahead)}
	for i := range task.Phases {
		p := &task.Phases[i]
		o.Broadcast.Phases = append(o.Broadcast.Phases, PhaseResult{Tier: p.Tier.String(), Classes: letters(p.Classes)})
	}
	if d.config.Acts {
		o.Broadcast.Acted = &ActedResult{}
	}
	b.progress(o, c)
	return nil
}

// soonest is T as it is chosen where nobody says. The way down to the slowest agent,
// with its work, is need; the answers' way up is without the work, half of it. A wave
// waits for the tiers above before, classes for each other.
func soonest(pattern string, tier quorum.Tier, need time.Duration) time.Duration {
	halves := 3
	switch pattern {
	case PatternWave:
		halves += int(quorum.TierAgent - tier)
	case PatternPriorityFirst:
		halves += 2 * 4
	}
	// One of many is always slow; the quorum does not wait for it.
	return min(max(time.Duration(halves)*min(need, slowest)/2+quorum.DefaultCancelLead+slack, time.Second), MaxAhead)
}

// phases of a pattern for a coordinator whose children are of a tier: what is above
// them is left out, and of the classes who is not asked for.
func phases(pattern string, tier quorum.Tier, at time.Duration, classes uint8) (list []quorum.Phase) {
	all := quorum.Wave(at)
	switch pattern {
	case PatternParallel:
		all = quorum.Parallel(at)
	case PatternPriorityFirst:
		all = quorum.PriorityFirst(at)
	}
	counted := classes &^ (1 << impedance.ClassHuman)
	for _, p := range all {
		if p.Tier < tier {
			continue
		}
		if p.Tier == quorum.TierAgent && classes != 0 {
			if p.Classes == 0 {
				p.Classes = classes
			}
			if p.Classes &= classes; p.Classes&counted == 0 {
				continue
			}
		}
		list = append(list, p)
	}
	return list
}

// letters of a mask.
func letters(classes uint8) string {
	var b strings.Builder
	for c := impedance.ClassEdge; c <= impedance.ClassHuman; c++ {
		if classes>>c&1 != 0 {
			b.WriteString(c.String())
		}
	}
	return b.String()
}

func share(c quorum.Counts) Share {
	return Share{Total: c.Total, Ready: c.Ready, Conflict: c.Conflict, Absent: c.Absent, Transit: c.Transit()}
}

func (b *broadcast) effect(d *Desk, o *operation, e *coordination.Effect) {
	if b.command == 0 || e.Command != b.command {
		return
	}
	r := o.Broadcast
	switch e.Kind {
	case coordination.Act:
		if r.Acted != nil {
			r.Acted.Agents++
			r.Acted.LatestMS = max(r.Acted.LatestMS, ms(e.Late))
			r.Acted.BoundMS = max(r.Acted.BoundMS, ms(e.Bound))
		}
	case coordination.PhaseOpened:
		r.Phases[e.Phase].Open = true
	case coordination.PhaseClosed:
		p := &r.Phases[e.Phase]
		p.Open, p.Verdict, p.Reason, p.Counts = false, e.Verdict.Decision.String(), e.Verdict.Reason.String(), share(e.Verdict.Counts)
		r.sum()
	case coordination.Committed, coordination.Degraded:
		if b.ended != "" {
			return
		}
		b.ended, r.Verdict = Done, e.Verdict.Decision.String()
		if e.Kind == coordination.Degraded {
			r.Verdict = "DEGRADED"
		}
		r.DecidedMS = ms(d.cores.Now() - o.started)
	case coordination.Failed:
		b.ended, r.Verdict = Failed, e.Verdict.Decision.String()
		r.DecidedMS, r.RetryMS = ms(d.cores.Now()-o.started), ms(e.Advice)
		b.why, b.hint = failure(r, e), retry(e)
	case coordination.Cancelled:
		b.ended = Cancelled
		o.end(Cancelled, "", "")
	default:
		return
	}
	o.Revision++
}

// failure says at which tier and why.
func failure(r *BroadcastResult, e *coordination.Effect) string {
	tier := "agent"
	if int(e.Phase) < len(r.Phases) {
		tier = r.Phases[e.Phase].Tier
	}
	if e.Reason != coordination.ReasonNone {
		return fmt.Sprintf("ended at the tier of %ss: %s", tier, e.Reason)
	}
	return fmt.Sprintf("no quorum at the tier of %ss: %s: %d of %d READY, %d needed", tier, e.Verdict.Reason, e.Verdict.Counts.Ready, e.Verdict.Counts.Total, e.Verdict.Need)
}

func retry(e *coordination.Effect) string {
	switch {
	case e.Reason == coordination.ReasonFrozen:
		return "dancer thaw ends the freeze"
	case e.Verdict.Decision == quorum.ResolveConflicts:
		return "dancer conflicts lists them"
	case e.Advice > 0:
		return fmt.Sprintf("nobody acts on it; an attempt with %s more ahead might do", e.Advice.Round(time.Millisecond))
	}
	return ""
}

// progress takes the counts of the phase under way.
func (b *broadcast) progress(o *operation, c *coordination.Coordinator) {
	p, ok := c.Progress(b.command)
	r := o.Broadcast
	if !ok || p.Phase >= len(r.Phases) {
		return
	}
	if now := share(p.Counts); r.Phases[p.Phase].Counts != now {
		r.Phases[p.Phase].Counts = now
		r.sum()
		o.Revision++
	}
}

// sum is how all agents stand that have been addressed, each in one phase.
func (b *BroadcastResult) sum() {
	b.Counts = Share{}
	for i := range b.Phases {
		if c := &b.Phases[i].Counts; b.Phases[i].Tier == quorum.TierAgent.String() {
			b.Counts.Total, b.Counts.Ready, b.Counts.Conflict = b.Counts.Total+c.Total, b.Counts.Ready+c.Ready, b.Counts.Conflict+c.Conflict
			b.Counts.Absent, b.Counts.Transit = b.Counts.Absent+c.Absent, b.Counts.Transit+c.Transit
		}
	}
}

func (b *broadcast) tick(d *Desk, o *operation, now time.Duration) {
	// Where nobody leads it at present somebody may yet; T ends the wait.
	d.cores.With(o.place, func(_ time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) { b.progress(o, c) })
	switch {
	case b.ended == Failed:
		d.look(now)
		if frozen := d.view.frozenScopes(); len(frozen) > 0 {
			b.hint = "frozen: " + strings.Join(frozen[:min(len(frozen), maxNamed)], ", ") + "; dancer thaw ends it"
		}
		o.end(Failed, b.why, b.hint)
	case b.ended == Done && now >= b.target+settle:
		o.end(Done, "", "")
	case b.ended == "" && now >= b.target+settle:
		hint := "dancer status shows who leads; who was READY acts at T all the same"
		if o.order.Confirm {
			hint = "dancer status shows who leads; without the confirmation nobody acts"
		}
		o.end(Failed, "its coordinator has said nothing more until T", hint)
	}
}

func (b *broadcast) cancel(d *Desk, o *operation) error {
	done := false
	led := d.cores.With(o.place, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		done = c.Cancel(now, b.command, out)
	})
	switch {
	case !led:
		return unled("cancel", o.Scope)
	case !done && o.State == Running:
		return fault(ErrRefused, "", "cancel %s: T is reached or it has ended: there is nothing to call back", o.ID)
	}
	return nil
}
