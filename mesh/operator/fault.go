package operator

import (
	"errors"
	"fmt"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
)

// Causes of errors, for errors.Is.
var (
	// ErrInvalid: the order makes no sense. Correct it.
	ErrInvalid = errors.New("invalid order")
	// ErrUnknown: no such place, agent, capability or operation here.
	ErrUnknown = errors.New("unknown")
	// ErrRefused: the mesh does not allow it now: frozen, its mode, a breaker.
	ErrRefused = errors.New("refused")
	// ErrNotLed: nobody coordinates the place at present, or not from here.
	ErrNotLed = errors.New("not led")
	// ErrBusy: as much is under way as may be. Wait.
	ErrBusy = errors.New("busy")
	// ErrNobody: no agent that could do it can be reached.
	ErrNobody = errors.New("nobody")
)

// Fault is an error with what to do about it.
type Fault struct {
	Cause  error // one of the above
	Detail string
	Hint   string
}

// Error is the detail with the hint.
func (f *Fault) Error() string {
	if f.Hint == "" {
		return f.Detail
	}
	return f.Detail + " (" + f.Hint + ")"
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Cause }

func fault(cause error, hint, format string, args ...any) *Fault {
	return &Fault{cause, fmt.Sprintf(format, args...), hint}
}

// refused says why the core did not take an order, and what to do.
func refused(what string, place string, ruling breaker.Ruling, err error) *Fault {
	switch {
	case errors.Is(err, coordination.ErrNotLeading):
		return fault(ErrNotLed, "it looks for its coordinator by itself: try again in half a minute", "%s %s: nobody leads there", what, place)
	case errors.Is(err, coordination.ErrBusy):
		return fault(ErrBusy, "try again when one has ended", "%s %s: as many commands are under way there as may be", what, place)
	case errors.Is(err, coordination.ErrNobody):
		return fault(ErrNobody, "dancer agents shows who is there", "%s %s: no agent there that can do it is heard and measured", what, place)
	case errors.Is(err, coordination.ErrRuling):
		return fault(ErrRefused, cure(ruling), "%s %s: %s: %s", what, place, ruling.Permission, ruling.Why)
	}
	return fault(ErrInvalid, "", "%s %s: %v", what, place, err)
}

// cure is what an operator can do about a ruling.
func cure(r breaker.Ruling) string {
	switch r.Why {
	case breaker.Frozen:
		return "dancer thaw ends it"
	case breaker.Cut:
		return "dancer heal has it probed at once; dancer status shows it"
	case breaker.MeshWide, breaker.Halted:
		if r.Permission == breaker.NeedsApproval {
			return "--approve says that you have looked at this and want it"
		}
		return "find the cause, then dancer heal acknowledges the emergency"
	case breaker.NotCritical:
		return "--priority 3, if it is critical"
	case breaker.NotUrgent:
		return "--priority 2 or 3, if it is urgent"
	case breaker.NoBackground:
		return "--priority 1 or more"
	case breaker.LargeScatter, breaker.AilingSector:
		return "give a smaller --scope"
	}
	return "dancer status shows the mode and what it restricts"
}
