package coordination

import (
	"slices"
	"time"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
)

// ordered takes a message of the coordinator. What does not come from whom the
// agent follows changes nothing, but for a freeze: that is always the safe side.
func (a *Agent) ordered(now time.Duration, m *Message, out *Outbox) {
	if !a.link.trusts(m) {
		if m.Kind == Freeze && m.From == a.link.seat.Holder(m.Term) {
			a.freeze(now, m, out)
			return
		}
		a.refuse(now, m, ReasonFenced, out)
		return
	}
	switch m.Kind {
	case Coordinate:
		a.coordinate(now, m, out)
	case Confirm:
		a.confirm(now, m, out)
	case Cancel:
		a.cancel(now, m, out)
	case Freeze, Thaw:
		a.freeze(now, m, out)
	case Probe:
		a.reply(now, m, mesh.Ready, ReasonNone, out)
	}
}

// reply acknowledges a message that is not kept.
func (a *Agent) reply(now time.Duration, m *Message, state mesh.Trinary, why Reason, out *Outbox) *Message {
	r := out.next()
	a.link.head(now, r, Ack, m.From)
	r.Of, r.State, r.Reason, r.Command, r.Phase = m.Kind, state, why, m.Command, m.Phase
	r.Sent, r.Received, r.Numbers[NumberPeerEpoch] = m.At, now, m.Epoch
	return r
}

func (a *Agent) refuse(now time.Duration, m *Message, why Reason, out *Outbox) {
	if m.Kind == Coordinate || m.Kind == Confirm || m.Kind == Cancel {
		a.reply(now, m, mesh.Transit, why, out)
	}
}

// coordinate takes a command, or another copy of one.
func (a *Agent) coordinate(now time.Duration, m *Message, out *Outbox) {
	if a.link.stale(m) {
		a.refuse(now, m, ReasonFenced, out)
		return
	}
	if w := a.find(m.Command); w != nil {
		if w.target == m.Target && w.idle == (m.Flags&FlagIdle != 0) {
			a.acknowledge(now, w, out) // as it stands; nothing is done a second time
			return
		}
		a.contradict(now, m, out)
		return
	}
	a.tell(min(breaker.Mode(m.Numbers[NumberRules]), breaker.Full), out)
	corrected, why := a.admit(now, m)
	if why == ReasonCapability {
		r := a.reply(now, m, mesh.Conflict, why, out)
		r.Numbers[NumberConflict], r.Numbers[NumberAffected] = uint32(conflict.CapabilityMismatch), 1
		return
	}
	if why != ReasonNone {
		a.reply(now, m, mesh.Transit, why, out)
		return
	}
	if why = a.keep(corrected, m); why != ReasonNone {
		a.reply(now, m, mesh.Transit, why, out)
		return
	}
	a.take(now, corrected, m, out)
}

// contradict tells of a command that is known with another T. The first stands.
func (a *Agent) contradict(now time.Duration, m *Message, out *Outbox) {
	r := a.reply(now, m, mesh.Conflict, ReasonContradicts, out)
	r.Numbers[NumberConflict], r.Numbers[NumberAffected] = uint32(conflict.DataContradiction), 1
}

// admit says whether the agent can take a command at all.
func (a *Agent) admit(now time.Duration, m *Message) (corrected time.Duration, why Reason) {
	corrected, bound, known := a.link.corrected(now)
	switch {
	case a.frozen:
		return 0, ReasonFrozen
	case m.Value&^a.capabilities != 0:
		return 0, ReasonCapability
	case a.cancelled.has(m.Command):
		return 0, ReasonCancelled
	case !known || (m.Flags&FlagIdle == 0 && bound+span(m.Numbers[NumberBound]) > a.config.Timing.MaxBound):
		return 0, ReasonNoClock
	case m.Flags&FlagIdle != 0 && corrected > m.Target:
		return 0, ReasonTooLate
	case a.free(corrected) < 0:
		return 0, ReasonBusy
	}
	// The root has asked its guard, with the size of the whole. What is not critical
	// is not done in the worst modes whoever sends it.
	if a.mode <= breaker.DegradedSevere && uint8(m.Numbers[NumberUrgency]) < breaker.PriorityCritical {
		return 0, ReasonMode
	}
	return corrected, ReasonNone
}

func (a *Agent) keep(corrected time.Duration, m *Message) Reason {
	if w := &a.works[a.free(corrected)]; w.over() {
		// A copy of it is told by when it was sent: its coordinator sends none later.
		a.holds.Release(a.hold(w))
		a.link.first = max(a.link.first, w.sent)
		*w = work{}
	}
	answer, _ := a.holds.Receive(corrected, holdID(m.Command), m.Target)
	switch answer {
	case arrival.Accepted:
		return ReasonNone
	case arrival.TooLate:
		return ReasonTooLate
	case arrival.TooFar:
		return ReasonTooFar
	case arrival.FrozenScope:
		return ReasonFrozen
	case arrival.Contradiction:
		return ReasonContradicts
	}
	return ReasonBusy
}

// over says whether a single request has been answered. It is kept as long as there is
// room for others, because the answer may be lost.
func (w *work) over() bool {
	return w.command != 0 && w.idle && w.processed && w.phase == phaseRequest
}

// free is a place for another command: an empty one, that of a command whose T is
// long past, or that of the oldest request that was answered. What is being served
// keeps its place.
func (a *Agent) free(corrected time.Duration) int {
	oldest := -1
	for i := range a.works {
		w := &a.works[i]
		over := corrected-w.target > a.config.Timing.Limits.Late
		if w.command == 0 || over && (a.waiting == 0 || int(a.queue[0]) != i) {
			return i
		}
		if w.over() && (oldest < 0 || w.sent < a.works[oldest].sent) {
			oldest = i
		}
	}
	return oldest
}

// take puts a command into the queue.
func (a *Agent) take(now, corrected time.Duration, m *Message, out *Outbox) {
	i := a.free(corrected)
	if at := slices.Index(a.queue[:a.waiting], uint8(i)); at > 0 { // its T passed while it waited
		copy(a.queue[at:], a.queue[at+1:a.waiting])
		a.waiting--
	}
	a.works[i] = work{command: m.Command, target: m.Target, sent: m.At, came: now, weight: m.Numbers[NumberWeight],
		bound: m.Numbers[NumberBound], phase: m.Phase, idle: m.Flags&FlagIdle != 0, unsure: m.Flags&FlagConfirm != 0}
	a.queue[a.waiting] = uint8(i)
	if a.waiting++; a.waiting == 1 {
		a.serve(now, out)
	}
}

// serve begins with the first of the queue.
func (a *Agent) serve(now time.Duration, out *Outbox) {
	w := &a.works[a.queue[0]]
	w.started, w.queued = now, micros(now-w.came)
	e := out.say(Process)
	e.Command, e.Weight, e.At = w.command, w.weight, w.target
}

// Outcome is what came of processing a command.
type Outcome struct {
	State    mesh.Trinary // Ready or Conflict; anything else counts as Conflict
	Value    uint64       // digest of the answer or, of a conflict, of what contradicts
	Conflict conflict.Type
	Depth    uint16 // of a divergence
	Affected uint32 // agents that rely on it, as far as is known
}

// Processed says that the command that Process named is done. Another one, or one
// that was dropped meanwhile, is ignored.
func (a *Agent) Processed(now time.Duration, command uint64, o Outcome, out *Outbox) {
	if a.waiting > 0 && a.works[a.queue[0]].command == command {
		a.done(now, &a.works[a.queue[0]], o, out)
		a.waiting--
		copy(a.queue, a.queue[1:a.waiting+1])
		for a.waiting > 0 && a.stale(&a.works[a.queue[0]]) {
			a.waiting--
			copy(a.queue, a.queue[1:a.waiting+1])
		}
		if a.waiting > 0 {
			a.serve(now, out)
		}
	}
	a.run(now, out)
}

// stale says whether a command in the queue was dropped while it waited.
func (a *Agent) stale(w *work) bool {
	return w.command == 0 || w.processed || !pending(a.holds.Stage(a.hold(w)))
}

// done settles a command and acknowledges it.
func (a *Agent) done(now time.Duration, w *work, o Outcome, out *Outbox) {
	w.processed, w.served, w.value = true, micros(now-w.started), o.Value
	a.sketch.Processed(now, now-w.started, float64(w.weight)/1000, o.State == mesh.Ready)
	if !pending(a.holds.Stage(a.hold(w))) {
		return // cancelled or frozen meanwhile: it was told
	}
	if o.State != mesh.Ready {
		w.state, w.reason, w.affected = mesh.Conflict, ReasonIntegration, max(o.Affected, 1)
		w.conflict = uint32(max(o.Conflict, conflict.ContextDivergence)) | uint32(o.Depth)<<8
		a.holds.Cancel(a.hold(w))
		out.drop(w.command, ReasonIntegration)
	} else {
		w.state = mesh.Ready
		a.ready(now, w, out)
	}
	a.acknowledge(now, w, out)
}

// ready makes a command that is processed, and confirmed where it has to be, due at
// its T; without a T at once.
func (a *Agent) ready(now time.Duration, w *work, out *Outbox) {
	if !w.processed || w.unsure || w.state != mesh.Ready {
		return
	}
	if w.idle {
		a.holds.Cancel(a.hold(w)) // nothing is to come of it; copies are still known
		return
	}
	if corrected, _, known := a.link.corrected(now); known {
		if stage, _ := a.holds.Processed(corrected, a.hold(w)); stage == arrival.Expired {
			w.state, w.reason = mesh.Transit, ReasonTooLate
			out.drop(w.command, ReasonTooLate)
		}
	}
}

// acknowledge says how a command stands: what came first is echoed, so that the
// lead time is learnt from the copy that made the agent READY.
func (a *Agent) acknowledge(now time.Duration, w *work, out *Outbox) {
	r := out.next()
	a.link.head(now, r, Ack, a.link.seat.Holder(a.link.term))
	r.Of, r.State, r.Reason, r.Command, r.Phase, r.Value = Coordinate, w.state, w.reason, w.command, w.phase, w.value
	r.Sent, r.Received, r.Target = w.sent, w.came, w.target
	r.Numbers = [6]uint32{w.queued, w.served, uint32(a.waiting), w.conflict, w.affected, a.link.peerEpoch}
}

// confirm lets a command act that waits for it.
func (a *Agent) confirm(now time.Duration, m *Message, out *Outbox) {
	w := a.find(m.Command)
	if w == nil || w.target != m.Target {
		a.reply(now, m, mesh.Transit, ReasonUnknown, out)
		return
	}
	if w.unsure {
		w.unsure = false
		a.ready(now, w, out)
	}
	a.reply(now, m, mesh.Ready, ReasonNone, out)
}

// cancel takes a command back, also one that has not come yet.
func (a *Agent) cancel(now time.Duration, m *Message, out *Outbox) {
	w := a.find(m.Command)
	switch {
	case w == nil:
		a.cancelled.add(m.Command)
	case a.holds.Cancel(a.hold(w)):
		w.state, w.reason = mesh.Transit, ReasonCancelled
		out.drop(w.command, ReasonCancelled)
	}
	a.reply(now, m, mesh.Ready, ReasonNone, out)
}

// freeze takes a freeze or a thaw of one scope.
func (a *Agent) freeze(now time.Duration, m *Message, out *Outbox) {
	a.freezes.command(m)
	a.reply(now, m, mesh.Ready, ReasonNone, out).Value = m.Value
	frozen := a.freezes.frozen()
	if frozen == a.frozen {
		return
	}
	a.frozen = frozen
	if !frozen {
		a.holds.Thaw()
		out.say(Thawed)
		return
	}
	for i := range a.works {
		if w := &a.works[i]; w.command != 0 && pending(a.holds.Stage(a.hold(w))) {
			w.state, w.reason = mesh.Transit, ReasonFrozen
			out.drop(w.command, ReasonFrozen)
		}
	}
	a.holds.Freeze()
	out.say(Froze)
}
