package coordination

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/quorum"

	"pgregory.net/rapid"
)

// schedule is a run with its faults, as text:
//
//	cell|tree SIZE seed N
//	TIME VERB ARGUMENTS
//
// with the verbs of schedule.do.
type schedule struct {
	shape string
	size  int
	seed  uint64
	steps []step
}

type step struct {
	at   time.Duration
	verb string
	args []int
}

func (s schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d seed %d\n", s.shape, s.size, s.seed)
	for _, x := range s.steps {
		fmt.Fprintf(&b, "%s %s", x.at, x.verb)
		for _, a := range x.args {
			fmt.Fprintf(&b, " %d", a)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func parse(text string) (s schedule, err error) {
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case s.shape == "":
			if len(words) != 4 || words[2] != "seed" {
				return s, fmt.Errorf("line %d: want SHAPE SIZE seed N", i+1)
			}
			s.shape = words[0]
			if s.size, err = strconv.Atoi(words[1]); err != nil {
				return s, err
			}
			if s.seed, err = strconv.ParseUint(words[3], 10, 64); err != nil {
				return s, err
			}
		default:
			x := step{verb: words[1]}
			if x.at, err = time.ParseDuration(words[0]); err != nil {
				return s, err
			}
			for _, w := range words[2:] {
				a, err := strconv.Atoi(w)
				if err != nil {
					return s, err
				}
				x.args = append(x.args, a)
			}
			s.steps = append(s.steps, x)
		}
	}
	return s, nil
}

// verbs and the arguments that each draws, given the number of nodes.
var verbs = map[string]func(t *rapid.T, nodes int) []int{
	"kill":  func(t *rapid.T, nodes int) []int { return []int{rapid.IntRange(0, nodes-1).Draw(t, "node")} },
	"start": func(t *rapid.T, nodes int) []int { return []int{rapid.IntRange(0, nodes-1).Draw(t, "node")} },
	"split": func(t *rapid.T, nodes int) []int {
		return []int{rapid.IntRange(1, 1<<min(nodes, 30)-2).Draw(t, "side")}
	},
	"join":   func(*rapid.T, int) []int { return nil },
	"loss":   func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(0, 60).Draw(t, "percent")} },
	"double": func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(0, 50).Draw(t, "percent")} },
	"delay":  func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(1, 200).Draw(t, "ms")} },
	"jitter": func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(0, 300).Draw(t, "ms")} },
	"command": func(t *rapid.T, _ int) []int {
		return []int{rapid.IntRange(10, 3000).Draw(t, "ahead ms"), rapid.IntRange(0, 1).Draw(t, "confirm")}
	},
	"wave":     func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(500, 6000).Draw(t, "ahead ms")} },
	"priority": func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(500, 6000).Draw(t, "ahead ms")} },
	"cancel":   func(*rapid.T, int) []int { return nil },
	"freeze":   func(*rapid.T, int) []int { return nil },
	"thaw":     func(*rapid.T, int) []int { return nil },
	"slow": func(t *rapid.T, nodes int) []int {
		return []int{rapid.IntRange(0, nodes-1).Draw(t, "node"), rapid.IntRange(1, 2000).Draw(t, "ms")}
	},
	"disagree": func(t *rapid.T, nodes int) []int {
		return []int{rapid.IntRange(0, nodes-1).Draw(t, "node"), rapid.IntRange(0, 1).Draw(t, "on")}
	},
	"hold": func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(0, 30).Draw(t, "percent")} },
	"pause": func(t *rapid.T, nodes int) []int {
		return []int{rapid.IntRange(0, nodes-1).Draw(t, "node"), rapid.IntRange(10, 40_000).Draw(t, "ms")}
	},
	"set": func(t *rapid.T, nodes int) []int {
		return []int{rapid.IntRange(0, nodes-1).Draw(t, "node"), rapid.IntRange(-setBy, setBy).Draw(t, "ms")}
	},
	"damage": func(t *rapid.T, _ int) []int { return []int{rapid.IntRange(0, 50).Draw(t, "percent")} },
	"deaf":   func(t *rapid.T, nodes int) []int { return []int{rapid.IntRange(0, nodes-1).Draw(t, "node")} },
	"hush": func(t *rapid.T, _ int) []int {
		return []int{rapid.IntRange(0, 1).Draw(t, "child"), rapid.IntRange(0, 1).Draw(t, "on")}
	},
	"byzantine": func(t *rapid.T, nodes int) []int { return []int{rapid.IntRange(0, nodes-1).Draw(t, "node")} },
}

// names of the verbs in a fixed order; commands are the most frequent.
var names = []string{"command", "command", "command", "command", "kill", "start", "start", "split", "join", "loss", "double", "delay", "jitter",
	"cancel", "freeze", "thaw", "slow", "disagree", "byzantine", "wave", "priority", "hold", "pause", "pause", "set", "deaf", "hush", "damage"}

// setBy is by how many ms a clock is set at most, from where it ran at first. Two
// clocks together stay below Follow/64.
const setBy = 50

// last is when faults end, settled when everything is well again: the slowest of
// all is a breaker after its longest back-off.
const last = 3 * time.Minute

// world is a schedule being run.
type world struct {
	*network
	s        schedule
	sequence uint64
	frozen   bool
	hushed   [treeSectors]bool
	command  uint64
	slow     map[uint32]time.Duration
	says     map[uint32]Outcome
	root     uint32 // its seat
	agents   int32
}

// play runs a schedule and gives the first thing that was wrong.
func (s schedule) play(t testing.TB, verbose bool) (err error) {
	w := s.world(t)
	w.verbose = verbose
	return w.play()
}

// spoilt runs it with something that spoils each node after each of its events.
func (s schedule) spoilt(t testing.TB, spoil func(n *network, m *machine)) (err error) {
	w := s.world(t)
	w.spoil = spoil
	return w.play()
}

func (w *world) play() error {
	w.begin()
	w.at(last, w.mend)
	w.run(last)
	return w.settle()
}

// world makes what the schedule runs in.
func (s schedule) world(t testing.TB) *world {
	w := &world{network: newNetwork(t, s.seed), s: s, slow: map[uint32]time.Duration{}, says: map[uint32]Outcome{}, root: 1, agents: int32(s.size)}
	w.service = func(node uint32) time.Duration {
		if d, ok := w.slow[node]; ok {
			return d
		}
		return time.Duration(1+w.random.IntN(4)) * time.Millisecond
	}
	w.outcome = func(node uint32, _ uint64) Outcome {
		if o, ok := w.says[node]; ok {
			return o
		}
		return Outcome{State: mesh.Ready, Value: 77}
	}
	if s.shape == "tree" {
		w.agents = tree(w.network, s.size)
	} else {
		cell(w.network, s.size, nil)
	}
	if s.seed%4 == 0 {
		w.wire = newWire(w.network)
	}
	return w
}

// begin starts every node at a moment of its own, and plans the steps.
func (w *world) begin() {
	for _, m := range w.nodes {
		w.at(time.Duration(w.random.Int64N(int64(2*time.Second))), func() { w.start(m) })
	}
	for _, x := range w.s.steps {
		w.at(x.at, func() { w.do(x) })
		if x.verb == "set" { // until it is measured, nobody can know
			w.drifted = 4 * setBy * time.Millisecond
		}
	}
}

// mend ends all faults.
func (w *world) mend() {
	w.faults = faults{delay: 3 * time.Millisecond, jitter: time.Millisecond}
	if w.wire != nil {
		w.wire.damaged = 0
	}
	clear(w.slow)
	clear(w.says)
	for _, m := range w.nodes {
		if m.pause = min(m.pause, w.now); m.dead {
			w.start(m)
		}
	}
	if w.frozen {
		w.freeze(false)
	}
	w.unhush()
}

// unhush thaws every sector that was frozen, also where the word was lost.
func (w *world) unhush() {
	for i := range w.hushed {
		if w.hushed[i] {
			w.hush(i, false)
		}
	}
}

// settle waits until all is well and says what is not.
func (w *world) settle() error {
	bound := breaker.DefaultConfig().Recovery() + time.Minute
	well := 0
	for end := w.now + bound; ; {
		w.run(w.now + 10*time.Second)
		for _, m := range w.nodes { // an operator looks, and says that it is well
			for _, c := range m.Coordinators {
				c.guard.Modes.Acknowledge()
				for i := range c.children {
					c.detector.Release(int32(i))
				}
			}
		}
		if err := w.check(w.agents); err != nil {
			return err
		}
		why := w.unwell()
		if well++; why != "" {
			well = 0
		}
		if well == 3 { // and not just for a moment, between two who lead
			break
		}
		if w.now >= end {
			return fmt.Errorf("%s after the faults ended: %s", bound, why)
		}
	}
	// What a coordinator needs is known above a few heartbeats after it has changed:
	// an attempt that comes too early fails as a whole, and another one does not.
	var err error
	for range 4 {
		if err = w.attempt(); err == nil && w.wire != nil && w.wire.broken > 0 {
			return fmt.Errorf("%d damaged datagrams were taken", w.wire.broken)
		}
		if err == nil {
			return w.check(w.agents)
		}
		w.run(w.now + 10*time.Second)
	}
	return err
}

// attempt has everybody act.
func (w *world) attempt() error {
	_, c := w.leader(w.root)
	if c == nil {
		return fmt.Errorf("after all was well nobody leads")
	}
	ahead := min(2*c.Need()+time.Second, 50*time.Second) // what was slow is asked early enough; over a minute is too far
	command, err := w.coordinate(w.root, ahead, parallel(true))
	if err != nil {
		return fmt.Errorf("after all was well: %w", err)
	}
	w.run(w.now + ahead + 5*time.Second)
	acts, commits := w.count(Act, command), w.count(Committed, command)
	if acts != int(w.agents) || commits != 1 {
		return fmt.Errorf("after all was well %d of %d acted, committed %d times", acts, w.agents, commits)
	}
	return nil
}

// unwell says what is not as it should be.
func (w *world) unwell() string {
	for _, m := range w.nodes {
		if m.Agent != nil && !m.Agent.Following() {
			return fmt.Sprintf("node %d follows nobody (term %d)", m.id, m.Agent.Term())
		}
		if m.Agent != nil && m.Agent.Frozen() {
			// Nobody led when it was to be thawed, or who did lost the seat before most
			// had heard: then nothing moves until the operator repeats it.
			w.freeze(false)
			w.hushed = [treeSectors]bool{true, true}
			w.unhush()
			return fmt.Sprintf("node %d is frozen", m.id)
		}
		for _, c := range m.Coordinators {
			if !c.Leading(m.local(w.now)) {
				continue
			}
			if c.config.Parent != nil && !c.link.following {
				return fmt.Sprintf("coordinator of seat %d on node %d follows nobody", c.config.Seat.ID, m.id)
			}
			if mode := c.Mode(); mode != breaker.Full {
				return fmt.Sprintf("seat %d is in mode %s", c.config.Seat.ID, mode)
			}
			if active, members := c.Active(); active != members {
				return fmt.Sprintf("seat %d has %d of %d active", c.config.Seat.ID, active, members)
			}
			for i := range c.children {
				if p := c.part(i); c.guard.Breakers.Share(p) != 1 {
					return fmt.Sprintf("breaker %d of seat %d is %s, share %g", p, c.config.Seat.ID, c.guard.Breakers.State(breaker.ScopeCluster, p), c.guard.Breakers.Share(p))
				}
				if c.standing(i) != routable {
					return fmt.Sprintf("child %d of seat %d is not routable (%d)", i, c.config.Seat.ID, c.standing(i))
				}
			}
		}
	}
	if m, _ := w.leader(w.root); m == nil {
		return "nobody leads"
	}
	return ""
}

// do carries out one step.
func (w *world) do(x step) {
	node := func() *machine { return w.nodes[x.args[0]%len(w.nodes)] }
	percent := func() float64 { return float64(x.args[0]) / 100 }
	ms := func(i int) time.Duration { return time.Duration(x.args[i]) * time.Millisecond }
	switch x.verb {
	case "kill":
		w.kill(node())
	case "start":
		w.start(node())
	case "split":
		w.faults.side = make([]uint8, len(w.nodes))
		for i := range w.nodes {
			w.faults.side[i] = uint8(x.args[0] >> (i % 30) & 1)
		}
	case "join":
		w.faults.side, w.faults.deaf = nil, nil
	case "deaf":
		w.faults.deaf = make([]uint8, len(w.nodes))
		w.faults.deaf[node().id] = 1
	case "damage": // without a wire it is a loss: nothing damaged reaches a core
		if w.wire == nil {
			w.faults.loss = percent()
			return
		}
		w.wire.damaged = percent()
	case "hold":
		w.faults.held = percent()
	case "pause":
		w.stop(node(), ms(1))
	case "set":
		m := node()
		m.set = ms(1)
		m.wake = never // its deadline is elsewhere now
		w.plan(m)
	case "hush":
		w.hush(x.args[0], x.args[1] == 1)
	case "loss":
		w.faults.loss = percent()
	case "double":
		w.faults.double = percent()
	case "delay":
		w.faults.delay = ms(0)
	case "jitter":
		w.faults.jitter = ms(0)
	case "command":
		if c, err := w.coordinate(w.root, ms(0), parallel(x.args[1] == 1)); err == nil {
			w.command = c
		}
	case "wave":
		w.cascade(ms(0), true)
	case "priority":
		w.cascade(ms(0), false)
	case "cancel":
		if m, c := w.leader(w.root); c != nil {
			var out Outbox
			c.Cancel(m.local(w.now), w.command, &out)
			w.drain(m, &out)
		}
	case "freeze":
		w.freeze(true)
	case "thaw":
		w.freeze(false)
	case "slow":
		w.slow[node().id] = ms(1)
	case "disagree":
		delete(w.says, node().id)
		if x.args[1] == 1 {
			w.says[node().id] = Outcome{State: mesh.Conflict, Conflict: conflict.ContextDivergence, Value: 99}
		}
	case "byzantine":
		w.says[node().id] = Outcome{State: mesh.Ready, Value: uint64(1000 + w.random.IntN(1000))}
	default:
		w.t.Fatalf("no such verb: %s", x.verb)
	}
}

// freeze gives the operator's word to whoever holds the root seat.
func (w *world) freeze(frozen bool) {
	m, c := w.leader(w.root)
	if c == nil {
		return
	}
	w.sequence++
	w.frozen = frozen
	var out Outbox
	c.Freeze(m.local(w.now), w.sequence, frozen, &out)
	w.drain(m, &out)
}

// stop stops a machine for a while. It cannot say that it lost its seat meanwhile: an
// observer notes it.
func (w *world) stop(m *machine, d time.Duration) {
	if m.dead {
		return
	}
	m.pause = max(m.pause, w.now+d)
	for _, c := range m.Coordinators {
		if over := m.truth(c.leaseUntil); c.leading && over < m.pause {
			start, term := m.start, c.term
			w.at(max(over, w.now), func() {
				if !m.dead && m.start == start && m.pause > w.now {
					w.note(m, Effect{Kind: LeadingChanged, Seat: c.config.Seat.ID, Term: term})
				}
			})
		}
	}
}

// hush freezes or thaws one sector.
func (w *world) hush(i int, frozen bool) {
	m, c := w.leader(w.root)
	if c == nil || w.s.shape != "tree" {
		return
	}
	w.sequence++
	w.hushed[i] = frozen
	var out Outbox
	c.FreezeChild(m.local(w.now), i, w.sequence, frozen, &out)
	w.drain(m, &out)
}

func (w *world) cascade(ahead time.Duration, wave bool) {
	command, err := w.coordinate(w.root, ahead, func(at time.Duration) Task {
		if wave && w.s.shape == "tree" {
			return Task{Phases: quorum.Wave(at), Priority: 2}
		}
		return Task{Phases: quorum.PriorityFirst(at), Priority: 2}
	})
	if err == nil {
		w.command = command
	}
}

func drawSchedule(t *rapid.T, shape string, size, nodes int) schedule {
	s := schedule{shape: shape, size: size, seed: rapid.Uint64Range(0, 1<<20).Draw(t, "seed")}
	at := 3 * time.Second
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		at += time.Duration(rapid.IntRange(0, 8000).Draw(t, "pause ms")) * time.Millisecond
		verb := rapid.SampledFrom(names).Draw(t, "verb")
		if at < last {
			s.steps = append(s.steps, step{at, verb, verbs[verb](t, nodes)})
		}
	}
	return s
}

// runs is how many random schedules: a soak is longer.
func runs(short, long int) int {
	if os.Getenv("DANCER_SOAK") != "" {
		return long
	}
	return short
}

// TestFaultsOfCells: whatever happens to a cell, the invariants hold, and it is well
// again when it is over. -run with DANCER_SOAK is 10,000 schedules.
func TestFaultsOfCells(t *testing.T) { testFaults(t, "cell", runs(300, 7000)) }

// TestFaultsOfTrees: the same for a tree whose clusters and sectors are taken over.
func TestFaultsOfTrees(t *testing.T) { testFaults(t, "tree", runs(60, 3000)) }

func testFaults(t *testing.T, shape string, count int) {
	from, _ := strconv.Atoi(os.Getenv("DANCER_FROM")) // beyond those that a soak plays
	for i := from; i < from+count; i++ {
		s := example(shape, i)
		if err := s.play(t, false); err != nil {
			small := s.shrink(t)
			t.Fatalf("schedule %d: %v\nthe shortest that fails; keep it in testdata/faults:\n%s", i, err, small)
		}
	}
}

// example is the i-th random schedule.
func example(shape string, i int) schedule {
	return rapid.Custom(func(t *rapid.T) schedule {
		size := rapid.IntRange(3, 7).Draw(t, "size")
		nodes := size
		if shape == "tree" {
			size = rapid.IntRange(1, 3).Draw(t, "agents")
			nodes = 1 + treeSectors + treeSectors*treeClusters + treeSectors*treeClusters*size
		}
		return drawSchedule(t, shape, size, nodes)
	}).Example(i)
}

// shrink leaves out steps as long as the schedule still fails.
func (s schedule) shrink(t testing.TB) schedule {
	for i := 0; i < len(s.steps); {
		fewer := s
		fewer.steps = append(append([]step(nil), s.steps[:i]...), s.steps[i+1:]...)
		if fewer.play(t, false) != nil {
			s = fewer
		} else {
			i++
		}
	}
	return s
}

// TestFailedSchedules plays what once failed.
func TestFailedSchedules(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.play(t, os.Getenv("DANCER_VERBOSE") != ""); err != nil {
				t.Error(err)
			}
		})
	}
}
