package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dancer/mesh"

	"pgregory.net/rapid"
)

// regular makes a topology of equal parts; the classes repeat over the agents.
func regular(sectors, clusters, agents int, class ...uint8) *Topology {
	t := &Topology{Sectors: int32(sectors), ClusterSector: make([]int32, sectors*clusters), AgentCluster: make([]int32, sectors*clusters*agents)}
	for i := range t.ClusterSector {
		t.ClusterSector[i] = int32(i / clusters)
	}
	for i := range t.AgentCluster {
		t.AgentCluster[i] = int32(i / agents)
		if len(class) > 0 {
			t.AgentClass = append(t.AgentClass, class[i%len(class)])
		}
	}
	return t
}

var strategies = map[string]func(time.Duration) []Phase{"wave": Wave, "parallel": Parallel, "priority-first": PriorityFirst}

func mustPlan(t testing.TB, topology *Topology, phases []Phase, options Options) *Plan {
	t.Helper()
	p, err := NewPlan(topology, phases, options)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// script runs the commands of testdata/cascade.txt.
type script struct {
	t        *testing.T
	topology *Topology
	plan     *Plan
}

func TestCascade(t *testing.T) {
	var s script
	transcript(t, "testdata/cascade.txt", func(t *testing.T, words []string) string {
		s.t = t
		return s.run(words)
	})
}

func (s *script) run(words []string) string {
	switch words[0] {
	case "topology":
		var class []uint8
		for _, w := range words[4:] {
			class = append(class, uint8(number(s.t, w)))
		}
		s.topology = regular(int(number(s.t, words[1])), int(number(s.t, words[2])), int(number(s.t, words[3])), class...)
		return ""
	case "plan":
		at, lead := s.at(words[2]), s.at(words[3])
		s.plan = mustPlan(s.t, s.topology, strategies[words[1]](at), Options{CancelLead: lead, Summaries: slices.Contains(words, "summaries"), Confirm: slices.Contains(words, "confirm")})
		return ""
	case "progress":
		x := s.plan.TierProgress(tierNamed(words[1]))
		return fmt.Sprintf("%s: %s of %d, sent %d, reached %d, ready %d, conflicts %d, absent %d, stragglers %d, late %d\n", words[1], x.Verdict.Decision, x.Counts.Total, x.Sent, x.Reached, x.Counts.Ready, x.Counts.Conflict, x.Counts.Absent, x.Stragglers, x.Late)
	}
	now := s.at(words[len(words)-1])
	at := words[len(words)-1] + " "
	switch words[0] {
	case "start":
		s.plan.Start(now)
		return s.steps(now, at)
	case "acts":
		return fmt.Sprintf("%sphase %s acts: %v\n", at, words[1], s.plan.Acts(now, int(number(s.t, words[1]))-1))
	case "cancel":
		return fmt.Sprintf("%scancel: %v\n", at, s.plan.Cancel(now))
	case "step":
		return s.steps(now, at)
	}
	return s.answers(words, now)
}

func (s *script) answers(words []string, now time.Duration) string {
	odd := map[Outcome]int{}
	for _, i := range s.nodes(words) {
		outcome := Counted
		switch {
		case words[0] == "summary":
			c := Counts{Total: s.plan.summary.Child(i).Total, Ready: number(s.t, words[2]), Conflict: number(s.t, words[3])}
			outcome = s.plan.Summary(now, i, c)
		case words[2] == "absent":
			s.plan.Absent(now, tierNamed(words[0]), i)
		default:
			outcome = s.plan.Answer(now, tierNamed(words[0]), i, map[string]mesh.Trinary{"ready": mesh.Ready, "conflict": mesh.Conflict}[words[2]])
		}
		odd[outcome]++
	}
	out := ""
	for o := Refused; o <= Unasked; o++ {
		if odd[o] > 0 && o != Counted {
			out += fmt.Sprintf("%s %s %s: %d %s\n", words[len(words)-1], words[0], words[1], odd[o], o)
		}
	}
	return out
}

// nodes gives whom a line is about.
func (s *script) nodes(words []string) (nodes []int32) {
	if words[0] == "class" {
		for i := range s.topology.Size(TierAgent) {
			if s.topology.Class(i) == uint8(number(s.t, words[1])) {
				nodes = append(nodes, i)
			}
		}
		return nodes
	}
	first, last, _ := strings.Cut(words[1], "-")
	if last == "" {
		last = first
	}
	for i := number(s.t, first); i <= number(s.t, last); i++ {
		nodes = append(nodes, i)
	}
	return nodes
}

func tierNamed(name string) Tier {
	return map[string]Tier{"sector": TierSector, "cluster": TierCluster, "agent": TierAgent, "class": TierAgent}[name]
}

func (s *script) at(word string) time.Duration {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return time.Duration(n) * ms
}

func (s *script) steps(now time.Duration, at string) string {
	var out strings.Builder
	for {
		e, ok := s.plan.Step(now)
		if !ok {
			return out.String()
		}
		out.WriteString(at + e.Kind.String())
		if e.Phase >= 0 {
			fmt.Fprintf(&out, " %d", e.Phase+1)
		}
		switch e.Kind {
		case PhaseOpened, PhaseExtended:
			fmt.Fprintf(&out, " (%s) for %d until %s", s.plan.Phase(e.Phase).Tier, len(slices.Collect(s.plan.Targets(e.Phase))), e.Deadline)
		case PhaseClosed:
			c := e.Verdict.Counts
			fmt.Fprintf(&out, ": %s, %s (%d of %d ready)", e.Verdict.Decision, e.Verdict.Reason, c.Ready, c.Total)
		case PlanFailed:
			fmt.Fprintf(&out, ": %s", s.plan.Failure())
		}
		out.WriteString("\n")
	}
}

func TestPlanRefuses(t *testing.T) {
	good := regular(1, 1, 5)
	phase := Parallel(time.Second)[0]
	change := func(f func(*Phase)) []Phase { p := phase; f(&p); return []Phase{p} }
	for name, c := range map[string]struct {
		topology *Topology
		phases   []Phase
		options  Options
		want     error
	}{
		"no phase":                 {good, nil, Options{}, ErrRule},
		"a phase without a window": {good, change(func(p *Phase) { p.Window = 0 }), Options{}, ErrRule},
		"a phase without a tier":   {good, change(func(p *Phase) { p.Tier = TierNone }), Options{}, ErrTopology},
		"half is enough":           {good, change(func(p *Phase) { p.Rule.Ready = 5000 }), Options{}, ErrRule},
		"T before the beginning":   {good, change(func(p *Phase) { p.At = -1 }), Options{}, ErrRule},
		"the same agents twice":    {good, []Phase{phase, phase}, Options{}, ErrTopology},
		"a tier twice":             {good, []Phase{Wave(0)[0], Wave(0)[0]}, Options{}, ErrTopology},
		"sectors by class":         {good, change(func(p *Phase) { p.Tier, p.Classes = TierSector, 1 }), Options{}, ErrTopology},
		"an unknown class":         {good, change(func(p *Phase) { p.Classes = 1 << classes }), Options{}, ErrTopology},
		"summaries by class":       {good, PriorityFirst(0), Options{Summaries: true}, ErrTopology},
		"a lead of an hour":        {good, Parallel(0), Options{CancelLead: time.Hour}, ErrRule},
		"one word, two moments":    {good, []Phase{change(func(p *Phase) { p.Classes = 2 })[0], change(func(p *Phase) { p.Classes, p.At = 4, 2*time.Second })[0]}, Options{Confirm: true}, ErrRule},
		"half of the whole":        {good, Parallel(0), Options{Overall: Rule{Ready: 5000}}, ErrRule},
		"a parent that is missing": {&Topology{Sectors: 1, ClusterSector: []int32{1}}, Parallel(0), Options{}, ErrTopology},
		"an agent without cluster": {&Topology{Sectors: 1, AgentCluster: []int32{0}}, Parallel(0), Options{}, ErrTopology},
		"classes for others":       {&Topology{AgentClass: []uint8{1}}, Parallel(0), Options{}, ErrTopology},
		"a class that is missing":  {&Topology{Sectors: 1, ClusterSector: []int32{0}, AgentCluster: []int32{0}, AgentClass: []uint8{7}}, Parallel(0), Options{}, ErrTopology},
	} {
		if _, err := NewPlan(c.topology, c.phases, c.options); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlanAgainstItsPromises runs plans through random answers, absences, clocks
// and cancellations and holds them to what they promise, whatever happens.
func TestPlanAgainstItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topology := regular(rapid.IntRange(1, 4).Draw(t, "sectors"), rapid.IntRange(1, 4).Draw(t, "clusters"), rapid.IntRange(1, 6).Draw(t, "agents"), 0, 1, 2, 3, 4, 5, 6)
		name := rapid.SampledFrom([]string{"wave", "parallel", "priority-first"}).Draw(t, "strategy")
		at := time.Duration(rapid.IntRange(0, 8000).Draw(t, "T")) * ms
		lead := time.Duration(rapid.IntRange(0, 500).Draw(t, "lead")) * ms
		p, err := NewPlan(topology, strategies[name](at), Options{CancelLead: lead, Confirm: rapid.Bool().Draw(t, "confirm")})
		if err != nil {
			t.Fatal(err)
		}
		watch := newWatch(t, p, at)
		mood := rapid.IntRange(50, 100).Draw(t, "mood") // percent who answer READY
		p.Start(0)
		now := time.Duration(0)
		for now < 20*time.Second && !watch.over {
			watch.step(now)
			switch rapid.IntRange(0, 12).Draw(t, "what") {
			case 0:
				watch.cancel(now)
			case 1:
				p.Absent(now, Tier(rapid.IntRange(0, 4).Draw(t, "tier")), rapid.Int32Range(-1, 100).Draw(t, "node"))
			case 2:
				now += time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * ms
			case 3:
				p.Answer(now, Tier(rapid.IntRange(0, 4).Draw(t, "tier")), rapid.Int32Range(-1, 100).Draw(t, "node"), mesh.Trinary(rapid.IntRange(-2, 2).Draw(t, "said")))
			default:
				watch.crowd(now, mood)
				now += time.Duration(rapid.IntRange(1, 300).Draw(t, "step")) * ms
			}
		}
		watch.step(now + 20*time.Second)
		watch.end(now + 20*time.Second)
	})
}

// watch checks a plan from outside.
type watch struct {
	t         *rapid.T
	p         *Plan
	at        time.Duration
	opened    map[int]bool
	closed    map[int]bool
	called    map[int]bool
	cancelled time.Duration // when the plan failed or was cancelled; -1 before
	over      bool
	quorum    bool // PlanCommitted or PlanDegraded was said before T
	members   []int32
}

func newWatch(t *rapid.T, p *Plan, at time.Duration) *watch {
	w := &watch{t: t, p: p, at: at, opened: map[int]bool{}, closed: map[int]bool{}, called: map[int]bool{}, cancelled: -1}
	for i := range p.Phases() {
		w.members = append(w.members, p.Progress(i).Counts.Total)
	}
	return w
}

func (w *watch) step(now time.Duration) {
	for steps := 0; ; steps++ {
		if steps > 100 {
			w.t.Fatal("Step does not come to an end")
		}
		e, ok := w.p.Step(now)
		if !ok {
			break
		}
		w.event(now, e)
	}
	if due, ok := w.p.Deadline(); ok && due < now {
		w.t.Fatalf("at %s it waits for %s", now, due)
	}
	for i := range w.p.Phases() {
		x := w.p.Progress(i)
		if x.Counts.Total != w.members[i] || !x.Counts.Valid() {
			w.t.Fatalf("phase %d has %+v, members %d", i, x.Counts, w.members[i])
		}
		if w.p.Acts(now, i) {
			w.acts(now, i)
		}
	}
}

func (w *watch) acts(now time.Duration, i int) {
	switch {
	case now < w.at || w.at == 0:
		w.t.Fatalf("phase %d acts at %s, T is %s", i, now, w.at)
	case !w.opened[i]:
		w.t.Fatalf("phase %d acts and was not sent", i)
	case w.p.confirm && !w.quorum:
		w.t.Fatalf("phase %d acts at %s without a confirmation", i, now)
	case w.called[i]:
		w.t.Fatalf("phase %d acts and was called back", i)
	case w.cancelled >= 0 && w.cancelled < w.at:
		w.t.Fatalf("phase %d acts at %s, cancelled at %s", i, now, w.cancelled)
	}
}

func (w *watch) event(now time.Duration, e Event) {
	switch e.Kind {
	case PhaseOpened:
		if w.opened[e.Phase] || w.cancelled >= 0 {
			w.t.Fatalf("%s %d again, or after the end", e.Kind, e.Phase)
		}
		w.opened[e.Phase] = true
	case PhaseClosed:
		if w.closed[e.Phase] {
			w.t.Fatalf("phase %d closed twice", e.Phase)
		}
		w.closed[e.Phase] = true
		if e.Verdict.Achieved() && (2*e.Verdict.Counts.Ready <= w.members[e.Phase] || !w.opened[e.Phase]) {
			w.t.Fatalf("quorum of a minority: %+v of %d", e.Verdict, w.members[e.Phase])
		}
	case PlanCommitted, PlanDegraded:
		w.success(e.Kind)
		w.quorum = w.quorum || now < w.at
	case PlanFailed, PlanCancelled:
		if w.cancelled >= 0 {
			w.t.Fatalf("%s after the end", e.Kind)
		}
		w.cancelled = now
	case PhaseCancelled:
		if !w.opened[e.Phase] || w.cancelled < 0 || w.called[e.Phase] {
			w.t.Fatalf("phase %d called back: opened %v, end %s", e.Phase, w.opened[e.Phase], w.cancelled)
		}
		w.called[e.Phase] = true
	}
}

// success: more than half of everybody who is counted is READY.
func (w *watch) success(kind EventKind) {
	ready, total := int32(0), int32(0)
	for i := range w.p.Phases() {
		if x := w.p.Progress(i); x.Tier == TierAgent {
			ready += x.Counts.Ready
			total += x.Counts.Total
		}
	}
	if 2*ready <= total {
		w.t.Fatalf("%s with %d of %d", kind, ready, total)
	}
}

func (w *watch) cancel(now time.Duration) {
	before := w.p.State()
	done := w.p.Cancel(now)
	late := (before == Committed || before == Degraded) && now >= w.at
	if want := before != Failed && before != Cancelled && !late; done != want {
		w.t.Fatalf("cancel of a plan that is %s at %s, T %s: %v", before, now, w.at, done)
	}
}

// crowd lets those who were asked answer, most of them READY.
func (w *watch) crowd(now time.Duration, mood int) {
	for i := range w.p.Phases() {
		if !w.opened[i] {
			continue
		}
		for node := range w.p.Targets(i) {
			draw := rapid.IntRange(0, 99).Draw(w.t, "answer")
			switch {
			case draw < mood:
				w.p.Answer(now, w.p.Phase(i).Tier, node, mesh.Ready)
			case draw == 99:
				w.p.Answer(now, w.p.Phase(i).Tier, node, mesh.Conflict)
			}
		}
	}
}

// end: a plan does not hang, and whatever failed was called back where T was not
// reached.
func (w *watch) end(now time.Duration) {
	if s := w.p.State(); s == Idle || s == Running {
		w.t.Fatalf("%s at %s", s, now)
	}
	for i := range w.opened {
		back := w.cancelled >= 0 && (w.cancelled < w.at || w.at == 0 || w.p.Phase(i).At == 0)
		if w.called[i] != back {
			w.t.Fatalf("phase %d called back: %v, want %v (end %s, T %s)", i, w.called[i], back, w.cancelled, w.at)
		}
	}
}
