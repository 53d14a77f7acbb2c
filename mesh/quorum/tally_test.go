package quorum

import (
	"math/rand/v2"
	"slices"
	"testing"

	"dancer/mesh"

	"pgregory.net/rapid"
)

// dumb is the tally as one would explain it: it keeps everything that was said.
type dumb struct {
	size   int32
	exempt map[int32]bool
	absent map[int32]bool
	said   map[int32][]mesh.Trinary
}

func (d *dumb) state(i int32) mesh.Trinary {
	switch {
	case slices.Contains(d.said[i], mesh.Conflict):
		return mesh.Conflict
	case slices.Contains(d.said[i], mesh.Ready):
		return mesh.Ready
	}
	return mesh.Transit
}

func (d *dumb) counts() Counts {
	var c Counts
	for i := range d.size {
		switch {
		case d.exempt[i]:
			continue
		case d.absent[i]:
			c.Absent++
		case d.state(i) == mesh.Ready:
			c.Ready++
		case d.state(i) == mesh.Conflict:
			c.Conflict++
		}
		c.Total++
	}
	return c
}

func TestTallyAgainstDumb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int32Range(0, 200).Draw(t, "size")
		d := dumb{size, map[int32]bool{}, map[int32]bool{}, map[int32][]mesh.Trinary{}}
		var exempt []int32
		if size > 0 {
			exempt = rapid.SliceOfN(rapid.Int32Range(0, size-1), 0, 5).Draw(t, "exempt")
		}
		for _, i := range exempt {
			d.exempt[i] = true
		}
		tally, err := NewTally(int(size), exempt...)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			i := rapid.Int32Range(-1, size).Draw(t, "member")
			there := i >= 0 && i < size
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				want := there && !d.exempt[i] && !d.absent[i] && d.state(i) == mesh.Transit
				if have := tally.Absent(i); have != want {
					t.Fatalf("absent %d: %v", i, have)
				}
				if want {
					d.absent[i] = true
				}
				continue
			}
			said := mesh.Trinary(rapid.IntRange(-2, 2).Draw(t, "said"))
			before := d.state(i)
			have := tally.Answer(i, said)
			if have != wantOutcome(&d, i, there, said, before) {
				t.Fatalf("%d said %s after %s: %s", i, said, before, have)
			}
			if (have == Counted || have == Changed) && there {
				d.said[i] = append(d.said[i], said)
			}
		}
		if have, want := tally.Counts(), d.counts(); have != want {
			t.Fatalf("have %+v, want %+v", have, want)
		}
		stragglers := slices.Collect(tally.Stragglers())
		for i := range size {
			silent := !d.exempt[i] && !d.absent[i] && d.state(i) == mesh.Transit
			if slices.Contains(stragglers, i) != silent || tally.State(i) != d.state(i) {
				t.Fatalf("member %d: %s, want %s; stragglers %v", i, tally.State(i), d.state(i), stragglers)
			}
		}
	})
}

func wantOutcome(d *dumb, i int32, there bool, said, before mesh.Trinary) Outcome {
	switch {
	case !there || said < -1 || said > 1:
		return Refused
	case d.exempt[i]:
		return Uncounted
	case d.absent[i]:
		return Unasked
	case said == mesh.Transit:
		return Noted
	case before == mesh.Transit:
		return Counted
	case before == mesh.Ready && said == mesh.Conflict:
		return Changed
	case before == mesh.Conflict && said == mesh.Ready:
		return Contradicted
	}
	return Repeated
}

// TestTallyOrderAndRepetition: the same answers in any order, each any number of
// times, give the same counts.
func TestTallyOrderAndRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type answer struct {
			member int32
			said   mesh.Trinary
		}
		answers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) answer {
			return answer{rapid.Int32Range(0, 69).Draw(t, "member"), mesh.Trinary(rapid.IntRange(-1, 1).Draw(t, "said"))}
		}), 0, 200).Draw(t, "answers")
		run := func(list []answer) Counts {
			tally, err := NewTally(70, 3, 64)
			if err != nil {
				t.Fatal(err)
			}
			tally.Absent(5)
			for _, a := range list {
				tally.Answer(a.member, a.said)
			}
			return tally.Counts()
		}
		shuffled := append(slices.Clone(answers), answers...)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if a, b := run(answers), run(shuffled); a != b {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestTallyLimits(t *testing.T) {
	for _, size := range []int{-1, MaxMembers + 1} {
		if _, err := NewTally(size); err == nil {
			t.Errorf("%d members", size)
		}
	}
	if _, err := NewTally(3, 3); err == nil {
		t.Error("an exempt member that is not there")
	}
	tally, err := NewTally(3, 1, 1)
	if err != nil || tally.Counts().Total != 2 {
		t.Errorf("%+v %v", tally.Counts(), err)
	}
}

func TestRollupAgainstDumb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int32Range(0, 5), 1, 6).Draw(t, "sizes")
		rollup, err := NewRollup(sizes)
		if err != nil {
			t.Fatal(err)
		}
		// Each child has a tally of its own and sends its counts, which arrive in any
		// order and more than once.
		tallies := make([]*Tally, len(sizes))
		sent := make([][]Counts, len(sizes))
		for i, size := range sizes {
			if tallies[i], err = NewTally(int(size)); err != nil {
				t.Fatal(err)
			}
		}
		newest := make([]Counts, len(sizes))
		for i := range newest {
			newest[i].Total = sizes[i]
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			i := rapid.Int32Range(0, int32(len(sizes)-1)).Draw(t, "child")
			tallies[i].Answer(rapid.Int32Range(0, 5).Draw(t, "member"), mesh.Trinary(rapid.IntRange(-1, 1).Draw(t, "said")))
			sent[i] = append(sent[i], tallies[i].Counts())
			j := rapid.IntRange(0, len(sent[i])-1).Draw(t, "arrives")
			c := sent[i][j]
			rollup.Report(i, c)
			if c.Ready+2*c.Conflict > newest[i].Ready+2*newest[i].Conflict {
				newest[i] = c
			}
		}
		sum := Counts{}
		for i := range newest {
			if rollup.Child(int32(i)) != newest[i] {
				t.Fatalf("child %d: %+v, want %+v", i, rollup.Child(int32(i)), newest[i])
			}
			sum = sum.Add(newest[i])
		}
		if rollup.Counts() != sum {
			t.Fatalf("%+v, want %+v", rollup.Counts(), sum)
		}
	})
}

func TestRollupRefuses(t *testing.T) {
	r, err := NewRollup([]int32{30, 30})
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() Outcome{
		"a child that is not there":   func() Outcome { return r.Report(2, Counts{Total: 30, Ready: 30}) },
		"more members than addressed": func() Outcome { return r.Report(0, Counts{Total: 300, Ready: 300}) },
		"fewer":                       func() Outcome { return r.Report(0, Counts{Total: 1, Ready: 1}) },
		"counts that do not fit":      func() Outcome { return r.Report(0, Counts{Total: 30, Ready: 31}) },
	} {
		if o := try(); o != Refused {
			t.Errorf("%s: %s", name, o)
		}
	}
	if !r.Absent(1) || r.Absent(1) || r.Absent(7) || r.Report(1, Counts{Total: 30, Ready: 30}) != Unasked {
		t.Error("an absent child")
	}
	if r.Report(0, Counts{Total: 30, Ready: 5}) != Counted || r.Report(0, Counts{Total: 30, Ready: 4, Conflict: 1}) != Changed || r.Absent(0) {
		t.Error("a child that reports")
	}
	if want := (Counts{60, 4, 1, 30}); r.Counts() != want {
		t.Errorf("%+v", r.Counts())
	}
	if _, err := NewRollup([]int32{MaxMembers, 1}); err == nil {
		t.Error("too many members")
	}
	if _, err := NewRollup([]int32{-1}); err == nil {
		t.Error("a negative child")
	}
}
