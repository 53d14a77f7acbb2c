package fleet

import (
	"testing"
	"time"
	"unsafe"
)

// TestBytes says what a node costs. docs/fleet.md has these figures.
func TestBytes(t *testing.T) {
	if got := unsafe.Sizeof(node{}); got > 64 {
		t.Errorf("a node takes %d bytes, want 64 at most: one cache line", got)
	}
	if got := unsafe.Sizeof(event{}); got > 24 {
		t.Errorf("an event takes %d bytes, want 24 at most", got)
	}
}

// TestAllocations: a run that is warm makes no garbage. (A block of events now and
// then, when more wait than ever before, is under one in a second of the run.)
func TestAllocations(t *testing.T) {
	top := topology(t, 3000)
	s, err := New[word](Setup{top, DefaultConditions(), nil, 1}, newBeat(top, 0), NewRecorder(top))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.Run(60 * time.Second)
	now := s.Now()
	if n := testing.AllocsPerRun(50, func() {
		now += time.Second
		s.Run(now)
	}); n > 0 {
		t.Errorf("%v allocations a simulated second", n)
	}
}

// TestWatch: told at every step and at the end, and stopped when told to.
func TestWatch(t *testing.T) {
	top := topology(t, 30)
	r := NewRecorder(top)
	s, err := New(Setup{Topology: top, Faults: []Fault{{From: 3 * time.Second, Kind: Crash, At: Place{AtAgent, 1}}}}, newBeat(top, time.Second, 6*time.Second), r)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	var told []Progress
	if !s.Watch(5500*time.Millisecond, time.Second, func(p Progress) bool { told = append(told, p); return true }) {
		t.Error("not done")
	}
	if len(told) != 6 || told[0].Now != time.Second || told[5].Now != 5500*time.Millisecond || told[0].Up != 30 || told[5].Up != 29 {
		t.Errorf("%+v", told)
	}
	if s.Watch(time.Minute, time.Second, func(p Progress) bool { return p.Now < 20*time.Second }) || s.Now() > 21*time.Second {
		t.Errorf("went on to %v", s.Now())
	}
	if l := r.Live(); l.Operations != 1 || l.Decided != 1 || l.Last.Members != 30 || l.Members != 30 || l.Active == 0 {
		t.Errorf("%+v", l)
	}
}
