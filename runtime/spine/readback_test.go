package spine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// followed is a robot whose drive moves by 1 per second and must be followed by
// soft, and whose brake must be followed at once.
func followed(t testing.TB, dry bool) *bench {
	robot := strings.NewReplacer(
		`"D {value}\n", range: [0, 1], safe: 0}`, `"D {value}\n", range: [0, 1], safe: 0, rate: 1, read_back: {signal: soft, within: 200ms, tolerance: 0.05}}`,
		"expires_after: 300ms, stop: 1}", "expires_after: 3s, stop: 1, ramp: 400ms}",
	).Replace(simRobot)
	manual := strings.Replace(testManual, `  - {name: slow-bump, when: "soft > 0.5", set: {brake: 0.5}, debounce: 50ms, stop: 2}`+"\n", "", 1)
	r := loadRobot(t, robot, manual)
	s, err := link.Create(Layout(r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t: t, now: time.Hour, latches: map[int]bool{}, brain: attach(t, s)}
	if b.core, err = newCore(r, s, b, b, func() time.Duration { return b.now }); err != nil {
		t.Fatal(err)
	}
	b.status.DryRun = dry
	b.start(b.now, nil)
	b.calm()
	return b
}

// follow lets time pass while the line follows so much later.
func (b *bench) follow(d, lag time.Duration, line func(value float64) float64) {
	type step struct {
		at    time.Duration
		value float64
	}
	var past []step
	for end := b.now + d; b.now < end; {
		b.run(5*time.Millisecond, nil)
		v, _ := b.output(outDrive)
		past = append(past, step{b.now, v})
		value := past[0].value
		for _, s := range past {
			if s.at <= b.now-lag {
				value = s.value
			}
		}
		b.reading(sigSoft, line(value), b.now)
		b.reading(sigRange, 2, b.now)
		b.reading(sigBumper, 0, b.now)
		b.frame(b.now, b.now, 0)
	}
}

func same(value float64) float64 { return value }

const ruleReadBack = 3 // behind those of the manual

// begun is a followed robot that has seen its outputs for long enough and drives.
func begun(t testing.TB, dry bool) *bench {
	b := followed(t, dry)
	b.post([]float64{0, 0}, 0, nil)
	if _, who := b.output(outDrive); who != link.WhoWaiting {
		t.Errorf("at first drive is driven by %v, want waiting: its past is not known", who)
	}
	b.follow(250*time.Millisecond, 0, same)
	b.begin(b.now, link.ReasonOperator, nil)
	b.post([]float64{0.8, 0}, 0, nil)
	return b
}

func (b *bench) stoppedBy(rule int, when string) {
	b.t.Helper()
	if !b.reflex.Latched(rule) || !b.latches[rule] {
		b.t.Errorf("%s: %s is not latched", when, b.rules[rule].Name)
	}
	for o := range b.outputs {
		if v, who := b.output(o); v != b.outputs[o].Safe || who != link.WhoReflex && who != link.WhoLatch {
			b.t.Errorf("%s: %s is %v by %v, want it safe by the reflex", when, b.outputs[o].Name, v, who)
		}
	}
}

// A line that follows an output on its way, late but within the time, is no fault:
// neither behind a rate, nor behind a controlled stop, nor behind a reflex.
func TestLineThatFollows(t *testing.T) {
	b := begun(t, false)
	b.follow(time.Second, 150*time.Millisecond, same)
	b.want(0.8, link.WhoCommand)
	b.follow(2600*time.Millisecond, 150*time.Millisecond, same) // the lease is lost: a ramp of 2 per second
	b.want(0, link.WhoLeaseStop)
	if b.fired != 0 {
		t.Fatalf("%d reflexes fired", b.fired)
	}
}

// One that does not follow is found when the time is over, on every way.
func TestLineThatDoesNotFollow(t *testing.T) {
	for _, c := range []struct {
		name  string
		tear  func(b *bench)
		least time.Duration // before it must not be found
		most  time.Duration // when it must
	}{
		{"it stands", func(b *bench) { b.follow(time.Second, 0, func(float64) float64 { return 0 }) }, 200 * time.Millisecond, 290 * time.Millisecond},
		{"it is late", func(b *bench) { b.follow(time.Second, 400*time.Millisecond, same) }, 200 * time.Millisecond, 290 * time.Millisecond},
		{"it is off by more than the tolerance", func(b *bench) {
			b.follow(time.Second, 0, func(v float64) float64 { return 0.9 * v })
		}, 700 * time.Millisecond, 1000 * time.Millisecond},
		{"it is invalid", func(b *bench) { b.follow(time.Millisecond, 0, func(float64) float64 { return 7 }) }, 0, 5 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := begun(t, false)
			began := b.now
			b.noted = func(rule int) {
				if found := b.now - began; rule == ruleReadBack && (found < c.least || found > c.most) {
					t.Errorf("found after %v, want %v to %v", found, c.least, c.most)
				}
			}
			c.tear(b)
			if b.rules[ruleReadBack].Name != "read-back-drive" {
				t.Fatalf("the rule is %s", b.rules[ruleReadBack].Name)
			}
			b.stoppedBy(ruleReadBack, c.name)
			// It follows again: an operator clears it, and nothing moves before a start.
			b.follow(300*time.Millisecond, 0, same)
			b.stoppedBy(ruleReadBack, "it follows again")
			if why := b.clear(b.now, ruleReadBack, nil); why != link.ReasonNone {
				t.Errorf("clear says %v", why)
			}
			b.post([]float64{0.8, 0}, 0, nil)
			b.follow(50*time.Millisecond, 0, same)
			b.want(0, link.WhoSafe)
		})
	}
}

// A line that moves though nothing drives it is found at once.
func TestLineThatMovesByItself(t *testing.T) {
	b := begun(t, false)
	b.follow(900*time.Millisecond, 0, same)
	b.halt(b.now, link.ReasonOperator, nil)
	b.follow(300*time.Millisecond, 0, same)
	b.feed(sigSoft, 0.2)
	b.stoppedBy(ruleReadBack, "a wheel that turns by itself")
}

// A dry run drives nothing, so that nothing follows: its decisions go on.
func TestReadBackInADryRun(t *testing.T) {
	b := begun(t, true)
	b.follow(time.Second, 0, func(float64) float64 { return 0 })
	if b.fired != 0 || b.reflex.Latched(ruleReadBack) {
		t.Errorf("%d reflexes fired", b.fired)
	}
	b.want(0.8, link.WhoCommand)
	if len(b.wrote) > 0 {
		t.Errorf("a dry run drives %v", b.wrote)
	}
}

// A frozen sensor is found by its deadline, with no reading and no brain: the rules
// that read it fire, one that confirms too, and the brain is told the cause. Another
// value makes it valid at once, and what latched stays latched.
func TestStuckSignalFires(t *testing.T) {
	for name, robot := range map[string]string{
		"a field": strings.Replace(simRobot, "field: range, ", "field: range, stuck_after: 700ms, ", 1),
		"a line":  strings.NewReplacer("bumper: {port: nav, field: bumper, range: [0, 1], stale_after: 5s}", "bumper: {pin: GPIO17, stuck_after: 700ms}").Replace(simRobot),
	} {
		t.Run(name, func(t *testing.T) {
			signal, read, other := sigRange, "range < 1 m", 1.5
			if name == "a line" {
				signal, read, other = sigBumper, "bumper", 1.0
			}
			manual := strings.Replace(testManual, "bumper > 0.5", "soft > 2", 1)
			rules := `  - {name: sure, when: "` + read + `", set: {drive: 0}, confirm: 5, latch: operator}` + "\n"
			manual = insertAfter(manual, "reflexes:\n", rules)
			b := newBench(t, loadRobot(t, robot, manual))
			b.calm()
			at := b.table.At(signal)
			b.run(at+700*time.Millisecond-1-b.now, nil)
			if v := b.table.Validity(signal); v != hal.Valid || b.fired > 0 {
				t.Fatalf("a nanosecond before it is %v, %d reflexes fired", v, b.fired)
			}
			if due := b.deadline(); due != at+700*time.Millisecond {
				t.Errorf("the deadline is %v after the reading", due-at)
			}
			var e link.Event
			for b.brain.TakeEvent(&e) {
			}
			b.run(1, nil)
			if _, _, v := b.brain.LoadSignal(signal); v != hal.Stuck {
				t.Errorf("the brain sees it %v", v)
			}
			if !b.reflex.Latched(0) {
				t.Error("the rule that reads it and confirms has not fired")
			}
			told, cause := false, int32(-2)
			for b.brain.TakeEvent(&e) {
				told = told || e.Kind == link.EventSignal && int(e.Index) == signal && hal.Validity(e.Flags) == hal.Stuck
				if e.Kind == link.EventReflex && e.Index == 0 {
					cause = e.Cause
				}
			}
			if !told || cause != int32(signal) {
				t.Errorf("told %v, cause of the reflex %d", told, cause)
			}
			b.feed(signal, b.table.Raw(signal)) // the same again
			if v := b.table.Validity(signal); v != hal.Stuck {
				t.Errorf("the same value makes it %v", v)
			}
			if b.feed(signal, other); b.table.Validity(signal) != hal.Valid {
				t.Errorf("another value leaves it %v", b.table.Validity(signal))
			}
			if !b.reflex.Latched(0) {
				t.Error("and its latch is gone")
			}
		})
	}
}

// The whole spine: the mower of the examples drives, a wire of its motor tears, and
// it stops for it. A restart finds the latch.
func TestTornWire(t *testing.T) {
	robot, problems := config.Load("../../examples/mower/robot-sim.yaml", config.Options{})
	if robot == nil {
		t.Fatal(problems)
	}
	text, err := os.ReadFile("../../examples/mower/torn-wire.scenario")
	if err != nil {
		t.Fatal(err)
	}
	sooner := strings.Replace(string(text), "from 6s", "from 3s", 1)
	if sooner == string(text) {
		t.Fatal("the scenario does not begin at 6 s")
	}
	scenario := filepath.Join(t.TempDir(), "torn.scenario")
	if err := os.WriteFile(scenario, []byte(sooner), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newRig(t, "")
	g.robot, g.cfg.Robot, g.cfg.Scenario = robot, robot, scenario
	g.cfg.BrainCommand = brainCommand("steady", robot, g.listen())
	g.run()
	g.status("waiting=false")
	g.status("lease=live")
	g.control("start tester")
	g.until("it drives", func() bool { return g.count("output index=0 flags=4 value=0.5") > 0 })
	if n := g.count("output index=0 flags=4 value="); n < 10 {
		t.Errorf("it was there in %d steps", n)
	}
	g.status("latches=read-back-drive")
	g.until("it is safe", func() bool {
		return g.count("output index=0 flags=1 value=0 ")+g.count("output index=0 flags=2 value=0 ") > 0
	})
	g.end()
	if g.err != nil {
		t.Fatal(g.err)
	}
	rule := robot.ReadBacks[0].Rule
	if g.count(fmt.Sprintf("latch index=%d flags=1 ", rule)) != 1 || g.count(fmt.Sprintf("reflex index=%d flags=1 ", rule)) != 1 {
		t.Error("the brain was not told why")
	}
	again := newRig(t, "")
	again.robot, again.cfg.Robot, again.cfg.DataDir = robot, robot, g.cfg.DataDir
	again.run()
	again.status("latches=read-back-drive")
}
