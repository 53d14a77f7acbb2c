package dancer

import (
	"math"
	"sort"
	"strconv"
)

// When the paired roll-outs bear out a difference between two options.
const (
	// separated: of the pairs that differ by more than the band so many percent
	// must be better for the winner. It is the mark above which ShouldEscalate
	// never asks.
	separatedPercent = 80
	// relevant: the runner-up must be better by more than the band in so many
	// percent of all pairs, or it is a curiosity of one corner.
	relevantPercent = 5
)

// spread is what the paired roll-outs say of the value that separates the winner
// from the runner-up.
type spread struct {
	value    int
	expected bool // the worst indices are tied, the expected ones differ
	unknown  bool // an index of theirs cannot be known
	better   int  // pairs in which the winner is better by more than the band
	worse    int  // pairs in which the runner-up is
	pairs    int
}

// tell compares the winner with the runner-up where they first differ: on a
// value with a floor that is unknown for one of them, else on the first value on
// which their worst indices (above `enough` as `enough`) are more than a band
// apart, else on the first one on which their expected indices are. They are
// incomparable when
//
//   - an index of theirs on that value is unknown, or
//   - the spread does not separate them: the runner-up is better by more than
//     the band in at least 5% of the paired roll-outs, and the winner in less
//     than 80% of those in which one of them is.
//
// Options that differ nowhere by more than a band are tied, which is another
// thing: then less disruption and the further tie-breaks decide. Without
// disturbances there is one roll-out, and it bears out what was forecast. The
// distinction between indifference and incomparability is that of outranking
// methods (Roy 1991, "The outranking approach and the foundations of ELECTRE
// methods").
func (l *ladder) tell(winner, runner *contender) (s spread, incomparable bool) {
	s, differ := l.difference(winner, runner)
	if !differ || s.unknown {
		return s, s.unknown
	}
	n := len(l.m.Values)
	s.pairs = min(len(winner.a.Samples), len(runner.a.Samples)) / n
	for r := range s.pairs {
		w := l.capped(s.value, clampIndex(winner.a.Samples[r*n+s.value]))
		other := l.capped(s.value, clampIndex(runner.a.Samples[r*n+s.value]))
		switch {
		case w > other+l.band:
			s.better++
		case other > w+l.band:
			s.worse++
		}
	}
	relevant := s.worse > 0 && 100*s.worse >= relevantPercent*s.pairs
	return s, relevant && 100*s.better < separatedPercent*(s.better+s.worse)
}

// difference finds the value on which two contenders are told apart.
func (l *ladder) difference(a, b *contender) (s spread, differ bool) {
	for _, i := range l.order {
		blind := isUnknown(a, i) || isUnknown(b, i)
		apart := math.Abs(l.capped(i, a.worst[i])-l.capped(i, b.worst[i])) > l.band
		if apart || blind && l.m.Values[i].HasFloor {
			return spread{value: i, unknown: blind}, true
		}
	}
	for _, i := range l.order {
		if math.Abs(l.capped(i, a.expected[i])-l.capped(i, b.expected[i])) > l.band {
			return spread{value: i, expected: true, unknown: isUnknown(a, i) || isUnknown(b, i)}, true
		}
	}
	return spread{}, false
}

func isUnknown(c *contender, value int) bool {
	return value < len(c.a.Indices) && c.a.Indices[value].Unknown
}

// compare fills in which options cannot be told apart.
func (l *ladder) compare(v *Verdict, winner, runner *contender) {
	if runner == nil {
		return
	}
	s, incomparable := l.tell(winner, runner)
	if !incomparable {
		return
	}
	l.spread = s
	v.Incomparable = []string{winner.a.Option, runner.a.Option}
	sort.Strings(v.Incomparable)
}

// doubtful says whether the ladder chose between options that it cannot tell
// apart. The fallback of a blind robot is not chosen by the ladder, and has asked
// already.
func (l *ladder) doubtful(v *Verdict) bool {
	return len(v.Incomparable) > 0 && v.DecidedBy != decidedByFallback
}

// incomparableWords says why two options cannot be told apart.
func (l *ladder) incomparableWords(winner, runner *contender) string {
	s := &l.spread
	value := l.m.Values[s.value].Name
	text := winner.a.Option + " and " + runner.a.Option + " cannot be told apart: "
	if s.unknown {
		return text + value + " cannot be known for one of them or both"
	}
	return text + "of " + strconv.Itoa(s.pairs) + " paired roll-outs " + winner.a.Option + " is better on " + value +
		" in " + strconv.Itoa(s.better) + " and " + runner.a.Option + " in " + strconv.Itoa(s.worse)
}
