package fleet

import (
	"context"
	"sync"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/quorum"
)

// witness sees what all nodes of a real fleet do, and tells the recorder. True time is
// this machine's, which no node is given.
type witness struct {
	mutex     sync.Mutex
	topology  *fleet.Topology
	recorder  *fleet.Recorder
	began     time.Time
	commands  map[uint64]int32 // cascades of the script: their numbers
	asked     map[uint64][]bool
	predicted []uint32 // us from sending until READY, by agent: what its lead says before a cascade
	lateness  fleet.Histogram
	acts      int
}

func (w *witness) init(t *fleet.Topology, began time.Time) {
	w.topology, w.began, w.recorder = t, began, fleet.NewRecorder(t)
	w.commands, w.asked, w.predicted = map[uint64]int32{}, map[uint64][]bool{}, make([]uint32, t.Agents())
}

// observe tells the recorder; the mutex is held.
func (w *witness) observe(node int32, work time.Duration, note fleet.Note) {
	now := time.Since(w.began)
	o := fleet.Observation{Note: note, Node: node, Now: now, Work: work}
	o.At = note.At
	w.recorder.Observe(&o)
}

// planned notes a cascade of the script; at is T by the true clock.
func (w *witness) planned(number int32, command uint64, at time.Duration, members int32) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.observe(fleet.Orchestrator, 0, fleet.Note{Kind: fleet.Planned, Operation: number, Value: members, At: at})
	if command == 0 { // it was refused
		w.observe(fleet.Orchestrator, 0, fleet.Note{Kind: fleet.Decided, Operation: number, Value: int32(quorum.Retry)})
		return
	}
	w.commands[command], w.asked[command] = number, make([]bool, w.topology.Agents())
}

// margin notes how long before T all are to be READY.
func (w *witness) margin(number int32, margin time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.observe(fleet.Orchestrator, 0, fleet.Note{Kind: fleet.Margin, Operation: number, Value: int32(margin.Microseconds())})
}

// predict notes what a lead expects of its agents.
func (w *witness) predict(agent int32, expected time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.predicted[agent] = uint32(expected.Microseconds())
}

// reached notes that a command has come to an agent.
func (w *witness) reached(n *node, command uint64) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	number, known := w.commands[command]
	if !known || !n.class.Counted() {
		return
	}
	agent := n.number - w.topology.Agent(0)
	if !w.asked[command][agent] {
		w.asked[command][agent] = true
		w.observe(n.number, 0, fleet.Note{Kind: fleet.Asked, Operation: number})
		w.observe(n.number, 0, fleet.Note{Kind: fleet.Reached, Operation: number})
	}
}

// worked notes that an agent has it processed.
func (w *witness) worked(n *node, command uint64, state mesh.Trinary, took time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	number, known := w.commands[command]
	if !known || !n.class.Counted() {
		return
	}
	if state == mesh.Ready {
		w.observe(n.number, took, fleet.Note{Kind: fleet.Ready, Operation: number, Value: int32(w.predicted[n.number-w.topology.Agent(0)])})
	}
	w.observe(n.number, 0, fleet.Note{Kind: fleet.Answered, Operation: number, Value: int32(state)})
}

func (w *witness) acted(n *node, command uint64) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if number, known := w.commands[command]; known {
		w.acts++
		w.observe(n.number, 0, fleet.Note{Kind: fleet.Acted, Operation: number})
	}
}

// told notes what a coordinator says.
func (w *witness) told(n *node, e *coordination.Effect) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	switch e.Kind {
	case coordination.Committed, coordination.Degraded, coordination.Failed, coordination.Cancelled:
		if number, known := w.commands[e.Command]; known {
			w.observe(n.number, 0, fleet.Note{Kind: fleet.Decided, Operation: number, Value: int32(decision(e))})
		}
	case coordination.ModeChanged:
		if n.number == fleet.Orchestrator {
			w.observe(n.number, 0, fleet.Note{Kind: fleet.ModeIs, Value: int32(e.Mode)})
		}
	case coordination.Conflicting:
		number, known := w.commands[e.Command]
		if !known {
			number = -1
		}
		w.observe(n.number, 0, fleet.ConflictNote(number, e.Conflict.Type, e.Escalate, e.Log))
	case coordination.Found:
		w.observe(n.number, 0, fleet.Note{Kind: fleet.Detected, Value: int32(e.Finding.Class)})
	case coordination.BreakerChanged:
		w.breaker(n, e)
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

// breaker notes a breaker of the node that has it: each has its own about the same part.
func (w *witness) breaker(n *node, e *coordination.Effect) {
	tier, index := w.topology.Place(n.number)
	scope, b := e.Breaker.Scope, &e.Breaker
	switch {
	case scope == breaker.ScopeGlobal && tier == quorum.TierNone:
		index = 0
	case scope == breaker.ScopeCluster && tier == quorum.TierCluster:
		index += w.topology.Clusters()
	case scope == breaker.ScopeCluster && tier == quorum.TierSector:
		first, _ := w.topology.Children(n.number)
		_, index = w.topology.Place(first + b.Index)
	case tier == quorum.TierNone:
		scope, index = breaker.ScopeSector, b.Index
	case scope == breaker.ScopeSector && tier == quorum.TierSector:
		index += w.topology.Sectors
	default:
		return
	}
	w.observe(n.number, 0, fleet.BreakerNote(scope, index, b.State))
}

// active notes how many agents the orchestrator takes to be active.
func (w *witness) active(active, members int32) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if !w.recorder.Live().ModeKnown {
		return // it is still starting
	}
	w.observe(fleet.Orchestrator, 0, fleet.Note{Kind: fleet.Active, Value: active, Operation: members})
	w.recorder.Up(time.Since(w.began), w.topology.Agents())
}

// beat is how often the machine is asked how late it is.
const beat = 10 * time.Millisecond

// clock measures how late this machine wakes who waits for a moment: what every node
// suffers from when there are too many.
func (w *witness) clock(ctx context.Context) {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		next = next.Add(beat)
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		late := time.Since(next)
		w.mutex.Lock()
		w.lateness.Record(max(late, 0))
		w.mutex.Unlock()
		if late > beat {
			next = time.Now()
		}
	}
}
