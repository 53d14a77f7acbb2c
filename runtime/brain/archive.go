package brain

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"dancer/dancer"
	"dancer/dancer/swarm"
	"dancer/mesh"
	"dancer/runtime/host"
	"dancer/storage"
	"dancer/storage/bolt"
)

// writeTimeout bounds a durable write. A card that takes longer is as good as
// gone, and nothing in the decision cycle waits for it.
const writeTimeout = 10 * time.Second

// archive keeps what must outlive the brain. A store that cannot be opened or
// written never stops the robot: what is lost is counted and said.
type archive struct {
	store     *bolt.Store
	decisions storage.Repository[dancer.Decision]
	outcomes  storage.Repository[dancer.Outcome]
	markers   storage.Repository[swarm.DecisionMarker]
	questions storage.Repository[mesh.Escalation]
	rulings   storage.Repository[handled]
	state     storage.Repository[questionState]
	// calibration is a record of its own beside the question's, in one table.
	calibration storage.Repository[calibrationState]
	wallClock   storage.Repository[wallClockState] // the same
	seat        storage.Repository[host.State]     // the same
	lost        atomic.Uint64                      // records that could not be stored
	log         *slog.Logger
}

// handled is a ruling or a request with the answer that was given: a message
// that comes again gets the same answer and has no second effect.
type handled struct {
	Ruling  *mesh.Ruling  `json:"ruling,omitempty"`
	Request *mesh.Request `json:"request,omitempty"`
	Ack     mesh.Ack      `json:"ack"`
	At      time.Time     `json:"at"`
}

// storeName is the file of a robot's records in its data folder.
const storeName = "robot"

func openArchive(dir string, log *slog.Logger) (*archive, error) {
	store, err := bolt.OpenWith(dir, storeName, bolt.Options{Log: log})
	if err != nil {
		return nil, err
	}
	for _, note := range store.Notes() {
		log.Warn(note)
	}
	return &archive{
		store: store, log: log,
		decisions: storage.NewRepository[dancer.Decision](store, storage.TableDecisions, storage.KindDecision),
		outcomes:  storage.NewRepository[dancer.Outcome](store, storage.TableOutcomes, storage.KindOutcome),
		markers:   storage.NewRepository[swarm.DecisionMarker](store, storage.TableMarkers, storage.KindMarker),
		questions: storage.NewRepository[mesh.Escalation](store, storage.TableEscalations, storage.KindEscalation),
		rulings:   storage.NewRepository[handled](store, storage.TableRulings, storage.KindRuling),
		state:     storage.NewRepository[questionState](store, storage.TableState, storage.KindState),

		calibration: storage.NewRepository[calibrationState](store, storage.TableState, storage.KindState),
		wallClock:   storage.NewRepository[wallClockState](store, storage.TableState, storage.KindState),
		seat:        storage.NewRepository[host.State](store, storage.TableState, storage.KindState),
	}, nil
}

// decision stores a decision soon; the cycle does not wait.
func (a *archive) decision(d *dancer.Decision) { a.note(a.decisions.Enqueue(d.ID, *d)) }

// outcome stores what followed from a decision.
func (a *archive) outcome(o *dancer.Outcome) { a.note(a.outcomes.Enqueue(o.Decision, *o)) }

// marker stores a marker durably. It is called outside the decision cycle.
func (a *archive) marker(ctx context.Context, m swarm.DecisionMarker) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return a.note(a.markers.Put(ctx, m.MarkerID, m))
}

// answered gives the answer to a message that was handled before.
func (a *archive) answered(id string) (mesh.Ack, bool) {
	h, err := a.rulings.Get(id)
	return h.Ack, err == nil
}

// answer stores a message with its answer, and other changes with it.
func (a *archive) answer(ctx context.Context, id string, h handled, with ...storage.Change) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	change, err := a.rulings.Change(id, h)
	if err != nil {
		return err
	}
	err = a.store.WriteOnce(ctx, id, append(with, change)...)
	if errors.Is(err, storage.ErrDuplicate) {
		return nil
	}
	return a.note(err)
}

// note counts a record that was lost. The store itself logs each cause once.
func (a *archive) note(err error) error {
	if err != nil {
		a.lost.Add(1)
	}
	return err
}

// newestIDs are the newest ids of this robot's making that are stored: of its
// decisions, its questions and what waits to be sent.
func (a *archive) newestIDs() (ids []string) {
	for _, table := range []string{storage.TableDecisions, storage.TableEscalations, storage.TableOutbox} {
		err := a.store.Newest(table, 1, func(id string, _ []byte) error {
			ids = append(ids, id)
			return nil
		})
		if err != nil {
			a.log.Warn("read the newest id", "table", table, "error", err)
		}
	}
	return ids
}
