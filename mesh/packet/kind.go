package packet

import "math/bits"

// Kind says what a message is, and so what its body holds. The zero Kind is
// invalid.
type Kind uint8

// The kinds of version 1. Numbers are never reused.
const (
	Heartbeat  Kind = 1 // an agent says how it is; every 5 s with jitter
	Coordinate Kind = 2 // be ready at T, and act then
	Ack        Kind = 3 // what became of a message, and an answer
	Circuit    Kind = 4 // a breaker has opened, is half open, has closed
	Freeze     Kind = 5 // stop coordinated operations in a scope
	Thaw       Kind = 6 // operations in a scope may go on: re-arms, moves nothing
	Cancel     Kind = 7 // a cascade that is under way is called off
	Probe      Kind = 8 // a breaker asks whether what it cut off is well again
	Confirm    Kind = 9 // a COORDINATE that waits for it may be acted on at T
)

const lastKind = Confirm

// String gives the name that the protocol's pages use.
func (k Kind) String() string {
	return nameAt(int(k), "INVALID", "HEARTBEAT", "COORDINATE", "ACK", "CIRCUIT", "FREEZE", "THAW", "CANCEL", "PROBE", "CONFIRM")
}

// carriesPayload says whether messages of the kind may have a payload.
func (k Kind) carriesPayload() bool { return k == Coordinate || k == Ack }

// Kinds is a set of kinds.
type Kinds uint16

// KindsOf makes a set.
func KindsOf(kinds ...Kind) (set Kinds) {
	for _, k := range kinds {
		set |= 1 << k
	}
	return set
}

// Sets that a source's registration is made of.
var (
	// PeerKinds is what every member may say: how it is, what became of a message,
	// and whether somebody is there. It orders nothing.
	PeerKinds = KindsOf(Heartbeat, Ack, Probe)
	// AllKinds is what a coordinator may say.
	AllKinds = KindsOf(Heartbeat, Coordinate, Ack, Circuit, Freeze, Thaw, Cancel, Probe, Confirm)
)

// Has says whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s>>k&1 == 1 }

// Len counts the kinds in the set.
func (s Kinds) Len() int { return bits.OnesCount16(uint16(s)) }

// Priority of a message. Under a source's rate limit the lower is dropped first.
type Priority uint8

// The priorities of mesh-30k 2.4.
const (
	Background Priority = 0
	Normal     Priority = 1
	Urgent     Priority = 2
	Critical   Priority = 3
)

// String names the priority.
func (p Priority) String() string {
	return nameAt(int(p), "background", "normal", "urgent", "critical")
}

// Routing says how copies of a message were sent. The zero value is invalid.
type Routing uint8

// The routing strategies of mesh-30k 2.4.
const (
	Direct        Routing = 1 // to one agent
	Broadcast     Routing = 2 // to all of a scope, answers not awaited
	ScatterGather Routing = 3 // to many, answers within a window
	Pipeline      Routing = 4 // each hands on to the next
)

// String names the strategy.
func (r Routing) String() string {
	return nameAt(int(r), "invalid", "direct", "broadcast", "scatter-gather", "pipeline")
}

// Verb says what a COORDINATE asks for. The zero value is invalid.
type Verb uint8

// The verbs of mesh-30k 2.4.
const (
	Observe Verb = 1
	Orient  Verb = 2
	Decide  Verb = 3
	Act     Verb = 4
	Record  Verb = 5
	Sync    Verb = 6
)

// String names the verb.
func (v Verb) String() string {
	return nameAt(int(v), "invalid", "observe", "orient", "decide", "act", "record", "sync")
}

// Scope is how much of the mesh an order is about. The zero value is invalid.
type Scope uint8

// The scopes of appendix B.
const (
	Cluster Scope = 1 // one cell
	Sector  Scope = 2 // one region
	Global  Scope = 3 // everything: no target
)

// String names the scope.
func (s Scope) String() string { return nameAt(int(s), "invalid", "cluster", "sector", "global") }

// Action is what a breaker did. The zero value is invalid.
type Action uint8

// The actions of a CIRCUIT.
const (
	Open     Action = 1
	HalfOpen Action = 2
	Close    Action = 3
)

// String gives the name that the protocol's pages use.
func (a Action) String() string { return nameAt(int(a), "INVALID", "OPEN", "HALF_OPEN", "CLOSE") }

// ConflictType says in what an agent's world differs from what it was told. The
// zero value is none.
type ConflictType uint8

// The types of mesh-30k 5.1.
const (
	ContextDivergence  ConflictType = 1 // two world models do not fit
	DataContradiction  ConflictType = 2 // one fact, two values
	TemporalParadox    ConflictType = 3 // effect before cause
	CapabilityMismatch ConflictType = 4 // asked for what the agent cannot do
	HashMismatch       ConflictType = 5 // content is not what its hash says
)

// String names the type.
func (c ConflictType) String() string {
	return nameAt(int(c), "none", "context-divergence", "data-contradiction", "temporal-paradox", "capability-mismatch", "hash-mismatch")
}

func nameAt(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return "invalid"
}
