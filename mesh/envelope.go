package mesh

import (
	"encoding/json"
	"time"
)

// Kind of a message, and the last part of its topic.
type Kind string

// The kinds of this version.
const (
	KindConnection Kind = "connection"
	KindState      Kind = "state"
	KindEvent      Kind = "event"
	KindEscalation Kind = "escalation"
	KindRuling     Kind = "ruling"
	KindAck        Kind = "ack"
	KindRequest    Kind = "request" // start, stop, clear from a conductor
)

// Envelope is every MQTT payload: JSON that any client can read.
type Envelope struct {
	ID   string          `json:"id"` // ULID, the key for de-duplication
	Kind Kind            `json:"kind"`
	From string          `json:"from"`
	Seq  uint64          `json:"seq"`
	At   time.Time       `json:"at"` // RFC 3339, UTC, display only
	Body json.RawMessage `json:"body"`
	Sig  string          `json:"sig,omitempty"`
}

// Connection is the body of a retained connection message and of the last will.
type Connection struct {
	State string `json:"state"` // ONLINE | OFFLINE | BROKEN
	Role  string `json:"role"`  // robot | conductor
}

// Verdicts of a ruling, the more restrictive first.
const (
	RuleDeny       = "deny"
	RuleDefer      = "defer"
	RuleReschedule = "reschedule"
	RuleEscalate   = "escalate"
	RuleApprove    = "approve"
)

// Escalation is a question to a conductor or a human. The same id is sent again
// (with a higher Revision) when the verdict changed for the worse, when the
// question was withdrawn, and when it timed out.
type Escalation struct {
	ID        string          `json:"id"` // ULID of the question
	Revision  int             `json:"revision"`
	State     string          `json:"state"` // open | withdrawn | timed-out
	Robot     string          `json:"robot"`
	Cell      string          `json:"cell"`
	RaisedAt  time.Time       `json:"raised_at"`
	DueAt     time.Time       `json:"due_at"` // wall clock, display only; the robot's monotonic clock decides
	Situation string          `json:"situation"`
	Because   []string        `json:"because"`
	Running   string          `json:"running"` // the option whose outputs apply while the question is open
	Hold      string          `json:"hold"`
	OnTimeout string          `json:"on_timeout"`
	Proposed  string          `json:"proposed"` // the verdict's winner: what approve without an option means
	Decision  json.RawMessage `json:"decision"` // dancer.Decision
}

// Ruling answers an escalation.
type Ruling struct {
	Escalation string    `json:"escalation"`
	Verdict    string    `json:"verdict"`
	Option     string    `json:"option,omitempty"`
	By         string    `json:"by"`
	Note       string    `json:"note,omitempty"`
	At         time.Time `json:"at"`
}

// Ack answers an escalation (from the conductor: stored), a ruling (from the
// robot: applied, vetoed, late, kept) or a request.
type Ack struct {
	Of         string `json:"of"` // envelope id
	Escalation string `json:"escalation,omitempty"`
	Outcome    string `json:"outcome"` // stored | applied | vetoed | late | kept | refused
	Why        string `json:"why,omitempty"`
	Running    string `json:"running,omitempty"`
}

// Request asks a robot to start, stop or clear.
type Request struct {
	Do    string `json:"do"` // start | stop | clear
	By    string `json:"by"`
	Latch string `json:"latch,omitempty"` // clear: one latch; empty: all
}

// State is the retained state of a robot: sent on change and every 30 s.
type State struct {
	Robot         string             `json:"robot"`
	Cell          string             `json:"cell"`
	Mode          string             `json:"mode"`            // safe | running | report-only | dry-run
	Lease         string             `json:"lease"`           // none | live | expired
	Fault         string             `json:"fault,omitempty"` // report-only: why it cannot be started and what to do, in words
	Latches       []string           `json:"latches"`
	Reflexes      []string           `json:"reflexes"` // active now
	Running       string             `json:"running"`
	Outcome       string             `json:"outcome"`
	Question      string             `json:"question,omitempty"`
	Signals       map[string]float64 `json:"signals,omitempty"`
	Invalid       []string           `json:"invalid,omitempty"`
	Outputs       map[string]float64 `json:"outputs,omitempty"`
	Indices       []StateIndex       `json:"indices,omitempty"`       // of the running option
	Frames        map[string]uint64  `json:"frames,omitempty"`        // per port
	Model         []StateModel       `json:"model,omitempty"`         // its error, per signal that it moves; at most 32, those widened first
	CalibratedBy  int                `json:"calibrated_by,omitempty"` // outcomes that the confidence rests on
	Latency       *StateLatency      `json:"latency,omitempty"`       // of the spine, since its start
	Recording     string             `json:"recording,omitempty"`     // on | stopped (the disk is full or broken); none: nothing is recorded
	ManualHash    string             `json:"manual"`
	Version       string             `json:"version"`
	BrainRestarts int                `json:"brain_restarts"`
	Outbox        int                `json:"outbox"`
	At            time.Time          `json:"at"`
}

// StateModel is the error of the robot's model for one signal, per model step and
// in the signal's unit.
type StateModel struct {
	Signal    string    `json:"signal"`
	Residuals int       `json:"residuals"` // predictions held against readings, the newest 256
	Low       float64   `json:"low"`       // quantiles of the residuals, 0 while there are too few
	High      float64   `json:"high"`
	Declared  []float64 `json:"declared,omitempty"` // lowest and highest disturbance in the manual; none: the error is told and widens nothing
	Widened   []float64 `json:"widened,omitempty"`  // what the forecast allows for
	Capped    uint64    `json:"capped,omitempty"`   // how often it came to the limit: the model does not fit
	LeftOut   uint64    `json:"left_out,omitempty"` // readings that could not be compared
	Jumps     uint64    `json:"jumps,omitempty"`    // readings that jumped: events of the world, not errors of the model
}

// StateLatency is how fast the robot's spine reacts.
type StateLatency struct {
	EdgeToOutput   LatencyFigures `json:"edge_to_output"`   // of reflexes, from the input's time stamp to the output's write
	WakeUpLateness LatencyFigures `json:"wake_up_lateness"` // of the loop, after its deadlines and the kernel's time stamps
}

// LatencyFigures are in microseconds. Quantiles are never told too low, and at
// most 1/32 too high; all are 0 while nothing has been counted.
type LatencyFigures struct {
	Count  uint64  `json:"count"`
	P50US  float64 `json:"p50_us"`
	P99US  float64 `json:"p99_us"`
	P999US float64 `json:"p999_us"` // 99.9 percent
	MaxUS  float64 `json:"max_us"`
}

// StateIndex is the index of one value in a State.
type StateIndex struct {
	Value    string  `json:"value"`
	Worst    float64 `json:"worst"`
	Expected float64 `json:"expected"`
	Floor    float64 `json:"floor"`
	HasFloor bool    `json:"has_floor"`
}
