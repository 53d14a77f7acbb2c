package impedance

import (
	"errors"
	"fmt"
)

// Authority is who says what an agent's operational state is. The zero value is
// nobody, who may say nothing.
type Authority uint8

// Who may say what (see Permitted).
const (
	ByAgent    Authority = iota + 1 // the agent, by its heartbeat
	ByLead                          // the lead of its cell, or a conductor above: silence, a wrong context, contradictions
	ByOperator                      // a person
)

// ErrAuthority says that whoever set a state may not.
var ErrAuthority = errors.New("not allowed to set this operational state")

// Permitted says whether an operational state may be set:
//
//   - An agent says Active or Degraded of itself, also when it comes back from
//     Offline. It never gets itself out of quarantine.
//   - Its lead says Degraded or Offline of one that works, until the agent speaks
//     again, and Quarantined of any.
//   - An operator quarantines, and alone releases. Who is released is Offline
//     until its next heartbeat: a person can say that an agent has been looked at,
//     not that it works.
func Permitted(by Authority, from, to Operation) error {
	if !permitted(by, from, to) {
		return fmt.Errorf("%w: from %v to %v", ErrAuthority, from, to)
	}
	return nil
}

func permitted(by Authority, from, to Operation) bool {
	switch {
	case from > Quarantined || to > Quarantined:
		return false
	case by == ByAgent:
		return from != Quarantined && (to == Active || to == Degraded)
	case by == ByLead:
		return to == Quarantined || (from != Quarantined && (to == Offline || (to == Degraded && from != Offline)))
	case by == ByOperator:
		return to == Quarantined || (from == Quarantined && to == Offline)
	}
	return false
}
