package conductor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dancer/mesh"
	"dancer/mesh/conflict"
)

// Errors of the register, by cause.
var (
	ErrFull     = errors.New("register is full")          // try again later: the message is not acknowledged, so its sender keeps it
	ErrUnknown  = errors.New("unknown")                   // no such question or agent
	ErrStands   = errors.New("a stricter ruling stands")  // of two rulings the more restrictive wins
	ErrNotThere = errors.New("agent is not connected")    // a request that must not wait
	ErrNoBroker = errors.New("the conductor cannot send") // the same, and the conductor's own connection is why
)

// Moment is a point in time: the monotonic clock decides, the wall clock is
// shown.
type Moment struct {
	Monotonic time.Duration
	Wall      time.Time
}

// Limits bound the register.
type Limits struct {
	Agents  int           // default 1,000; more are refused and counted
	Open    int           // open questions, default 10,000; more are not acknowledged, so that their robots keep them
	Closed  int           // closed questions kept in memory, default 1,000; the oldest go first
	Rulings int           // per question, default 64
	Acks    int           // acknowledgements remembered for those that wait, default 4,096
	Silence time.Duration // an agent that is online and silent for longer is not alive; default 75 s, as states come every 30 s
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Agents, 1000)
	set(&l.Open, 10_000)
	set(&l.Closed, 1000)
	set(&l.Rulings, 64)
	set(&l.Acks, 4096)
	if l.Silence <= 0 {
		l.Silence = 75 * time.Second
	}
	return l
}

// Message is something to send to a robot.
type Message struct {
	ID      string // envelope id
	Cell    string
	Agent   string
	Kind    mesh.Kind
	Body    any
	Durable bool // through the outbox, sent again until the robot acknowledges
}

// Effects is what the caller must do, in this order: store, send, drop what is
// done, tell those who watch. If storing fails nothing may be sent: the sender
// repeats itself, and the same effects come again.
type Effects struct {
	Store     []Question // durably, by id
	Send      []Message
	Done      []string // envelope ids that the robot acknowledged: out of the outbox
	Forget    []string // ids of closed questions that left memory (they stay on disk)
	Agents    []string // names of agents that changed
	Questions []string // ids of questions that changed
	Ruled     []Ruling // rulings that are new or were acknowledged

	// Conflicts are what does not agree; they come with an error too, and are
	// information: the rest of the effects does not depend on them.
	Conflicts []conflict.Claim
}

func (e *Effects) changedAgent(name string) { e.Agents = append(e.Agents, name) }

func (e *Effects) merge(o Effects) {
	e.Store = append(e.Store, o.Store...)
	e.Send = append(e.Send, o.Send...)
	e.Done = append(e.Done, o.Done...)
	e.Forget = append(e.Forget, o.Forget...)
	for _, name := range o.Agents {
		if !slices.Contains(e.Agents, name) {
			e.Agents = append(e.Agents, name)
		}
	}
	e.Questions = append(e.Questions, o.Questions...)
	e.Ruled = append(e.Ruled, o.Ruled...)
	e.Conflicts = append(e.Conflicts, o.Conflicts...)
}

// Counters say what the register did and refused since it was made.
type Counters struct {
	Escalations   uint64 // new questions
	Revisions     uint64
	Duplicates    uint64 // escalations that were here already
	Rulings       uint64
	Acks          uint64
	AgentsRefused uint64
	OpenRefused   uint64
}

type agentKey struct{ cell, name string }

// Recall finds a closed question that left memory, on disk.
type Recall func(id string) (Question, bool)

// Register is the conductor's knowledge. It is not safe for concurrent use: its
// owner holds one lock around it.
type Register struct {
	limits    Limits
	recall    Recall
	agents    map[agentKey]*agent
	questions map[string]*Question
	open      int
	closed    []string          // ids, oldest first
	rulings   map[string]string // ruling envelope id -> question id
	acks      map[string]mesh.Ack
	ackOrder  []string // ring of Limits.Acks
	ackNext   int
	counters  Counters
}

// New makes an empty register that keeps nothing beyond memory (see SetRecall).
func New(limits Limits) *Register {
	l := limits.withDefaults()
	return &Register{
		limits:    l,
		recall:    func(string) (Question, bool) { return Question{}, false },
		agents:    map[agentKey]*agent{},
		questions: map[string]*Question{},
		rulings:   map[string]string{},
		acks:      map[string]mesh.Ack{},
		ackOrder:  make([]string, l.Acks),
	}
}

// SetRecall says where closed questions are found that left memory, so that one
// that comes again is known again.
func (r *Register) SetRecall(recall Recall) { r.recall = recall }

// Restore puts stored questions back after a start, oldest first. It gives the
// messages of rulings that no robot has acknowledged yet; an outbox that kept
// them takes them for known.
func (r *Register) Restore(questions []Question) []Message {
	var pending []Message
	for i := range questions {
		q := questions[i].clone()
		q.refresh()
		r.put(&q)
		for _, ruling := range q.Rulings {
			if ruling.Ack == nil {
				pending = append(pending, ruling.message())
			}
		}
	}
	r.prune()
	return pending
}

// Counters gives the counters.
func (r *Register) Counters() Counters { return r.counters }

// OpenCount is the number of questions that wait for an answer.
func (r *Register) OpenCount() int { return r.open }

// Apply takes one message of an agent. The cell and the agent are those of the
// topic: an envelope from somebody else, or a body about somebody else, is
// invalid. Events pass through untouched. Nothing is refused silently: the
// error says why, and errors.Is tells mesh.ErrInvalid and mesh.ErrMalformed
// (drop it) from ErrFull (it comes again).
func (r *Register) Apply(at Moment, cell, name string, e mesh.Envelope) (Effects, error) {
	if e.Kind == mesh.KindAck && strings.HasPrefix(e.From, mesh.ConductorAgent) {
		return Effects{}, nil // a conductor's own ack to this robot
	}
	if e.From != name {
		return Effects{}, invalid("read %s of %s: it is from %q", e.Kind, name, clip(e.From, 64))
	}
	key := agentKey{cell, name}
	switch e.Kind {
	case mesh.KindConnection:
		return r.applyConnection(at, key, e)
	case mesh.KindState:
		return r.applyState(at, key, e)
	case mesh.KindEscalation:
		return r.applyEscalation(at, key, e)
	case mesh.KindAck:
		return r.applyAck(at, key, e)
	case mesh.KindEvent:
		if a, ok := r.agents[key]; ok {
			a.hear(at)
		}
		return Effects{}, nil
	}
	return Effects{}, nil // rulings and requests are the conductors' own
}

// Acked gives the robot's answer to a ruling or request, once it is there.
func (r *Register) Acked(id string) (mesh.Ack, bool) {
	a, ok := r.acks[id]
	return a, ok
}

func (r *Register) remember(a mesh.Ack) {
	if _, ok := r.acks[a.Of]; !ok {
		delete(r.acks, r.ackOrder[r.ackNext])
		r.ackOrder[r.ackNext] = a.Of
		r.ackNext = (r.ackNext + 1) % len(r.ackOrder)
	}
	r.acks[a.Of] = a
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", mesh.ErrInvalid, fmt.Sprintf(format, args...))
}

// clip bounds text of a peer for a message to people.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
