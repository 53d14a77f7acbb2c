package conflict

import (
	"fmt"
	"time"
)

// Type of a conflict. Values are written to disk by name. The zero value is
// invalid.
type Type uint8

// The types of the specification, part 5.1.
const (
	// ContextDivergence: two agents have world models that do not fit together.
	ContextDivergence Type = iota + 1
	// DataContradiction: the same fact with different values.
	DataContradiction
	// TemporalParadox: an effect before its cause.
	TemporalParadox
	// CapabilityMismatch: an agent was asked for something that it cannot do.
	CapabilityMismatch
	// HashMismatch: content that is not what its hash says.
	HashMismatch
)

var typeNames = [...]string{
	ContextDivergence: "CONTEXT_DIVERGENCE", DataContradiction: "DATA_CONTRADICTION", TemporalParadox: "TEMPORAL_PARADOX",
	CapabilityMismatch: "CAPABILITY_MISMATCH", HashMismatch: "HASH_MISMATCH",
}

// Types lists every type.
func Types() []Type {
	return []Type{ContextDivergence, DataContradiction, TemporalParadox, CapabilityMismatch, HashMismatch}
}

// Valid says whether this version knows the type.
func (t Type) Valid() bool { return t >= ContextDivergence && t <= HashMismatch }

// String names the type as it stands in messages and records.
func (t Type) String() string {
	if !t.Valid() {
		return "INVALID"
	}
	return typeNames[t]
}

// ParseType is the reverse of String.
func ParseType(name string) (Type, error) {
	for t := range typeNames {
		if Type(t).Valid() && typeNames[t] == name {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("%w: no type of conflict is called %q: one of %v", ErrInvalid, clip(name, 40), Types())
}

// MarshalText gives the name.
func (t Type) MarshalText() ([]byte, error) {
	if !t.Valid() {
		return nil, fmt.Errorf("%w: type %d", ErrInvalid, t)
	}
	return []byte(t.String()), nil
}

// UnmarshalText takes the name.
func (t *Type) UnmarshalText(text []byte) (err error) {
	*t, err = ParseType(string(text))
	return err
}

// Priority of a conflict, 0 to 4, the higher the more urgent.
type Priority uint8

// The priorities. High is told to the sector, Critical to the orchestrator too.
const (
	Background Priority = iota // when convenient: without a deadline
	Low                        // within the hour
	Medium                     // within 10 minutes
	High                       // within a minute
	Critical                   // at once
)

var priorityNames = [...]string{"background", "low", "medium", "high", "critical"}

// Valid says whether p is one of the five.
func (p Priority) Valid() bool { return p <= Critical }

// String names the priority.
func (p Priority) String() string {
	if !p.Valid() {
		return "invalid"
	}
	return priorityNames[p]
}

// NoDeadline is the due time of what may wait for ever.
const NoDeadline = time.Duration(1<<63 - 1)

// Deadline is how long after its first report a conflict may stay open:
// NoDeadline, 1 h, 10 min, 1 min, 0. When it runs out the priority rises by one,
// so that what nobody resolves is told to the sector and then to the
// orchestrator after at most 71 minutes. (The specification gives deadlines and
// says nothing of what follows when they pass; one that nothing follows is none.)
func (p Priority) Deadline() time.Duration {
	switch p {
	case Background:
		return NoDeadline
	case Low:
		return time.Hour
	case Medium:
		return 10 * time.Minute
	case High:
		return time.Minute
	}
	return 0
}

// Thresholds of Classify: the priority is High above them.
const (
	DeepDivergence = 10  // versions of a context since the last common one
	WidelyAffected = 100 // agents that rely on a fact
)

// Detail is what the priority of a conflict follows from.
type Detail struct {
	Type     Type
	Depth    int // CONTEXT_DIVERGENCE: versions since the last common one, on the longer side (see Converge)
	Affected int // DATA_CONTRADICTION: agents that rely on the fact, as far as the reporter knows
}

// Classify gives the priority of a conflict, by the specification's table. A
// type of a later version is Medium.
func Classify(d Detail) Priority {
	switch d.Type {
	case ContextDivergence:
		if d.Depth > DeepDivergence {
			return High
		}
		return Medium
	case DataContradiction:
		if d.Affected > WidelyAffected {
			return High
		}
		return Medium
	case TemporalParadox, HashMismatch:
		return Critical
	case CapabilityMismatch:
		return Low
	}
	return Medium
}

// Tiers is a set of tiers above an agent's own cluster.
type Tiers uint8

// The tiers that are told.
const (
	ToSector       Tiers = 1 << iota // the conductor of the cell
	ToOrchestrator                   // the operator
)

// Names lists the tiers of the set.
func (t Tiers) Names() (names []string) {
	if t&ToSector != 0 {
		names = append(names, "sector")
	}
	if t&ToOrchestrator != 0 {
		names = append(names, "orchestrator")
	}
	return names
}

// Tells gives the tiers that must know of a conflict of priority p.
func (p Priority) Tells() Tiers {
	switch {
	case p >= Critical:
		return ToSector | ToOrchestrator
	case p == High:
		return ToSector
	}
	return 0
}
