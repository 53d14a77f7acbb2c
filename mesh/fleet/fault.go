package fleet

import (
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// Fault is one thing that goes wrong for a time, somewhere. Its text is one line
// (String, ParseFault).
type Fault struct {
	From time.Duration // since the start of the run
	For  time.Duration // 0: to the end of the run
	Kind FaultKind
	Lie  Lie // Byzantine
	At   Place
	// Share of the messages (Loss, Duplicate, Reorder, Corrupt), to and from the place.
	Share quorum.Share
	// Factor (Slow, 2 to 1000) by which delays and work take longer.
	Factor int32
	// Every (Flap) is how long a link is cut, and then how long it is not.
	Every time.Duration
	// Step (Clock) is by how much the clock is set; setting it back ends nothing: the
	// end of the fault does not undo it.
	Step time.Duration
}

// FaultKind is what goes wrong. The zero value is nothing.
type FaultKind uint8

// The kinds of faults.
const (
	NoFault   FaultKind = iota
	Crash               // the nodes of the place are dead; they start anew, without memory, when it ends
	Partition           // nothing passes between the place and the rest
	Flap                // the same, on and off by Every
	Byzantine           // the nodes of the place lie, see Lie
	Loss                // messages vanish
	Duplicate           // messages come twice
	Reorder             // messages are late by so much that others overtake them
	Corrupt             // messages are damaged on their way; their MAC says so, and they are dropped
	Slow                // everything takes Factor times as long
	Clock               // the clocks of the place are set by Step
	faultKinds
)

var faultNames = [faultKinds]string{"nothing", "crash", "partition", "flap", "byzantine", "loss", "duplicate", "reorder", "corrupt", "slow", "clock"}

// String is the word that the text has for it.
func (k FaultKind) String() string {
	if k < faultKinds {
		return faultNames[k]
	}
	return faultNames[NoFault]
}

// Lie is what a byzantine node does. The zero value is the truth.
type Lie uint8

// The lies.
const (
	Truth       Lie = iota
	WrongAnswer     // says another state or value than the one it has
	WrongTime       // says other arrival times than the ones it saw
	Flood           // sends everything FloodCopies times
	lies
)

// FloodCopies is how often a flooding node sends each message: twice the ten times
// of its normal rate at which receivers stop listening.
const FloodCopies = 20

var lieNames = [lies]string{"truth", "answer", "time", "flood"}

// String is the word that the text has for it.
func (l Lie) String() string {
	if l < lies {
		return lieNames[l]
	}
	return lieNames[Truth]
}

// Place is where a fault is.
type Place struct {
	Kind  PlaceKind
	Index int32 // of the sector, cluster or agent; or the class (impedance.Class)
}

// PlaceKind is what kind of place. The zero value is none.
type PlaceKind uint8

// The kinds of places.
const (
	Nowhere        PlaceKind = iota
	Everywhere               // all nodes
	AtOrchestrator           // that node alone
	InSector                 // its coordinator and all below it
	AtCoordinator            // the coordinator of that sector alone
	InCluster                // its lead and all below it
	AtLead                   // the lead of that cluster alone
	AtAgent                  // one agent
	InClass                  // all agents of a class
	placeKinds
)

var placeNames = [placeKinds]string{"nowhere", "all", "orchestrator", "sector", "coordinator", "cluster", "lead", "agent", "class"}

// region is a place as ranges of nodes, so that one message asks it with a few
// comparisons: at most one range in each tier.
type region struct {
	ranges [3][2]int32
	class  impedance.Class // ClassUnknown: all
}

func (r *region) has(n int32, class impedance.Class) bool {
	for _, span := range &r.ranges {
		if n >= span[0] && n < span[1] {
			return r.class == impedance.ClassUnknown || r.class == class
		}
	}
	return false
}

// region of a place; none of its nodes where the place is not there.
func (t *Topology) region(p Place) (r region, ok bool) {
	one := func(n int32) [2]int32 { return [2]int32{n, n + 1} }
	below := func(i int, n int32) {
		first, end := t.Children(n)
		r.ranges[i] = [2]int32{first, end}
	}
	switch p.Kind {
	case Everywhere:
		r.ranges[0] = [2]int32{0, t.Nodes()}
	case AtOrchestrator:
		r.ranges[0] = one(Orchestrator)
	case InSector, AtCoordinator:
		if p.Index < 0 || p.Index >= t.Sectors {
			return r, false
		}
		r.ranges[0] = one(t.Sector(p.Index))
		if p.Kind == InSector {
			below(1, t.Sector(p.Index))
			first, _ := t.Children(r.ranges[1][0])
			_, end := t.Children(r.ranges[1][1] - 1)
			r.ranges[2] = [2]int32{first, end}
		}
	case InCluster, AtLead:
		if p.Index < 0 || p.Index >= t.Clusters() {
			return r, false
		}
		r.ranges[0] = one(t.Cluster(p.Index))
		if p.Kind == InCluster {
			below(1, t.Cluster(p.Index))
		}
	case AtAgent:
		if p.Index < 0 || p.Index >= t.Agents() {
			return r, false
		}
		r.ranges[0] = one(t.Agent(p.Index))
	case InClass:
		if p.Index < int32(impedance.ClassEdge) || p.Index > int32(impedance.ClassHuman) {
			return r, false
		}
		r.ranges[0] = [2]int32{t.Agent(0), t.Nodes()}
		r.class = impedance.Class(p.Index)
	default:
		return r, false
	}
	return r, true
}
