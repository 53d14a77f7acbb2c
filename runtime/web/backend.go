package web

import (
	"context"
	"encoding/json"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/mesh/conductor"
	"dancer/mesh/operator"
)

// Backend is what a conductor or a robot shows. All methods are safe for
// concurrent use and answer from memory; Rule and Request may wait for a disk.
type Backend interface {
	// Status of the process itself.
	Status() Status
	// Agents, by cell and name. A robot gives itself and the peers it sees.
	Agents() []conductor.Agent
	// Questions of a state: open, closed or all; open ones the most severe first.
	Questions(state string) []conductor.Question
	// Rulings, the newest first.
	Rulings() []conductor.Ruling
	// Rule records a ruling durably and gives its id; the robot's answer comes
	// later. Errors: conductor.ErrUnknown, conductor.ErrStands,
	// conductor.ErrFull, mesh.ErrInvalid; anything else is a failure of ours.
	Rule(ctx context.Context, question string, ruling mesh.Ruling) (id string, err error)
	// Request asks an agent to start, stop or clear and gives the id of the
	// request. Errors as with Rule, and conductor.ErrNotThere.
	Request(ctx context.Context, agent string, request mesh.Request) (id string, err error)
	// Await waits for the answer to a ruling or request until ctx is over.
	Await(ctx context.Context, id string) (mesh.Ack, bool)
}

// Decisions is a Backend that keeps the records of its decisions: a robot.
type Decisions interface {
	// Decisions gives up to limit records (dancer.Decision), the newest first.
	Decisions(limit int) ([]json.RawMessage, error)
	// Decision gives one record; false if there is none.
	Decision(id string) (json.RawMessage, bool, error)
}

// Whys is a Backend that can work out what would have had to be different for
// another decision: a robot.
type Whys interface {
	// Why of one decision; false if there is none. It takes some seconds at most
	// and answers one at a time. Errors are a Problem, or a failure of ours.
	Why(ctx context.Context, decision string) (Why, bool, error)
}

// Why is what would have had to be different for another decision.
type Why struct {
	Decision        string                  `json:"decision"` // id
	Manual          string                  `json:"manual"`   // hash
	Counterfactuals []dancer.Counterfactual `json:"counterfactuals"`
	LeftOut         []string                `json:"left_out,omitempty"` // signals for which there was no time
}

// Words gives it in plain words, one signal a line.
func (w *Why) Words() []string {
	var lines []string
	for i := range w.Counterfactuals {
		lines = append(lines, w.Counterfactuals[i].Words)
	}
	for _, name := range w.LeftOut {
		lines = append(lines, "there was no time to look into "+name)
	}
	return lines
}

// Poster is a Backend that takes readings of signals which are declared from: post: a
// robot.
type Poster interface {
	// Post takes all readings or none. Errors are a Problem, or a failure of ours.
	Post(values map[string]float64) error
}

// Recaller is a Backend that also finds questions that left memory.
type Recaller interface {
	Question(id string) (conductor.Question, bool)
}

// Roles of a process that serves.
const (
	RoleConductor = mesh.RoleConductor
	RoleRobot     = mesh.RoleRobot
)

// Status of the process that serves. Counts are since its start.
type Status struct {
	Role      string        `json:"role"` // conductor | robot
	Name      string        `json:"name"`
	Cell      string        `json:"cell"`
	Scope     string        `json:"scope,omitempty"` // conductor: cell | region | global
	Version   string        `json:"version"`
	StartedAt time.Time     `json:"started_at"`
	Now       time.Time     `json:"now"` // wall clock of the process, for the ages that a page shows
	Uptime    time.Duration `json:"uptime"`
	Broker    Broker        `json:"broker"`
	Agents    int           `json:"agents"`
	Alive     int           `json:"alive"`
	Open      int           `json:"open_escalations"`
	Outbox    int           `json:"outbox"`              // messages that wait for a robot's or the conductor's ack
	Watchers  int           `json:"watchers"`            // open event streams; filled in by the handler
	Recording *Recording    `json:"recording,omitempty"` // robot: how its recording goes; none: nothing is recorded
	Problems  []string      `json:"problems,omitempty"`  // what is wrong now, in plain words with a cure
	Latency   *Latency      `json:"latency,omitempty"`   // robot: how fast it reacts

	Coordination *Coordination    `json:"coordination,omitempty"` // robot: how it stands in its cell; none: it takes no part
	Mesh         *operator.Status `json:"mesh,omitempty"`         // the mesh that it coordinates; filled in by the handler
}

// Recording is how a robot's recording goes. Counts are since its brain's start.
type Recording struct {
	Messages uint64 `json:"messages"` // written
	Lost     uint64 `json:"lost"`     // readings, decisions and events that were left out; a gap says where
	Sealed   uint64 `json:"sealed"`   // times that the last minutes were kept, for a latch or a question
	Stopped  bool   `json:"stopped"`  // nothing is written now: the disk is full or broken
}

// Broker is the state of the connection to the MQTT broker.
type Broker struct {
	URL       string `json:"url"` // without password
	Embedded  bool   `json:"embedded"`
	Connected bool   `json:"connected"`
}
