package packet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrOptions tells that NewAdmission was given something that cannot work.
var ErrOptions = errors.New("bad admission options")

// Options of an Admission. Zero values mean the defaults.
type Options struct {
	Name string // of this agent; needed
	Key  Key    // of its scope; needed
	// Since is this agent's start by its wall clock: nothing that was sealed before
	// is accepted, because what was accepted before a start is not remembered. Needed.
	Since Wall
	// MaxSources bounds those that Register takes, 1 KiB each; default 256.
	MaxSources int
	// MaxNewcomers bounds the sources that nobody registered, 1 KiB each; default 64,
	// negative: none. While all places are taken others are refused: nobody is
	// pushed out while something he said could be replayed.
	MaxNewcomers int
	// NewcomersPerOrigin is how many of them one address may bring; default 16.
	NewcomersPerOrigin int
	// ClockTolerance is how much the clocks of two agents may differ, 1 ms to
	// 10 s; default 2 s. SetClock narrows it for one source.
	ClockTolerance time.Duration
	// ReportEvery is how often the same is reported again; default 10 s.
	ReportEvery time.Duration
}

func (o Options) withDefaults() (Options, error) {
	defaultInt := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	defaultInt(&o.MaxSources, 256)
	defaultInt(&o.MaxNewcomers, 64)
	defaultInt(&o.NewcomersPerOrigin, 16)
	if o.ClockTolerance == 0 {
		o.ClockTolerance = 2 * time.Second
	}
	if o.ReportEvery == 0 {
		o.ReportEvery = 10 * time.Second
	}
	switch {
	case o.Key.scope == "":
		return o, fmt.Errorf("%w: no key: make one with NewKey", ErrOptions)
	case o.Since <= 0:
		return o, fmt.Errorf("%w: no start time", ErrOptions)
	case o.MaxSources < 0 || o.NewcomersPerOrigin < 0 || o.ReportEvery < 0:
		return o, fmt.Errorf("%w: a bound is negative", ErrOptions)
	case o.ClockTolerance < time.Millisecond || o.ClockTolerance > 10*time.Second:
		return o, fmt.Errorf("%w: clock tolerance %s: want 1ms to 10s", ErrOptions, o.ClockTolerance)
	}
	o.MaxNewcomers = max(o.MaxNewcomers, 0)
	return o, nil
}

// Verdict is what Admit made of a datagram.
type Verdict struct {
	Outcome Outcome
	// Source is the place of its sender in the table, a small number that stays its
	// own until it is forgotten; NoSource if it was refused.
	Source int
}

// Admission judges every datagram that comes for one agent, and remembers what it
// must of the senders. It is not safe for use by several goroutines.
//
// The checks run from the cheap to the dear and from what anybody can send to what
// only members can, and no check lets a sender spend what is another's: nothing is
// looked up or charged to a name before the MAC is right, no replay costs its first
// sender a token, and nothing moves a window but what was accepted.
type Admission struct {
	options Options
	self    Name
	seal    sealing
	counts  Counts
	reports reporter
	index   map[Name]int32
	sources []*source
	free    []int32 // places in sources that are not used

	registered, newcomers int
	fullUntil             time.Duration // no newcomer's place can be taken before
	retention             time.Duration // how long a source matters after its last message
	blank                 source        // stands for a source that is not known
	fault                 fault         // of the datagram that is judged
	off                   time.Duration // the same
}

// NewAdmission makes the admission of an agent.
func NewAdmission(o Options) (*Admission, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	self, err := NewName(o.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return &Admission{
		options: o, self: self, seal: o.Key.sealing(), index: map[Name]int32{},
		reports: reporter{every: o.ReportEvery},
		// What was accepted at one moment was sealed at most two tolerances later by
		// the sender's clock (its offset and the error of that), and is over two more
		// after its time to live.
		retention: MaxTTL + 4*o.ClockTolerance,
		blank:     source{Source: Source{}.withDefaults()},
	}, nil
}

// Admit judges one datagram that came from origin and, if it is not refused, reads
// it into m, whose slices alias it. now is the monotonic clock, wall this agent's
// clock at the moment that the datagram came. m is undefined for a refused one.
// Admit allocates nothing but for a newcomer.
func (a *Admission) Admit(now time.Duration, wall Wall, origin netip.AddrPort, datagram []byte, m *Message) Verdict {
	a.fault, a.off = fault{}, 0
	v := a.judge(now, wall, origin, datagram, m)
	a.counts[v.Outcome]++
	if v.Outcome.Dropped() {
		v.Source = NoSource
		seen := Report{Outcome: v.Outcome, Origin: origin, Off: a.off, What: a.fault.what, Key: a.fault.key}
		if v.Outcome.named() {
			seen.Source = m.From
		}
		a.reports.note(now, seen)
	}
	return v
}

// Oversized counts a datagram that the network adapter could not take whole.
func (a *Admission) Oversized(now time.Duration, origin netip.AddrPort) {
	a.counts[TooLarge]++
	a.reports.note(now, Report{Outcome: TooLarge, Origin: origin})
}

func (a *Admission) judge(now time.Duration, wall Wall, origin netip.AddrPort, datagram []byte, m *Message) Verdict {
	if outcome := a.authentic(datagram, m); outcome != Accepted {
		return Verdict{Outcome: outcome}
	}
	place, known := a.index[m.From]
	s := &a.blank
	if known {
		s = a.sources[place]
	}
	if outcome := a.permitted(s, origin, m); outcome != Accepted {
		return Verdict{Outcome: outcome}
	}
	if outcome := a.timely(s, now, wall, m); outcome != Accepted {
		return Verdict{Outcome: outcome}
	}
	if known {
		if outcome := a.first(s, now, datagram, m); outcome != Accepted {
			return Verdict{Outcome: outcome}
		}
	} else if m.Signed {
		return Verdict{Outcome: BadSignature}
	}
	if len(m.Payload) > 0 && sha256.Sum256(m.Payload) != m.Hash {
		return Verdict{Outcome: WrongHash}
	}
	if !known {
		if place = a.welcome(now, origin.Addr().Unmap(), m.From); place == NoSource {
			return Verdict{Outcome: TooManySources}
		}
		s = a.sources[place]
	}
	if !s.rate.take(now, s.Rate*overload, m.Priority) {
		return Verdict{Outcome: OverRate}
	}
	return Verdict{Outcome: s.accept(now, a.retention, m), Source: int(place)}
}

// authentic checks size, version and MAC before anything is parsed, then the form.
func (a *Admission) authentic(datagram []byte, m *Message) (outcome Outcome) {
	if outcome = frame(datagram); outcome != Accepted {
		return outcome
	}
	if !a.seal.opens(datagram) {
		return Unauthentic
	}
	outcome, a.fault = decode(datagram, m)
	return outcome
}

// permitted checks names, address and kind.
func (a *Admission) permitted(s *source, origin netip.AddrPort, m *Message) Outcome {
	switch {
	case m.From == a.self:
		return Own
	case !m.To.IsZero() && m.To != a.self:
		return Misdirected
	case s.Origin.IsValid() && s.Origin != origin.Addr().Unmap():
		return WrongOrigin
	case !s.Kinds.Has(m.Kind), s.Signed.Has(m.Kind) && !m.Signed:
		return Forbidden
	}
	return Accepted
}

// timely checks when the message was sealed, against this agent's clock.
func (a *Admission) timely(s *source, now time.Duration, wall Wall, m *Message) Outcome {
	offset, bound := s.reading(now, a.retention, a.options.ClockTolerance, m.Epoch)
	age := wall.Sub(m.At) + offset
	switch {
	case age < -bound:
		a.off = -age
		return FutureDated
	case age > m.TTL+bound:
		a.off = age - m.TTL
		return Expired
	case m.At.Add(-offset) < a.options.Since:
		a.off = a.options.Since.Sub(m.At.Add(-offset))
		return Expired
	}
	return Accepted
}

// first checks, for a known source, that the message was not accepted before, and
// who signed it. The rate comes after it: what somebody else sends again, or signs
// in its name, costs a source nothing.
func (a *Admission) first(s *source, now time.Duration, datagram []byte, m *Message) Outcome {
	if outcome := s.replayed(now, a.retention, m); outcome != Accepted {
		return outcome
	}
	if m.Signed && !a.signed(s, now, datagram) {
		return BadSignature
	}
	return Accepted
}

// signed checks a signature, unless too many of the source's were wrong just now.
func (a *Admission) signed(s *source, now time.Duration, datagram []byte) bool {
	if s.Key == nil || !s.failures.any(now, maxFailures) {
		return false
	}
	if verify(a.options.Key.scope, s.Key, datagram) {
		return true
	}
	s.failures.take(now, maxFailures, Critical)
	return false
}
