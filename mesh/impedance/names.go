package impedance

import (
	"errors"
	"fmt"
)

// ErrFull says that a table has no room for another name or agent. Make it larger.
var ErrFull = errors.New("table is full")

// Names gives every name a number, dense from 0, in the order in which they
// come. Messages carry names; inside, agents, cells, regions and capabilities are
// numbers. It is not safe for use by several goroutines.
type Names struct {
	number map[string]uint32
	name   []string
	limit  int
}

// NewNames makes an empty table for at most limit names.
func NewNames(limit int) *Names { return &Names{number: map[string]uint32{}, limit: limit} }

// Intern gives the number of a name, a new one when the name is new. ErrFull
// when there are too many.
func (n *Names) Intern(name string) (uint32, error) {
	if number, known := n.number[name]; known {
		return number, nil
	}
	if len(n.name) >= n.limit {
		return 0, fmt.Errorf("%w: no number for %q, %d names is the limit", ErrFull, name, n.limit)
	}
	number := uint32(len(n.name))
	n.number[name] = number
	n.name = append(n.name, name)
	return number, nil
}

// Number is the number of a name that has one.
func (n *Names) Number(name string) (number uint32, known bool) {
	number, known = n.number[name]
	return number, known
}

// Name is the name that has a number; empty when none has it.
func (n *Names) Name(number uint32) string {
	if uint64(number) >= uint64(len(n.name)) {
		return ""
	}
	return n.name[number]
}

// Len is the number of names.
func (n *Names) Len() int { return len(n.name) }

// Capabilities interns a list of capabilities. ErrFull when one has no number
// below MaxCapabilityKinds, which the table's limit should say.
func (n *Names) Capabilities(list []string) (Capabilities, error) {
	var set Capabilities
	for _, name := range list {
		number, err := n.Intern(name)
		if err != nil {
			return 0, err
		}
		if number >= MaxCapabilityKinds {
			return 0, fmt.Errorf("%w: capability %q would be the %dth, %d is the limit", ErrFull, name, number+1, MaxCapabilityKinds)
		}
		set |= SetOf(Capability(number))
	}
	return set, nil
}
