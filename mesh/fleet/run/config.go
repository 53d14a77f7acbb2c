package run

import (
	"fmt"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/quorum"
)

// Pattern is how a cascade goes down the tiers. The zero value is Parallel.
type Pattern uint8

// The patterns of mesh-30k 3.3.
const (
	Parallel      Pattern = iota // everybody at once; 90% must be READY
	Wave                         // sectors, then clusters, then agents, each after the quorum of those above; 98%, 95%, 95%
	PriorityFirst                // class by class: D, C, B, A, E
	patterns
)

var patternNames = [patterns]string{"parallel", "wave", "priority-first"}

// String is the pattern as the command line has it.
func (p Pattern) String() string {
	if p < patterns {
		return patternNames[p]
	}
	return "invalid"
}

// ParsePattern reads what String writes.
func ParsePattern(text string) (Pattern, error) {
	for i, name := range patternNames {
		if name == text {
			return Pattern(i), nil
		}
	}
	return 0, fmt.Errorf("%w: no pattern %q; there are parallel, wave and priority-first", fleet.ErrFleet, text)
}

// phases of the pattern, with T; and what is asked for as a whole.
func (p Pattern) phases(at time.Duration) []quorum.Phase {
	switch p {
	case Wave:
		return quorum.Wave(at)
	case PriorityFirst:
		return quorum.PriorityFirst(at)
	}
	return quorum.Parallel(at)
}

// ahead is how long before T a cascade of the pattern begins by default. Of the 1.5 s
// that everybody at once has, about half a second is for the answers' way up, a fifth
// for a cancellation's way down, and the rest until the agents are READY. A wave waits
// for two round trips more, classes for one each.
func (p Pattern) ahead() time.Duration {
	switch p {
	case Wave:
		return 2500 * time.Millisecond
	case PriorityFirst:
		return 8 * time.Second
	}
	return 1500 * time.Millisecond
}

// Config is what a fleet is a function of. Zero values mean the defaults where one
// is named.
type Config struct {
	Agents     int
	Seed       fleet.Seed
	Conditions fleet.Conditions
	Faults     []fleet.Fault
	// Cascades are ordered, the first at First (default 30 s: everybody has been
	// heard by then), one every Every (default 55 s), each with T that much Ahead
	// (default by pattern).
	Cascades int
	First    time.Duration
	Every    time.Duration
	Ahead    time.Duration
	Pattern  Pattern
	Confirm  bool // agents act with a confirmation alone
	// Conflict is the share of honest answers that are CONFLICT; of 10,000.
	Conflict quorum.Share
	// Answer gives the digest with which honest agents answer a command; 0, or nil: one
	// of the command's number. Those who are asked one thing under several numbers can
	// so agree.
	Answer func(command uint64) uint64
	// Effects is told what every node says, for audits and displays; nil: nobody. It
	// must not change the run.
	Effects func(e *Told)
	// Shares is how many parts of the fleet can go on at the same time (fleet.Group);
	// default one, two over 100,000 agents. The result depends on it, and not on Each,
	// which calls do for 0 to n-1, at once where it can; default one after the other.
	Shares int
	Each   func(n int, do func(i int))
}

// sharedOut is from how many agents on a fleet has two shares.
const sharedOut = 100_000

// Told is one effect, with what the world knows of it.
type Told struct {
	Now    time.Duration // true
	Node   int32
	Life   uint16 // how often the node had crashed
	Effect *coordination.Effect
}

func (c *Config) defaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.First, 30*time.Second)
	set(&c.Every, 55*time.Second)
	set(&c.Ahead, c.Pattern.ahead())
	if c.Shares == 0 {
		c.Shares = 1
		if c.Agents > sharedOut {
			c.Shares = 2
		}
	}
	if c.Effects != nil {
		c.Shares = 1 // it is told in the order of time
	}
}

func (c *Config) validate() error {
	switch {
	case c.Pattern >= patterns:
		return fmt.Errorf("%w: no such pattern", fleet.ErrFleet)
	case c.Cascades < 0 || c.Cascades > 100_000 || c.First < 0 || c.Every < time.Millisecond || c.Ahead < time.Millisecond || c.Ahead > time.Minute:
		return fmt.Errorf("%w: %d cascades from %v on, every %v, T %v ahead; up to 100,000 are possible, T up to a minute ahead", fleet.ErrFleet, c.Cascades, c.First, c.Every, c.Ahead)
	case c.Conflict > quorum.Whole:
		return fmt.Errorf("%w: %v of the answers in conflict", fleet.ErrFleet, c.Conflict)
	}
	return nil
}

// timing of the core in a fleet. A coordinator answers each third heartbeat: a clock
// is measured four times a minute and a promise renewed twice before it runs out. A
// promise is as long as a silence that counts as a crash (30 s, mesh-30k 6.1).
func timing(c *fleet.Conditions) coordination.Timing {
	t := coordination.Timing{
		Follow: 30 * time.Second, Echo: 3, Sweep: 5 * time.Second,
		// Clocks over the open network are as uncertain as half a round trip, and there
		// are three links.
		MaxBound: time.Second,
		MaxDrift: 2 * float64(c.Drift),
	}
	return t.WithDefaults()
}

// limits that all coordinators share.
type shared struct {
	breakers breaker.Config
	failures breaker.Table
	modes    breaker.ModeConfig
}

func newShared() *shared {
	return &shared{breaker.DefaultConfig(), breaker.DefaultTable(), breaker.DefaultModeConfig()}
}
