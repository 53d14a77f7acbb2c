package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
)

// schedule is a small fleet with its faults, as text: "agents N seed S" and then the
// faults as fleet.ParseFaults reads them.
type schedule struct {
	agents int
	seed   fleet.Seed
	faults []fleet.Fault
}

// scheduleLength is when the last random fault has ended; orders go on until then.
const scheduleLength = 3 * time.Minute

func (s schedule) String() string {
	return fmt.Sprintf("agents %d seed %d\n%s", s.agents, s.seed, fleet.FormatFaults(s.faults))
}

func parseSchedule(text string) (s schedule, err error) {
	head, rest, _ := strings.Cut(text, "\n")
	if _, err = fmt.Sscanf(head, "agents %d seed %d", &s.agents, &s.seed); err == nil {
		s.faults, err = fleet.ParseFaults(rest)
	}
	return s, err
}

// randomSchedule gives the i-th: mostly two clusters, some with one, some with two
// sectors. Agents that may come to coordinate tell the truth: a coordinator that lies
// to those who trust it can make them do what it likes.
func randomSchedule(t testing.TB, i int) schedule {
	s := schedule{seed: fleet.Seed(i)}
	draw := func(k, n uint64) int { return int(fleet.Below(s.seed.Draw(fleet.PurposeProtocol+9, 0, k), n)) }
	switch {
	case i%50 == 49:
		s.agents = 305 + draw(0, 60)
	case i%10 == 9:
		s.agents = 5 + draw(0, 25)
	default:
		s.agents = 35 + draw(0, 25)
	}
	top, err := fleet.NewTopology(s.agents)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fleet.RandomFaults(s.seed, top, 4*scheduleLength/3, 1+draw(1, 12)) {
		if f.Kind == fleet.Byzantine && lines(t, s.agents)[top.Agent(f.At.Index)] {
			continue
		}
		s.faults = append(s.faults, f)
	}
	return s
}

// lines are the nodes that may hold a seat.
func lines(t testing.TB, agents int) map[int32]bool {
	t.Helper()
	f, err := New(Config{Agents: agents})
	if err != nil {
		t.Fatal(err)
	}
	in := map[int32]bool{}
	for _, s := range f.whole.seats {
		for _, n := range s.Line {
			in[int32(n)] = true
		}
	}
	return in
}

// audit is what an observer who knows all clocks writes down.
type audit struct {
	f        *Fleet
	trail    []coordination.Entry
	goals    map[uint64]time.Duration
	confirms map[uint64]bool
	holders  map[uint32]Told
	steps    map[int32]time.Duration // by how much clocks were set
	acts     map[uint64]int
}

func newAudit(s schedule) *audit {
	a := &audit{goals: map[uint64]time.Duration{}, confirms: map[uint64]bool{}, holders: map[uint32]Told{}, steps: map[int32]time.Duration{}, acts: map[uint64]int{}}
	return a
}

// told adds an effect. A holder of a seat that has crashed has told nobody.
var debug func(*Told)

func (a *audit) told(e *Told) {
	if debug != nil {
		debug(e)
	}
	if e.Effect.Kind == coordination.LeadingChanged {
		seat := e.Effect.Seat
		if by, held := a.holders[seat]; held && e.Effect.Leading && (by.Node != e.Node || by.Life != e.Life) && (!a.f.Up(by.Node) || a.f.sim.Life(by.Node) != by.Life) {
			a.trail = append(a.trail, coordination.Entry{True: e.Now, Node: uint32(by.Node), Start: uint32(by.Life),
				Effect: coordination.Effect{Kind: coordination.LeadingChanged, Seat: seat}})
		}
		if e.Effect.Leading {
			a.holders[seat] = *e
		}
	}
	entry := coordination.Entry{True: e.Now, Node: uint32(e.Node), Start: uint32(e.Life), Effect: *e.Effect}
	if e.Effect.Kind == coordination.Act {
		entry.T, entry.Drifted = a.goals[e.Effect.Command], a.steps[e.Node]
		a.acts[e.Effect.Command]++
	}
	a.trail = append(a.trail, entry)
}

func (a *audit) check() error {
	return errors.Join(coordination.ActsOnce(a.trail), coordination.NotBeforeT(a.trail), coordination.Majority(a.trail, 0),
		coordination.Confirmed(a.trail, func(command uint64) bool { return a.confirms[command] }),
		coordination.FrozenStill(a.trail), coordination.OneLeader(a.trail))
}

// order begins a cascade with T so far ahead.
func (a *audit) order(pattern Pattern, confirm bool, ahead time.Duration) (uint64, error) {
	var at time.Duration
	command, err := a.f.Coordinate(func(now time.Duration) coordination.Task {
		at = now + ahead
		return coordination.Task{Phases: pattern.phases(at), Confirm: confirm, Priority: breaker.PriorityUrgent, Operator: true, Approved: true}
	})
	if err == nil {
		_, node, _ := a.f.Orchestrator()
		a.goals[command], a.confirms[command] = a.f.sim.True(node, at), confirm
	}
	return command, err
}

// play runs a schedule and gives what was wrong first.
func (s schedule) play() error {
	a := newAudit(s)
	conditions := fleet.DefaultConditions()
	f, err := New(Config{Agents: s.agents, Seed: s.seed, Conditions: conditions, Faults: s.faults, Conflict: 50, Effects: a.told})
	if err != nil {
		return err
	}
	a.f = f
	for _, x := range s.faults {
		if x.Kind == fleet.Clock {
			a.stepped(x)
		}
	}
	frozen := false
	for k := uint64(0); f.Now() < scheduleLength; k++ {
		draw := s.seed.Draw(fleet.PurposeProtocol+9, 1, k)
		if err := f.Run(f.Now() + 2*time.Second + time.Duration(fleet.Below(draw, uint64(8*time.Second)))); err != nil {
			return err
		}
		switch draw % 8 {
		case 0:
			if f.Freeze(fleet.Orchestrator, !frozen) == nil {
				frozen = !frozen
			}
		default:
			pattern := Pattern(draw >> 8 % uint64(patterns))
			_, _ = a.order(pattern, draw>>16%2 == 0, pattern.ahead()/time.Duration(1+draw>>24%3))
		}
	}
	if err := a.settle(); err != nil {
		return errors.Join(err, a.check())
	}
	return a.check()
}

// stepped notes by how much clocks are set: the contract of the core is that they are
// not, and what comes of it is not its fault.
func (a *audit) stepped(x fleet.Fault) {
	top := a.f.Topology()
	n := top.Agent(x.At.Index)
	a.steps[n] += x.Step.Abs()
	for seat, s := range a.f.whole.seats {
		if !slices.Contains(s.Line, uint32(n)) {
			continue
		}
		first, end := top.Children(int32(seat)) // it may be who tells them T
		for child := first; child < end; child++ {
			a.steps[child] += x.Step.Abs()
		}
	}
}

// settle waits until all is well, with an operator who looks, and says what is not.
func (a *audit) settle() error {
	limits := breaker.DefaultConfig()
	// Here one message in a thousand is lost, and a probe that is costs a back-off.
	bound := limits.Recovery() + 2*limits.Sector.MaxBackOff
	end := a.f.Now() + bound
	if err := a.f.Run(a.f.Now() + time.Minute); err != nil { // who holds a promise of before holds it no more
		return err
	}
	for {
		if err := a.f.Run(a.f.Now() + 10*time.Second); err != nil {
			return err
		}
		why := a.unwell()
		if why == "" {
			break
		}
		if a.f.Now() >= end {
			return fmt.Errorf("%v after the faults ended: %s", bound, why)
		}
	}
	acts, members := 0, int(a.f.members())
	for range 3 { // what was slow is still taken for slow for a while, and messages are lost
		c, _, err := a.f.Orchestrator()
		if err != nil {
			return fmt.Errorf("after all is well: %w", err)
		}
		ahead := min(2*c.Need()+time.Second, 50*time.Second)
		command, err := a.order(Parallel, false, ahead)
		if err != nil {
			return fmt.Errorf("after all is well: %w", err)
		}
		if err := a.f.Run(a.f.Now() + ahead + 5*time.Second); err != nil {
			return err
		}
		if acts = a.acts[command]; acts*100 >= members*90 {
			return nil
		}
	}
	return fmt.Errorf("after all is well %d of %d acted", acts, members)
}

// unwell says what is not as it should be, and does what an operator would.
func (a *audit) unwell() string {
	f, top := a.f, a.f.Topology()
	a.operate()
	c, _, err := f.Orchestrator()
	if err != nil {
		return err.Error()
	}
	if c.Frozen() {
		_ = f.Freeze(fleet.Orchestrator, false)
		return "frozen"
	}
	for seat := range top.Agent(0) {
		c, node, err := f.Holder(seat)
		if err != nil {
			return fmt.Sprintf("seat of node %d: %v", seat, err)
		}
		first, end := top.Children(seat)
		if mode := c.Mode(); mode != breaker.Full {
			return fmt.Sprintf("the coordinator of node %d's seat, on node %d, is in mode %s", seat, node, mode)
		}
		if active, members := c.Active(); active*100 < members*95 {
			return fmt.Sprintf("the coordinator of node %d's seat, on node %d, has %d of %d active", seat, node, active, members)
		}
		for i := range end - first {
			if share := c.Guard().Breakers.Share(part(top, seat, i)); share != 1 {
				return fmt.Sprintf("breaker %d of node %d's seat lets through %g", i, seat, share)
			}
		}
	}
	for i := range top.Agents() {
		if agent := f.Agent(i); agent.Frozen() {
			_ = f.Freeze(fleet.Orchestrator, false)
			return fmt.Sprintf("agent %d is frozen", i)
		}
	}
	return ""
}

// operate does what an operator does who looks and finds that all is well: quarantines
// and modes that wait for his word end.
func (a *audit) operate() {
	top := a.f.Topology()
	for seat := range top.Agent(0) {
		if c, _, err := a.f.Holder(seat); err == nil {
			c.Guard().Modes.Acknowledge()
			first, end := top.Children(seat)
			for i := range end - first {
				c.Detector().Release(i)
			}
		}
	}
}

// part is the number that a child has for its coordinator's guard.
func part(top *fleet.Topology, seat, child int32) int32 {
	if seat >= top.Cluster(0) {
		return 0
	}
	return child
}

// TestSchedules: whatever happens, the invariants hold, and all is well again when it
// is over. With DANCER_SOAK ten thousand.
func TestSchedules(t *testing.T) {
	count := 100
	if os.Getenv("DANCER_SOAK") != "" {
		count = 10_000
	}
	numbers := make([]int, 0, count)
	for i := range count {
		numbers = append(numbers, i)
	}
	if only := os.Getenv("DANCER_SCHEDULES"); only != "" { // these alone: 159,273
		numbers = numbers[:0]
		for _, word := range strings.Split(only, ",") {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, n)
		}
	}
	for _, i := range numbers {
		s := randomSchedule(t, i)
		if err := s.play(); err != nil {
			top, _ := fleet.NewTopology(s.agents)
			s.faults = fleet.Shrink(top, s.faults, 150, func(faults []fleet.Fault) bool {
				return schedule{s.agents, s.seed, faults}.play() != nil
			})
			t.Errorf("schedule %d: %v\nwhat still fails; keep it in testdata/schedules:\n%s%v", i, err, s, s.play())
		}
	}
}

// TestFailedSchedules plays what once failed.
func TestFailedSchedules(t *testing.T) {
	files, err := filepath.Glob("testdata/schedules/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseSchedule(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.play(); err != nil {
				t.Error(err)
			}
		})
	}
}
