package coordination

import (
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// Kind says what a message is. The zero value is invalid.
type Kind uint8

// The kinds. All but Confirm have the numbers of mesh/packet.Kind.
const (
	Heartbeat  Kind = 1 // up: how a member is, and its promise to follow
	Coordinate Kind = 2 // down: be READY at T, and act then
	Ack        Kind = 3 // both ways: what became of the message of kind Of
	Circuit    Kind = 4 // down: what a breaker did
	Freeze     Kind = 5 // down, or up to a coordinator that does not know yet
	Thaw       Kind = 6 // the same
	Cancel     Kind = 7 // down: a command is called back
	Probe      Kind = 8 // down: is what was cut off well again?
	Confirm    Kind = 9 // down: a command that needs it may be acted on
)

// String gives the name that the protocol's pages use.
func (k Kind) String() string {
	names := [...]string{"INVALID", "HEARTBEAT", "COORDINATE", "ACK", "CIRCUIT", "FREEZE", "THAW", "CANCEL", "PROBE", "CONFIRM"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// Flags of a message.
type Flags uint8

// The flags.
const (
	FlagUp       Flags = 1 << iota // from a member to the coordinator of its seat
	FlagLeading                    // Ack of a Heartbeat: the sender holds the seat, by a majority of its members
	FlagConfirm                    // Coordinate: act only after a Confirm
	FlagChained                    // Coordinate: only who was READY in the phase before takes part
	FlagSummary                    // Ack of a Coordinate: Numbers are counts of what is below
	FlagIdle                       // Coordinate: nothing to act on, to process it once is all; T is when that is of no use any more
	FlagDegraded                   // Heartbeat: the sender works with a fault
	FlagFollows                    // Heartbeat: the sender follows the coordinator of Term, and has what that sent it; Ack of a Heartbeat: it does not lead, and follows who does in Term
)

// Reason says why an Ack is not READY.
type Reason uint8

// The reasons. All but the conflicts leave the member in TRANSIT.
const (
	ReasonNone        Reason = iota
	ReasonBusy               // no place for another command
	ReasonTooLate            // T is longer ago than is allowed
	ReasonTooFar             // T is farther ahead than is allowed
	ReasonFrozen             // its scope is frozen
	ReasonNoClock            // its clock is not measured, or too uncertain
	ReasonFenced             // the sender does not hold the seat, as far as the receiver knows
	ReasonMode               // the mode of the mesh forbids it
	ReasonCancelled          // it was cancelled before
	ReasonNotLeading         // a coordinator that has no majority of its members passes nothing on
	ReasonUnknown            // no such command
	ReasonCapability         // CONFLICT: cannot do what is required
	ReasonContradicts        // CONFLICT: the command is known with another T
	ReasonIntegration        // CONFLICT: its result contradicts its context
	reasons
)

// String says the reason in words.
func (r Reason) String() string {
	words := [...]string{"none", "busy", "too late", "too far ahead", "frozen", "no clock", "fenced", "mode", "cancelled",
		"not leading", "unknown command", "capability mismatch", "known with another T", "does not integrate"}
	if int(r) < len(words) {
		return words[r]
	}
	return "invalid"
}

// Message is one message of the protocol, 112 bytes without a pointer. Nodes, seats
// and children are dense indices; names belong to the edge (ToPacket, FromPacket).
// Times are readings of the sender's clock unless said. What Numbers, Command and
// Value mean depends on the kind: see the constants below.
type Message struct {
	Kind    Kind
	Of      Kind         // Ack: the kind that it answers
	State   mesh.Trinary // Ack of a Coordinate
	Flags   Flags
	Reason  Reason
	Tier    quorum.Tier   // Coordinate: who is asked
	Scope   breaker.Scope // Circuit, Freeze, Thaw
	Phase   uint8         // Coordinate and what answers it; Circuit: the action (breaker.State)
	Classes uint8         // Coordinate: bit c selects agents of class c; 0 all

	From, To uint32 // nodes
	Seat     uint32 // whose coordinator and member these are
	Term     uint32 // of the seat, as the sender knows it; from 1
	Epoch    uint32 // raised by each start of the sender
	Child    uint32 // the member's number within the seat

	Command uint64 // see NewCommand; Heartbeat and its Ack: the highest freeze sequence known
	Value   uint64 // Coordinate: capabilities required, one bit each; Ack: digest of the answer; Heartbeat: digest of the context; Freeze, Thaw: sequence

	At       time.Duration // when it was sent
	Sent     time.Duration // echo: At of the peer's message, by the peer's clock
	Received time.Duration // echo: when that came, by the sender's clock; 0: nothing to echo
	Target   time.Duration // Coordinate, Confirm and their Acks: T, by the clock of the coordinator

	Numbers [6]uint32
}

// Numbers of a Heartbeat. The first three are an agent's or a coordinator's.
const (
	NumberProcessing = 0 // agent: us, of a payload of weight 1
	NumberQueue      = 1 // agent: operations that wait
	NumberNeed       = 0 // coordinator: us before T that it needs for all that is below it
	NumberFailures   = 1 // coordinator: failures below since its start
	NumberActive     = 2 // coordinator: agents that are active below
	NumberTerm       = 3 // coordinator: term of the seat that it holds
	NumberGrant      = 4 // ms, from when the echoed message came, for which the member promises nothing to another
	NumberPeerEpoch  = 5 // of whose message is echoed; also of the Ack of a Coordinate
)

// Numbers of the Ack of a Heartbeat.
const (
	NumberMode  = 0 // breaker.Mode that holds for the member
	NumberEpoch = 1 // of the member, as its heartbeat gave it
	NumberSeen  = 2 // the highest term of the seat that the sender has heard of
)

// Numbers of a Coordinate.
const (
	NumberMargin  = 0 // us before T by which all are to be READY
	NumberWeight  = 1 // of the payload, thousandths
	NumberWindow  = 2 // ms until what comes is of no use any more
	NumberBound   = 3 // us by which T may be wrong by the clocks of the tiers above
	NumberUrgency = 4 // priority, 0 to 3; above 8 bits the mesh/packet.Verb
	NumberRules   = 5 // breaker.Mode that holds
)

// Numbers of the Ack of a Coordinate by an agent. With FlagSummary the first four
// are quorum.Counts: Total, Ready, Conflict, Absent.
const (
	NumberQueued   = 0 // us from arrival until it was served
	NumberServed   = 1 // us that it was processed
	NumberDepth    = 2 // operations that wait now
	NumberConflict = 3 // conflict.Type and, above 8 bits, the depth of a divergence
	NumberAffected = 4 // agents that rely on it, as far as the agent knows
)

// phaseRequest is the phase of a single request, of which a copy is sent again at most
// where that does no harm (Request.Idempotent).
const phaseRequest = maxPhases

const (
	maxPriority      = 3
	commandNodeBits  = 24
	commandNumberMax = 1<<(64-commandNodeBits) - 1
)

// NewCommand makes the number of a command: its origin, and a number that the
// origin never uses twice, also not after a restart (see CoordinatorConfig.First).
func NewCommand(origin uint32, number uint64) uint64 {
	return uint64(origin)<<(64-commandNodeBits) | number&commandNumberMax
}

// Origin is the node that made a command.
func Origin(command uint64) uint32 { return uint32(command >> (64 - commandNodeBits)) }

// micros is a span as messages carry it: whole microseconds, at most 71 minutes.
func micros(d time.Duration) uint32 {
	return uint32(min(max(d, 0), (1<<32-1)*time.Microsecond) / time.Microsecond)
}

func span(us uint32) time.Duration { return time.Duration(us) * time.Microsecond }

func countsOf(m *Message) quorum.Counts {
	return quorum.Counts{Total: int32(m.Numbers[0]), Ready: int32(m.Numbers[1]), Conflict: int32(m.Numbers[2]), Absent: int32(m.Numbers[3])}
}

func (m *Message) setCounts(c quorum.Counts) {
	m.Numbers[0], m.Numbers[1], m.Numbers[2], m.Numbers[3] = uint32(c.Total), uint32(c.Ready), uint32(c.Conflict), uint32(c.Absent)
}
