package coordination

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// ready makes a cell that has found its lead.
func ready(t testing.TB, size int, tune func(*CoordinatorConfig)) *network {
	t.Helper()
	n := newNetwork(t, 5)
	cell(n, size, tune)
	for _, m := range n.nodes {
		n.start(m)
	}
	n.run(20 * time.Second)
	if _, c := n.leader(1); c == nil {
		t.Fatal("nobody leads")
	}
	return n
}

// effects of a kind, of a command.
func (n *network) effects(kind EffectKind, command uint64) (found []Entry) {
	for _, e := range n.trail {
		if e.Effect.Kind == kind && e.Effect.Command == command {
			found = append(found, e)
		}
	}
	return found
}

// TestConfigurations: what cannot work is said when it is made.
func TestConfigurations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for name, c := range map[string]AgentConfig{
		"no randomness": {}, "no place": {Random: random, Places: -1}, "65 places": {Random: random, Places: 65},
		"heartbeats that do not fit": {Random: random, Timing: Timing{Heartbeat: 20 * time.Second, Follow: 30 * time.Second, Echo: 2}},
		"heartbeats over an hour":    {Random: random, Timing: Timing{Heartbeat: 2 * time.Hour}},
		"impatience":                 {Random: random, Timing: Timing{Stand: time.Second}},
	} {
		if _, err := NewAgentConfig(c); !errors.Is(err, ErrConfig) {
			t.Errorf("agent, %s: %v", name, err)
		}
	}
	seat := &Seat{ID: 1, Line: []uint32{0}}
	children := []Child{{Node: 1}}
	right := CoordinatorConfig{Random: random, Seat: seat, Children: children, Tier: quorum.TierAgent}
	for name, spoil := range map[string]func(*CoordinatorConfig){
		"no randomness": func(c *CoordinatorConfig) { c.Random = nil }, "no seat": func(c *CoordinatorConfig) { c.Seat = nil },
		"a seat of nobody": func(c *CoordinatorConfig) { c.Seat = &Seat{ID: 1} }, "a node too high": func(c *CoordinatorConfig) { c.Node = MaxNodes },
		"no children": func(c *CoordinatorConfig) { c.Children = nil }, "too many children": func(c *CoordinatorConfig) { c.Children = make([]Child, maxChildren+1) },
		"no tier": func(c *CoordinatorConfig) { c.Tier = quorum.TierNone }, "65 commands": func(c *CoordinatorConfig) { c.Operations = 65 },
		"fewer than no requests": func(c *CoordinatorConfig) { c.Requests = -1 }, "a parent without a seat": func(c *CoordinatorConfig) { c.Parent = &Place{} },
	} {
		c := right
		if spoil(&c); true {
			if _, err := NewCoordinator(0, c); !errors.Is(err, ErrConfig) {
				t.Errorf("coordinator, %s: %v", name, err)
			}
		}
	}
	if _, err := NewCoordinator(0, right); err != nil {
		t.Errorf("unspoilt: %v", err)
	}
	if _, err := NewAgent(0, &AgentConfig{}, Place{}, Described{}); !errors.Is(err, ErrConfig) {
		t.Errorf("agent without a seat: %v", err)
	}
}

// TestTasksRefused: what is asked for wrongly, too often or at a wrong time gets an
// error of its own, and nothing is sent.
func TestTasksRefused(t *testing.T) {
	r := newRig(t, 5, nil)
	parallel := func(at time.Duration) []quorum.Phase { return quorum.Parallel(at) }
	give := func(task Task) error {
		_, _, err := r.lead.Coordinate(r.now, task, &r.out)
		return err
	}
	later := r.now + time.Minute/2
	two := append(parallel(later), parallel(later+1)...)
	for name, task := range map[string]Task{
		"no phase": {}, "two moments": {Phases: two}, "weight": {Phases: parallel(later), Weight: 1001}, "negative weight": {Phases: parallel(later), Weight: -1},
		"priority": {Phases: parallel(later), Priority: 4}, "lead": {Phases: parallel(later), CancelLead: -1},
		"tier above": {Phases: quorum.Wave(later)}, "nine phases": {Phases: make([]quorum.Phase, maxPhases+1)},
	} {
		if err := give(task); err == nil || errors.Is(err, ErrBusy) || len(r.out.Messages) > 0 {
			t.Errorf("%s: %v, %d messages", name, err, len(r.out.Messages))
		}
	}
	for i := range 5 {
		if err := give(Task{Phases: parallel(later), Priority: 2}); errors.Is(err, ErrBusy) != (i == 4) || (err != nil) != (i == 4) {
			t.Errorf("command %d of 4 that are possible: %v", i+1, err)
		}
	}
	if r.lead.Cancel(r.now, 12345, &r.out) || r.lead.Cancel(r.now, 0, &r.out) {
		t.Error("what nobody knows was cancelled")
	}
	r.lead.Freeze(r.now, 1, true, &r.out)
	if err := give(Task{Phases: parallel(later), Priority: 2}); !errors.Is(err, ErrRuling) {
		t.Errorf("frozen: %v", err)
	}
	if _, _, err := r.lead.Request(r.now, Request{Window: time.Second}, &r.out); !errors.Is(err, ErrRuling) {
		t.Errorf("request while frozen: %v", err)
	}
	if _, _, err := r.lead.Request(r.now, Request{}, &r.out); !errors.Is(err, ErrTask) {
		t.Errorf("request without a window: %v", err)
	}
	r.now += time.Hour
	r.lead.Tick(r.now, &r.out)
	if err := give(Task{Phases: parallel(r.now + time.Second), Priority: 2}); !errors.Is(err, ErrNotLeading) {
		t.Errorf("an hour without its members: %v", err)
	}
}

// TestBusy: an agent with as many commands as it holds refuses the next one, and that
// is counted.
func TestBusy(t *testing.T) {
	r := newRig(t, 5, nil)
	for i := range r.agents {
		r.agents[i].works, r.agents[i].queue = r.agents[i].works[:2], r.agents[i].queue[:2]
		r.agents[i].holds = *arrival.NewHolds(2, arrival.DefaultLimits)
	}
	at := r.now + 20*time.Second
	for range 3 {
		if _, _, err := r.lead.Coordinate(r.now, Task{Phases: quorum.Parallel(at), Priority: 2}, &r.out); err != nil {
			t.Fatal(err)
		}
		r.settle(len(r.agents))
	}
	r.until(at + time.Second)
	if r.acts != 10 || r.commit != 2 || r.lead.Refused(ReasonBusy) < 5 {
		t.Errorf("%d acts of 5 agents with 2 places, %d commits, %d times busy", r.acts, r.commit, r.lead.Refused(ReasonBusy))
	}
}

// TestSizes: what a fleet of a million is planned with.
func TestSizes(t *testing.T) {
	places := 4 * (unsafe.Sizeof(work{}) + unsafe.Sizeof(arrival.Hold{}) + 1)
	for name, c := range map[string]struct{ have, most uintptr }{
		"message": {unsafe.Sizeof(Message{}), 112}, "agent with four places": {unsafe.Sizeof(Agent{}) + places, 1300},
		"member of a coordinator": {unsafe.Sizeof(child{}) + 4*unsafe.Sizeof(leg{}) + unsafe.Sizeof(arrival.Target{}) + 56, 900},
	} {
		t.Logf("%s: %d bytes", name, c.have)
		if c.have > c.most {
			t.Errorf("%s: %d bytes, at most %d", name, c.have, c.most)
		}
	}
}

// TestNothingAllocated: a command allocates nothing once the slices have their room,
// heartbeats included.
func TestNothingAllocated(t *testing.T) {
	r := newRig(t, 30, nil)
	phases := quorum.Parallel(time.Second)
	for range 16 {
		r.round(t, phases, true)
	}
	if n := testing.AllocsPerRun(20, func() { r.round(t, phases, false) }); n != 0 {
		t.Errorf("%g allocations a command", n)
	}
	if n := testing.AllocsPerRun(20, func() { r.until(r.now + 10*time.Second) }); n != 0 {
		t.Errorf("%g allocations in ten seconds of heartbeats", n)
	}
}

// TestHeldUntilT: who is READY early acts at T; who is READY after T acts at once and
// says how late; who is READY when nobody waits any more does not act.
func TestHeldUntilT(t *testing.T) {
	n := ready(t, 5, nil)
	n.service = func(node uint32) time.Duration {
		return [...]time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, 1300 * time.Millisecond, 2 * time.Second}[node]
	}
	command, err := n.coordinate(1, time.Second, func(at time.Duration) Task {
		p := quorum.Parallel(at)
		p[0].Rule = quorum.Rule{Ready: 6000, Conflict: 500, Transit: 4000}
		return Task{Phases: p, Priority: breaker.PriorityUrgent}
	})
	if err != nil {
		t.Fatal(err)
	}
	n.run(n.now + 5*time.Second)
	late := map[uint32]time.Duration{}
	for _, e := range n.effects(Act, command) {
		late[e.Node] = e.Effect.Late
		if off := e.True - e.T; (off - e.Effect.Late).Abs() > e.Effect.Bound+time.Millisecond {
			t.Errorf("node %d says %s late, and is %s", e.Node, e.Effect.Late, off)
		}
	}
	if len(late) != 4 || late[0] > time.Millisecond || late[3] < 200*time.Millisecond || late[3] > 400*time.Millisecond {
		t.Errorf("late by %v", late)
	}
	if d := n.effects(Dropped, command); len(d) != 1 || d[0].Node != 4 || d[0].Effect.Reason != ReasonTooLate {
		t.Errorf("dropped: %+v", d)
	}
}

// TestSkipped: who cannot be READY in time is not asked, and the effect says what
// would have been needed; the attempt fails, and nobody acts.
func TestSkipped(t *testing.T) {
	n := ready(t, 5, nil)
	command, err := n.coordinate(1, 2*time.Millisecond, parallel(false))
	if err != nil {
		t.Fatal(err)
	}
	n.run(n.now + 3*time.Second)
	skipped := n.effects(Skipped, command)
	for _, e := range skipped {
		if e.Effect.Skip != arrival.InsufficientLead || e.Effect.Advice <= e.Effect.At || e.Effect.At > 2*time.Millisecond {
			t.Errorf("skipped: %s, needs %s, has %s", e.Effect.Skip, e.Effect.Advice, e.Effect.At)
		}
	}
	failed := n.effects(Failed, command)
	if len(skipped) != 5 || len(failed) != 1 || failed[0].Effect.Verdict.Decision != quorum.Retry || n.count(Act, command) != 0 {
		t.Errorf("%d skipped, failed %+v, %d acts", len(skipped), failed, n.count(Act, command))
	}
}

// TestStragglers: two of thirty that are dead take nothing from the others.
func TestStragglers(t *testing.T) {
	n := ready(t, 30, nil)
	lead, _ := n.leader(1)
	for i := range 2 {
		n.kill(n.nodes[(int(lead.id)+7+i)%30])
	}
	command, err := n.coordinate(1, 2*time.Second, parallel(false))
	if err != nil {
		t.Fatal(err)
	}
	begun := n.now
	n.run(n.now + 4*time.Second)
	committed := n.effects(Committed, command)
	if len(committed) != 1 || committed[0].True > begun+2*time.Second-quorum.DefaultCancelLead+time.Millisecond || n.count(Act, command) != 28 {
		t.Errorf("committed %+v, %d acts", committed, n.count(Act, command))
	}
}

// TestFourDecisions: PROCEED, RESOLVE_CONFLICTS, RETRY, and WAIT until a later answer.
func TestFourDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		conflicts, dead int
		service         time.Duration
		phase           quorum.Phase
		end             EffectKind
		decision        quorum.Decision
		acts            int
	}{
		"proceed": {0, 0, time.Millisecond, quorum.Parallel(0)[0], Committed, quorum.Proceed, 5},
		"resolve": {2, 0, time.Millisecond, quorum.Parallel(0)[0], Failed, quorum.ResolveConflicts, 0},
		"retry":   {0, 2, time.Millisecond, quorum.Parallel(0)[0], Failed, quorum.Retry, 0},
		"wait": {0, 0, 400 * time.Millisecond, quorum.Phase{Tier: quorum.TierAgent, Rule: quorum.RuleAgents, Window: 100 * time.Millisecond, Limit: 4 * time.Second},
			Committed, quorum.Proceed, 0},
	} {
		n := ready(t, 5, nil)
		n.service = func(uint32) time.Duration { return c.service }
		n.outcome = func(node uint32, _ uint64) Outcome {
			if int(node) > 4-c.conflicts {
				return Outcome{State: mesh.Conflict, Conflict: conflict.DataContradiction, Value: 9}
			}
			return Outcome{State: mesh.Ready}
		}
		lead, _ := n.leader(1)
		for i := range c.dead {
			n.kill(n.nodes[(int(lead.id)+1+i)%5])
			n.run(n.now + 20*time.Second) // until they are known to be gone
		}
		begun := n.now
		command, err := n.coordinate(1, 3*time.Second, func(at time.Duration) Task {
			if c.phase.Limit != 4*time.Second {
				c.phase.At = at
			}
			return Task{Phases: []quorum.Phase{c.phase}, Priority: breaker.PriorityUrgent}
		})
		if err != nil {
			t.Fatal(err)
		}
		n.run(n.now + 8*time.Second)
		end := n.effects(c.end, command)
		if len(end) != 1 || end[0].Effect.Verdict.Decision != c.decision || n.count(Act, command) != c.acts {
			t.Errorf("%s: %+v, %d acts", name, end, n.count(Act, command))
		}
		if name == "wait" && len(end) == 1 && end[0].True-begun < 400*time.Millisecond {
			t.Errorf("decided after %s, before anybody had answered", end[0].True-begun)
		}
		if told := n.effects(Conflicting, command); len(told) != c.conflicts {
			t.Errorf("%s: %d conflicts told of %d", name, len(told), c.conflicts)
		}
	}
}

// TestRequestHedged: a request whose first agent is silent goes to another one, and
// the first answer is the answer.
func TestRequestHedged(t *testing.T) {
	n := ready(t, 5, func(c *CoordinatorConfig) { c.Requests = 4 })
	m, c := n.leader(1)
	var out Outbox
	for range 25 { // one in twenty may be hedged
		if _, _, err := c.Request(m.local(n.now), Request{Requires: 1, Idempotent: true, Window: 10 * time.Second}, &out); err != nil {
			t.Fatal(err)
		}
		n.drain(m, &out)
		out.Reset()
		n.run(n.now + time.Second)
	}
	first := c.best(1, 0, -1)
	n.service = func(node uint32) time.Duration {
		if node == uint32(first) {
			return time.Minute
		}
		return 2 * time.Millisecond
	}
	command, _, err := c.Request(m.local(n.now), Request{Requires: 1, Idempotent: true, Window: 10 * time.Second}, &out)
	if err != nil {
		t.Fatal(err)
	}
	n.drain(m, &out)
	out.Reset()
	n.run(n.now + 15*time.Second)
	answered := n.effects(Answered, command)
	if len(answered) != 1 || answered[0].Effect.Reporter == uint32(first) || len(n.effects(Process, command)) != 2 || n.count(Act, command) != 0 {
		t.Errorf("answered %+v, processed %d times", answered, len(n.effects(Process, command)))
	}
	if why := n.effects(Dropped, command); len(why) != 1 || why[0].Node != uint32(first) || why[0].Effect.Reason != ReasonCancelled {
		t.Errorf("the other copy: %+v", why)
	}
	for i := range 5 {
		_, _, err := c.Request(m.local(n.now), Request{Requires: 1, Window: 30 * time.Second}, &out)
		if errors.Is(err, ErrBusy) != (i == 4) {
			t.Errorf("request %d of 4 that are possible: %v", i+1, err)
		}
	}
	if _, _, err := c.Request(m.local(n.now), Request{Requires: 1 << 40, Window: time.Second}, &out); !errors.Is(err, ErrNobody) {
		t.Errorf("what nobody can do: %v", err)
	}
}

// TestAtOnce: what has no T is processed by everybody, and nobody acts.
func TestAtOnce(t *testing.T) {
	n := ready(t, 5, nil)
	command, err := n.coordinate(1, 0, func(time.Duration) Task { return Task{Phases: quorum.Parallel(0), Priority: breaker.PriorityUrgent} })
	if err != nil {
		t.Fatal(err)
	}
	n.run(n.now + 5*time.Second)
	if len(n.effects(Process, command)) != 5 || n.count(Committed, command) != 1 || n.count(Act, command) != 0 {
		t.Errorf("%d processed, %d commits, %d acts", len(n.effects(Process, command)), n.count(Committed, command), n.count(Act, command))
	}
}

// TestPeople: a person is asked with the others and never counted.
func TestPeople(t *testing.T) {
	n := ready(t, 5, func(c *CoordinatorConfig) {
		c.Children = append([]Child(nil), c.Children...)
		c.Children[4].Class = impedance.ClassHuman
	})
	n.service = func(node uint32) time.Duration {
		if node == 4 {
			return time.Hour
		}
		return time.Millisecond
	}
	command, err := n.coordinate(1, time.Second, parallel(false))
	if err != nil {
		t.Fatal(err)
	}
	n.run(n.now + 3*time.Second)
	committed := n.effects(Committed, command)
	if len(committed) != 1 || committed[0].Effect.Verdict.Counts.Total != 4 || len(n.effects(Process, command)) != 5 || n.count(Act, command) != 4 {
		t.Errorf("%+v, asked %d, %d acts", committed, len(n.effects(Process, command)), n.count(Act, command))
	}
}

// grown makes a tree in which everybody follows.
func grown(t *testing.T) (n *network, members int) {
	n = newNetwork(t, 3)
	members = int(tree(n, 3))
	for _, m := range n.nodes {
		n.start(m)
	}
	n.run(90 * time.Second)
	return n, members
}

// TestCascades: wave asks tier by tier, priority-first class by class, and everybody
// acts at the one T; Progress tells how far it is.
func TestCascades(t *testing.T) {
	n, members := grown(t)
	for name, c := range map[string]struct {
		phases func(time.Duration) []quorum.Phase
		seen   int
	}{"wave": {quorum.Wave, 3}, "priority": {quorum.PriorityFirst, 5}} {
		command, err := n.coordinate(1, 6*time.Second, func(at time.Duration) Task { return Task{Phases: c.phases(at), Priority: 2} })
		if err != nil {
			t.Fatal(err)
		}
		n.run(n.now + 6100*time.Millisecond)
		_, lead := n.leader(1)
		if p, ok := lead.Progress(command); !ok || p.Phases != c.seen || p.Phase != c.seen-1 || p.Tier != quorum.TierAgent || p.State == quorum.Running {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
		n.run(n.now + 2*time.Second)
		opened := n.effects(PhaseOpened, command)
		if len(opened) != c.seen || len(n.effects(PhaseClosed, command)) != c.seen {
			t.Errorf("%s: %d phases opened", name, len(opened))
		}
		if acts := n.count(Act, command); acts != members {
			t.Errorf("%s: %d of %d acted", name, acts, members)
		}
	}
	if err := n.check(int32(members)); err != nil {
		t.Error(err)
	}
}

// TestCalledBack: what is cancelled before T is acted on by nobody, wherever it is.
func TestCalledBack(t *testing.T) {
	for _, after := range []time.Duration{0, 30 * time.Millisecond, time.Second, 2800 * time.Millisecond} {
		n, members := grown(t)
		command, err := n.coordinate(1, 3*time.Second, parallel(false))
		if err != nil {
			t.Fatal(err)
		}
		n.run(n.now + after)
		m, c := n.leader(1)
		var out Outbox
		if !c.Cancel(m.local(n.now), command, &out) {
			t.Fatalf("%s after its start there was nothing to cancel", after)
		}
		n.drain(m, &out)
		n.run(n.now + 6*time.Second)
		if n.count(Act, command) != 0 || n.count(Cancelled, command) != 1 {
			t.Errorf("cancelled after %s: %d of %d acted", after, n.count(Act, command), members)
		}
	}
}

// TestNoStampede: thirty that were cut off from their lead for a minute find it again,
// and it is not asked by all of them at once.
func TestNoStampede(t *testing.T) {
	n := ready(t, 30, nil)
	n.faults.side = make([]uint8, 30)
	for i := range n.faults.side {
		n.faults.side[i] = uint8(i) // everybody is alone
	}
	n.run(n.now + time.Minute)
	n.faults.side = nil
	most, joined := 0, n.now
	for n.now < joined+20*time.Second {
		before := n.sent
		n.run(n.now + 100*time.Millisecond)
		most = max(most, n.sent-before)
	}
	following := 0
	for _, m := range n.nodes {
		if m.Agent.Following() {
			following++
		}
	}
	t.Logf("at most %d messages of 30 members in 100 ms", most)
	if following != 30 || most > 4*30 {
		t.Errorf("%d of 30 follow after 20 s; at most %d messages in 100 ms", following, most)
	}
}

// TestPromises: nothing is promised in a new term until the promise in the old one is
// over, nor ever again in a lower one.
func TestPromises(t *testing.T) {
	timing := Timing{}.WithDefaults()
	random := rand.New(rand.NewPCG(1, 1))
	seat := &Seat{ID: 1, Line: []uint32{0, 1, 2}}
	l := newLink(0, Place{Seat: seat, Node: 9}, &timing, random)
	var out Outbox
	hear := func(now time.Duration) { l.peerAt, l.peerCame = now, now }
	hear(1)
	if ms := l.promise(2, &timing, &out); ms == 0 || len(out.Effects) != 1 || out.Effects[0].Kind != TermChanged || out.Effects[0].Term != 1 {
		t.Fatalf("promised %d ms, %+v", ms, out.Effects)
	}
	owed := l.owes
	l.adopt(time.Second, 3, &timing)
	l.leaveAt = time.Minute
	hear(time.Second)
	if ms := l.promise(owed-1, &timing, &out); ms != 0 {
		t.Errorf("%d ms promised in term 3 while term 1 is owed", ms)
	}
	if ms := l.promise(owed, &timing, &out); ms == 0 {
		t.Error("nothing promised though nothing is owed")
	}
	l.adopt(time.Minute, 2, &timing)
	l.leaveAt = 2 * time.Minute
	hear(time.Minute)
	if ms := l.promise(time.Minute+30*time.Second, &timing, &out); ms != 0 {
		t.Errorf("%d ms promised in term 2 after term 3", ms)
	}
	again := newLink(0, Place{Seat: seat, Node: 9, Term: 3}, &timing, random)
	again.peerAt, again.peerCame = 1, 1
	if ms := again.promise(timing.Follow-1, &timing, &out); ms != 0 {
		t.Errorf("%d ms promised at a start, before what the one before promised was over", ms)
	}
}

// TestThawedByMost: one member can freeze its cell, and only most of them can tell a
// new lead that it was thawed.
func TestThawedByMost(t *testing.T) {
	n := ready(t, 5, nil)
	m, c := n.leader(1)
	say := func(child uint32, kind Kind, sequence uint64) {
		c.children[child].knows = sequence
		msg := Message{Kind: kind, Flags: FlagUp, From: child, To: m.id, Seat: 1, Term: c.term, Epoch: c.children[child].epoch, Child: child, Scope: breaker.ScopeGlobal, Value: sequence}
		var out Outbox
		c.Receive(m.local(n.now), &msg, &out)
	}
	if say(0, Freeze, 4); !c.Frozen() {
		t.Error("not frozen at a member's word")
	}
	say(1, Thaw, 5)
	if say(2, Thaw, 5); !c.Frozen() {
		t.Error("thawed at the word of two of five")
	}
	if say(3, Thaw, 5); c.Frozen() {
		t.Error("not thawed though three of five have heard it")
	}
}

// TestRequestTurnedAway: an agent that has no room does not keep a request from
// another one that has; where nobody takes it that is said at once.
func TestRequestTurnedAway(t *testing.T) {
	n := ready(t, 3, func(c *CoordinatorConfig) { c.Requests = 4 })
	m, c := n.leader(1)
	ask := func(q Request) uint64 {
		var out Outbox
		q.Window = 10 * time.Second
		command, _, err := c.Request(m.local(n.now), q, &out)
		if err != nil {
			t.Fatal(err)
		}
		n.drain(m, &out)
		n.run(n.now + time.Second)
		return command
	}
	first := c.best(1, 0, -1)
	n.nodes[first].Agent.works = nil // no room at all
	if command := ask(Request{Requires: 1}); len(n.effects(Answered, command)) != 1 {
		t.Error("the next one was not asked")
	}
	command := ask(Request{Requires: 1, One: first + 1})
	if u := n.effects(Unanswered, command); len(u) != 1 || u[0].Effect.Reason != ReasonBusy {
		t.Errorf("nobody else was to be asked: %+v", u)
	}
	for _, m := range n.nodes {
		m.Agent.works = nil
	}
	command = ask(Request{Requires: 1})
	if u := n.effects(Unanswered, command); len(u) != 1 || u[0].Effect.Reason != ReasonBusy {
		t.Errorf("everybody is busy: %+v", u)
	}
}
