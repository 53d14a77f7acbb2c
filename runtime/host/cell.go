package host

import (
	"time"

	"dancer/mesh/arrival"
	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// CellTiming is how long things take in a cell whose members' clocks may run free:
// two crystals are off by 50 parts per million each, and a little more when cold.
func CellTiming() coordination.Timing {
	return coordination.Timing{MaxDrift: 150}.WithDefaults()
}

// Member says what a member of a cell is.
type Member struct {
	Timing       coordination.Timing
	Class        impedance.Class
	Capabilities uint64
	Context      uint64 // digest of its manual
	// Tune changes what the coordinator is made from, before it is; default: nothing.
	Tune func(*coordination.CoordinatorConfig)
}

// cold is the lead of a member that is hardly measured: in one cell, robots answer
// within half a second, and a command that is given a second ahead reaches all.
const cold = 600 * time.Millisecond

// Cell makes members of a cell: all names of the book are members of one seat, any of
// them may hold it, in the order of their names. The membership is as it was written
// down and never follows from who is there: so a part of a cell that is cut off knows
// that it is a part.
func Cell(book *coordination.Book, self uint32, is Member) func(Boot) (*coordination.Node, error) {
	seat := &coordination.Seat{ID: book.Digest()}
	var children []coordination.Child
	for node := range uint32(book.Len()) {
		seat.Line = append(seat.Line, node)
		children = append(children, coordination.Child{Node: node, Class: is.Class, Capabilities: is.Capabilities})
	}
	return func(b Boot) (*coordination.Node, error) {
		agents, err := coordination.NewAgentConfig(coordination.AgentConfig{Timing: is.Timing, Random: b.Random})
		if err != nil {
			return nil, err
		}
		place := coordination.Place{Seat: seat, Node: self, Child: self, Epoch: b.Start, Term: b.State.Term(seat.ID), Quiet: b.Quiet}
		described := coordination.Described{Class: is.Class, Capabilities: is.Capabilities, Context: is.Context}
		node := &coordination.Node{}
		if node.Agent, err = coordination.NewAgent(b.Now, agents, place, described); err != nil {
			return nil, err
		}
		config := coordination.CoordinatorConfig{Timing: is.Timing, Random: b.Random, Seat: seat, Node: self, Epoch: b.Start, Term: place.Term,
			First: b.First, Children: children, Tier: quorum.TierAgent, Requests: 16, Estimator: arrival.NewAdaptive(len(children), cold)}
		if is.Tune != nil {
			is.Tune(&config)
		}
		lead, err := coordination.NewCoordinator(b.Now, config)
		if err != nil {
			return nil, err
		}
		node.Coordinators = []*coordination.Coordinator{lead}
		return node, nil
	}
}

// patience bounds a wait for the goroutine that owns a node.
const patience = 5 * time.Second
