package fleet

import (
	"slices"
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// RandomFaults gives a schedule of so many faults that begin and end within a run of
// that length, in its first three quarters, so that there is time to see everything
// come back. It is a function of its arguments; the i-th fault does not depend on
// how many there are.
func RandomFaults(seed Seed, t *Topology, length time.Duration, count int) []Fault {
	faults := make([]Fault, 0, count)
	for i := range count {
		faults = append(faults, randomFault(seed, t, length, int32(i)))
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return int(min(1, max(-1, a.From-b.From))) })
	return faults
}

// faultWeights are how often each kind comes: of 20.
var faultWeights = [faultKinds]uint64{
	Crash: 5, Partition: 3, Flap: 2, Byzantine: 3, Loss: 1, Duplicate: 1, Reorder: 1, Corrupt: 1, Slow: 2, Clock: 1,
}

func randomFault(seed Seed, t *Topology, length time.Duration, number int32) (f Fault) {
	draw := uint64(0)
	below := func(n int64) int64 {
		draw++
		return int64(Below(seed.Draw(purposeFault, number, draw), uint64(n)))
	}
	round := func(d time.Duration) time.Duration { return max(d.Round(100*time.Millisecond), 100*time.Millisecond) }
	pick := uint64(below(20))
	for k, weight := range faultWeights {
		if pick < weight {
			f.Kind = FaultKind(k)
			break
		}
		pick -= weight
	}
	window := length * 3 / 4
	f.From = round(time.Duration(below(int64(window))))
	f.For = round(time.Duration(below(max(1, int64(length*3/4-f.From)))))
	f.At = randomPlace(t, f.Kind, below)
	switch f.Kind {
	case Flap:
		f.Every = round(time.Duration(below(int64(5 * time.Second))))
	case Byzantine:
		f.Lie = Lie(1 + below(int64(lies)-1))
	case Loss, Duplicate, Reorder, Corrupt:
		f.Share = quorum.Share(100 * (1 + below(50)))
	case Slow:
		f.Factor = int32(2 + below(9))
	case Clock:
		f.For = 0
		f.Step = time.Duration(below(2001)-1000) * time.Millisecond
	}
	return f
}

// randomPlace is mostly small. Liars and clocks that are set are single agents:
// whoever holds half of a mesh can make it say what he likes.
func randomPlace(t *Topology, kind FaultKind, below func(int64) int64) Place {
	agent := Place{AtAgent, int32(below(int64(t.Agents())))}
	if kind == Byzantine || kind == Clock {
		return agent
	}
	switch below(12) {
	case 0, 1, 2:
		return Place{InCluster, int32(below(int64(t.Clusters())))}
	case 3, 4:
		return Place{AtLead, int32(below(int64(t.Clusters())))}
	case 5:
		return Place{InSector, int32(below(int64(t.Sectors)))}
	case 6, 7:
		return Place{AtCoordinator, int32(below(int64(t.Sectors)))}
	case 8:
		return Place{InClass, int32(impedance.ClassEdge) + int32(below(int64(impedance.ClassHuman)))}
	case 9:
		switch kind {
		case Loss, Duplicate, Reorder, Corrupt, Slow:
			return Place{Kind: Everywhere}
		}
	}
	return agent
}

// Shrink makes a schedule that fails smaller: as few faults as it finds, as short and
// in as small places as they still fail. fails runs a schedule, at most `runs` times;
// what is returned has failed, or is the schedule itself. It first leaves out halves,
// quarters and so on (delta debugging, Zeller and Hildebrandt, TSE 28, 2002), and then
// makes each fault simpler that is left.
func Shrink(t *Topology, faults []Fault, runs int, fails func([]Fault) bool) []Fault {
	s := shrinker{topology: t, runs: runs, fails: fails, best: slices.Clone(faults)}
	for {
		before := slices.Clone(s.best)
		s.drop()
		s.simplify()
		if s.runs <= 0 || slices.Equal(before, s.best) {
			return s.best
		}
	}
}

type shrinker struct {
	topology *Topology
	runs     int
	fails    func([]Fault) bool
	best     []Fault
}

func (s *shrinker) try(candidate []Fault) bool {
	if s.runs <= 0 {
		return false
	}
	s.runs--
	if !s.fails(slices.Clone(candidate)) {
		return false
	}
	s.best = candidate
	return true
}

func (s *shrinker) drop() {
	for size := (len(s.best) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < len(s.best); {
			without := slices.Concat(s.best[:from], s.best[min(from+size, len(s.best)):])
			if !s.try(without) {
				from += size
			}
		}
	}
}

func (s *shrinker) simplify() {
	for i := range s.best {
		for again := true; again; {
			again = false
			for _, simpler := range s.topology.simpler(s.best[i]) {
				candidate := slices.Clone(s.best)
				candidate[i] = simpler
				if s.try(candidate) {
					again = true
					break
				}
			}
		}
	}
}

// simpler gives what is a little less than a fault, the greatest step first.
func (t *Topology) simpler(f Fault) (list []Fault) {
	with := func(change func(*Fault)) {
		g := f
		change(&g)
		if g != f {
			list = append(list, g)
		}
	}
	switch f.At.Kind {
	case InSector:
		first, _ := t.Children(t.Sector(f.At.Index))
		_, cluster := t.Place(first)
		with(func(g *Fault) { g.At = Place{AtCoordinator, f.At.Index} })
		with(func(g *Fault) { g.At = Place{InCluster, cluster} })
	case InCluster:
		first, _ := t.Children(t.Cluster(f.At.Index))
		_, agent := t.Place(first)
		with(func(g *Fault) { g.At = Place{AtLead, f.At.Index} })
		with(func(g *Fault) { g.At = Place{AtAgent, agent} })
	}
	if f.For > time.Second {
		with(func(g *Fault) { g.For = (f.For / 2).Round(100 * time.Millisecond) })
	}
	with(func(g *Fault) { g.From = f.From.Truncate(time.Second) })
	with(func(g *Fault) { g.For = f.For.Truncate(time.Second); g.For = max(g.For, min(f.For, time.Second)) })
	if f.Factor > 2 {
		with(func(g *Fault) { g.Factor = f.Factor / 2 })
	}
	if f.Share > 200 {
		with(func(g *Fault) { g.Share = f.Share / 200 * 100 })
	}
	return list
}
