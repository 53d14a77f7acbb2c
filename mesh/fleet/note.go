package fleet

import (
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
)

// NoteKind is what a note says. The zero value says nothing.
type NoteKind uint8

// The notes that a Recorder knows. Operation is the number of a coordination, dense
// from 0, unless another meaning is given.
const (
	NoNote NoteKind = iota
	// Planned: a coordination of the whole fleet begins at this node, with T in At. Its
	// path begins here. Value is how many agents count (people do not).
	Planned
	// Reached: the first copy of a coordination has come here (in Handle).
	Reached
	// Passed: a coordinator or lead has worked on it and sends on (in Done).
	Passed
	// Ready: an agent has it processed and holds for T (in Done). Value is what the
	// sender predicted from sending to READY, in us; 0: it predicted nothing.
	Ready
	// Acted: an agent acts, now; At is T as it has it.
	Acted
	// Answered: whoever counts the answers has counted one. Value is 1, 0 or -1.
	Answered
	// Asked: an agent is sent the first copy of a coordination.
	Asked
	// Margin: the members that are asked from now on are to be READY so long before T, in
	// Value, in us; until it is said, at T.
	Margin
	// Decided: the coordination has its quorum.Decision, in Value.
	Decided
	// Active: how many agents the mesh takes to be active, in Value; Operation is how
	// many it has.
	Active
	// ModeIs: the mode of the mesh is Value (breaker.Mode) from now on.
	ModeIs
	// BreakerIs: see BreakerNote.
	BreakerIs
	// Failed: see ScopeNote. The mesh has found that the scope has failed.
	Failed
	// Restored: the same scope works again.
	Restored
	// Conflicted: see ConflictNote. A conflict was reported.
	Conflicted
	// Detected: a failure of the class (breaker.Class) in Value was found.
	Detected
	noteKinds
)

// BreakerNote says that a breaker is in a state from now on.
func BreakerNote(scope breaker.Scope, index int32, state breaker.State) Note {
	return Note{Kind: BreakerIs, Operation: index, Value: int32(scope)<<8 | int32(state)}
}

// ConflictNote says that a conflict of a type was reported to who handles them: who was
// told of it now, and whether a record of it was written.
func ConflictNote(operation int32, of conflict.Type, told conflict.Tiers, logged bool) Note {
	value := int32(of) | int32(told)<<8
	if logged {
		value |= 1 << 16
	}
	return Note{Kind: Conflicted, Operation: operation, Value: value}
}

// ScopeNote is Failed or Restored of a cluster, a sector or the whole.
func ScopeNote(kind NoteKind, scope breaker.Scope, index int32) Note {
	return Note{Kind: kind, Operation: index, Value: int32(scope)}
}
