package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/runtime/web"
)

// A real cell: one process for each robot's spine and one for its brain, each robot in
// a network namespace of its own on a switch, with a clock and a network that are made
// worse in the transport (this kernel has no netem).

// cellManual moves when the cell says so. Its step is long: the machine of the test
// runs many robots.
const cellManual = `
values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: near, when: "range < 0.30 m", set: {drive: 0}, until: "range > 0.45 m"}
model:
  step: 1s
  next: {range: "range - 0.001 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.01, 0.01]}
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
  task: "10 - 10 * abs(go - drive)"
actions:
  - {name: go, set: {drive: 1}}
  - {name: halt, set: safe, fallback: true}
`

// cell is a cell under test.
type cell struct {
	*lan
	random *rand.Rand
	robots []*cellRobot
	names  []string
	key    string
	seeds  string
}

// cellRobot is one robot of it.
type cellRobot struct {
	*process
	cell    *cell
	name    string
	machine int
	events  string
	client  *http.Client
}

func newCell(t *testing.T, size int) *cell {
	c := &cell{lan: newLAN(newWorld(t)), random: rand.New(rand.NewPCG(6, uint64(size)))}
	c.file("manual.yaml", cellManual)
	c.key = c.file("gossip.key", "0123456789abcdef0123456789abcdef")
	for i := range size {
		c.names = append(c.names, fmt.Sprintf("robot-%02d", i+1))
	}
	var seeds []string
	for i := range 3 {
		seeds = append(seeds, c.address(i)+":7946")
	}
	c.seeds = strings.Join(seeds, ", ")
	return c
}

// conditions of a robot: a clock up to half a second off and up to 50 parts per million
// too fast, a network of up to 20 ms that takes longer in one direction. Nobody can
// measure that: half of the difference at both ends is the error of T. Up to 2 ms of it at
// each end can make an error of 2 ms, and leave 3 ms for thirty robots on two processors.
func (c *cell) conditions(seed int) string {
	way := time.Duration(c.random.Int64N(int64(20 * time.Millisecond)))
	slant := time.Duration(c.random.Int64N(int64(4*time.Millisecond))) - 2*time.Millisecond
	offset := time.Duration(c.random.Int64N(int64(time.Second))) - 500*time.Millisecond
	return fmt.Sprintf("offset=%s drift=%.1fppm delay-out=%s delay-in=%s jitter=300us loss=0.5%% seed=%d",
		offset, c.random.Float64()*100-50, max(way+slant/2, 0), max(way-slant/2, 0), seed)
}

// robotFile writes the robot.yaml of one.
func (c *cell) robotFile(file, name, cell, key string, machine int, members []string) string {
	return c.file(file, fmt.Sprintf(`
robot: %s
board: sim
cell: %s
manual: manual.yaml
signals:
  range: {unit: m, range: [0, 8], start: 5, stale_after: 10s}
  go: {from: cell, range: [0, 1], lasts: 2s, stale_after: 10s}
outputs:
  drive: {range: [0, 1], safe: 0}
lease: {expires_after: 10s}
mesh: {bind: "%s:7946", join: [%s], key_file: %s, members: [%s]}
conductor: {broker: off}
listen: 127.0.0.1:8421
recording: {keep: 0s}
autostart: true
`, name, cell, c.address(machine), c.seeds, key, strings.Join(members, ", ")))
}

// begin starts a robot on a machine.
func (c *cell) begin(folder, name, cellName, key string, machine int, members []string) *cellRobot {
	c.Helper()
	robot := c.robotFile(folder+".yaml", name, cellName, key, machine, members)
	r := &cellRobot{cell: c, name: name, machine: machine, events: filepath.Join(c.dir, folder+".json"), client: c.client(machine)}
	cmd := c.lan.run(machine, "run", robot, "--data", filepath.Join(c.dir, "data-"+folder), "--events", r.events)
	cmd.Env = []string{"DANCER_TEST_TRANSPORT=" + c.conditions(machine+1), fmt.Sprintf("DANCER_RUN_DIRECTORY=%s", filepath.Join(c.dir, "run-"+folder))}
	r.process = c.launch(cmd)
	return r
}

// startAll starts all robots, each a little later than the one before.
func (c *cell) startAll() {
	c.Helper()
	for range c.names {
		c.add()
	}
	order := c.random.Perm(len(c.names))
	c.robots = make([]*cellRobot, len(c.names))
	for _, i := range order {
		c.robots[i] = c.begin(c.names[i], c.names[i], "gallery", c.key, i, c.names)
		time.Sleep(time.Duration(c.random.Int64N(int64(100 * time.Millisecond))))
	}
}

// prefer gives the robots the processors before whatever else this machine does: each
// would have a machine of its own. The kernel divides between sessions first
// (sched_autogroup), and a brain has one of its own.
func (c *cell) prefer(robots []*cellRobot) {
	for _, r := range robots {
		for _, pid := range []int{r.cmd.Process.Pid, r.brain()} {
			_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte("-20"), 0) // not on every kernel
		}
	}
}

// status asks a robot how it stands; false: it does not answer now.
func (r *cellRobot) status() (s web.Coordination, ok bool) {
	answer, err := r.client.Get("http://127.0.0.1:8421/api/v1/status")
	if err != nil {
		return s, false
	}
	defer answer.Body.Close()
	var whole web.Status
	if json.NewDecoder(answer.Body).Decode(&whole) != nil || whole.Coordination == nil {
		return s, false
	}
	return *whole.Coordination, true
}

// command gives the cell a command by a robot.
func (r *cellRobot) command(text string) (receipt web.CellReceipt, refused string) {
	body := fmt.Sprintf(`{"by": "test", "text": %q, "in": "1s"}`, text)
	answer, err := r.client.Post("http://127.0.0.1:8421/api/v1/coordination", "application/json", strings.NewReader(body))
	if err != nil {
		return receipt, err.Error()
	}
	defer answer.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if answer.StatusCode != http.StatusAccepted {
		return receipt, string(raw)
	}
	if err := json.Unmarshal(raw, &receipt); err != nil {
		return receipt, err.Error()
	}
	return receipt, ""
}

// cellLine is one event of a cell.
type cellLine struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	What    string    `json:"what"`
	Command string    `json:"command"`
	Mode    string    `json:"mode"`
	Why     string    `json:"why"`
	Leading bool      `json:"leading"`
	Target  int64     `json:"t_ns"`
	Clock   int64     `json:"clock_ns"`
	Machine int64     `json:"machine_ns"`
	Late    int64     `json:"late_ns"`
	Bound   int64     `json:"bound_ns"`
	Ready   int       `json:"ready"`
	Total   int       `json:"total"`
}

// lines are the robot's events of its cell.
func (r *cellRobot) lines() (all []cellLine) {
	text, err := os.ReadFile(r.events)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(text) {
		var e cellLine
		if bytes.Contains(line, []byte(`"kind":"cell"`)) && bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// find waits until each of some robots stands as it should.
func (c *cell) find(limit time.Duration, what string, robots []*cellRobot, is func(web.Coordination) bool) (took time.Duration) {
	c.Helper()
	start := time.Now()
	waiting := slices.Clone(robots)
	for len(waiting) > 0 {
		waiting = slices.DeleteFunc(waiting, func(r *cellRobot) bool {
			s, ok := r.status()
			return ok && is(s)
		})
		if time.Since(start) > limit && len(waiting) > 0 {
			for _, r := range waiting {
				s, ok := r.status()
				c.Logf("%s: %+v, answers %v", r.name, s, ok)
			}
			c.Fatalf("%s: %d of %d are not, after %s", what, len(waiting), len(robots), limit)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(start)
}

// lead waits until all follow one of them, and gives it.
func (c *cell) lead(limit time.Duration, robots []*cellRobot, modes ...string) *cellRobot {
	c.Helper()
	at := -1
	took := c.find(limit, "following one lead", robots, func(s web.Coordination) bool {
		at = slices.IndexFunc(robots, func(r *cellRobot) bool { return r.name == s.Lead })
		return at >= 0 && s.Following && s.Measured && slices.Contains(modes, s.Mode)
	})
	name := robots[at].name
	c.Logf("%d robots follow %s after %s", len(robots), name, took.Round(100*time.Millisecond))
	return robots[at]
}

// together gives a command one second ahead, and gives how far from T each robot acted
// by the machine's own clock, the nearest first; nil: the quorum was not there in time.
func (c *cell) together(lead *cellRobot, robots []*cellRobot) (off []time.Duration) {
	c.Helper()
	receipt, refused := lead.command("go=1")
	if refused != "" {
		c.Fatalf("%s refuses: %s", lead.name, refused)
	}
	acts := map[string]cellLine{}
	time.Sleep(1500 * time.Millisecond) // nobody reads their files while they act
	for end := time.Now().Add(5 * time.Second); len(acts) < len(robots) && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, r := range robots {
			for _, e := range r.lines() {
				if e.What == "act" && e.Command == receipt.Command {
					acts[r.name] = e
				}
			}
		}
	}
	return c.judge(lead, robots, receipt, acts)
}

// judge holds acts against the true T: the lead's own clock has it exactly. However far
// off: what a robot says of its own uncertainty must cover it.
func (c *cell) judge(lead *cellRobot, robots []*cellRobot, receipt web.CellReceipt, acts map[string]cellLine) (off []time.Duration) {
	c.Helper()
	own, ok := acts[lead.name]
	if !ok {
		for _, e := range lead.lines() {
			if e.Command == receipt.Command {
				c.Logf("nobody acts: %s: %s, %d of %d READY", e.What, e.Why, e.Ready, e.Total)
			}
		}
		return nil
	}
	t := own.Machine - (own.Clock - own.Target)
	clock, late, bound := time.Duration(0), time.Duration(0), time.Duration(0)
	for _, r := range robots {
		e, ok := acts[r.name]
		if !ok {
			c.Logf("%s has not acted: %+v", r.name, r.lines())
			continue
		}
		wrong := time.Duration(e.Machine - t - e.Late)
		if wrong.Abs() > time.Duration(e.Bound)+2*time.Millisecond {
			c.Errorf("%s is wrong by %s, and says that it is by %s at most", r.name, wrong, time.Duration(e.Bound))
		}
		off = append(off, time.Duration(e.Machine-t).Abs())
		clock, late, bound = max(clock, wrong.Abs()), max(late, time.Duration(e.Late)), max(bound, time.Duration(e.Bound))
	}
	slices.Sort(off)
	c.Logf("%d of %d READY and acting; from T by true time: median %s, farthest %s; of that by their clocks at most %s (bound %s), by the processor at most %s",
		len(off), len(robots), off[len(off)/2], off[len(off)-1], clock, bound, late)
	return off
}

// exact gives five commands, because thirty robots share this machine's processors:
// of the middle one 99% must be within so much of T.
func (c *cell) exact(lead *cellRobot, robots []*cellRobot, within time.Duration) {
	c.Helper()
	var shares []int
	for range 5 {
		near := 0
		for _, d := range c.together(lead, robots) {
			if d <= within {
				near++
			}
		}
		c.Logf("%d of %d within %s of T", near, len(robots), within)
		shares = append(shares, near)
		time.Sleep(2 * time.Second)
	}
	slices.Sort(shares)
	if 100*shares[2] < 99*len(robots) {
		c.Errorf("of five commands %d of %d robots were within %s of T: 99%% of the middle one are wanted", shares, len(robots), within)
	}
}

// TestEndToEndCell: six robots as they would be on machines of their own. The whole
// cell of thirty is TestEndToEndCellOfThirty.
func TestEndToEndCell(t *testing.T) {
	const size = 6
	c := newCell(t, size)
	c.startAll()
	c.find(10*time.Second, "finding each other", c.robots, func(s web.Coordination) bool { return s.Known == size })
	lead := c.lead(20*time.Second, c.robots, "FULL")
	c.prefer(c.robots)
	// Here other tests run beside: who is late is told, and how exact it can be is
	// for the long test.
	if near := c.together(lead, c.robots); len(near) != size || near[size-1] > 100*time.Millisecond {
		t.Errorf("%d of %d acted, %s from T", len(near), size, near)
	}
	if _, refused := c.robots[5].command("go=1"); !strings.Contains(refused, "does not lead") || !strings.Contains(refused, lead.name) {
		t.Errorf("a robot that does not lead says %q", refused)
	}
	receipt, refused := lead.command("drive=1")
	if refused != "" {
		t.Errorf("drive=1: %s", refused)
	}
	c.until(5*time.Second, "the command that sets what is no signal of the cell fails", func() bool {
		return slices.ContainsFunc(lead.lines(), func(e cellLine) bool { return e.What == "failed" && e.Command == receipt.Command && e.Ready == 0 })
	})
	lead.stop()
	rest := slices.DeleteFunc(slices.Clone(c.robots), func(r *cellRobot) bool { return r == lead })
	next := c.lead(60*time.Second, rest, "FULL", "DEGRADED_LIGHT")
	if next == lead {
		t.Error("a dead robot leads")
	}
	for _, r := range rest {
		for _, e := range r.lines() {
			if e.What == "act" && (e.Late < 0 || e.Command == receipt.Command) {
				t.Errorf("%s acts before T, or on what failed: %+v", r.name, e)
			}
		}
	}
}

// TestEndToEndCellOfThirty: thirty robots, and what goes wrong among them.
func TestEndToEndCellOfThirty(t *testing.T) {
	if os.Getenv("DANCER_SOAK") == "" {
		t.Skip("thirty robots for five minutes take the whole machine: DANCER_SOAK=1 runs them, TestEndToEndCell six of them")
	}
	const size = 30
	c := newCell(t, size)
	start := time.Now()
	c.startAll()
	t.Logf("%d robots started within %s", size, time.Since(start).Round(100*time.Millisecond))
	took := c.find(10*time.Second, "finding each other", c.robots, func(s web.Coordination) bool { return s.Known == size })
	t.Logf("all know all %s after the last start", took.Round(100*time.Millisecond))
	lead := c.lead(20*time.Second, c.robots, "FULL")
	time.Sleep(10 * time.Second) // two heartbeats more: clocks are known better with each
	c.prefer(c.robots)
	c.exact(lead, c.robots, 5*time.Millisecond)
	c.strangers()
	c.oneCutOff(lead)
	next, rest := c.seedKilled(lead)
	c.part(next, rest, 10, "DEGRADED_MODERATE")
	c.part(next, rest, 14, "EMERGENCY")
}

// strangers are robots that do not belong here: of another cell, with another key, and
// with a name that there is already.
func (c *cell) strangers() {
	c.Helper()
	otherKey := c.file("other.key", "fedcba9876543210fedcba9876543210")
	var others []*cellRobot
	for _, o := range []struct{ name, cell, key string }{
		{"stranger-01", "museum", c.key}, {"stranger-02", "museum", c.key}, {"stranger-03", "gallery", otherKey},
	} {
		members := []string{"stranger-01", "stranger-02"}
		if o.cell == "gallery" {
			members = []string{"stranger-03"}
		}
		others = append(others, c.begin(o.name, o.name, o.cell, o.key, c.add(), members))
	}
	clone := c.begin("clone", c.names[7], "gallery", c.key, c.add(), c.names)
	told := func(r *cellRobot) bool { return strings.Contains(r.stderr.String(), "are called "+c.names[7]) }
	c.until(20*time.Second, "somebody reports the cloned name", func() bool { return slices.ContainsFunc(c.robots, told) || told(clone) })
	clone.stop()
	time.Sleep(5 * time.Second)
	for _, o := range others {
		if o.name == "stranger-03" {
			continue
		}
		if s, ok := o.status(); !ok || s.Known > 2 {
			c.Errorf("%s: %+v", o.name, s)
		}
	}
	for _, r := range c.robots {
		if strings.Contains(r.stderr.String(), "stranger") {
			c.Errorf("%s has heard of a stranger", r.name)
		}
	}
	for _, o := range others {
		if strings.Contains(o.stderr.String(), `"member":"robot`) {
			c.Errorf("%s has heard of a member", o.name)
		}
		o.stop()
	}
	c.Logf("two cells and two keys on one switch did not hear each other; the cloned name was reported")
}

// oneCutOff cuts a robot off for a minute.
func (c *cell) oneCutOff(lead *cellRobot) {
	c.Helper()
	lone := c.robots[11]
	if lone == lead {
		lone = c.robots[12]
	}
	c.cut(lone.machine)
	begin := time.Now()
	took := c.find(40*time.Second, "cut off, and restricted", []*cellRobot{lone}, func(s web.Coordination) bool { return !s.Following && s.Mode == "EMERGENCY" })
	c.Logf("%s, cut off, was in EMERGENCY after %s", lone.name, took.Round(100*time.Millisecond))
	if _, refused := lone.command("go=1"); refused == "" {
		c.Error("a robot that is cut off commands the cell")
	}
	time.Sleep(time.Until(begin.Add(time.Minute)))
	c.attach(lone.machine, "one")
	took = c.find(60*time.Second, "back in the cell", []*cellRobot{lone}, func(s web.Coordination) bool { return s.Following && s.Mode == "FULL" })
	c.Logf("%s was back %s after it could be", lone.name, took.Round(100*time.Millisecond))
}

// seedKilled kills the first robot, which the others joined by and which leads.
func (c *cell) seedKilled(lead *cellRobot) (next *cellRobot, rest []*cellRobot) {
	c.Helper()
	seed := c.robots[0]
	_ = seed.cmd.Process.Kill()
	<-seed.done
	rest = c.robots[1:]
	if lead != seed {
		c.Logf("%s leads and not the seed", lead.name)
	}
	next = c.lead(90*time.Second, rest, "FULL", "DEGRADED_LIGHT")
	time.Sleep(10 * time.Second)
	c.exact(next, rest, 5*time.Millisecond)
	return next, rest
}

// part puts some robots, of whom none leads, on a switch of their own. Where the others
// are a strict majority they go on; where nobody is, all are restricted.
func (c *cell) part(lead *cellRobot, rest []*cellRobot, size int, mode string) {
	c.Helper()
	others := slices.DeleteFunc(slices.Clone(rest), func(r *cellRobot) bool { return r == lead })
	apart, stay := others[:size], append(slices.Clone(others[size:]), lead)
	for _, r := range apart {
		c.attach(r.machine, "two")
	}
	took := c.find(90*time.Second, "restricted", apart, func(s web.Coordination) bool { return s.Mode == "EMERGENCY" && !s.Following && !s.Leading })
	c.Logf("%d cut off together were in EMERGENCY after %s", size, took.Round(100*time.Millisecond))
	took = c.find(90*time.Second, "in "+mode, stay, func(s web.Coordination) bool { return s.Mode == mode })
	c.Logf("the other %d were in %s %s later", len(stay), mode, took.Round(100*time.Millisecond))
	for _, r := range apart {
		if _, refused := r.command("go=1"); refused == "" {
			c.Errorf("%s commands from a minority", r.name)
		}
	}
	for _, r := range stay {
		if _, refused := r.command("go=1"); mode == "EMERGENCY" && refused == "" {
			c.Errorf("%s commands without a majority", r.name)
		}
	}
	for _, r := range apart {
		c.attach(r.machine, "one")
	}
	// EMERGENCY is left at an operator's word alone: that they follow again is theirs.
	c.lead(150*time.Second, rest, "EMERGENCY", "DEGRADED_SEVERE", "DEGRADED_MODERATE", "DEGRADED_LIGHT", "FULL")
}
