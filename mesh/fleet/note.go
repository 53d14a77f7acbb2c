package fleet

import (
	"dancer/mesh/breaker"
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
	// Skipped: an agent is not sent to, for want of lead, of a route, of a measurement.
	Skipped
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
	noteKinds
)

// BreakerNote says that a breaker is in a state from now on.
func BreakerNote(scope breaker.Scope, index int32, state breaker.State) Note {
	return Note{Kind: BreakerIs, Operation: index, Value: int32(scope)<<8 | int32(state)}
}

// ScopeNote is Failed or Restored of a cluster, a sector or the whole.
func ScopeNote(kind NoteKind, scope breaker.Scope, index int32) Note {
	return Note{Kind: kind, Operation: index, Value: int32(scope)}
}
