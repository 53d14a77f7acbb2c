package spine

import (
	"math"
	"strings"
	"testing"
	"time"

	"dancer/runtime/link"
)

// slowRobot is the test robot whose drive changes by 1 per second at most.
func slowRobot(t testing.TB, lease string) *bench {
	robot := strings.Replace(simRobot, `format: "D {value}\n", range: [0, 1], safe: 0`, `format: "D {value}\n", range: [0, 1], safe: 0, rate: 1`, 1)
	robot = strings.Replace(robot, "lease: {expires_after: 300ms, stop: 1}", lease, 1)
	b := newBench(t, loadRobot(t, robot, testManual))
	b.calm()
	b.post([]float64{0, 0}, 0, nil)
	if why := b.begin(b.now, link.ReasonOperator, nil); why != link.ReasonNone {
		t.Fatalf("start refused: %v", why)
	}
	return b
}

const longLease = "lease: {expires_after: 3s, stop: 0}"

// run lets time pass from deadline to deadline, and calls look after each.
func (b *bench) run(d time.Duration, look func()) {
	b.t.Helper()
	for end := b.now + d; ; {
		due := b.deadline()
		if due > end {
			b.now = end
			return
		}
		b.now = max(due, b.now+1)
		b.tick(b.now)
		if look != nil {
			look()
		}
	}
}

func (b *bench) near(want float64, who link.Who, when string) {
	b.t.Helper()
	if v, w := b.output(outDrive); math.Abs(v-want) > 1e-12 || w != who {
		b.t.Errorf("%s: drive is %v by %v, want %v by %v", when, v, w, want, who)
	}
}

// A command is reached in steps of 10 ms, counted from the command: what comes in
// between neither hurries nor delays it.
func TestRateOfACommand(t *testing.T) {
	b := slowRobot(t, longLease)
	b.post([]float64{0.05, 0}, 0, nil)
	began := b.now
	b.near(0, link.WhoCommand, "at once")
	if v, _ := b.output(outBrake); v != 0 {
		t.Errorf("brake has no rate and is %v", v)
	}
	if due := b.deadline(); due != began+10*time.Millisecond {
		t.Errorf("first step is due after %v", due-began)
	}
	b.pass(4 * time.Millisecond)
	b.post([]float64{0.05, 0}, 0, nil) // the same again
	b.near(0, link.WhoCommand, "between two steps")
	b.pass(6 * time.Millisecond)
	b.near(0.01, link.WhoCommand, "the first step")
	b.pass(13 * time.Millisecond) // 3 ms late
	b.near(0.023, link.WhoCommand, "a late step")
	if due := b.deadline(); due != began+30*time.Millisecond {
		t.Errorf("after a late step the next is due %v after the command", due-began)
	}
	b.pass(7 * time.Millisecond)
	b.near(0.03, link.WhoCommand, "the step after it")
	b.run(21*time.Millisecond, nil)
	b.want(0.05, link.WhoCommand)
	if due := b.deadline(); due < began+time.Second {
		t.Errorf("it is there, and something is due after %v", due-began)
	}
	b.post([]float64{0.03, 0}, 0, nil) // towards safe: a command like any other
	b.near(0.05, link.WhoCommand, "at once, back")
	b.run(10*time.Millisecond, nil)
	b.near(0.04, link.WhoCommand, "a step back")
	b.run(10*time.Millisecond, nil)
	b.want(0.03, link.WhoCommand)
}

// What the loop was too late for is not made up for with a jump.
func TestRateAfterTheLoopWasHeldUp(t *testing.T) {
	b := slowRobot(t, longLease)
	b.post([]float64{0.5, 0}, 0, nil)
	b.pass(time.Second)
	b.near(0.02, link.WhoCommand, "a second late")
	b.run(10*time.Millisecond, nil)
	if v, _ := b.output(outDrive); v > 0.03+1e-12 {
		t.Errorf("one step later it is %v", v)
	}
	b.run(600*time.Millisecond, nil)
	b.want(0.5, link.WhoCommand)
}

// Nothing but commands and holds of the brain has a rate.
func TestPrecedenceWithARate(t *testing.T) {
	hold := []float64{0.1, 0}
	for _, c := range []struct {
		name  string
		do    func(b *bench)
		drive float64
		who   link.Who
	}{
		{"a hold has the rate", func(b *bench) { b.post([]float64{0.5, 0}, 3, hold); b.run(10*time.Millisecond, nil) }, 0.19, link.WhoHold},
		{"a command to safe has it", func(b *bench) { b.post([]float64{0, 0}, 0, nil); b.run(10*time.Millisecond, nil) }, 0.19, link.WhoCommand},
		{"a reflex at once", func(b *bench) { b.feed(sigRange, 0.2) }, 0.1, link.WhoReflex},
		{"a latch at once", func(b *bench) { b.feed(sigBumper, 1) }, 0, link.WhoReflex},
		{"an operator's stop at once", func(b *bench) { b.halt(b.now, link.ReasonOperator, nil); b.frame(b.now, b.now, 0) }, 0, link.WhoSafe},
		{"a lease stop of category 0 at once", func(b *bench) { b.run(3*time.Second, nil) }, 0, link.WhoLeaseStop},
		{"a lost brain at once, with category 0", func(b *bench) { b.brainGone(b.now); b.frame(b.now, b.now, 0) }, 0, link.WhoLeaseStop},
		{"safe after a reflex, at once", func(b *bench) { b.feed(sigRange, 0.2); b.feed(sigRange, 2) }, 0, link.WhoSafe},
		{"a command after a reflex from what is on the wire", func(b *bench) {
			b.feed(sigRange, 0.2)
			b.feed(sigRange, 2)
			b.post([]float64{0.5, 0}, 0, nil)
			b.run(20*time.Millisecond, nil)
		}, 0.02, link.WhoCommand},
		{"clipped to the range", func(b *bench) {
			b.post([]float64{7, 0}, 0, nil)
			b.run(690*time.Millisecond, nil)
		}, 0.89, link.WhoCommand},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := slowRobot(t, longLease)
			b.post([]float64{0.5, 0}, 0, nil)
			b.run(200*time.Millisecond, nil)
			b.near(0.2, link.WhoCommand, "before")
			c.do(b)
			b.near(c.drive, c.who, "after")
			if v, _, who, _ := b.brain.LoadOutput(outDrive); math.Abs(v-c.drive) > 1e-12 || who != c.who {
				t.Errorf("the brain sees drive %v by %v", v, who)
			}
		})
	}
}

// A rule sees what is written, not what was commanded: it fires when the output
// gets there.
func TestRulesSeeTheSlewedValue(t *testing.T) {
	b := slowRobot(t, longLease)
	b.post([]float64{1, 0}, 0, nil) // "fast" allows 0.9
	b.wrote = nil
	b.run(890*time.Millisecond, nil)
	b.near(0.89, link.WhoCommand, "as far as it may")
	if b.fired != 0 {
		t.Fatal("fast has fired though the wire never had that value")
	}
	b.run(20*time.Millisecond, nil)
	if b.fired != 1 {
		t.Errorf("fast has fired %d times, want once", b.fired)
	}
	for _, w := range b.wrote {
		if w[0] == outDrive && w[1] > 0.9+1e-9 {
			t.Errorf("%v reached the wire", w[1])
		}
	}
}

func TestSlewDoesNotAllocate(t *testing.T) {
	b := slowRobot(t, "lease: {expires_after: 60s, stop: 1, ramp: 200ms}")
	b.notes, b.wrote = make([]link.Event, 0, 1<<16), make([][2]float64, 0, 1<<16)
	command := link.Command{Values: []float64{0.5, 0.2}}
	steps := 0
	allocs := testing.AllocsPerRun(2000, func() {
		b.wrote, b.notes = b.wrote[:0], b.notes[:0]
		if steps++; steps%20 == 0 {
			command.Values[0] = 0.8 - command.Values[0]
			b.begin(b.now, link.ReasonOperator, nil)
			b.posts++
			command.Decision, command.Epoch = b.posts, b.status.Epoch
			b.brain.PostCommand(&command)
			b.takeCommand(b.now)
		}
		if steps%100 == 50 {
			b.brainGone(b.now)
		}
		b.now = max(b.now, min(b.deadline(), b.now+20*time.Millisecond))
		b.tick(b.now)
		b.segment.StoreStatus(&b.status)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a step", allocs)
	}
}

// One step of all outputs of a robot with 64 that are on their way: decided, given
// to the driver and told to the brain.
func BenchmarkSlewStep(b *testing.B) {
	outputs := strings.Builder{}
	for i := range 61 {
		outputs.WriteString("  o" + string(rune('A'+i/26)) + string(rune('a'+i%26)) + `: {port: nav, format: "o {value}\n", range: [0, 1], safe: 0, rate: 0.0001}` + "\n")
	}
	robot := insertAfter(strings.Replace(simRobot, "lease: {expires_after: 300ms, stop: 1}", longLease, 1), "safe: 1}\n", outputs.String())
	c := newBench(b, loadRobot(b, robot, testManual))
	c.calm()
	values := make([]float64, len(c.outputs))
	for o := range values {
		values[o] = 0.8
	}
	c.post(values, 0, nil)
	c.begin(c.now, link.ReasonOperator, nil)
	c.post(values, 0, nil)
	c.wrote = make([][2]float64, 0, 1<<10)
	var e link.Event
	b.ReportAllocs()
	for b.Loop() {
		c.wrote = c.wrote[:0]
		c.now += slewStep
		c.leaseUntil = c.now + time.Second
		c.tick(c.now)
		for c.brain.TakeEvent(&e) {
		}
	}
	if len(c.wrote) != 61 {
		b.Fatalf("%d outputs moved in the last step", len(c.wrote))
	}
}
