package mesh

// Trinary is the state of one agent with respect to one coordinated event. The
// zero value is Transit: nothing is known yet.
type Trinary int8

// The states. An agent is in Transit from the moment a message is sent to it; it
// becomes Ready when it reports that the message is processed and it can act, and
// Conflict when it reports that it cannot integrate the message. Conflict is
// information, not failure. Silence stays Transit.
const (
	Conflict Trinary = -1
	Transit  Trinary = 0
	Ready    Trinary = 1
)

// String names the state as it appears in messages.
func (t Trinary) String() string {
	switch t {
	case Conflict:
		return "conflict"
	case Transit:
		return "transit"
	case Ready:
		return "ready"
	}
	return "invalid"
}
