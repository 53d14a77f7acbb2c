package conflict_test

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"dancer/mesh/conflict"
)

func key(n uint64) (k conflict.Key) {
	binary.LittleEndian.PutUint64(k[:], n)
	return k
}

func report(n uint64, agent uint32, t conflict.Type) conflict.Report {
	return conflict.Report{Key: key(n), Agent: agent, Detail: conflict.Detail{Type: t}}
}

// TestEqualReportsAreOneTask: 30,000 agents that report the same make one task,
// some twenty records, and one word to the sector.
func TestEqualReportsAreOneTask(t *testing.T) {
	q := conflict.NewQueue(0)
	logged, told := 0, []int{}
	for agent := range uint32(30_000) {
		e, err := q.Report(time.Duration(agent), report(1, agent, conflict.DataContradiction))
		if err != nil || e.New != (agent == 0) {
			t.Fatalf("agent %d: %+v, %v", agent, e, err)
		}
		if e.Log {
			logged++
		}
		if e.Escalate != 0 {
			told = append(told, int(agent))
		}
	}
	task, ok := q.Next()
	if !ok || task.Count != 30_000 || task.Agents != 128 || task.Priority != conflict.High || task.First != 0 || task.Last != 29_999 {
		t.Errorf("%+v", task)
	}
	if c := q.Counters(); c.Open != 1 || c.Grouped != 29_999 {
		t.Errorf("%+v", c)
	}
	// 1, 2, 4, ..., 16,384, and the rise when the 101st agent comes.
	if logged != 16 || !slices.Equal(told, []int{100}) {
		t.Errorf("%d records, told at %v", logged, told)
	}
	if e, _ := q.Report(time.Hour, report(1, 5, conflict.DataContradiction)); e.Task.Count != 30_001 || e.Log || e.Escalate != 0 {
		t.Errorf("one more: %+v", e)
	}
}

func TestEscalation(t *testing.T) {
	q := conflict.NewQueue(0)
	e, err := q.Report(0, report(1, 1, conflict.HashMismatch))
	if err != nil || e.Escalate != conflict.ToSector|conflict.ToOrchestrator {
		t.Errorf("critical: %+v, %v", e, err)
	}
	e, _ = q.Report(0, report(2, 1, conflict.ContextDivergence))
	if e.Escalate != 0 {
		t.Errorf("medium: %+v", e)
	}
	deep := report(2, 2, conflict.ContextDivergence)
	deep.Depth = 11
	if e, _ = q.Report(time.Second, deep); e.Escalate != conflict.ToSector || !e.Raised || e.Task.Due != time.Minute+time.Second {
		t.Errorf("grown deep: %+v", e)
	}
	if e, ok := q.Tick(time.Minute); ok {
		t.Errorf("not due yet: %+v", e)
	}
	if due := q.NextDue(); due != 61*time.Second {
		t.Errorf("next due %v", due)
	}
	if e, ok := q.Tick(61 * time.Second); !ok || e.Escalate != conflict.ToOrchestrator || !e.Overdue || e.Task.Priority != conflict.Critical {
		t.Errorf("overdue: %+v", e)
	}
	if e, ok := q.Tick(time.Hour); ok {
		t.Errorf("critical ones have nowhere to rise: %+v", e)
	}
}

// TestNothingWaitsForEver: what nobody resolves is with the orchestrator after 71
// minutes, and everybody is told once.
func TestNothingWaitsForEver(t *testing.T) {
	q := conflict.NewQueue(0)
	if _, err := q.Report(0, report(1, 1, conflict.CapabilityMismatch)); err != nil {
		t.Fatal(err)
	}
	told := map[conflict.Tiers][]time.Duration{}
	for now := time.Duration(0); now < 3*time.Hour; now += time.Second {
		for e, ok := q.Tick(now); ok; e, ok = q.Tick(now) {
			if e.Escalate != 0 {
				told[e.Escalate] = append(told[e.Escalate], now)
			}
		}
	}
	if s := told[conflict.ToSector]; len(s) != 1 || s[0] != 70*time.Minute {
		t.Errorf("sector: %v", s)
	}
	if o := told[conflict.ToOrchestrator]; len(o) != 1 || o[0] != 71*time.Minute {
		t.Errorf("orchestrator: %v", o)
	}
}

func TestQueueBounds(t *testing.T) {
	q := conflict.NewQueue(16) // two for each agent
	for n := range uint64(16) {
		if _, err := q.Report(0, report(n, uint32(n), conflict.CapabilityMismatch)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Report(0, report(100, 100, conflict.CapabilityMismatch)); !errors.Is(err, conflict.ErrFull) || !conflict.Refused(err) {
		t.Errorf("as urgent as the rest: %v", err)
	}
	if _, err := q.Report(0, report(101, 100, conflict.HashMismatch)); err != nil {
		t.Errorf("more urgent: %v", err)
	}
	if _, err := q.Report(0, report(102, 100, conflict.HashMismatch)); err != nil {
		t.Errorf("more urgent: %v", err)
	}
	if _, err := q.Report(0, report(103, 100, conflict.HashMismatch)); !errors.Is(err, conflict.ErrShare) {
		t.Errorf("a third of one agent: %v", err)
	}
	if _, err := q.Report(0, report(102, 101, conflict.HashMismatch)); err != nil {
		t.Errorf("what is open is always counted: %v", err)
	}
	if c := q.Counters(); c.Open != 16 || c.Evicted != 2 || c.Full != 1 || c.Share != 1 || c.Grouped != 1 {
		t.Errorf("%+v", c)
	}
	if _, err := q.Report(0, report(1, 1, 0)); !errors.Is(err, conflict.ErrInvalid) || conflict.Refused(err) {
		t.Errorf("no type: %v", err)
	}
	if task, ok := q.Resolve(key(101)); !ok || task.Agent != 100 {
		t.Errorf("%+v", task)
	}
	if _, ok := q.Resolve(key(101)); ok {
		t.Error("resolved twice")
	}
	if _, err := q.Report(0, report(103, 100, conflict.HashMismatch)); err != nil {
		t.Errorf("its share is free again: %v", err)
	}
}

func TestRestore(t *testing.T) {
	q := conflict.NewQueue(0)
	if err := q.Restore(time.Minute, report(1, 1, conflict.DataContradiction), conflict.High, 40); err != nil {
		t.Fatal(err)
	}
	e, err := q.Report(2*time.Minute, report(1, 2, conflict.DataContradiction))
	if err != nil || e.New || e.Task.Count != 41 || e.Escalate != 0 || e.Task.Priority != conflict.High {
		t.Errorf("%+v, %v", e, err)
	}
	if err := q.Restore(0, report(1, 1, conflict.DataContradiction), conflict.High, 1); err == nil {
		t.Error("restored twice")
	}
	if err := q.Restore(0, report(2, 1, conflict.DataContradiction), 9, 1); err == nil {
		t.Error("priority 9 is restored")
	}
}

func TestKnownReportsDoNotAllocate(t *testing.T) {
	q := conflict.NewQueue(0)
	agent := uint32(0)
	if n := testing.AllocsPerRun(1000, func() {
		agent++
		_, _ = q.Report(0, report(1, agent, conflict.DataContradiction))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// model is the dumbest queue: a list that is searched.
type model struct {
	capacity int
	tasks    []conflict.Task
	agents   map[conflict.Key]map[uint32]bool
	next     uint64
}

func (m *model) find(k conflict.Key) int {
	return slices.IndexFunc(m.tasks, func(t conflict.Task) bool { return t.Key == k })
}

func (m *model) report(now time.Duration, r conflict.Report) error {
	if i := m.find(r.Key); i >= 0 {
		t := &m.tasks[i]
		t.Count++
		t.Last = max(t.Last, now)
		m.agents[r.Key][r.Agent] = true
		t.Agents = len(m.agents[r.Key])
		r.Affected = max(r.Affected, t.Agents)
		m.raise(now, t, conflict.Classify(r.Detail))
		return nil
	}
	p, share, lowest := conflict.Classify(r.Detail), 0, -1
	for i, t := range m.tasks {
		if t.Agent == r.Agent {
			share++
		}
		if t.Priority < p && (lowest < 0 || t.Priority < m.tasks[lowest].Priority) {
			lowest = i
		}
	}
	if share >= m.capacity/8 {
		return conflict.ErrShare
	}
	if len(m.tasks) == m.capacity {
		return conflict.ErrFull // the driver never lets it come to an eviction
	}
	m.next++
	m.tasks = append(m.tasks, conflict.Task{Key: r.Key, Type: r.Type, Priority: p, Number: m.next, First: now, Last: now, Due: modelDue(now, p), Count: 1, Agents: 1, Agent: r.Agent, Told: p.Tells()})
	m.agents[r.Key] = map[uint32]bool{r.Agent: true}
	return nil
}

func modelDue(now time.Duration, p conflict.Priority) time.Duration {
	if p == conflict.Background {
		return conflict.NoDeadline
	}
	return now + p.Deadline()
}

func (m *model) raise(now time.Duration, t *conflict.Task, p conflict.Priority) {
	if p > t.Priority {
		t.Priority, t.Due, t.Told = p, min(t.Due, modelDue(now, p)), t.Told|p.Tells()
	}
}

func (m *model) tick(now time.Duration) {
	for i := range m.tasks {
		for t := &m.tasks[i]; t.Priority < conflict.Critical && t.Due <= now; {
			t.Due = conflict.NoDeadline
			m.raise(now, t, t.Priority+1)
		}
	}
}

func (m *model) sorted() []conflict.Task {
	out := slices.Clone(m.tasks)
	slices.SortFunc(out, func(a, b conflict.Task) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Due, b.Due), cmp.Compare(a.Number, b.Number))
	})
	return out
}

// TestQueueAgainstModel: 200 random histories of reports, ticks and resolutions
// leave the queue as a list that is searched.
func TestQueueAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		q, m := conflict.NewQueue(64), &model{capacity: 64, agents: map[conflict.Key]map[uint32]bool{}}
		now := time.Duration(0)
		for step := range 300 {
			now += time.Duration(r.Int64N(int64(90 * time.Second)))
			switch r.IntN(10) {
			case 0:
				k := key(r.Uint64N(40))
				_, have := q.Resolve(k)
				i := m.find(k)
				if have != (i >= 0) {
					t.Fatalf("seed %d, step %d: resolved %v", seed, step, have)
				}
				if i >= 0 {
					m.tasks = slices.Delete(m.tasks, i, i+1)
				}
			case 1, 2:
				for _, ok := q.Tick(now); ok; _, ok = q.Tick(now) {
				}
				m.tick(now)
			default:
				n := r.Uint64N(40)
				rep := report(n, r.Uint32N(20), conflict.Types()[n%5])
				rep.Depth, rep.Affected = r.IntN(13), r.IntN(103)
				_, err := q.Report(now, rep)
				if want := m.report(now, rep); !errors.Is(err, want) {
					t.Fatalf("seed %d, step %d: %v, want %v", seed, step, err, want)
				}
			}
			if have, want := q.Tasks(nil), m.sorted(); !slices.Equal(have, want) {
				t.Fatalf("seed %d, step %d:\nhave %+v\nwant %+v", seed, step, have, want)
			}
			if first, ok := q.Next(); ok && first != m.sorted()[0] {
				t.Fatalf("seed %d, step %d: first %+v", seed, step, first)
			}
		}
	}
}

func BenchmarkReportKnown(b *testing.B) {
	q := conflict.NewQueue(0)
	r := report(1, 1, conflict.DataContradiction)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Agent = uint32(i)
		_, _ = q.Report(0, r)
	}
}

func BenchmarkReportNew(b *testing.B) {
	q := conflict.NewQueue(0)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		_, _ = q.Report(0, report(i, uint32(i), conflict.DataContradiction))
		if i >= 100 {
			q.Resolve(key(i - 100))
		}
	}
}
