package spine

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/reflex"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// stopping is a bench that drives at 0.8 and whose lease runs out at lost.
func stopping(t testing.TB, lease string) (b *bench, lost time.Duration) {
	b = newBench(t, loadRobot(t, strings.Replace(simRobot, "lease: {expires_after: 300ms, stop: 1}", lease, 1), testManual))
	b.calm()
	b.post([]float64{0.8, 0}, 0, nil)
	b.begin(b.now, link.ReasonOperator, nil)
	b.post([]float64{0.8, 0}, 0, nil)
	b.want(0.8, link.WhoCommand)
	return b, b.leaseUntil
}

const rampedLease = "lease: {expires_after: 300ms, stop: 1, ramp: 100ms}"

func TestLeaseStopByCategory(t *testing.T) {
	for _, c := range []struct {
		name, lease string
		ramp        time.Duration
	}{
		{"0", "lease: {expires_after: 300ms, stop: 0}", 0},
		{"1 without a ramp", "lease: {expires_after: 300ms, stop: 1}", 0},
		{"1", rampedLease, 100 * time.Millisecond},
		{"2", "lease: {expires_after: 300ms, stop: 2, ramp: 95ms}", 95 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, lost := stopping(t, c.lease)
			steps := 0
			b.run(lost-b.now-1, func() { t.Errorf("something is due %v before the lease's end", lost-b.now) })
			b.want(0.8, link.WhoCommand)
			b.run(1+c.ramp, func() {
				left := max(c.ramp-(b.now-lost), 0)
				want := 0.0
				if left > 0 {
					want = 0.8 * float64(left) / float64(c.ramp)
				}
				b.near(want, link.WhoLeaseStop, (b.now - lost).String())
				steps++
			})
			if want := 1 + int((c.ramp+reflex.RampStep-1)/reflex.RampStep); steps != want {
				t.Errorf("%d steps, want %d", steps, want)
			}
			b.want(0, link.WhoLeaseStop)
			if v, _ := b.output(outBrake); v != 1 {
				t.Errorf("brake is %v at the end, want safe", v)
			}
			if due := b.deadline(); due < b.now+time.Second {
				t.Errorf("and then something is due after %v", due-b.now)
			}
		})
	}
}

// The end is counted from the lease's own, however late the loop wakes in between.
func TestLeaseStopIsAbsolute(t *testing.T) {
	b, lost := stopping(t, rampedLease)
	for _, late := range []time.Duration{3, 17, 24, 51, 68, 99} {
		b.now = lost + late*time.Millisecond
		b.tick(b.now)
		b.near(0.8*float64(100-late)/100, link.WhoLeaseStop, b.now.String())
		if due := b.deadline(); due > lost+100*time.Millisecond || due <= b.now || (due-lost)%(10*time.Millisecond) != 0 {
			t.Errorf("%d ms after the end of the lease the next step is due after %v", late, due-lost)
		}
	}
	b.run(lost+100*time.Millisecond-b.now, nil)
	b.want(0, link.WhoLeaseStop)

	b, lost = stopping(t, rampedLease)
	b.now = lost + time.Second // the loop was held up for all of it
	b.tick(b.now)
	b.want(0, link.WhoLeaseStop)
}

// What happens in the middle of a controlled stop.
func TestInTheMiddleOfALeaseStop(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(b *bench)
		drive float64
		who   link.Who
		later float64 // at the end of the ramp
		last  link.Who
	}{
		{"a reflex takes over at once", func(b *bench) { b.feed(sigBumper, 1) }, 0, link.WhoReflex, 0, link.WhoReflex},
		{"and where it ends the ramp goes on, never away from safe", func(b *bench) { b.feed(sigRange, 0.2); b.feed(sigRange, 2) }, 0.1, link.WhoLeaseStop, 0, link.WhoLeaseStop},
		{"a new lease revives nothing", func(b *bench) { b.post([]float64{0.8, 0}, 0, nil) }, 0.4, link.WhoLeaseStop, 0, link.WhoLeaseStop},
		{"a start alone neither", func(b *bench) {
			b.post([]float64{0.8, 0}, 0, nil)
			b.begin(b.now, link.ReasonOperator, nil)
			b.frame(b.now, b.now, 0)
		}, 0.4, link.WhoLeaseStop, 0, link.WhoSafe},
		{"a start and a command drive again", func(b *bench) {
			b.post([]float64{0.8, 0}, 0, nil)
			b.begin(b.now, link.ReasonOperator, nil)
			b.post([]float64{0.6, 0}, 0, nil)
		}, 0.6, link.WhoCommand, 0.6, link.WhoCommand},
		{"an operator's stop is at once", func(b *bench) { b.halt(b.now, link.ReasonOperator, nil); b.frame(b.now, b.now, 0) }, 0, link.WhoSafe, 0, link.WhoSafe},
		{"the end of the brain changes nothing", func(b *bench) { b.brainGone(b.now); b.brainStarted(b.now, 9); b.frame(b.now, b.now, 0) }, 0.4, link.WhoLeaseStop, 0, link.WhoLeaseStop},
		{"report-only neither", func(b *bench) { b.reportOnly(b.now); b.frame(b.now, b.now, 0) }, 0.4, link.WhoLeaseStop, 0, link.WhoLeaseStop},
		{"a shutdown neither", func(b *bench) { b.shutdown(b.now); b.frame(b.now, b.now, 0) }, 0.4, link.WhoLeaseStop, 0, link.WhoSafe},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, lost := stopping(t, rampedLease)
			b.run(lost+50*time.Millisecond-b.now, nil)
			b.near(0.4, link.WhoLeaseStop, "in the middle")
			c.do(b)
			b.near(c.drive, c.who, "then")
			b.run(lost+100*time.Millisecond-b.now, func() {
				if v, _ := b.output(outDrive); v > c.drive {
					t.Errorf("%v: drive moves up to %v", b.now-lost, v)
				}
			})
			b.near(c.later, c.last, "in the end")
		})
	}
}

// A second stop in the same run of the program counts anew.
func TestLeaseStopAgain(t *testing.T) {
	b, lost := stopping(t, rampedLease)
	b.run(lost+50*time.Millisecond-b.now, nil)
	b.post([]float64{0.8, 0}, 0, nil)
	b.begin(b.now, link.ReasonOperator, nil)
	b.post([]float64{0.6, 0}, 0, nil)
	b.run(b.leaseUntil+50*time.Millisecond-b.now, nil)
	b.near(0.3, link.WhoLeaseStop, "half way of the second")
	b.run(50*time.Millisecond, nil)
	b.want(0, link.WhoLeaseStop)
}

// The brain's end and a shutdown take the same way as a lost lease, from then on.
func TestEveryEndIsControlled(t *testing.T) {
	for name, end := range map[string]func(b *bench){
		"the brain's end": func(b *bench) { b.brainGone(b.now) },
		"another brain":   func(b *bench) { b.brainStarted(b.now, 9) },
		"shutdown":        func(b *bench) { b.shutdown(b.now) },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := stopping(t, rampedLease)
			began := b.now
			end(b)
			b.frame(b.now, b.now, 0)
			b.near(0.8, link.WhoLeaseStop, "at once")
			if b.stopOver() {
				t.Error("the stop is said to be over")
			}
			b.run(50*time.Millisecond, nil)
			b.near(0.4, link.WhoLeaseStop, "half way")
			b.run(began+100*time.Millisecond-b.now, nil)
			if v, _ := b.output(outDrive); v != 0 || !b.stopOver() {
				t.Errorf("in the end drive is %v, over %v", v, b.stopOver())
			}
			if b.status.Mode != link.ModeSafe {
				t.Errorf("mode is %v", b.status.Mode)
			}
		})
	}
}

// A decision that comes when the lease's time is over, and before the loop has seen
// that it is, does not keep the lease.
func TestLateDecisionDoesNotKeepTheLease(t *testing.T) {
	b, lost := stopping(t, "lease: {expires_after: 300ms, stop: 0}")
	b.now = lost
	b.post([]float64{0.8, 0}, 0, nil)
	b.want(0, link.WhoLeaseStop)
	if b.status.Mode != link.ModeSafe {
		t.Errorf("mode is %v", b.status.Mode)
	}
	b, lost = stopping(t, "lease: {expires_after: 300ms, stop: 0}")
	b.now = lost - 1
	b.post([]float64{0.8, 0}, 0, nil)
	b.want(0.8, link.WhoCommand)
}

// Where nothing is said, only an output that has a rate takes time to stop: as much
// as it needs, and no more than half a second. One that is on or off takes none.
func TestRampOfALease(t *testing.T) {
	r := loadRobot(t, `
robot: test-bot
board: sim
manual: manual.yaml
signals:
  range: {unit: m, range: [0, 8], stale_after: 5s}
  bumper: {range: [0, 1], stale_after: 5s}
  soft:   {range: [0, 1], stale_after: 5s}
outputs:
  drive: {range: [-1, 1], safe: 0, rate: 4}
  brake: {range: [0, 1], safe: 1}
  slow:  {range: [0, 10], safe: 2, rate: 1}
  lamp:  {pin: GPIO23, safe: 0}
`, testManual)
	const ms = time.Millisecond
	for _, c := range []struct {
		lease config.Lease
		want  [4]time.Duration
	}{
		{config.Lease{Stop: reflex.Stop0}, [4]time.Duration{}},
		{config.Lease{Stop: reflex.Stop1}, [4]time.Duration{250 * ms, 0, 500 * ms, 0}},
		{config.Lease{Stop: reflex.Stop2}, [4]time.Duration{250 * ms, 0, 500 * ms, 0}},
		{config.Lease{Stop: reflex.Stop1, HasRamp: true}, [4]time.Duration{}},
		{config.Lease{Stop: reflex.Stop2, HasRamp: true, Ramp: 2 * time.Second}, [4]time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second, 0}},
	} {
		for o := range r.Manual.Outputs {
			if got := c.lease.RampOf(&r.Manual.Outputs[o]); got != c.want[o] {
				t.Errorf("%+v: %s takes %v, want %v", c.lease, r.Manual.Outputs[o].Name, got, c.want[o])
			}
		}
	}
}

// The whole spine: a brain that is stopped, and an end of the program, take the
// drive down step by step, and the last word is said when it stands.
func TestControlledStopsOnTheWire(t *testing.T) {
	g := newRig(t, "steady")
	g.robot = loadRobot(t, strings.Replace(wiredRobot(g.device), "stop: 1}", "stop: 1, ramp: 1500ms}", 1), testManual)
	g.cfg.Robot, g.cfg.BrainCommand = g.robot, brainCommand("steady", g.robot, g.listen())
	g.run()
	g.moving()
	pid := g.pid(1)
	g.signal(pid, syscall.SIGSTOP)
	g.drives("0", "1")
	g.goesDown("a stopped brain", 0)
	g.signal(pid, syscall.SIGCONT)
	g.moving()
	lines, _ := g.snapshot()
	g.end()
	g.drives("0", "1")
	g.goesDown("the end of the program", len(lines))
	if g.err != nil {
		t.Error(g.err)
	}
}

// goesDown wants several values between on the way from 0.5 to 0, in the lines from
// the given one on.
func (g *rig) goesDown(when string, from int) {
	g.t.Helper()
	lines, _ := g.snapshot()
	before, between := 0.5, 0
	for _, line := range lines[from:] {
		text, ok := strings.CutPrefix(line, "D ")
		value, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil || value == before {
			continue
		}
		if value > before && before < 0.5 && before > 0 {
			g.t.Errorf("%s: the drive goes up from %v to %v", when, before, value)
		}
		if before = value; value > 0 && value < 0.5 {
			between++
		}
	}
	if between < 2 {
		g.t.Errorf("%s: %d values on the way down: %q\n%s", when, between, lines[from:], g.log.String())
	}
}
