package packet

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Register makes a source known, or changes what is known of it, and gives its
// place. What it sent before stays remembered. A registered source is never
// forgotten but by Forget, and no flood of other names can take its place. now is
// the monotonic clock.
func (a *Admission) Register(now time.Duration, name string, s Source) (place int, err error) {
	n, err := NewName(name)
	if err != nil {
		return NoSource, fmt.Errorf("register source: %w", err)
	}
	if err := s.check(); err != nil {
		return NoSource, fmt.Errorf("register source %s: %w", name, err)
	}
	if n == a.self {
		return NoSource, fmt.Errorf("register source %s: %w: that is this agent", name, ErrSource)
	}
	at, known := a.index[n]
	if known && a.sources[at].registered {
		a.sources[at].Source = s.withDefaults()
		return int(at), nil
	}
	if a.registered >= a.options.MaxSources || !known && !a.room(now) {
		return NoSource, fmt.Errorf("register source %s: %w: all %d places are taken", name, ErrSource, a.options.MaxSources)
	}
	if known {
		a.newcomers--
		a.fullUntil = 0
	} else {
		at = a.add(n)
	}
	a.registered++
	a.sources[at].Source, a.sources[at].registered = s.withDefaults(), true
	return int(at), nil
}

// room says whether the table may grow by one, or one place of it may be taken:
// those that were forgotten by Forget are remembered for a while, and must not add
// up.
func (a *Admission) room(now time.Duration) bool {
	if a.registered+a.newcomers < a.options.MaxSources+a.options.MaxNewcomers {
		return true
	}
	free, _ := a.survey(now, netip.Addr{})
	if free == NoSource {
		return false
	}
	a.drop(free)
	return true
}

// Forget ends a registration: the source is a newcomer from then on, remembered
// for as long as what it said can be replayed.
func (a *Admission) Forget(name string) {
	n, err := NewName(name)
	if err != nil {
		return
	}
	at, known := a.index[n]
	if !known || !a.sources[at].registered {
		return
	}
	s := a.sources[at]
	s.registered, s.Source = false, Source{}.withDefaults()
	a.registered--
	a.newcomers++ // one too many for a while, perhaps: room bounds them all
}

// SetClock tells how far the clock of a source is before this agent's, and how
// wrong that may be, as measured at now by four timestamps. Beyond
// Options.ClockTolerance both are cut to it: an offset that large is for a person to
// mend. It holds until the source starts anew; the bound grows by 500 ppm.
func (a *Admission) SetClock(now time.Duration, place int, offset, bound time.Duration) {
	if place < 0 || place >= len(a.sources) || !a.sources[place].heard {
		return
	}
	limit := a.options.ClockTolerance
	s := a.sources[place]
	s.clock = clock{epoch: s.epoch, offset: min(max(offset, -limit), limit), bound: min(max(bound, time.Millisecond), limit), at: now}
}

// Name gives the name of a place; false if nobody has it.
func (a *Admission) Name(place int) (Name, bool) {
	if place < 0 || place >= len(a.sources) || !a.sources[place].used {
		return Name{}, false
	}
	return a.sources[place].name, true
}

// Place gives the place of a name; NoSource if it is not known.
func (a *Admission) Place(name Name) int {
	if at, known := a.index[name]; known {
		return int(at)
	}
	return NoSource
}

// Counts gives how many datagrams had each outcome since the start.
func (a *Admission) Counts() Counts { return a.counts }

// Known gives how many sources are registered, and how many newcomers are
// remembered.
func (a *Admission) Known() (registered, newcomers int) { return a.registered, a.newcomers }

// Reports appends what is to be reported now: each cause and source at once, and
// then at most once in Options.ReportEvery, with the number since; at most five for
// each cause.
func (a *Admission) Reports(now time.Duration, to []Report) []Report { return a.reports.due(now, to) }

// welcome gives a place to a source that nobody registered, or NoSource.
func (a *Admission) welcome(now time.Duration, origin netip.Addr, name Name) int32 {
	if a.newcomers >= a.options.MaxNewcomers && now < a.fullUntil {
		return NoSource
	}
	free, brought := a.survey(now, origin)
	if brought >= a.options.NewcomersPerOrigin {
		return NoSource
	}
	if a.newcomers >= a.options.MaxNewcomers {
		if free == NoSource {
			return NoSource
		}
		a.drop(free)
	}
	place := a.add(name)
	a.sources[place].from = origin
	a.newcomers++
	return place
}

// survey looks over the newcomers: a place that may be taken, and how many the
// origin has brought that may not. If all are taken it notes until when.
func (a *Admission) survey(now time.Duration, origin netip.Addr) (free int32, brought int) {
	free = NoSource
	earliest := time.Duration(math.MaxInt64)
	for i, s := range a.sources {
		switch {
		case !s.used || s.registered:
		case s.forgotten(now, a.retention):
			free = int32(i)
		default:
			earliest = min(earliest, s.last+a.retention)
			if s.from == origin {
				brought++
			}
		}
	}
	if free == NoSource && a.newcomers >= a.options.MaxNewcomers {
		a.fullUntil = earliest
	}
	return free, brought
}

// add takes a place for a name.
func (a *Admission) add(name Name) (place int32) {
	if n := len(a.free); n > 0 {
		place, a.free = a.free[n-1], a.free[:n-1]
	} else {
		place = int32(len(a.sources))
		a.sources = append(a.sources, new(source))
	}
	*a.sources[place] = a.blank
	a.sources[place].name, a.sources[place].used = name, true
	a.index[name] = place
	return place
}

// drop gives a place back.
func (a *Admission) drop(place int32) {
	delete(a.index, a.sources[place].name)
	*a.sources[place] = source{}
	a.free = append(a.free, place)
	a.newcomers--
}
