package brain

import (
	"context"
	"encoding/json"
	"time"

	"dancer/dancer"
	"dancer/dancer/swarm"
	"dancer/mesh/gossip"
)

// Bounds and rhythms of the markers.
const (
	markerQueue     = 256             // what waits for the goroutine; more is dropped and counted
	markerTell      = time.Second     // the cell hears of the newest ruling at most this often
	markerSave      = 5 * time.Second // trials of a pending marker are stored this often
	followedAtOnce  = 256             // decisions whose situation is remembered until their outcome
	markersInMemory = 1024            // pending markers that gather trials
)

// markers finds what two robots of a cell rule differently, and gathers how it
// goes on for both. One goroutine owns everything but the queue.
type markers struct {
	b        *brain
	queue    chan func()
	detector swarm.Detector
	pending  map[string]*swarm.DecisionMarker
	unsaved  map[string]bool
	latest   *swarm.Ruled // to be told
	last     swarm.Ruled
	where    map[string]swarm.Situation // decision id: where it was made
	order    []string                   // of where, the oldest first
}

// gossiped is what the members of a cell tell each other about rulings.
type gossiped struct {
	Ruled *swarm.Ruled `json:"ruled,omitempty"`
}

func newMarkers(b *brain) *markers {
	return &markers{
		b: b, queue: make(chan func(), markerQueue), pending: map[string]*swarm.DecisionMarker{},
		unsaved: map[string]bool{}, where: map[string]swarm.Situation{},
	}
}

// do hands f to the goroutine without waiting.
func (m *markers) do(f func()) {
	select {
	case m.queue <- f:
	default:
		m.b.archive.lost.Add(1)
	}
}

// decided takes in a decision and the outcomes that became known with it.
func (m *markers) decided(d *dancer.Decision, outcomes []dancer.Outcome) {
	m.do(func() {
		m.ruled(d)
		for i := range outcomes {
			m.followed(&outcomes[i])
		}
	})
}

// receive takes what another member broadcast.
func (m *markers) receive(from string, message []byte) {
	var g gossiped
	if err := json.Unmarshal(message, &g); err != nil || g.Ruled == nil || g.Ruled.Robot != from || g.Ruled.Cell != m.b.robot.Cell {
		m.b.log.Warn("drop gossip: not a ruling of its sender", "from", from)
		return
	}
	ruled := *g.Ruled
	m.do(func() { m.observe(ruled) })
}

// run owns the markers until the context ends.
func (m *markers) run(ctx context.Context) error {
	if err := m.load(); err != nil {
		m.b.log.Error("read markers", "error", err)
	}
	tell, save := time.NewTicker(markerTell), time.NewTicker(markerSave)
	defer tell.Stop()
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			m.save()
			return nil
		case f := <-m.queue:
			f()
		case <-tell.C:
			m.tell()
		case <-save.C:
			m.save()
		}
	}
}

// load goes on with the markers that are not resolved yet.
func (m *markers) load() error {
	newest, err := m.b.archive.markers.Newest(markersInMemory)
	if err != nil {
		return err
	}
	for i := range newest {
		m.detector.Known(&newest[i])
		if newest[i].ResolvedAt == nil {
			m.pending[newest[i].MarkerID] = &newest[i]
		}
	}
	return nil
}

// ruled looks at the robot's own decision.
func (m *markers) ruled(d *dancer.Decision) {
	situation := swarm.SituationOf(m.b.manual.Measured(), d)
	m.remember(d.ID, situation)
	ruled := swarm.RuledOf(m.b.robot.Cell, situation, d)
	if ruled.Situation.Key == m.last.Situation.Key && ruled.Option == m.last.Option && ruled.Outcome == m.last.Outcome {
		return
	}
	m.last, m.latest = ruled, &ruled
	m.observe(ruled)
}

func (m *markers) remember(decision string, s swarm.Situation) {
	if len(m.order) == followedAtOnce {
		delete(m.where, m.order[0])
		m.order = m.order[1:]
	}
	m.where[decision] = s
	m.order = append(m.order, decision)
}

// observe stores the markers that a ruling gives rise to.
func (m *markers) observe(r swarm.Ruled) {
	for _, marker := range m.detector.Observe(r) {
		if _, known := m.pending[marker.MarkerID]; known {
			continue
		}
		if err := m.b.archive.marker(context.Background(), marker); err != nil {
			m.b.log.Error("store marker: it is kept in memory and tried again", "marker", marker.MarkerID, "error", err)
			m.unsaved[marker.MarkerID] = true
		}
		if len(m.pending) < markersInMemory {
			m.pending[marker.MarkerID] = &marker
		}
		m.b.emit(kindMarker, marker)
	}
}

// followed adds an outcome to the markers of its situation.
func (m *markers) followed(o *dancer.Outcome) {
	situation, ok := m.where[o.Decision]
	if !ok || o.Cut {
		return
	}
	trial := swarm.TrialOf(situation, o, m.b.manual.Band(), m.b.wall())
	for id, marker := range m.pending {
		if marker.Append(m.b.robot.Name, o.Option, trial) {
			m.unsaved[id] = true
		}
	}
}

// save stores the markers that have gathered trials.
func (m *markers) save() {
	for id := range m.unsaved {
		marker, ok := m.pending[id]
		if ok && m.b.archive.note(m.b.archive.markers.Enqueue(id, *marker)) != nil {
			continue
		}
		delete(m.unsaved, id)
	}
}

// tell broadcasts the newest ruling. One that is too long for a packet goes
// without the words of its situation: the key is what is compared.
func (m *markers) tell() {
	cell := m.b.cell.Load()
	if m.latest == nil || cell == nil {
		return
	}
	message := encode(gossiped{Ruled: m.latest})
	if len(message) > gossip.MaxMessageBytes {
		short := *m.latest
		short.Situation.Text = ""
		message = encode(gossiped{Ruled: &short})
	}
	m.latest = nil
	if err := cell.Broadcast(message); err != nil {
		m.b.log.Warn("tell the cell", "error", err)
	}
}
