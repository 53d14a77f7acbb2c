package coordination

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// rig is a lead with its agents, one of the caller's goroutine, with as little around
// it as can be: a queue of messages that all arrive a moment after they were sent,
// and one clock for everybody.
type rig struct {
	lead   *Coordinator
	agents []Agent
	due    []time.Duration // of each agent
	now    time.Duration
	out    Outbox
	queue  []Message
	acts   int
	took   int // messages received
	commit int
	answer int
}

func newRig(t testing.TB, size int, confirm func(*CoordinatorConfig)) *rig {
	r := &rig{agents: make([]Agent, size), due: make([]time.Duration, size), now: time.Minute}
	random := rand.New(rand.NewPCG(7, 7))
	seat := &Seat{ID: 1, Line: []uint32{uint32(size)}}
	config := CoordinatorConfig{Random: random, Seat: seat, Node: uint32(size), Epoch: 1, Tier: quorum.TierAgent, Requests: 16}
	agents, err := NewAgentConfig(AgentConfig{Random: random})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.agents {
		config.Children = append(config.Children, Child{Node: uint32(i), Class: impedance.ClassLocal, Capabilities: 1})
		place := Place{Seat: seat, Node: uint32(i), Child: uint32(i), Epoch: 1}
		if err := r.agents[i].Init(r.now, agents, place, Described{Class: impedance.ClassLocal, Capabilities: 1}); err != nil {
			t.Fatal(err)
		}
		r.due[i] = r.agents[i].Deadline()
	}
	if confirm != nil {
		confirm(&config)
	}
	if r.lead, err = NewCoordinator(r.now, config); err != nil {
		t.Fatal(err)
	}
	r.until(r.now + 30*time.Second)
	if !r.lead.Leading(r.now) {
		t.Fatal("nobody leads")
	}
	return r
}

// settle carries out what agent i has said (len(agents): the lead).
func (r *rig) settle(i int) {
	for done := 0; done < len(r.out.Effects); done++ {
		switch e := &r.out.Effects[done]; e.Kind {
		case Process:
			r.agents[i].Processed(r.now, e.Command, Outcome{State: mesh.Ready, Value: 77}, &r.out)
		case Act:
			r.acts++
		case Committed:
			r.commit++
		case Answered:
			r.answer++
		}
	}
	r.queue = append(r.queue, r.out.Messages...)
	r.out.Reset()
	if i < len(r.agents) {
		r.due[i] = r.agents[i].Deadline()
	}
}

// until lets time pass.
func (r *rig) until(end time.Duration) {
	for {
		for i := 0; i < len(r.queue); i++ {
			m := &r.queue[i]
			r.took++
			if to := int(m.To); to < len(r.agents) {
				r.agents[to].Receive(r.now, m, &r.out)
				r.settle(to)
			} else {
				r.lead.Receive(r.now, m, &r.out)
				r.settle(to)
			}
		}
		r.queue = r.queue[:0]
		next, who := r.lead.Deadline(), len(r.agents)
		for i, d := range r.due {
			if d < next {
				next, who = d, i
			}
		}
		if next > end {
			r.now = end
			return
		}
		if r.now = max(r.now, next); who < len(r.agents) {
			r.agents[who].Tick(r.now, &r.out)
		} else {
			r.lead.Tick(r.now, &r.out)
		}
		r.settle(who)
	}
}

// round is one command of a second ahead from its start until everybody has acted.
func (r *rig) round(t testing.TB, phases []quorum.Phase, confirm bool) {
	at := r.now + time.Second
	phases[0].At = at
	phases[0].Window = time.Second
	if _, _, err := r.lead.Coordinate(r.now, Task{Phases: phases, Priority: breaker.PriorityUrgent, Confirm: confirm}, &r.out); err != nil {
		t.Fatal(err)
	}
	r.settle(len(r.agents))
	r.until(at + 2*time.Second)
}

// benchmark runs rounds and says how many messages a second that is.
func benchmark(b *testing.B, size int, confirm bool) {
	r := newRig(b, size, nil)
	phases := quorum.Parallel(time.Second)
	for range 8 {
		r.round(b, phases, confirm)
	}
	r.took, r.acts, r.commit = 0, 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for range b.N {
		r.round(b, phases, confirm)
	}
	b.StopTimer()
	spent := processorTime(b) - before
	if r.acts != b.N*size || r.commit != b.N {
		b.Fatalf("%d acts and %d commits of %d rounds of %d", r.acts, r.commit, b.N, size)
	}
	b.ReportMetric(float64(r.took)/spent.Seconds(), "messages/s/core")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(r.took), "cpu-ns/message")
}

// processorTime is what this process has had of all processors: on a machine that
// others use as well it says what a core can do.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCoordinate is the whole round of a command in a cell: what the lead sends,
// what each agent makes of it, the answers, the decision and the act at T; and the
// heartbeats of the three seconds that it takes.
func BenchmarkCoordinate(b *testing.B) {
	b.Run("cell of 5", func(b *testing.B) { benchmark(b, 5, false) })
	b.Run("cluster of 30", func(b *testing.B) { benchmark(b, 30, false) })
	b.Run("cluster of 30, confirmed", func(b *testing.B) { benchmark(b, 30, true) })
	b.Run("seat of 100", func(b *testing.B) { benchmark(b, 100, false) })
}
