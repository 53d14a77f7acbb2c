package conflict

import "crypto/sha256"

// Capable is an agent as the map of capabilities has it.
type Capable struct {
	Agent        uint32
	Capabilities uint64 // one bit each; the edge maps names to bits
	Score        uint16 // impedance, 0 to 1000, the less the better
}

// Rerouted is what becomes of a task that its agent cannot do.
type Rerouted struct {
	Found  bool
	To     uint32 // the agent to ask, if Found
	Remove uint64 // capabilities to take from the refusing agent in the map: it does not have them
}

// Reroute corrects the map and finds another agent. required are the capabilities
// that the task needs, has are those that the refusing agent says it has. Of
// several agents with all of required the one with the lowest score is taken, and
// of equal ones the lowest index; never the one that refused. It does not
// allocate.
func Reroute(refused uint32, required, has uint64, agents []Capable) Rerouted {
	r := Rerouted{Remove: required &^ has}
	best := Capable{}
	for _, a := range agents {
		if a.Agent == refused || a.Capabilities&required != required {
			continue
		}
		if !r.Found || a.Score < best.Score || a.Score == best.Score && a.Agent < best.Agent {
			r.Found, r.To, best = true, a.Agent, a
		}
	}
	return r
}

// Copy is one source's content.
type Copy struct {
	Source uint32
	Data   []byte
}

// Reread finds the first copy, in the order of trust that the caller gives, whose
// SHA-256 is the expected one. good is -1 where none proves good; bad is how many
// were read before it and do not match, each of which is a finding of its own.
func Reread(expected [sha256.Size]byte, copies []Copy) (good, bad int) {
	for i, c := range copies {
		if sha256.Sum256(c.Data) == expected {
			return i, bad
		}
		bad++
	}
	return -1, bad
}
