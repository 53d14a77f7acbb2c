package arrival

import (
	"math"
	"time"
)

// Limits of T, as its receiver sees it when the message arrives.
type Limits struct {
	Future time.Duration // farthest T ahead; default 60 s. Farther is a wrong clock or a forgery
	Late   time.Duration // how long after T the command may still be acted on; 0: never late
}

// DefaultLimits are a minute ahead, and the arrival window of mesh-30k 3.2 late.
var DefaultLimits = Limits{Future: time.Minute, Late: 500 * time.Millisecond}

// ID identifies a command; every copy of a message carries the same.
type ID [16]byte

// Stage of a held command. The zero value is an empty place.
type Stage uint8

// The stages. Received becomes Ready by Processed, Ready becomes Acted by Due;
// any of the two becomes Cancelled, Frozen or Expired. None of the last four is
// ever left, but for being forgotten once a copy would be refused for its age.
const (
	Empty     Stage = iota
	Received        // arrived, not processed yet
	Ready           // processed; acts at T
	Acted           // has acted, once
	Cancelled       // by whoever sent it
	Frozen          // its scope was frozen before it acted; a thaw does not revive it
	Expired         // not READY until T and Limits.Late after it
)

// String names the stage as it appears in messages.
func (s Stage) String() string {
	names := [...]string{"empty", "received", "ready", "acted", "cancelled", "frozen", "expired"}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// Answer is what becomes of a message that arrives.
type Answer uint8

// The answers. Only Accepted changes what the agent will do.
const (
	Accepted      Answer = iota + 1
	Duplicate            // a copy of what is known; nothing changes
	Contradiction        // a known command with another T: the first stands, and this is a CONFLICT
	TooLate              // T is longer ago than Limits.Late
	TooFar               // T is farther ahead than Limits.Future
	FrozenScope          // the agent is frozen
	Full                 // no place left: the agent holds as many commands as it can
)

// String says the answer in words.
func (a Answer) String() string {
	words := [...]string{"invalid", "accepted", "duplicate", "known with another T", "T is too long ago", "T is too far ahead", "frozen", "no place for another command"}
	if int(a) < len(words) {
		return words[a]
	}
	return words[0]
}

// Hold is one held command, 32 bytes. Times are the agent's own corrected clock:
// its monotonic clock plus its offset, in the time that T is in.
type Hold struct {
	ID    ID
	At    time.Duration // T
	Stage Stage
}

// Holds are the commands of one agent: a fixed number of places, looked through
// one by one, nothing allocated. A place is taken again only when its T is longer
// ago than Limits.Late, and no command is accepted whose T is not after that of
// every command forgotten: so a copy never acts a second time, however late it
// comes and whichever way the clock was corrected meanwhile.
type Holds struct {
	Limits    Limits
	Refused   uint32 // messages that were not accepted, duplicates not among them
	places    []Hold
	forgot    bool
	forgotten time.Duration // the latest T of all commands forgotten, when forgot
	frozen    bool
	ready     bool // a place may be Ready; false: none is
}

// NewHolds makes room for that many commands at a time, at least one.
func NewHolds(places int, limits Limits) *Holds {
	return &Holds{Limits: limits, places: make([]Hold, max(places, 1))}
}

// Receive takes a message that arrived now and is to be acted on at. Late is how
// long after T it came, 0 when in time, whatever the answer.
func (h *Holds) Receive(now time.Duration, id ID, at time.Duration) (answer Answer, late time.Duration) {
	answer = h.judge(now, id, at)
	if answer != Accepted && answer != Duplicate {
		h.Refused++
	}
	return answer, since(at, now)
}

func (h *Holds) judge(now time.Duration, id ID, at time.Duration) Answer {
	if known := h.find(id); known != nil {
		if known.At != at {
			return Contradiction
		}
		return Duplicate
	}
	switch {
	case since(at, now) > h.Limits.Late, h.forgot && at <= h.forgotten:
		return TooLate
	case since(now, at) > h.Limits.Future:
		return TooFar
	case h.frozen:
		return FrozenScope
	}
	place := h.place(now)
	if place == nil {
		return Full
	}
	*place = Hold{ID: id, At: at, Stage: Received}
	return Accepted
}

// Processed makes a received command READY. It gives the stage that it has now,
// Empty when it is unknown, and how long after T it became READY.
func (h *Holds) Processed(now time.Duration, id ID) (stage Stage, late time.Duration) {
	hold := h.find(id)
	if hold == nil {
		return Empty, 0
	}
	if hold.Stage == Received {
		hold.Stage, h.ready = Ready, true
		h.expire(hold, now)
	}
	return hold.Stage, since(hold.At, now)
}

// Due gives one command that is READY and whose T has come, the earliest T first,
// and makes it Acted: the caller acts, now. Late is how long after T that is. Call
// it until it says false.
func (h *Holds) Due(now time.Duration) (id ID, late time.Duration, ok bool) {
	var due *Hold
	for i := range h.places {
		hold := &h.places[i]
		h.expire(hold, now)
		if hold.Stage == Ready && now >= hold.At && (due == nil || hold.At < due.At) {
			due = hold
		}
	}
	if due == nil || h.frozen {
		return ID{}, 0, false
	}
	due.Stage = Acted
	return due.ID, now - due.At, true
}

// Next is the earliest T of a command that is READY: when to call Due again.
func (h *Holds) Next() (at time.Duration, ok bool) {
	if !h.ready {
		return 0, false // the places of most agents of a fleet are not looked at most of the time
	}
	for i := range h.places {
		if hold := &h.places[i]; hold.Stage == Ready && (!ok || hold.At < at) {
			at, ok = hold.At, true
		}
	}
	h.ready = ok
	return at, ok
}

// Stage of a command; Empty when it is unknown or forgotten.
func (h *Holds) Stage(id ID) Stage {
	if hold := h.find(id); hold != nil {
		return hold.Stage
	}
	return Empty
}

// Cancel takes a command back, and says whether it had not acted yet. A command
// that is cancelled before it comes is not known here: its sender's id is refused
// by whoever checks messages.
func (h *Holds) Cancel(id ID) bool {
	hold := h.find(id)
	if hold == nil || !waiting(hold.Stage) {
		return false
	}
	hold.Stage = Cancelled
	return true
}

// Release frees the place of a command that was called back and that its owner knows
// in another way: a copy would be taken for a new command. It reports whether there
// was one.
func (h *Holds) Release(id ID) bool {
	hold := h.find(id)
	if hold == nil || hold.Stage != Cancelled {
		return false
	}
	*hold = Hold{}
	return true
}

// Freeze ends every command that waits, and refuses what comes, until Thaw.
func (h *Holds) Freeze() {
	h.frozen = true
	for i := range h.places {
		if waiting(h.places[i].Stage) {
			h.places[i].Stage = Frozen
		}
	}
}

// Thaw accepts commands again. What was frozen stays so: nothing moves by itself.
func (h *Holds) Thaw() { h.frozen = false }

func waiting(s Stage) bool { return s == Received || s == Ready }

func (h *Holds) expire(hold *Hold, now time.Duration) {
	if waiting(hold.Stage) && since(hold.At, now) > h.Limits.Late {
		hold.Stage = Expired
	}
}

func (h *Holds) find(id ID) *Hold {
	for i := range h.places {
		if hold := &h.places[i]; hold.Stage != Empty && hold.ID == id {
			return hold
		}
	}
	return nil
}

// place finds room: an empty one, or that of a command whose time is over.
func (h *Holds) place(now time.Duration) *Hold {
	for i := range h.places {
		hold := &h.places[i]
		if hold.Stage == Empty {
			return hold
		}
		if since(hold.At, now) > h.Limits.Late {
			h.forget(hold.At)
			return hold
		}
	}
	return nil
}

func (h *Holds) forget(at time.Duration) {
	if !h.forgot || at > h.forgotten {
		h.forgot, h.forgotten = true, at
	}
}

// since is how long after from it is to, 0 when before. T comes from a message: a
// difference that overflows is the longest there is.
func since(from, to time.Duration) time.Duration {
	if to <= from {
		return 0
	}
	if d := to - from; d > 0 {
		return d
	}
	return math.MaxInt64
}
