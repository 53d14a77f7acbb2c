package conflict

import "fmt"

// MaxHistory bounds how many versions of a context Converge looks back at, on
// each side. Contexts that have parted longer ago have nothing to merge on.
const MaxHistory = 1024

// Convergence is the newest version that two histories have in common.
type Convergence struct {
	Found   bool
	Version uint64
	Left    int // versions of the left side since then
	Right   int
}

// Depth is the divergence_depth of the specification: how many versions the side
// that has gone further is away from the common one. Without a common version it
// is deeper than any history.
func (c Convergence) Depth() int {
	if !c.Found {
		return MaxHistory + 1
	}
	return max(c.Left, c.Right)
}

// Converge finds the point of convergence of two histories: digests of versions,
// the newest first. Of several common versions it is the one with the least way
// on the left, and then on the right.
func Converge(left, right []uint64) Convergence {
	left, right = left[:min(len(left), MaxHistory)], right[:min(len(right), MaxHistory)]
	places := make(map[uint64]int, len(right))
	for i, version := range right {
		if _, twice := places[version]; !twice {
			places[version] = i
		}
	}
	for i, version := range left {
		if at, common := places[version]; common {
			return Convergence{Found: true, Version: version, Left: i, Right: at}
		}
	}
	return Convergence{Left: len(left), Right: len(right)}
}

// Fact is one entry of a context: digests of what it is about and of its value.
type Fact struct {
	Subject uint64
	Value   uint64
}

// Difference is a fact that both branches have changed, differently. A side that
// has removed the fact does not have it.
type Difference struct {
	Subject           uint64
	Left, Right       uint64
	HasLeft, HasRight bool
}

// Reconcile merges two branches of a context on the version at which they
// converge: what only one side has changed, added or removed is taken from it,
// and what both have changed alike is taken once. What they have changed
// differently is a Difference, for a person; until then merged has the value of
// base, or nothing if base had none. Every list is in strictly increasing order of
// its subjects, or ErrInvalid.
func Reconcile(base, left, right []Fact) (merged []Fact, open []Difference, err error) {
	for _, list := range [][]Fact{base, left, right} {
		for i := 1; i < len(list); i++ {
			if list[i-1].Subject >= list[i].Subject {
				return nil, nil, fmt.Errorf("%w: facts out of order at %d", ErrInvalid, i)
			}
		}
	}
	for len(base) > 0 || len(left) > 0 || len(right) > 0 {
		subject := lowest(base, left, right)
		var b, l, r side
		b, base = take(base, subject)
		l, left = take(left, subject)
		r, right = take(right, subject)
		var keep side
		switch {
		case l == r:
			keep = l
		case l == b:
			keep = r
		case r == b:
			keep = l
		default:
			keep = b
			open = append(open, Difference{subject, l.value, r.value, l.has, r.has})
		}
		if keep.has {
			merged = append(merged, Fact{subject, keep.value})
		}
	}
	return merged, open, nil
}

// side is what one version says of a subject.
type side struct {
	has   bool
	value uint64
}

func lowest(lists ...[]Fact) uint64 {
	subject := ^uint64(0)
	for _, list := range lists {
		if len(list) > 0 {
			subject = min(subject, list[0].Subject)
		}
	}
	return subject
}

func take(list []Fact, subject uint64) (side, []Fact) {
	if len(list) > 0 && list[0].Subject == subject {
		return side{true, list[0].Value}, list[1:]
	}
	return side{}, list
}
