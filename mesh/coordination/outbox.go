package coordination

import (
	"time"

	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/quorum"
)

// EffectKind says what the caller is to do, or what happened. The zero value is
// invalid.
type EffectKind uint8

// The effects of an agent.
const (
	Process     EffectKind = iota + 1 // begin with Command, of Weight; say Agent.Processed when done
	Act                               // act on Command now: T has come. Late is how long ago
	Dropped                           // Command will not be acted on: Reason
	ModeChanged                       // Mode holds for this agent, or for what is below this coordinator
	Froze                             // the scope of this agent is frozen: it will not act. With a Seat: its coordinator on this node asks nobody
	Thawed                            // it may act again on what comes from now on
	TermChanged                       // a promise is made in Term of Seat: store it before the messages of this outbox leave; the next start needs it (Place.Term)
	Stand                             // members ask this node to coordinate Seat: make a Coordinator with Term, and give it what comes
)

// The effects of a coordinator, beside some of those above.
const (
	LeadingChanged EffectKind = iota + 32 // Leading says whether it holds the seat
	PhaseOpened                           // Phase of Command is being asked
	PhaseClosed                           // its Verdict
	Committed                             // every phase has its quorum
	Degraded                              // a phase that may miss its quorum did, the whole has its own
	Failed                                // no quorum: what was sent is cancelled. Advice is for another attempt
	Cancelled                             // by Cancel
	BreakerChanged                        // Breaker says which, and what it is now
	Found                                 // Finding: a failure that was detected
	Conflicting                           // Conflict: what was reported; Reporter is the child
	Answered                              // Reporter answered the request Command; Value is the digest of its answer
	Unanswered                            // nobody answered the request Command in time, or Reporter would not take it: Reason
	Skipped                               // Reporter gets no copy of Command: Skip says why, Advice how long it needs, At how long there was
	CircuitHeard                          // the parent tells what its breaker for this coordinator did
)

// Effect is one thing to do or to know. Fields that the kind does not name are zero.
type Effect struct {
	Kind     EffectKind
	Leading  bool
	Reason   Reason
	Skip     arrival.Reason
	Phase    uint8
	Mode     breaker.Mode
	Term     uint32
	Seat     uint32
	Reporter uint32 // child
	Weight   uint32 // thousandths
	Command  uint64
	Value    uint64
	At       time.Duration // Act: T by the clock of the coordinator
	Late     time.Duration
	Bound    time.Duration // Act: by how much the corrected clocks, from the root down, can be wrong
	Verdict  quorum.Verdict
	Advice   time.Duration // Failed: window of another attempt; Skipped: the lead that is needed
	Breaker  breaker.Event
	Finding  breaker.Finding
	Conflict conflict.Report // Conflicting
	Log      bool            // Conflicting: write a record, see conflict.Effect
	Escalate conflict.Tiers  // Conflicting: who must be told now
}

// Outbox takes what a core has to say. Its slices are the caller's: it empties them
// with Reset and they keep their room, so that nothing is allocated once they have
// been as long as they get.
type Outbox struct {
	Messages []Message
	Effects  []Effect
}

// Reset empties the box.
func (o *Outbox) Reset() { o.Messages, o.Effects = o.Messages[:0], o.Effects[:0] }

// next gives room for one more message, empty.
func (o *Outbox) next() *Message {
	o.Messages = append(o.Messages, Message{})
	return &o.Messages[len(o.Messages)-1]
}

func (o *Outbox) say(kind EffectKind) *Effect {
	o.Effects = append(o.Effects, Effect{Kind: kind})
	return &o.Effects[len(o.Effects)-1]
}
