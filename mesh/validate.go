package mesh

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// Bounds on what a peer may put into a body.
const (
	MaxTextBytes = 2000 // a note, a reason, a situation
	MaxLines     = 64   // reasons, latches, reflexes, ports, signals of one state
	maxSignals   = 1024
)

// States of a connection.
const (
	Online  = "ONLINE"  // set on every connect
	Offline = "OFFLINE" // set on an orderly end
	Broken  = "BROKEN"  // the last will: the broker lost the sender
)

// Roles of a connection.
const (
	RoleRobot     = "robot"
	RoleConductor = "conductor"
)

// Validate checks the states and roles.
func (c Connection) Validate() error {
	if err := oneOf("connection state", c.State, Online, Offline, Broken); err != nil {
		return err
	}
	return oneOf("connection role", c.Role, RoleRobot, RoleConductor)
}

// Validate checks the verdict and the lengths of the texts. Whether the option
// exists is for the robot to say.
func (r Ruling) Validate() error {
	if !ValidID(r.Escalation) {
		return fmt.Errorf("%w: ruling: escalation %q is not an id", ErrInvalid, clip(r.Escalation))
	}
	if err := oneOf("ruling verdict", r.Verdict, RuleDeny, RuleDefer, RuleReschedule, RuleEscalate, RuleApprove); err != nil {
		return err
	}
	if r.By == "" {
		return fmt.Errorf("%w: ruling without by: every ruling says by whom", ErrInvalid)
	}
	return texts("ruling", r.Option, r.By, r.Note)
}

// Restrictiveness orders verdicts: deny 5, defer, reschedule, escalate, approve
// 1, anything else 0. Of two rulings the more restrictive wins.
func Restrictiveness(verdict string) int {
	order := []string{RuleApprove, RuleEscalate, RuleReschedule, RuleDefer, RuleDeny}
	return slices.Index(order, verdict) + 1
}

// Validate checks ids, names, state and lengths.
func (e Escalation) Validate() error {
	if !ValidID(e.ID) {
		return fmt.Errorf("%w: escalation: id %q is not an id", ErrInvalid, clip(e.ID))
	}
	if err := oneOf("escalation state", e.State, "open", "withdrawn", "timed-out"); err != nil {
		return err
	}
	if e.Revision < 0 {
		return fmt.Errorf("%w: escalation: revision %d is negative", ErrInvalid, e.Revision)
	}
	if err := ValidName(e.Robot); err != nil {
		return fmt.Errorf("%w: escalation robot: %w", ErrInvalid, err)
	}
	if err := ValidName(e.Cell); err != nil {
		return fmt.Errorf("%w: escalation cell: %w", ErrInvalid, err)
	}
	if err := lines("escalation reasons", e.Because); err != nil {
		return err
	}
	return texts("escalation", e.Situation, e.Running, e.Hold, e.OnTimeout, e.Proposed)
}

// Validate checks ids, outcome and lengths.
func (a Ack) Validate() error {
	if !ValidID(a.Of) {
		return fmt.Errorf("%w: ack: of %q is not an id", ErrInvalid, clip(a.Of))
	}
	if a.Escalation != "" && !ValidID(a.Escalation) {
		return fmt.Errorf("%w: ack: escalation %q is not an id", ErrInvalid, clip(a.Escalation))
	}
	if err := oneOf("ack outcome", a.Outcome, "stored", "applied", "vetoed", "late", "kept", "refused"); err != nil {
		return err
	}
	return texts("ack", a.Why, a.Running)
}

// Validate checks the verb and that it says by whom.
func (r Request) Validate() error {
	if err := oneOf("request", r.Do, "start", "stop", "clear"); err != nil {
		return err
	}
	if r.By == "" {
		return fmt.Errorf("%w: request %s without by: every request says by whom", ErrInvalid, r.Do)
	}
	return texts("request", r.By, r.Latch)
}

// Validate checks the names and the sizes of the lists.
func (s State) Validate() error {
	if err := ValidName(s.Robot); err != nil {
		return fmt.Errorf("%w: state robot: %w", ErrInvalid, err)
	}
	if err := ValidName(s.Cell); err != nil {
		return fmt.Errorf("%w: state cell: %w", ErrInvalid, err)
	}
	for what, n := range map[string]int{"signals": len(s.Signals), "invalid": len(s.Invalid), "outputs": len(s.Outputs),
		"indices": len(s.Indices), "frames": len(s.Frames), "latches": len(s.Latches), "reflexes": len(s.Reflexes)} {
		if n > maxSignals {
			return fmt.Errorf("%w: state: %d %s, %d are allowed", ErrInvalid, n, what, maxSignals)
		}
	}
	return texts("state", s.Mode, s.Lease, s.Running, s.Outcome, s.Question, s.ManualHash, s.Version)
}

func oneOf(what, have string, want ...string) error {
	if slices.Contains(want, have) {
		return nil
	}
	return fmt.Errorf("%w: %s %q: want one of %v", ErrInvalid, what, clip(have), want)
}

func lines(what string, list []string) error {
	if len(list) > MaxLines {
		return fmt.Errorf("%w: %d %s, %d are allowed", ErrInvalid, len(list), what, MaxLines)
	}
	return texts(what, list...)
}

func texts(what string, list ...string) error {
	for _, s := range list {
		if len(s) > MaxTextBytes || !utf8.ValidString(s) {
			return fmt.Errorf("%w: %s: a text of %d bytes, %d bytes of UTF-8 are allowed", ErrInvalid, what, len(s), MaxTextBytes)
		}
	}
	return nil
}
