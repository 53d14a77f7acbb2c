package spine

import (
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// bench is a core with a driver that remembers and a clock that stands still.
type bench struct {
	*core
	t       testing.TB
	now     time.Duration
	wrote   [][2]float64 // output, value
	notes   []link.Event
	latches map[int]bool
	posts   uint64
	brain   *link.Segment  // the other side's view
	noted   func(rule int) // nil, or told of each latch
	broken  int            // 1 + the output that cannot be driven; 0 none
}

func (b *bench) write(o int, v float64) bool {
	if b.broken == o+1 {
		return false
	}
	b.wrote = append(b.wrote, [2]float64{float64(o), v})
	return true
}
func (b *bench) commit()                      {}
func (b *bench) note(e *link.Event, _ []byte) { b.notes = append(b.notes, *e) }
func (b *bench) latched(rule int, on bool) {
	if b.latches[rule] = on; on && b.noted != nil {
		b.noted(rule)
	}
}
func (b *bench) pass(d time.Duration)             { b.now += d; b.tick(b.now) }
func (b *bench) output(o int) (float64, link.Who) { return b.written[o].value, b.written[o].who }

func newBench(t testing.TB, r *config.Robot, latches ...int) *bench {
	t.Helper()
	s, err := link.Create(Layout(r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t: t, now: time.Hour, latches: map[int]bool{}, brain: attach(t, s)}
	b.core, err = newCore(r, s, b, b, func() time.Duration { return b.now })
	if err != nil {
		t.Fatal(err)
	}
	b.start(b.now, latches)
	return b
}

// attach maps a segment a second time, as the brain does.
func attach(t testing.TB, s *link.Segment) *link.Segment {
	t.Helper()
	var files [2]*os.File
	for i, f := range s.Files() {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = os.NewFile(uintptr(fd), "copy")
	}
	brain, err := link.Attach(files, s.Layout())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { brain.Close() })
	return brain
}

// calm gives every signal a harmless value.
func (b *bench) calm() {
	b.feed(sigRange, 2)
	b.feed(sigBumper, 0)
	b.feed(sigSoft, 0)
}

// feed is one frame with one signal.
func (b *bench) feed(signal int, value float64) {
	b.now += time.Millisecond
	b.reading(signal, value, b.now)
	b.frame(b.now, b.now, 1)
}

// post is a completed decision.
func (b *bench) post(values []float64, mask uint64, hold []float64) {
	b.posts++
	c := link.Command{Decision: b.posts, Epoch: b.status.Epoch, Values: values, HoldMask: mask, Hold: hold}
	if err := b.brain.PostCommand(&c); err != nil {
		b.t.Fatal(err)
	}
	b.takeCommand(b.now)
	b.frame(b.now, b.now, 0)
}

// moving is a bench whose robot was started and drives at 0.5.
func moving(t testing.TB) *bench {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	b.calm()
	b.post([]float64{0.5, 0}, 0, nil)
	if why := b.begin(b.now, link.ReasonOperator, []byte("me")); why != link.ReasonNone {
		t.Fatalf("start refused: %v", why)
	}
	b.post([]float64{0.5, 0}, 0, nil)
	return b
}

func (b *bench) want(drive float64, who link.Who) {
	b.t.Helper()
	if v, w := b.output(outDrive); v != drive || w != who {
		b.t.Errorf("drive is %v by %v, want %v by %v", v, w, drive, who)
	}
}

func TestPrecedence(t *testing.T) {
	hold := []float64{0.3, 1}
	for _, c := range []struct {
		name  string
		do    func(b *bench)
		drive float64
		who   link.Who
		brake float64
	}{
		{"command", func(*bench) {}, 0.5, link.WhoCommand, 0},
		{"hold over command", func(b *bench) { b.post([]float64{0.5, 0}, 3, hold) }, 0.3, link.WhoHold, 1},
		{"hold on one output", func(b *bench) { b.post([]float64{0.5, 0}, 1, hold) }, 0.3, link.WhoHold, 0},
		{"reflex over command", func(b *bench) { b.feed(sigRange, 0.2) }, 0.1, link.WhoReflex, 0},
		{"reflex over hold", func(b *bench) { b.post([]float64{0.5, 0}, 3, hold); b.feed(sigRange, 0.2) }, 0.1, link.WhoReflex, 0},
		{"latch over command", func(b *bench) { b.feed(sigBumper, 1); b.feed(sigBumper, 0) }, 0, link.WhoLatch, 1},
		{"latch over hold", func(b *bench) { b.feed(sigBumper, 1); b.feed(sigBumper, 0); b.post([]float64{0.5, 0}, 3, hold) }, 0, link.WhoLatch, 1},
		{"nearest to safe of reflex and latch", func(b *bench) { b.feed(sigBumper, 1); b.feed(sigBumper, 0); b.feed(sigRange, 0.2) }, 0, link.WhoLatch, 1},
		{"nearest to safe of two reflexes", func(b *bench) { b.feed(sigRange, 0.2); b.feed(sigBumper, 1) }, 0, link.WhoReflex, 1},
		{"reflex over a lost lease", func(b *bench) { b.feed(sigRange, 0.2); b.pass(time.Second) }, 0.1, link.WhoReflex, 0},
		{"lost lease over command", func(b *bench) { b.pass(time.Second) }, 0, link.WhoLeaseStop, 1},
		{"lost lease over hold", func(b *bench) { b.post([]float64{0.5, 0}, 3, hold); b.pass(time.Second) }, 0, link.WhoLeaseStop, 1},
		{"stop over command", func(b *bench) { b.halt(b.now, link.ReasonOperator, nil); b.frame(b.now, b.now, 0) }, 0, link.WhoSafe, 1},
		{"clipped to the range", func(b *bench) { b.post([]float64{-7, 9}, 0, nil) }, 0, link.WhoCommand, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := moving(t)
			c.do(b)
			b.want(c.drive, c.who)
			if v, _ := b.output(outBrake); v != c.brake {
				t.Errorf("brake is %v, want %v", v, c.brake)
			}
			if v, _, who, _ := b.brain.LoadOutput(outDrive); v != c.drive || who != c.who {
				t.Errorf("the brain sees drive %v by %v", v, who)
			}
		})
	}
}

func TestDiscardedCommandIsNotQueued(t *testing.T) {
	b := moving(t)
	b.feed(sigRange, 0.2)
	b.post([]float64{0.5, 0}, 0, nil) // meets the reflex
	b.feed(sigRange, 2)
	b.want(0, link.WhoSafe) // not the command from before
	b.post([]float64{0.4, 0}, 0, nil)
	b.want(0.4, link.WhoCommand)
}

// The brain's hold is discarded like a command: when the rule that it met ends,
// the output does not go back to it by itself.
func TestHoldThatMetARuleIsDiscarded(t *testing.T) {
	b := moving(t)
	hold := []float64{0.3, 0.4}
	b.post([]float64{0.5, 0}, 3, hold)
	b.want(0.3, link.WhoHold)
	b.feed(sigRange, 0.2)
	b.feed(sigRange, 2)
	b.want(0, link.WhoSafe)
	b.post([]float64{0.5, 0}, 3, hold)
	b.want(0.3, link.WhoHold)
}

// A brain that is started while another one's lease is live has none of it, and
// nothing that the other one decided goes on without a lease.
func TestBrainThatIsReplacedLosesItsLease(t *testing.T) {
	b := moving(t)
	b.brainStarted(b.now, b.generation+1)
	b.frame(b.now, b.now, 0)
	b.want(0, link.WhoLeaseStop)
	if b.status.Mode != link.ModeSafe || b.status.Lease != link.LeaseNone {
		t.Errorf("mode %v, lease %v", b.status.Mode, b.status.Lease)
	}
}

func TestRuleSeesCommandBeforeTheWire(t *testing.T) {
	b := moving(t)
	b.wrote = nil
	b.post([]float64{1, 0}, 0, nil) // makes "fast" fire
	for _, w := range b.wrote {
		if w[0] == outDrive && w[1] > 0.9 {
			t.Errorf("the forbidden command reached the wire: %v", b.wrote)
		}
	}
	if b.fired != 1 {
		t.Errorf("%d reflexes fired, want 1", b.fired)
	}
}

func TestNothingMovesByItself(t *testing.T) {
	r := loadRobot(t, simRobot, testManual)
	t.Run("boot", func(t *testing.T) {
		b := newBench(t, r)
		b.calm()
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0, link.WhoSafe)
	})
	t.Run("start without a lease", func(t *testing.T) {
		b := newBench(t, r)
		b.calm()
		if why := b.begin(b.now, link.ReasonOperator, nil); why != link.ReasonNoLease {
			t.Errorf("start says %q", why)
		}
	})
	t.Run("command from before the start", func(t *testing.T) {
		b := newBench(t, r)
		b.calm()
		b.post([]float64{0.5, 0}, 0, nil)
		epoch := b.status.Epoch
		b.begin(b.now, link.ReasonOperator, nil)
		b.posts++
		b.brain.PostCommand(&link.Command{Decision: b.posts, Epoch: epoch, Values: []float64{0.5, 0}})
		b.takeCommand(b.now)
		b.frame(b.now, b.now, 0)
		b.want(0, link.WhoSafe)
		if b.status.Lease != link.LeaseLive || b.leaseUntil != b.now+300*time.Millisecond {
			t.Error("it is a completed decision all the same and renews the lease")
		}
	})
	t.Run("lease back", func(t *testing.T) {
		b := moving(t)
		b.pass(time.Second)
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0, link.WhoLeaseStop)
		if b.status.Lease != link.LeaseLive || b.status.Mode != link.ModeSafe {
			t.Errorf("lease %v mode %v", b.status.Lease, b.status.Mode)
		}
	})
	t.Run("latch cleared", func(t *testing.T) {
		b := moving(t)
		b.feed(sigBumper, 1)
		if why := b.clear(b.now, -1, nil); why != link.ReasonStillTrue {
			t.Errorf("clear while pressed says %q", why)
		}
		b.feed(sigBumper, 0)
		if why := b.clear(b.now, ruleBump, nil); why != link.ReasonNone {
			t.Errorf("clear says %q", why)
		}
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0, link.WhoSafe)
		b.begin(b.now, link.ReasonOperator, nil)
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0.5, link.WhoCommand)
		if b.latches[ruleBump] {
			t.Error("the latch file still has the latch")
		}
	})
	t.Run("restart with a latch", func(t *testing.T) {
		b := newBench(t, r, ruleBump)
		b.calm()
		b.post([]float64{0.5, 0}, 0, nil)
		b.begin(b.now, link.ReasonOperator, nil)
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0, link.WhoLatch)
	})
	t.Run("brain of another generation", func(t *testing.T) {
		b := moving(t)
		old := b.status.Epoch
		b.brainGone(b.now)
		b.brainStarted(b.now, 2)
		b.brain.PostCommand(&link.Command{Decision: 99, Epoch: old, Values: []float64{0.5, 0}})
		b.takeCommand(b.now)
		b.frame(b.now, b.now, 0)
		b.want(0, link.WhoLeaseStop)
		if b.status.Lease != link.LeaseNone {
			t.Errorf("lease is %v", b.status.Lease)
		}
	})
	t.Run("report-only", func(t *testing.T) {
		b := moving(t)
		b.reportOnly(b.now)
		b.frame(b.now, b.now, 0)
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0, link.WhoSafe)
		if why := b.begin(b.now, link.ReasonOperator, nil); why != link.ReasonReportOnly {
			t.Errorf("start says %q", why)
		}
	})
	t.Run("shutdown", func(t *testing.T) {
		b := moving(t)
		b.shutdown(b.now)
		b.frame(b.now, b.now, 0)
		b.post([]float64{0.5, 0}, 0, nil)
		b.want(0, link.WhoSafe)
		if why := b.begin(b.now, link.ReasonOperator, nil); why != link.ReasonShutdown {
			t.Errorf("start says %q", why)
		}
	})
}

func TestAutostartIsForBootAlone(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot+"autostart: true\n", testManual))
	b.calm()
	b.post([]float64{0.5, 0}, 0, nil) // starts
	b.post([]float64{0.5, 0}, 0, nil) // moves
	b.want(0.5, link.WhoCommand)
	b.pass(time.Second)
	b.post([]float64{0.5, 0}, 0, nil)
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0, link.WhoLeaseStop)
}

func TestWaitingHoldsSafeWithoutLatching(t *testing.T) {
	r := loadRobot(t, simRobot, testManual)
	b := newBench(t, r)
	b.feed(sigBumper, 0)
	b.feed(sigSoft, 0)
	b.post([]float64{0.5, 0}, 0, nil)
	b.begin(b.now, link.ReasonOperator, nil)
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0, link.WhoWaiting)
	b.feed(sigRange, 2)
	b.post([]float64{0.5, 0}, 0, nil)
	b.want(0.5, link.WhoCommand)
	if b.fired != 0 {
		t.Errorf("%d reflexes fired while waiting", b.fired)
	}

	b = newBench(t, r) // nothing ever comes
	b.pass(5 * time.Second)
	if _, who := b.output(outDrive); who != link.WhoReflex {
		t.Errorf("after stale_after drive is driven by %v, want reflex: invalid signals are on the unsafe side", who)
	}
	if !b.latches[ruleBump] {
		t.Error("a bumper that never came is not latched after stale_after")
	}
}

func TestStaleSignalFires(t *testing.T) {
	b := moving(t)
	b.pass(4 * time.Second)
	b.feed(sigBumper, 0)
	b.feed(sigSoft, 0)
	b.pass(1500 * time.Millisecond) // range is stale now, the others are not
	b.want(0.1, link.WhoReflex)
	if !b.reflex.Active(ruleNear) || b.reflex.Active(ruleBump) {
		t.Error("near must fire and bump must not")
	}
}

// A rule that confirms fires all the same when readings stop, by time or because
// the port is gone; a single invalid reading has to be confirmed.
func TestConfirmOfASignalThatIsLost(t *testing.T) {
	const rule = `  - {name: sure, when: "range < 1 m", set: {drive: 0}, confirm: 3}` + "\n" +
		`  - {name: slow, when: "mean(range, 1s) < 1 m", set: {drive: 0}, confirm: 3}` + "\n"
	b := looking(t, rule)
	b.feed(sigRange, 99)
	b.active(ruleMore, false, "one reading out of range")
	b.feed(sigRange, 2)
	b.until(b.now + 5*time.Second)
	b.active(ruleMore, true, "stale")
	b.active(ruleMore+1, true, "what looks back at it")
	b = looking(t, rule)
	b.invalidate(sigRange, b.now)
	b.frame(b.now, b.now, 0)
	b.active(ruleMore, true, "the port is gone")
}

func TestDebounceByDeadline(t *testing.T) {
	b := moving(t)
	b.feed(sigSoft, 1)
	if v, _ := b.output(outBrake); v != 0 {
		t.Fatalf("brake is %v before the debounce is over", v)
	}
	due := b.deadline()
	if want := b.now + 50*time.Millisecond; due != want {
		t.Fatalf("next deadline %v, want %v", due, want)
	}
	b.pass(50 * time.Millisecond)
	if v, who := b.output(outBrake); v != 0.5 || who != link.WhoReflex {
		t.Errorf("brake is %v by %v after the debounce", v, who)
	}
}

func TestEventsTellLatencyAndCause(t *testing.T) {
	b := moving(t)
	var e link.Event
	for b.brain.TakeEvent(&e) {
	}
	at := b.now + time.Millisecond
	b.now = at + 70*time.Microsecond // the clock at the write
	b.reading(sigRange, 0.1, at)
	b.frame(at, at, 42)
	var fired, output bool
	for b.brain.TakeEvent(&e) {
		switch e.Kind {
		case link.EventReflex:
			fired = true
			if e.Index != ruleNear || e.Flags != 1 || e.At != at || e.Latency != 70*time.Microsecond || e.Frame != 42 || e.Cause != sigRange {
				t.Errorf("reflex event %+v", e)
			}
		case link.EventOutput:
			if e.Index == outDrive {
				output = true
				if link.Who(e.Flags) != link.WhoReflex || e.Value != 0.1 || e.Cause != ruleNear {
					t.Errorf("output event %+v", e)
				}
			}
		}
	}
	if !fired || !output {
		t.Errorf("reflex told %v, output told %v", fired, output)
	}
}

func TestSignalEvents(t *testing.T) {
	b := moving(t)
	var e link.Event
	for b.brain.TakeEvent(&e) {
	}
	b.feed(sigRange, 99)         // out of range
	b.feed(sigRange, math.NaN()) // not a number
	b.feed(sigRange, 2)
	b.feed(sigRange, 3)
	var got []hal.Validity
	for b.brain.TakeEvent(&e) {
		if e.Kind == link.EventSignal {
			got = append(got, hal.Validity(e.Flags))
		}
	}
	if want := []hal.Validity{hal.OutOfRange, hal.NotANumber, hal.Valid}; !slices.Equal(got, want) {
		t.Errorf("signal events %v, want %v", got, want)
	}
}

func TestMissedEventsAreTold(t *testing.T) {
	b := moving(t)
	for range link.EventCapacity {
		b.feed(sigRange, 0.1)
		b.feed(sigRange, 2)
	}
	if b.missed == 0 {
		t.Fatal("the ring is not full: the test does not test")
	}
	var e link.Event
	for b.brain.TakeEvent(&e) {
	}
	missed := b.missed
	b.feed(sigRange, 0.1)
	told := false
	for b.brain.TakeEvent(&e) {
		told = told || e.Kind == link.EventLost && e.Frame == missed
	}
	if !told {
		t.Errorf("the brain does not know that it missed %d events", missed)
	}
}

func TestQuarrellingRulesEndSafe(t *testing.T) {
	const quarrel = `  - {name: up, when: "drive < 0.4 && range > 7 m", set: {drive: 0.6}, stop: 2}` + "\n"
	manual := insertAfter(testManual, "reflexes:\n", quarrel)
	b := newBench(t, loadRobot(t, simRobot, manual))
	b.calm()
	b.feed(sigRange, 7.5) // drive 0 makes it 0.6, which ends the rule, which makes it 0
	if v, _ := b.output(outDrive); v != 0 {
		t.Errorf("drive is %v", v)
	}
	if b.status.Overruns != 1 {
		t.Errorf("%d overruns counted, want 1", b.status.Overruns)
	}
}

// Rules that chase each other around a ring of outputs move one of them in each
// pass, so the last pass does not show all that is in dispute.
func TestQuarrelAroundARingEndsSafe(t *testing.T) {
	const ring = `
  - {name: first, when: "range > 7 m", set: {arm: 0.5}, stop: 2}
  - {name: second, when: "arm > 0.4 && brake > 0.5", set: {drive: 0.6}, stop: 2}
  - {name: third, when: "drive > 0.5", set: {brake: 0}, stop: 2}
`
	b := newBench(t, loadRobot(t, historyRobot(), insertAfter(testManual, "reflexes:\n", ring[1:])))
	b.calm()
	b.feed(sigRange, 7.5)
	for o := range b.outputs {
		if v, who := b.output(o); v != b.outputs[o].Safe {
			t.Errorf("%s is %v by %v, want it safe", b.outputs[o].Name, v, who)
		}
	}
	if b.status.Overruns != 1 {
		t.Errorf("%d overruns counted, want 1", b.status.Overruns)
	}
}

func TestLoopPathDoesNotAllocate(t *testing.T) {
	b := moving(t)
	b.notes = make([]link.Event, 0, 1<<16)
	b.wrote = make([][2]float64, 0, 1<<16)
	command := link.Command{Values: []float64{0.5, 0}}
	value := 0.1
	allocs := testing.AllocsPerRun(1000, func() {
		b.wrote, b.notes = b.wrote[:0], b.notes[:0]
		b.now += time.Millisecond
		b.reading(sigRange, value, b.now)
		b.frame(b.now, b.now, 1)
		value = 2.1 - value // fires and ends
		b.posts++
		command.Decision, command.Epoch = b.posts, b.status.Epoch
		b.brain.PostCommand(&command)
		b.takeCommand(b.now)
		b.tick(b.now)
		b.segment.StoreStatus(&b.status)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per event", allocs)
	}
	if b.fired < 400 {
		t.Errorf("only %d reflexes fired: the test does not test", b.fired)
	}
}
