package conductor

import (
	"fmt"
	"slices"
	"strings"

	"dancer/mesh"
)

// Bounds on what people write.
const (
	MaxName = 100  // bytes of `by`
	MaxNote = 2000 // bytes of `note`
)

// applyEscalation takes a question or a newer revision of it. What is here
// already is stored and acknowledged again: the sender did not hear us.
func (r *Register) applyEscalation(at Moment, key agentKey, e mesh.Envelope) (Effects, error) {
	esc, err := mesh.Body[mesh.Escalation](e)
	if err != nil {
		return Effects{}, err
	}
	if esc.Robot != key.name || esc.Cell != key.cell {
		return Effects{}, invalid("read question %s: it names %s/%s but came from %s/%s", esc.ID, esc.Cell, esc.Robot, key.cell, key.name)
	}
	var effects Effects
	q, known := r.lookup(esc.ID)
	switch {
	case !known && esc.State == "open" && r.open >= r.limits.Open:
		r.counters.OpenRefused++
		return Effects{}, fmt.Errorf("%w: %d questions are open; answer or deny some", ErrFull, r.open)
	case !known:
		q = &Question{Escalation: esc, ReceivedAt: at.Wall, ChangedAt: at.Wall}
		r.counters.Escalations++
		effects.Questions = append(effects.Questions, esc.ID)
	case esc.Robot != q.Robot || esc.Cell != q.Cell:
		return Effects{}, invalid("question %s belongs to %s/%s", esc.ID, q.Cell, q.Robot)
	case esc.Revision > q.Revision:
		q.Escalation, q.ChangedAt = esc, at.Wall
		r.counters.Revisions++
		effects.Questions = append(effects.Questions, esc.ID)
	default:
		r.counters.Duplicates++
		effects.Conflicts = otherContent(&q.Escalation, &esc, e)
	}
	q.refresh()
	r.put(q)
	effects.Forget = r.prune()
	if a := r.agent(key); a != nil {
		a.hear(at)
	}
	effects.Store = []Question{q.clone()}
	effects.Send = []Message{{
		Cell: key.cell, Agent: key.name, Kind: mesh.KindAck,
		Body: mesh.Ack{Of: e.ID, Escalation: esc.ID, Outcome: AckStored},
	}}
	return effects, nil
}

// lookup finds a question in memory or among those that left it.
func (r *Register) lookup(id string) (*Question, bool) {
	if q, ok := r.questions[id]; ok {
		return q, true
	}
	if q, ok := r.recall(id); ok {
		return &q, true
	}
	return nil, false
}

// put keeps a question and its place among the open and the closed.
func (r *Register) put(q *Question) {
	wasOpen := false
	if _, ok := r.questions[q.ID]; ok {
		wasOpen = !slices.Contains(r.closed, q.ID)
	}
	r.questions[q.ID] = q
	for _, ruling := range q.Rulings {
		r.rulings[ruling.ID] = q.ID
	}
	switch {
	case q.Open() && !wasOpen:
		r.open++
		r.closed = slices.DeleteFunc(r.closed, func(id string) bool { return id == q.ID })
	case !q.Open():
		if wasOpen {
			r.open--
		}
		if !slices.Contains(r.closed, q.ID) {
			r.closed = append(r.closed, q.ID)
		}
	}
}

// prune drops the oldest closed questions over the limit from memory.
func (r *Register) prune() []string {
	over := len(r.closed) - r.limits.Closed
	if over <= 0 {
		return nil
	}
	gone := slices.Clone(r.closed[:over])
	r.closed = slices.Delete(r.closed, 0, over)
	for _, id := range gone {
		for _, ruling := range r.questions[id].Rulings {
			delete(r.rulings, ruling.ID)
		}
		delete(r.questions, id)
	}
	return gone
}

// Rule takes a ruling on a question, under an envelope id that the caller made.
// It is stored and carried to the robot, also when the question is over (the
// robot answers "late") or the option is under a floor (it answers "vetoed"):
// the robot alone knows its situation now. What can never be right is refused
// here: an unknown question or option, a verdict that is none, a ruling by
// nobody, and an approval of what somebody denied.
func (r *Register) Rule(at Moment, id, envelope string, ruling mesh.Ruling) (Ruling, Effects, error) {
	q, ok := r.lookup(id)
	if !ok {
		return Ruling{}, Effects{}, fmt.Errorf("rule on %s: %w question", clip(id, 40), ErrUnknown)
	}
	ruling.Escalation, ruling.At = id, at.Wall
	if err := checkRuling(q, &ruling); err != nil {
		return Ruling{}, Effects{}, err
	}
	conflicts := disagreement(q, ruling)
	if s := q.standing(); s != nil && q.State == "open" && mesh.Restrictiveness(ruling.Verdict) < mesh.Restrictiveness(s.Verdict) {
		return Ruling{}, Effects{Conflicts: conflicts}, fmt.Errorf("rule on %s: %w: %s by %s; of two rulings the more restrictive wins", id, ErrStands, s.Verdict, s.By)
	}
	if len(q.Rulings) >= r.limits.Rulings {
		return Ruling{}, Effects{}, fmt.Errorf("rule on %s: %w: it has %d rulings", id, ErrFull, len(q.Rulings))
	}
	record := Ruling{ID: envelope, Ruling: ruling, Robot: q.Robot, Cell: q.Cell, Revision: q.Revision}
	q.Rulings = append(q.Rulings, record)
	q.ChangedAt = at.Wall
	r.counters.Rulings++
	q.refresh()
	r.put(q)
	return record, Effects{
		Store:     []Question{q.clone()},
		Send:      []Message{record.message()},
		Questions: []string{id},
		Ruled:     []Ruling{record},
		Conflicts: conflicts,
	}, nil
}

// Unrule takes back a ruling that could not be stored: it was never sent.
func (r *Register) Unrule(id, envelope string) {
	q, ok := r.questions[id]
	if !ok {
		return
	}
	q.Rulings = slices.DeleteFunc(q.Rulings, func(x Ruling) bool { return x.ID == envelope })
	delete(r.rulings, envelope)
	q.refresh()
	r.put(q)
}

func checkRuling(q *Question, ruling *mesh.Ruling) error {
	ruling.By, ruling.Note = strings.TrimSpace(ruling.By), strings.TrimSpace(ruling.Note)
	switch {
	case mesh.Restrictiveness(ruling.Verdict) == 0:
		return invalid("rule on %s: %q is no verdict (give one of approve, deny, defer, reschedule, escalate)", q.ID, clip(ruling.Verdict, 40))
	case ruling.By == "":
		return invalid("rule on %s: nobody rules (give by: the name of who decides)", q.ID)
	case len(ruling.By) > MaxName:
		return invalid("rule on %s: by is longer than %d bytes", q.ID, MaxName)
	case len(ruling.Note) > MaxNote:
		return invalid("rule on %s: note is longer than %d bytes", q.ID, MaxNote)
	case ruling.Option == "":
		return nil
	case ruling.Verdict != mesh.RuleApprove:
		return invalid("rule on %s: an option goes with approve alone, not with %s", q.ID, ruling.Verdict)
	}
	if known := options(q.Escalation); !slices.Contains(known, ruling.Option) {
		return invalid("rule on %s: no option %q (the options are %s)", q.ID, clip(ruling.Option, 64), strings.Join(known, ", "))
	}
	return nil
}

func (r Ruling) message() Message {
	return Message{ID: r.ID, Cell: r.Cell, Agent: r.Robot, Kind: mesh.KindRuling, Body: r.Ruling, Durable: true}
}

// applyAck takes a robot's answer to a ruling or a request. The first answer
// counts: a robot that repeats itself says the same.
func (r *Register) applyAck(at Moment, key agentKey, e mesh.Envelope) (Effects, error) {
	a, err := mesh.Body[mesh.Ack](e)
	if err != nil {
		return Effects{}, err
	}
	q := r.questions[r.rulings[a.Of]]
	if q != nil && (q.Robot != key.name || q.Cell != key.cell) {
		return Effects{}, invalid("read ack: %s/%s answers a ruling for %s/%s", key.cell, key.name, q.Cell, q.Robot)
	}
	effects := Effects{Done: []string{a.Of}}
	r.remember(a)
	if q == nil {
		return effects, nil
	}
	i := slices.IndexFunc(q.Rulings, func(x Ruling) bool { return x.ID == a.Of })
	if i < 0 || q.Rulings[i].Ack != nil {
		return effects, nil
	}
	r.counters.Acks++
	q.Rulings[i].Ack, q.Rulings[i].AckedAt = &a, at.Wall
	q.ChangedAt = at.Wall
	q.refresh()
	r.put(q)
	effects.Store = []Question{q.clone()}
	effects.Questions = []string{q.ID}
	effects.Ruled = []Ruling{q.Rulings[i]}
	effects.Forget = r.prune()
	return effects, nil
}

// Ask makes the message of a request to a robot. A stop may wait in the outbox;
// a start or a clear must not be carried out later than people expect, so it
// needs a robot that is there now and is sent once.
func (r *Register) Ask(at Moment, name, envelope string, request mesh.Request) (Effects, error) {
	a, ok := r.Agent(name)
	request.By = strings.TrimSpace(request.By)
	switch {
	case !ok:
		return Effects{}, fmt.Errorf("%s %s: %w agent", request.Do, clip(name, 64), ErrUnknown)
	case request.Do != "start" && request.Do != "stop" && request.Do != "clear":
		return Effects{}, invalid("%q is no request (give one of start, stop, clear)", clip(request.Do, 40))
	case request.By == "" || len(request.By) > MaxName:
		return Effects{}, invalid("%s %s: give by: the name of who asks, up to %d bytes", request.Do, name, MaxName)
	case len(request.Latch) > 64:
		return Effects{}, invalid("%s %s: latch is longer than 64 bytes", request.Do, name)
	case request.Do != "stop" && a.Connection != mesh.Online:
		return Effects{}, fmt.Errorf("%s %s: %w (%s): it would move later than you expect", request.Do, name, ErrNotThere, a.Connection)
	}
	return Effects{Send: []Message{{
		ID: envelope, Cell: a.Cell, Agent: a.Name, Kind: mesh.KindRequest, Body: request, Durable: request.Do == "stop",
	}}}, nil
}

// Questions lists questions, the most severe first. State is "open", "closed"
// or "all"; anything else is as "all".
func (r *Register) Questions(state string) []Question {
	list := make([]Question, 0, r.open)
	for _, q := range r.questions {
		if (state == "open" && !q.Open()) || (state == "closed" && q.Open()) {
			continue
		}
		list = append(list, q.clone())
	}
	if state == "closed" {
		slices.SortFunc(list, func(a, b Question) int { return b.ChangedAt.Compare(a.ChangedAt) })
		return list
	}
	slices.SortFunc(list, MostSevereFirst)
	return list
}

// Question gives one question.
func (r *Register) Question(id string) (Question, bool) {
	q, ok := r.lookup(id)
	if !ok {
		return Question{}, false
	}
	return q.clone(), true
}

// Rulings lists the rulings on the questions in memory, the newest first.
func (r *Register) Rulings() []Ruling {
	list := make([]Ruling, 0, len(r.rulings))
	for _, q := range r.questions {
		list = append(list, q.Rulings...)
	}
	slices.SortFunc(list, func(a, b Ruling) int { return strings.Compare(b.ID, a.ID) })
	return list
}
