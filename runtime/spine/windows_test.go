package spine

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/link"
)

// withRules is testManual with more reflexes behind its own. Their indices begin
// at ruleMore.
func withRules(rules string) string {
	return strings.Replace(testManual, "model:\n", rules+"model:\n", 1)
}

const ruleMore = ruleSoft + 1

// looking is a robot that drives at 0.5 and has more reflexes.
func looking(t testing.TB, rules string) *bench {
	t.Helper()
	b := newBench(t, loadRobot(t, simRobot, withRules(rules)))
	b.calm()
	b.lease.ExpiresAfter = time.Hour // time goes by in these tests
	b.post([]float64{0.5, 0}, 0, nil)
	if why := b.begin(b.now, link.ReasonOperator, nil); why != link.ReasonNone {
		t.Fatalf("start refused: %v", why)
	}
	b.post([]float64{0.5, 0}, 0, nil)
	return b
}

// until lets time go by from deadline to deadline, as the loop does.
func (b *bench) until(end time.Duration) {
	b.t.Helper()
	for n := 0; ; n++ {
		b.status.Now = b.now
		due := b.deadline()
		if due > end {
			break
		}
		if n > 100_000 {
			b.t.Fatal("deadlines without end")
		}
		b.now = max(b.now, due)
		b.tick(b.now)
	}
	b.now = end
}

func (b *bench) active(rule int, want bool, when string) {
	b.t.Helper()
	if got := b.reflex.Active(rule); got != want {
		b.t.Errorf("%s: active %v, want %v", when, got, want)
	}
}

func TestHeldFiresByTimeAlone(t *testing.T) {
	b := looking(t, `  - {name: lean, when: "held(soft > 0.2, 300ms)", set: {drive: 0}}`+"\n")
	b.feed(sigSoft, 0.3)
	begun := b.now
	b.until(begun + 300*time.Millisecond - 1)
	b.active(ruleMore, false, "a nanosecond before")
	for e := (link.Event{}); b.brain.TakeEvent(&e); {
	}
	b.until(begun + 300*time.Millisecond)
	b.active(ruleMore, true, "exactly then")
	b.want(0, link.WhoReflex)
	slot := len(b.signals) - 1
	for e := (link.Event{}); b.brain.TakeEvent(&e); {
		if e.Kind == link.EventReflex && (e.Cause != int32(slot) || e.At != begun+300*time.Millisecond) {
			t.Errorf("event %+v, want it caused by slot %d", e, slot)
		}
	}
	b.feed(sigSoft, 0.1)
	b.active(ruleMore, false, "the break")
}

func TestMeanAndSinceFireByTimeAlone(t *testing.T) {
	b := looking(t, `
  - {name: near-for-long, when: "mean(range, 1s) < 1 m", set: {drive: 0.3}}
  - {name: lonely, when: "since(soft > 0.2) > 2 s", set: {drive: 0.2}}
`[1:])
	b.until(b.now + 1200*time.Millisecond) // two metres so far
	b.feed(sigSoft, 0.3)
	b.feed(sigSoft, 0)
	b.feed(sigRange, 0.5)
	begun := b.now
	b.until(begun + 640*time.Millisecond) // 2 to 0.5 is below 1 after two thirds of the window
	b.active(ruleMore, false, "too early")
	b.until(begun + 700*time.Millisecond)
	b.active(ruleMore, true, "mean")
	b.until(begun + 1990*time.Millisecond)
	b.active(ruleMore+1, false, "too early")
	b.until(begun + 2030*time.Millisecond)
	b.active(ruleMore+1, true, "since")
	b.want(0.2, link.WhoReflex)
}

func TestDerivedSignalsAreAwaited(t *testing.T) {
	r := loadRobot(t, simRobot, withRules(`  - {name: closing, when: "rate(range) < -1 m/s", set: {drive: 0}, latch: operator}`+"\n"))
	b := newBench(t, r)
	slot := sigSoft + 1
	b.calm()
	b.post([]float64{0.5, 0}, 0, nil)
	b.begin(b.now, link.ReasonOperator, nil)
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0, link.WhoWaiting)
	if _, _, v := b.brain.LoadSignal(slot); v != hal.NeverSeen {
		t.Errorf("with one reading the rate is %v", v)
	}
	b.feed(sigRange, 2)
	if b.fired != 0 || b.unseen != 0 {
		t.Errorf("%d rules fired, %d signals awaited", b.fired, b.unseen)
	}
	if value, at, v := b.brain.LoadSignal(slot); v != hal.Valid || value != 0 || at != b.now {
		t.Errorf("the brain sees %v at %v, %v", value, at, v)
	}
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0.5, link.WhoCommand)

	b = newBench(t, r) // the second reading never comes
	b.calm()
	b.until(b.now + 4*time.Second)
	b.active(ruleMore, false, "while it is awaited")
	b.until(b.now + 1100*time.Millisecond)
	b.active(ruleMore, true, "when the range is stale")
	if _, _, v := b.brain.LoadSignal(slot); v != hal.Stale || !b.latches[ruleMore] {
		t.Errorf("the rate is %v, latched %v", v, b.latches[ruleMore])
	}

	b = newBench(t, r) // nothing ever comes
	b.until(b.now + 5*time.Second)
	b.active(ruleMore, true, "after stale_after")
	if b.unseen != 0 {
		t.Errorf("%d signals are still awaited", b.unseen)
	}
}

func TestDerivedSignalIsAsBadAsItsSource(t *testing.T) {
	b := looking(t, `  - {name: close, when: "mean(range, 2s) < 1 m", set: {drive: 0}}`+"\n")
	slot := sigSoft + 1
	for e := (link.Event{}); b.brain.TakeEvent(&e); {
	}
	b.feed(sigRange, 99)
	b.active(ruleMore, true, "out of range")
	if !math.IsNaN(b.slots[slot]) {
		t.Errorf("the mean is %v", b.slots[slot])
	}
	b.feed(sigRange, 3)
	b.active(ruleMore, false, "back")
	if value, at, v := b.brain.LoadSignal(slot); value != 3 || at != b.now || v != hal.Valid {
		t.Errorf("the brain sees %v at %v, %v: want the history to begin anew", value, at, v)
	}
	last := b.now
	b.feed(sigSoft, 0)
	b.until(b.now + 100*time.Millisecond)
	if _, at, _ := b.brain.LoadSignal(slot); at != last {
		t.Errorf("the mean is from %v, want the time of its newest reading %v", at, last)
	}
	var told []hal.Validity
	for e := (link.Event{}); b.brain.TakeEvent(&e); {
		if e.Kind == link.EventSignal && int(e.Index) == slot {
			told = append(told, hal.Validity(e.Flags))
		}
	}
	if len(told) != 2 || told[0] != hal.OutOfRange || told[1] != hal.Valid {
		t.Errorf("told %v, want out of range and valid", told)
	}
	b.invalidate(sigRange, b.now)
	b.frame(b.now, b.now, 0)
	if _, _, v := b.brain.LoadSignal(slot); v != hal.Stale {
		t.Errorf("the port is gone and the mean is %v", v)
	}
}

// A derived signal is awaited as long as one of its sources is, whatever the
// others are.
func TestDerivedSignalWaitsForAllItsSources(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, withRules(`  - {name: both, when: "mean(soft + range / 1 m, 1s) > 9", set: {drive: 0}}`+"\n")))
	slot := sigSoft + 1
	validity := func() hal.Validity { _, _, v := b.brain.LoadSignal(slot); return v }
	b.feed(sigRange, 99) // out of range
	if v := validity(); v != hal.NeverSeen {
		t.Errorf("soft is awaited and the mean is %v", v)
	}
	b.active(ruleMore, false, "while soft is awaited")
	b.feed(sigSoft, 0)
	if v := validity(); v != hal.OutOfRange {
		t.Errorf("soft is there and the mean is %v", v)
	}
	b.active(ruleMore, true, "range is out of its range")
}

// What rules keep from the wire never was: no window sees it.
func TestWindowsSeeOutputsAsWritten(t *testing.T) {
	b := looking(t, `
  - {name: drove-fast, when: "since(drive > 0.9) < 1 s && range < 4 m", set: {brake: 0.6}}
  - {name: drives, when: "held(drive > 0.4, 1s)", set: {brake: 0.7}}
`[1:])
	begun := b.now
	b.until(begun + 1100*time.Millisecond) // since counts from the start
	b.active(ruleMore, false, "never drove fast")
	b.active(ruleMore+1, true, "drives for a second")
	b.post([]float64{1, 0}, 0, nil) // "fast" keeps it from the wire
	b.active(ruleFast, false, "it ends as soon as it acts")
	b.until(b.now + 100*time.Millisecond)
	b.active(ruleMore, false, "the wire never saw it")
	b.post([]float64{0.95, 0}, 0, nil)
	for _, w := range b.wrote {
		if w[0] == outDrive && w[1] > 0.9 {
			t.Fatalf("the wire saw %v", w[1])
		}
	}
	b.post([]float64{0.3, 0}, 0, nil)
	if b.status.Now = b.now; b.deadline() > b.now {
		t.Errorf("the rules are asked %v after the write", b.deadline()-b.now)
	}
	b.until(b.now + time.Millisecond)
	b.active(ruleMore+1, false, "it does not drive any more")
}

func TestLoopPathWithWindowsDoesNotAllocate(t *testing.T) {
	b := looking(t, `
  - {name: a, when: "mean(range, 1s) < 1 m", set: {drive: 0.3}}
  - {name: b, when: "rate(range) < -100 m/s", set: {drive: 0.3}}
  - {name: c, when: "held(range < 1 m, 20ms)", set: {drive: 0}, stop: 1, ramp: 400ms}
  - {name: d, when: "since(drive > 0.4) > 10 ms", set: {brake: 0.7}}
`[1:])
	b.notes = make([]link.Event, 0, 1<<16)
	b.wrote = make([][2]float64, 0, 1<<16)
	command := link.Command{Values: []float64{0.5, 0}}
	value, n := 0.1, 0
	allocs := testing.AllocsPerRun(1000, func() {
		b.wrote, b.notes = b.wrote[:0], b.notes[:0]
		b.now += time.Millisecond
		if n++; n%50 == 0 {
			value = 2.1 - value
		}
		b.reading(sigRange, value, b.now)
		b.frame(b.now, b.now, 1)
		b.posts++
		command.Decision, command.Epoch = b.posts, b.status.Epoch
		b.brain.PostCommand(&command)
		b.takeCommand(b.now)
		b.status.Now = b.now
		if b.deadline() <= b.now {
			b.tick(b.now)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per event", allocs)
	}
	if b.fired < 30 {
		t.Errorf("only %d reflexes fired: the test does not test", b.fired)
	}
}

func TestRampOnTheWire(t *testing.T) {
	b := looking(t, `  - {name: brakes, when: "soft > 0.2", set: {drive: 0.1}, stop: 1, ramp: 100ms, latch: operator}`+"\n")
	b.wrote = nil
	b.feed(sigSoft, 0.3)
	fired := b.now
	b.until(fired + 2*time.Second)
	var drives []float64
	for _, w := range b.wrote {
		if w[0] == outDrive {
			drives = append(drives, w[1])
		}
	}
	want := []float64{0.46, 0.42, 0.38, 0.34, 0.3, 0.26, 0.22, 0.18, 0.14, 0.1, 0}
	if len(drives) != len(want) {
		t.Fatalf("wrote %v, want %v", drives, want)
	}
	for i := range want {
		if math.Abs(drives[i]-want[i]) > 1e-12 {
			t.Errorf("step %d is %v, want %v", i, drives[i], want[i])
		}
	}
	b.want(0, link.WhoReflex)

	b.feed(sigSoft, 0)
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0, link.WhoLatch)
	if why := b.clear(b.now, ruleMore, nil); why != link.ReasonNone {
		t.Errorf("clear says %v", why)
	}
	b.frame(b.now, b.now, 0)
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0, link.WhoSafe) // cleared, and nothing moves by itself
}

// A ramp begins at what is on the wire, not at the command that made its rule
// fire.
func TestRampDoesNotBeginAtAForbiddenCommand(t *testing.T) {
	b := looking(t, `  - {name: too-fast, when: "drive > 0.8", set: {drive: 0.1}, until: "range > 7 m", stop: 1, ramp: 100ms}`+"\n")
	b.wrote = nil
	b.post([]float64{0.85, 0}, 0, nil)
	b.want(0.5, link.WhoReflex)
	b.until(b.now + 50*time.Millisecond)
	b.want(0.3, link.WhoReflex)
	for _, w := range b.wrote {
		if w[0] == outDrive && w[1] > 0.5 {
			t.Errorf("the wire saw %v", w[1])
		}
	}
}

// Each cause has a latch of its own, and each its own clear condition.
func TestLatchesAreClearedByTheirOwnCause(t *testing.T) {
	b := looking(t, `  - {name: lean, when: "held(soft > 0.2, 100ms)", set: {drive: 0}, until: "since(soft > 0.2) > 1 s", latch: operator}`+"\n")
	b.feed(sigSoft, 0.3)
	b.until(b.now + 200*time.Millisecond)
	b.feed(sigBumper, 1)
	b.feed(sigSoft, 0)
	b.feed(sigBumper, 0)
	if why := b.clear(b.now, ruleMore, nil); why != link.ReasonStillTrue {
		t.Errorf("clear before until is true says %v", why)
	}
	if why := b.clear(b.now, ruleBump, nil); why != link.ReasonNone || b.reflex.Latched(ruleBump) || !b.reflex.Latched(ruleMore) {
		t.Errorf("clearing one latch says %v and leaves %v %v", why, b.reflex.Latched(ruleBump), b.reflex.Latched(ruleMore))
	}
	b.until(b.now + 1100*time.Millisecond)
	if why := b.clear(b.now, ruleMore, nil); why != link.ReasonNone {
		t.Errorf("clear after until by time alone says %v", why)
	}
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0, link.WhoSafe) // clearing moves nothing
}

// The real loop: what looks back in time fires with no reading that changes, and
// the segment that the brain shares has the derived signals.
func TestSimulatedRobotLooksBack(t *testing.T) {
	scenario := filepath.Join(t.TempDir(), "stand.scenario")
	if err := os.WriteFile(scenario, []byte("start range = 2 m\nstart bumper = 0\nstart soft = 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newRig(t, "")
	g.robot = loadRobot(t, simRobot, withRules(`
  - {name: stands, when: "held(drive == 0, 200ms) && mean(range, 300ms) > 1 m", set: {brake: 1}}
  - {name: long, when: "since(drive > 0) > 300 ms && abs(rate(range)) < 1 m/s", set: {brake: 1}}
`[1:]))
	g.cfg.Robot, g.cfg.Scenario = g.robot, scenario
	g.cfg.BrainCommand = brainCommand("steady", g.robot, g.listen())
	g.run()
	g.status("waiting=false")
	g.status("reflexes=stands,long")
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
}
