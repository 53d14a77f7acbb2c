package operator

import "time"

// Version of the JSON forms of this package. A field may be added at any time; none
// changes its meaning without another version.
const Version = 1

// State of an operation.
type State string

// The states. All but Running are the end.
const (
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed" // Why says why
	Cancelled State = "cancelled"
)

// Operation is an order that was taken, and what came of it so far. Times ending in
// MS are milliseconds of the mesh's own time.
type Operation struct {
	Version  int     `json:"version"`
	ID       string  `json:"id"`
	Revision uint64  `json:"revision"` // one more with each change
	Kind     Kind    `json:"kind"`
	By       string  `json:"by"`
	Scope    string  `json:"scope"`
	Text     string  `json:"text,omitempty"`
	State    State   `json:"state"`
	Why      string  `json:"why,omitempty"`  // of the end, where it is not plain
	Hint     string  `json:"hint,omitempty"` // what to do about it
	TookMS   float64 `json:"took_ms"`        // since it was ordered

	Broadcast  *BroadcastResult  `json:"broadcast,omitempty"`
	Ask        *AskResult        `json:"ask,omitempty"`
	Delegation *DelegationResult `json:"delegation,omitempty"`
	Heal       *HealResult       `json:"heal,omitempty"`
	Freeze     *FreezeResult     `json:"freeze,omitempty"` // of a thaw as well
}

// Ended says whether nothing more comes.
func (o *Operation) Ended() bool { return o.State != Running }

// Share is how a membership stands.
type Share struct {
	Total    int32 `json:"total"` // that were addressed; it never shrinks
	Ready    int32 `json:"ready"`
	Conflict int32 `json:"conflict"`
	Absent   int32 `json:"absent"` // of Transit: skipped for want of lead, cut off, behind an open breaker
	Transit  int32 `json:"transit"`
}

// BroadcastResult is how a cascade went.
type BroadcastResult struct {
	Pattern   string        `json:"pattern"`
	Class     string        `json:"class,omitempty"`
	Command   string        `json:"command"`   // its number in the mesh
	TargetMS  float64       `json:"target_ms"` // T, after it was ordered
	Phases    []PhaseResult `json:"phases"`
	Verdict   string        `json:"verdict"` // PROCEED, DEGRADED, WAIT, RESOLVE_CONFLICTS, RETRY; empty: not decided
	Counts    Share         `json:"counts"`  // of the agents that were addressed
	DecidedMS float64       `json:"decided_ms,omitempty"`
	Acted     *ActedResult  `json:"acted,omitempty"`    // nil where nobody sees who acts, as in a cell
	RetryMS   float64       `json:"retry_ms,omitempty"` // window that the next attempt should have
}

// PhaseResult is how one phase went, or goes.
type PhaseResult struct {
	Tier    string `json:"tier"` // sector, cluster, agent
	Classes string `json:"classes,omitempty"`
	Open    bool   `json:"open"`
	Verdict string `json:"verdict,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Counts  Share  `json:"counts"`
}

// ActedResult is who acted and when, by their own word.
type ActedResult struct {
	Agents   int     `json:"agents"`
	LatestMS float64 `json:"latest_ms"` // after T, by the agent's own clock
	BoundMS  float64 `json:"bound_ms"`  // by how much a clock could be wrong at most
}

// AskResult groups equal answers, the most frequent first.
type AskResult struct {
	Asked     int      `json:"asked"`
	Answered  int      `json:"answered"`
	Silent    int      `json:"silent"` // no answer in time
	Waiting   int      `json:"waiting"`
	Conflicts int      `json:"conflicts"` // of Answered
	Groups    []Answer `json:"groups"`
	P50MS     float64  `json:"p50_ms,omitempty"` // from asking to the answer
	P95MS     float64  `json:"p95_ms,omitempty"`
}

// Answer is what some agents said alike.
type Answer struct {
	Answer   string   `json:"answer"`
	Conflict bool     `json:"conflict"` // they cannot answer, or it contradicts what they know
	Agents   int      `json:"agents"`
	Named    []string `json:"named"` // the first of them, up to ten
}

// DelegationResult is who did a task.
type DelegationResult struct {
	Agent    string   `json:"agent,omitempty"` // who answered
	Class    string   `json:"class,omitempty"`
	Score    int      `json:"score"` // impedance of who was chosen, 0 to 1000
	Asked    []string `json:"asked"` // agents at whose leads it was, in order; with a hedge another one of the cluster may have answered
	Answer   string   `json:"answer,omitempty"`
	Conflict bool     `json:"conflict"`
	TookMS   float64  `json:"took_ms,omitempty"` // from the last asking to the answer
}

// HealResult is what was done.
type HealResult struct {
	Actions  []Action `json:"actions"`
	Unled    []string `json:"unled"` // places that nobody coordinates, up to ten
	UnledAll int      `json:"unled_all"`
	Left     int      `json:"left"` // more actions, not listed
}

// Action is one thing that was done.
type Action struct {
	What  string `json:"what"` // probe: a breaker is probed now; release: out of quarantine; acknowledge: an emergency
	Place string `json:"place"`
	Note  string `json:"note"`
}

// FreezeResult is who has confirmed a freeze or thaw.
type FreezeResult struct {
	Sequence  uint64   `json:"sequence"`
	Agents    int      `json:"agents"` // in the scope
	Confirmed int      `json:"confirmed"`
	Frozen    []string `json:"frozen"` // scopes that are frozen now
}

// ms is a duration in JSON.
func ms(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
