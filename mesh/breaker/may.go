package breaker

// Kind is what an operation is. The zero value is none and is refused.
type Kind uint8

// The kinds.
const (
	NoKind     Kind = iota
	Safety          // stop, freeze, escalation, alarm: no mode restricts it
	Telemetry       // heartbeats, summaries, conflict records: without them nobody knows the mode
	Recovery        // probes, replacements, reloads: without them no mode ever rises
	Background      // what nobody waits for
	Direct          // to one agent or a few, each by name
	Scatter         // one sender to many
	Cascade         // through the hierarchy
	kinds
)

// String names the kind.
func (k Kind) String() string {
	if k >= kinds {
		return "invalid"
	}
	return [...]string{"none", "safety", "telemetry", "recovery", "background", "direct", "scatter", "cascade"}[k]
}

// Priority of an operation, as in mesh-30k 2.4.
const (
	PriorityBackground = 0
	PriorityNormal     = 1
	PriorityUrgent     = 2
	PriorityCritical   = 3
)

// Operation is what somebody wants to do.
type Operation struct {
	Kind     Kind
	Priority uint8 // 0 to 3
	Size     int32 // agents addressed, at least 0
	Members  int32 // agents of the mesh
	Ailing   bool  // it goes to a sector whose breaker is not closed
	Operator bool  // a person asked for it, now
	Approved bool  // a person has approved this very operation
}

// meshWide says whether it addresses more than one half of the mesh.
func (o Operation) meshWide() bool { return int64(o.Size)*2 > int64(o.Members) }

// valid says whether the operation makes sense. A stop always does.
func (o Operation) valid() bool {
	return o.Kind == Safety || o.Kind > NoKind && o.Kind < kinds && o.Priority <= PriorityCritical && o.Size >= 0 && o.Members >= 0
}

// Permission is the answer. A higher one is more restrictive; the zero value is
// refused.
type Permission uint8

// The permissions.
const (
	Refused       Permission = iota // not now, and not later by itself
	NeedsApproval                   // a person has to approve this operation
	Queued                          // later: when the mode allows it, and unless its TTL runs out
	Allowed
)

// String names the permission.
func (p Permission) String() string {
	switch p {
	case Refused:
		return "refused"
	case NeedsApproval:
		return "needs-approval"
	case Queued:
		return "queued"
	case Allowed:
		return "allowed"
	}
	return "invalid"
}

// Why is the reason of a permission.
type Why uint8

// The reasons.
const (
	Unrestricted Why = iota
	Malformed        // no kind, a priority over 3, a negative size
	Essential        // of a kind that no mode restricts
	ByApproval
	NoBackground // DEGRADED_LIGHT and worse: background tasks wait for better times
	AilingSector // DEGRADED_MODERATE and worse: healthy sectors only
	LargeScatter // DEGRADED_MODERATE and worse: no scatter over 1,000 agents
	NotUrgent    // DEGRADED_MODERATE: what is not urgent waits
	NotCritical  // DEGRADED_SEVERE: critical operations only
	MeshWide     // DEGRADED_SEVERE: a person approves what addresses more than half of the mesh
	Halted       // EMERGENCY: nothing automatic; what a person asks for takes an approval
	Frozen       // the scope is frozen
	Cut          // behind an open breaker
)

// String gives the reason in words.
func (w Why) String() string {
	return [...]string{
		"nothing restricts it", "malformed operation", "essential in every mode", "approved by a person",
		"no background tasks while degraded", "healthy sectors only", "no scatter over 1,000 agents",
		"what is not urgent waits", "critical operations only", "mesh-wide operations need approval",
		"automated operations are halted", "its scope is frozen", "behind an open circuit breaker",
	}[min(w, Cut)]
}

// MaxScatter is how many agents a scatter may address from DEGRADED_MODERATE on.
const MaxScatter = 1000

// Ruling is a permission with its reason.
type Ruling struct {
	Permission Permission
	Why        Why
}

// restriction is one row of the table below.
type restriction struct {
	from, to Mode // it holds in these modes and all between
	applies  func(Operation) bool
	ruling   Ruling
}

// restrictions of the modes; the first that applies decides, so the hardest come
// first. What a lighter mode forbids, a harder one does too: the specification's
// lists leave that open.
var restrictions = [...]restriction{
	{Emergency, Emergency, func(o Operation) bool { return !o.Operator }, Ruling{Refused, Halted}},
	{Emergency, DegradedModerate, func(o Operation) bool { return o.Kind == Scatter && o.Size > MaxScatter }, Ruling{Refused, LargeScatter}},
	{Emergency, DegradedModerate, func(o Operation) bool { return o.Ailing }, Ruling{Refused, AilingSector}},
	{Emergency, DegradedLight, func(o Operation) bool { return o.Kind == Background || o.Priority == PriorityBackground }, Ruling{Refused, NoBackground}},
	{Emergency, DegradedSevere, func(o Operation) bool { return o.Priority < PriorityCritical }, Ruling{Refused, NotCritical}},
	{Emergency, Emergency, func(o Operation) bool { return !o.Approved }, Ruling{NeedsApproval, Halted}},
	{DegradedSevere, DegradedSevere, func(o Operation) bool { return !o.Approved && o.meshWide() }, Ruling{NeedsApproval, MeshWide}},
	{DegradedModerate, DegradedModerate, func(o Operation) bool { return o.Priority < PriorityUrgent }, Ruling{Queued, NotUrgent}},
}

// May says whether an operation may run in this mode. Everything that acts asks.
func (m Mode) May(o Operation) Ruling {
	switch {
	case !o.valid():
		return Ruling{Refused, Malformed}
	case o.Kind == Safety || o.Kind == Telemetry || o.Kind == Recovery:
		return Ruling{Allowed, Essential}
	}
	for i := range restrictions {
		if r := &restrictions[i]; r.from <= m && m <= r.to && r.applies(o) {
			return r.ruling
		}
	}
	if o.Approved && m <= DegradedSevere {
		return Ruling{Allowed, ByApproval}
	}
	return Ruling{Allowed, Unrestricted}
}
