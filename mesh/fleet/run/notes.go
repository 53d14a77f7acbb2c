package run

import (
	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// watch is what a crew remembers to tell the recorder.
type watch struct {
	started bool   // the mesh has said for the first time how many are active
	active  int32  // as last told
	top     int32  // who held the orchestrator's seat last
	open    []bool // by node above the agents: its seat's failure was told here, and not its end
}

func (v *watch) init(t *fleet.Topology) { v.open = make([]bool, t.Agent(0)) }

// operation of a command; -1 where it is no cascade of the orchestrator's.
func (w *whole) operation(command uint64) int32 {
	for i := range w.running {
		if r := &w.running[i]; r.command == command && command != 0 {
			return r.number
		}
	}
	return -1
}

func (w *whole) machine(n int32) bool {
	return n >= w.topology.Agent(0) && w.topology.ClassOf(n) != impedance.ClassHuman
}

// leaves notes what is told of a message that is sent.
func (w *crew) leaves(n *fleet.Node[coordination.Message], m *coordination.Message) {
	if m.Kind != coordination.Coordinate || m.Tier != quorum.TierAgent {
		return
	}
	number := w.operation(m.Command)
	if number < 0 {
		return
	}
	// Only who holds the orchestrator's seat asks the sectors, and it alone writes here.
	if r := &w.running[number%int32(len(w.running))]; m.Seat == w.seats[fleet.Orchestrator].ID && r.phase <= m.Phase && m.Numbers[coordination.NumberMargin] > 0 {
		r.phase = m.Phase + 1
		n.Note(fleet.Note{Kind: fleet.Margin, Operation: number, Value: int32(m.Numbers[coordination.NumberMargin])})
	}
	to := int32(m.To)
	if t := &w.tags[to]; w.machine(to) && t.asked <= uint32(number) {
		t.asked = uint32(number) + 1
		t.predicted = w.predict(n.Number(), m)
		n.Note(fleet.Note{Kind: fleet.Asked, Operation: number})
	}
}

// predict is what the sender of a command expects of its receiver: when that is READY.
func (w *crew) predict(from int32, m *coordination.Message) uint32 {
	p := w.post(from)
	if p == nil {
		return 0
	}
	for i, seat := range p.seats {
		if w.seats[seat].ID == m.Seat {
			return uint32(p.Coordinators[i].Predicted(int(m.Child), m.Numbers[coordination.NumberWeight]).Microseconds())
		}
	}
	return 0
}

// arrived notes what is told of a message that comes.
func (w *crew) arrived(n *fleet.Node[coordination.Message], from int32, m *coordination.Message) {
	switch {
	case m.Kind == coordination.Coordinate && m.Tier == quorum.TierAgent:
		t := &w.tags[n.Number()]
		if number := w.operation(m.Command); number >= 0 {
			if at := uint32(number)<<4 + uint32(m.Phase) + 1; at > t.reached {
				t.reached = at
				n.Note(fleet.Note{Kind: fleet.Reached, Operation: number})
			}
		}
	case m.Kind == coordination.Ack && m.Of == coordination.Coordinate && m.Flags&coordination.FlagSummary == 0 && w.machine(from):
		if number := w.operation(m.Command); number >= 0 && w.tags[from].answered <= uint32(number) {
			w.tags[from].answered = uint32(number) + 1
			n.Note(fleet.Note{Kind: fleet.Answered, Operation: number, Value: int32(m.State)})
		}
	}
	if m.Kind == coordination.Heartbeat && m.Flags&coordination.FlagUp != 0 && m.Seat > 0 && int32(m.Seat)-1 < w.topology.Cluster(0) {
		w.heard(n, m)
	}
}

// heard ends the failure of a child that coordinates: its seat is held and known again.
func (w *crew) heard(n *fleet.Node[coordination.Message], m *coordination.Message) {
	first, _ := w.topology.Children(int32(m.Seat) - 1)
	if child := first + int32(m.Child); child < w.topology.Agent(0) && child > 0 && w.watch.open[child] {
		w.restored(n, child)
	}
}

// processed notes that an agent is READY.
func (w *crew) processed(n *fleet.Node[coordination.Message], t *tag) {
	number := w.operation(t.serving)
	if number < 0 || !w.machine(n.Number()) {
		return
	}
	for i := range w.out.Messages {
		if m := &w.out.Messages[i]; m.Kind == coordination.Ack && m.Command == t.serving && m.State == mesh.Ready {
			n.Note(fleet.Note{Kind: fleet.Ready, Operation: number, Value: int32(t.predicted)})
			return
		}
	}
}

// census notes how many agents the orchestrator takes to be active, when that has
// changed. Before it has known for the first time in which mode the mesh is, it has
// not looked.
func (w *crew) census(n *fleet.Node[coordination.Message], p *post) {
	if !w.watch.started {
		return
	}
	for i, seat := range p.seats {
		if seat != fleet.Orchestrator || n.Number() != w.watch.top {
			continue
		}
		active, members := p.Coordinators[i].Active()
		if !p.Coordinators[i].Leading(n.Now()) {
			active = 0
		}
		if active != w.watch.active {
			w.watch.active = active
			n.Note(fleet.Note{Kind: fleet.Active, Value: active, Operation: members})
		}
	}
}

// outcome is what comes of processing a command: everybody says the same, but for
// those whose context contradicts it.
func (w *crew) outcome(n *fleet.Node[coordination.Message], command uint64) coordination.Outcome {
	digest := w.config.Seed.Draw(purposeOutcome, 0, command) | 1
	if w.config.Answer != nil {
		if asked := w.config.Answer(command); asked != 0 {
			digest = asked
		}
	}
	draw := n.Draw(purposeOutcome, command)
	if fleet.Below(draw, uint64(quorum.Whole)) >= uint64(w.config.Conflict) {
		return coordination.Outcome{State: mesh.Ready, Value: digest}
	}
	// One of some things that agents differ about.
	return coordination.Outcome{State: mesh.Conflict, Value: 1 + draw%64, Affected: 1,
		Conflict: conflict.ContextDivergence + conflict.Type(draw>>8%2), Depth: uint16(draw >> 16 % 12)}
}

// effect does and notes what one effect asks for.
func (w *crew) effect(n *fleet.Node[coordination.Message], e *coordination.Effect) {
	i := n.Number()
	switch e.Kind {
	case coordination.Process:
		w.tags[i].serving = e.Command
		n.Work(e.Weight, uint32(e.Command))
	case coordination.TermChanged:
		w.store(i, e)
	case coordination.Stand:
		if seat := int32(e.Seat) - 1; seat == fleet.Orchestrator || seat >= w.topology.Cluster(0) {
			w.failure(n, seat) // a sector's is the orchestrator's to tell
		}
		w.stand(n, int32(e.Seat)-1, e.Term)
	case coordination.Act:
		if w.machine(i) {
			n.Note(fleet.Note{Kind: fleet.Acted, Operation: w.operation(e.Command)})
		}
	case coordination.Committed, coordination.Degraded, coordination.Failed, coordination.Cancelled:
		n.Note(fleet.Note{Kind: fleet.Decided, Operation: w.operation(e.Command), Value: int32(decision(e))})
	case coordination.BreakerChanged:
		w.breaker(n, e)
	case coordination.Found:
		w.found(n, e)
	case coordination.LeadingChanged:
		w.leads(n, e)
	case coordination.ModeChanged:
		if e.Seat == w.seats[fleet.Orchestrator].ID {
			w.watch.started = true
			n.Note(fleet.Note{Kind: fleet.ModeIs, Value: int32(e.Mode)})
		}
	case coordination.Conflicting:
		n.Note(fleet.ConflictNote(w.operation(e.Command), e.Conflict.Type, e.Escalate, e.Log))
	}
	if w.config.Effects != nil {
		w.config.Effects(&Told{Now: n.True(), Node: i, Life: n.Life(), Effect: e})
	}
}

func decision(e *coordination.Effect) quorum.Decision {
	switch {
	case e.Kind == coordination.Committed || e.Kind == coordination.Degraded:
		return quorum.Proceed
	case e.Verdict.Decision == quorum.Proceed || e.Verdict.Decision == quorum.Wait:
		return quorum.Retry // it was called back before it was decided
	}
	return e.Verdict.Decision
}

// store keeps a term, as a node does on its disk.
func (w *crew) store(i int32, e *coordination.Effect) {
	seat := int32(e.Seat) - 1
	switch {
	case seat == i:
		w.terms[i] = e.Term
	case seat == w.topology.ParentOf(i):
		w.tags[i].term = e.Term
	}
}

// part says what a child of a seat's coordinator is.
func (w *whole) part(seat, child int32) (scope breaker.Scope, index, node int32, ok bool) {
	first, end := w.topology.Children(seat)
	node = first + child
	if child < 0 || node >= end {
		return 0, 0, 0, false
	}
	switch tier, index := w.topology.Place(node); tier {
	case quorum.TierSector:
		return breaker.ScopeSector, index, node, true
	case quorum.TierCluster:
		return breaker.ScopeCluster, index, node, true
	}
	return 0, 0, 0, false
}

// breaker tells what a breaker is now. Those of an orchestrator are of sectors, those
// of a sector's coordinator of clusters; a lead's is of its own cluster, and counts
// beside the one above it.
func (w *crew) breaker(n *fleet.Node[coordination.Message], e *coordination.Effect) {
	seat := int32(e.Seat) - 1
	tier, index := w.topology.Place(seat)
	scope := e.Breaker.Scope
	switch {
	case scope == breaker.ScopeGlobal && seat == fleet.Orchestrator:
		index = 0
	case scope == breaker.ScopeCluster && tier == quorum.TierCluster:
		index += w.topology.Clusters()
	case scope == breaker.ScopeCluster || scope == breaker.ScopeSector && tier == quorum.TierNone:
		var ok bool
		if scope, index, _, ok = w.part(seat, e.Breaker.Index); !ok {
			return
		}
	case scope == breaker.ScopeSector && tier == quorum.TierSector:
		index += w.topology.Sectors
	default:
		return
	}
	n.Note(fleet.BreakerNote(scope, index, e.Breaker.State))
}

// found tells of failures that a coordinator has found.
func (w *crew) found(n *fleet.Node[coordination.Message], e *coordination.Effect) {
	f := &e.Finding
	n.Note(fleet.Note{Kind: fleet.Detected, Value: int32(f.Class)})
	if f.Class != breaker.AgentCrash && !(f.Class == breaker.TransientNetwork && f.Escalate) {
		return
	}
	if _, _, node, ok := w.part(int32(e.Seat)-1, f.Agent); ok {
		w.failure(n, node)
	}
}

// failure tells that the seat that a node holds first has nobody.
func (w *crew) failure(n *fleet.Node[coordination.Message], seat int32) {
	if seat < 0 || seat >= w.topology.Agent(0) || w.watch.open[seat] {
		return
	}
	w.watch.open[seat] = true
	n.Note(w.scope(fleet.Failed, seat))
}

func (w *crew) restored(n *fleet.Node[coordination.Message], seat int32) {
	w.watch.open[seat] = false
	n.Note(w.scope(fleet.Restored, seat))
}

// scope is the note about a seat.
func (w *whole) scope(kind fleet.NoteKind, seat int32) fleet.Note {
	switch tier, index := w.topology.Place(seat); tier {
	case quorum.TierSector:
		return fleet.ScopeNote(kind, breaker.ScopeSector, index)
	case quorum.TierCluster:
		return fleet.ScopeNote(kind, breaker.ScopeCluster, index)
	}
	return fleet.ScopeNote(kind, breaker.ScopeGlobal, 0)
}

// leads notes who holds a seat.
func (w *crew) leads(n *fleet.Node[coordination.Message], e *coordination.Effect) {
	seat := int32(e.Seat) - 1
	if seat != fleet.Orchestrator {
		return
	}
	if e.Leading {
		w.watch.top = n.Number()
	}
	if e.Leading && w.watch.open[seat] {
		w.restored(n, seat)
	}
}
