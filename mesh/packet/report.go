package packet

import (
	"fmt"
	"net/netip"
	"time"
)

// Report says that datagrams were refused, for one cause and one source.
type Report struct {
	Outcome Outcome
	Source  Name           // none before the MAC was found right, and where many are summed up
	Origin  netip.AddrPort // network address of the last one; the zero value where many are summed up
	Count   uint64         // since the last report of the same
	Off     time.Duration  // FutureDated, Expired: by how much at most
	What    string         // Malformed: the last fault
	Key     int            // Malformed: where
}

// String gives one line for a log: what, how often, from whom, and what to do.
func (r Report) String() string {
	from := "several sources"
	switch {
	case !r.Source.IsZero():
		from = fmt.Sprintf("%s at %s", r.Source, r.Origin)
	case r.Origin.IsValid():
		from = r.Origin.String()
	}
	text := fmt.Sprintf("refused %d from %s: %s", r.Count, from, r.Outcome.advice())
	if r.Off > 0 {
		text += fmt.Sprintf(" (by %s)", r.Off.Round(time.Millisecond))
	}
	if r.What != "" {
		text += fmt.Sprintf(" (key %d %s)", r.Key, r.What)
	}
	return text
}

// reportsEach is how many sources are told apart for each cause; the others are
// summed up. Each cause has its own, so that a flood of one kind hides no other.
const reportsEach = 4

// reporter gathers what to report, in bounded memory, and gives each of it at most
// once an interval.
type reporter struct {
	every  time.Duration
	told   [outcomes][reportsEach]pending
	others [outcomes]pending
}

type pending struct {
	Report
	used bool
	next time.Duration // not before
}

// note counts one refused datagram.
func (r *reporter) note(now time.Duration, seen Report) {
	p := r.find(now, &seen)
	if !p.used || p.Outcome == 0 {
		p.Report, p.used = Report{Outcome: seen.Outcome, Source: seen.Source}, true
	}
	p.Count++
	p.Origin, p.What, p.Key, p.Off = seen.Origin, seen.What, seen.Key, max(p.Off, seen.Off)
	if p == &r.others[seen.Outcome] {
		p.Source, p.Origin = Name{}, netip.AddrPort{}
	}
}

// find gives the place of what was seen: its own, a free one, or that of all
// others.
func (r *reporter) find(now time.Duration, seen *Report) *pending {
	free := &r.others[seen.Outcome]
	for i := range r.told[seen.Outcome] {
		p := &r.told[seen.Outcome][i]
		switch {
		case p.used && p.Source == seen.Source && (!seen.Source.IsZero() || p.Origin.Addr() == seen.Origin.Addr()):
			return p
		case !p.used || p.Count == 0 && now >= p.next:
			free = p
			p.used = false
		}
	}
	return free
}

// due appends what may be told now, in the order of the outcomes.
func (r *reporter) due(now time.Duration, to []Report) []Report {
	for o := range r.told {
		for i := range r.told[o] {
			to = r.told[o][i].due(now, r.every, to)
		}
		to = r.others[o].due(now, r.every, to)
	}
	return to
}

func (p *pending) due(now, every time.Duration, to []Report) []Report {
	if p.Count == 0 || now < p.next {
		return to
	}
	to = append(to, p.Report)
	p.Count, p.Off, p.What, p.Key, p.next = 0, 0, "", 0, now+every
	return to
}
