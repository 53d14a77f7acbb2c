package conflict

// Provenance says where a value comes from, as far as it can be shown.
type Provenance struct {
	// Restrictive ranks orders to a machine, 1 to 255, the higher the more
	// restrictive (see mesh.Restrictiveness); 0 for facts, which are no orders.
	Restrictive uint8
	// Verified: a signature, or a hash from a trusted place, was checked.
	Verified bool
	// Origin is the agent that measured or made the value.
	Origin uint32
	// Version counts the origin's values of this fact, from 1; 0: not known.
	Version uint64
	// Witnesses is how many agents measured the same by themselves, the origin not
	// counted. Agents that only repeat what they heard are no witnesses.
	Witnesses uint16
	// Hops is how often the value was passed on: 0 from the origin itself.
	Hops uint8
}

// Trace decides between two values of one fact by their provenance. The first
// difference decides:
//
//  1. of two orders the more restrictive stands, whoever signed the other: a
//     contradiction must never make a machine move;
//  2. a verified value against one that is not;
//  3. of one origin, the newer version;
//  4. more witnesses;
//  5. fewer hops.
//
// Values that are alike in all of it are Undecided. The relation is for a pair:
// it is antisymmetric, and not transitive, because versions of different origins
// cannot be compared.
func Trace(expected, received Provenance) Resolution {
	e, r := &expected, &received
	switch {
	case e.Restrictive != r.Restrictive:
		return prefer(e.Restrictive > r.Restrictive, "of two orders the more restrictive stands")
	case e.Verified != r.Verified:
		return prefer(e.Verified, "it is verified and the other is not")
	case e.Origin == r.Origin && e.Version != 0 && r.Version != 0 && e.Version != r.Version:
		return prefer(e.Version > r.Version, "it is the newer word of the same origin")
	case e.Witnesses != r.Witnesses:
		return prefer(e.Witnesses > r.Witnesses, "more agents have measured the same")
	case e.Hops != r.Hops:
		return prefer(e.Hops < r.Hops, "it came a shorter way from its origin")
	}
	return Resolution{Why: "both values are equally well founded"}
}

func prefer(expected bool, why string) Resolution {
	if expected {
		return Resolution{KeepExpected, why}
	}
	return Resolution{KeepReceived, why}
}

// Hop is one agent that had a value in its hands, with a digest of what it
// passed on.
type Hop struct {
	Agent uint32
	Value uint64
}

// Diverged finds where two values of one fact part. Each trail begins with the
// origin. ok is false when the trails do not differ, or one of them is empty.
//
// If both begin with the same agent saying the same, the value was altered
// underway: at is the first hop that passed on something else than it got, agent
// is who did it, and altered says on which trail. Otherwise the origins differ:
// at is 0 and agent is the received trail's origin.
func Diverged(expected, received []Hop) (at int, agent uint32, altered Outcome, ok bool) {
	if len(expected) == 0 || len(received) == 0 {
		return 0, 0, Undecided, false
	}
	if expected[0] != received[0] {
		return 0, received[0].Agent, Undecided, true
	}
	said := expected[0].Value
	if at, ok := changed(received, said); ok {
		return at, received[at].Agent, KeepExpected, true
	}
	if at, ok := changed(expected, said); ok {
		return at, expected[at].Agent, KeepReceived, true
	}
	return 0, 0, Undecided, false
}

func changed(trail []Hop, said uint64) (int, bool) {
	for i, hop := range trail {
		if hop.Value != said {
			return i, true
		}
	}
	return 0, false
}
