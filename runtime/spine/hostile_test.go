package spine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/runtime/link"
)

// asked hands the core a request as the brain would, at some age and of some
// generation, and gives the reason of the answer.
func (b *bench) asked(kind link.RequestKind, age time.Duration, generation uint64) link.Reason {
	b.t.Helper()
	b.answer(b.now, &link.Request{Kind: kind, Index: -1, Sequence: 9, Epoch: generation << 32, At: b.now - age})
	b.frame(b.now, b.now, 0)
	var e link.Event
	reason := link.Reason(-1)
	for b.brain.TakeEvent(&e) {
		if e.Kind == link.EventAnswer && e.Frame == 9 {
			reason = link.Reason(e.Cause)
		}
	}
	return reason
}

// A start or clear that an earlier brain asked for, or this one too long ago, is
// not carried out: nobody waits for it any more. A stop always is.
func TestStaleRequestMovesNothing(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	b.calm()
	b.brainStarted(b.now, 2)
	b.post([]float64{0.5, 0}, 0, nil)
	for _, c := range []struct {
		name       string
		age        time.Duration
		generation uint64
	}{
		{"of the brain before", 0, 1},
		{"of one that never was", 0, 3},
		{"old", b.lease.ExpiresAfter + 1, 2},
		{"without a time", b.now, 2},
		{"of the future", -b.lease.ExpiresAfter - 1, 2},
	} {
		for _, kind := range []link.RequestKind{link.RequestStart, link.RequestClear} {
			if why := b.asked(kind, c.age, c.generation); why != link.ReasonStaleRequest || b.status.Mode != link.ModeSafe {
				t.Errorf("%v %s: answer %q, mode %v", kind, c.name, why, b.status.Mode)
			}
		}
	}
	if why := b.asked(link.RequestStart, time.Millisecond, 2); why != link.ReasonNone || b.status.Mode != link.ModeRunning {
		t.Fatalf("a start of now: answer %q, mode %v", why, b.status.Mode)
	}
	if why := b.asked(link.RequestStop, time.Hour, 1); why != link.ReasonNone || b.status.Mode != link.ModeSafe {
		t.Errorf("an old stop: answer %q, mode %v", why, b.status.Mode)
	}
}

// What is damaged asks for nothing, is counted, and gets no answer.
func TestDamagedRequestIsCounted(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	before := b.status.Discarded
	if why := b.asked(link.RequestNone, 0, 0); why != -1 || b.status.Discarded != before+1 {
		t.Errorf("answer %q, %d discarded", why, b.status.Discarded-before)
	}
}

// A brain that is report-only reports: it clears no latch.
func TestReportOnlyBrainClearsNothing(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	b.calm()
	b.feed(sigBumper, 1)
	b.feed(sigBumper, 0)
	b.brainStarted(b.now, 1)
	b.reportOnly(b.now)
	if why := b.asked(link.RequestClear, 0, 1); why != link.ReasonReportOnly {
		t.Errorf("answer %q", why)
	}
	if why := b.clear(b.now, -1, []byte("somebody on the robot")); why != link.ReasonNone {
		t.Errorf("on the robot itself: %q", why)
	}
}

// A command that a brain left in the mailbox before it ended renews no lease and
// starts nothing.
func TestEndedBrainRenewsNothing(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	b.autostart = true
	b.calm()
	b.brainStarted(b.now, 1)
	b.brainGone(b.now)
	b.post([]float64{0.5, 0}, 0, nil)
	if b.status.Lease == link.LeaseLive || b.status.Mode != link.ModeSafe {
		t.Errorf("lease %v, mode %v after the brain's end", b.status.Lease, b.status.Mode)
	}
	if why := b.asked(link.RequestStart, 0, 1); why != link.ReasonStaleRequest {
		t.Errorf("a start of the brain that ended: %q", why)
	}
	b.brainStarted(b.now, 2)
	b.post([]float64{0.5, 0}, 0, nil)
	if b.status.Lease != link.LeaseLive {
		t.Errorf("lease %v of the next brain", b.status.Lease)
	}
}

// The highest decision there is can be posted once: then that brain has lost its
// lease, and the next one has not.
func TestLastDecisionOfAll(t *testing.T) {
	b := moving(t)
	b.posts = math.MaxUint64 - 1
	b.post([]float64{0.7, 0}, 0, nil)
	b.want(0.7, link.WhoCommand)
	until := b.leaseUntil
	b.posts = 5
	for range 3 {
		b.post([]float64{0.9, 0}, 0, nil)
	}
	b.want(0.7, link.WhoCommand)
	if b.leaseUntil != until {
		t.Error("an old decision renewed the lease")
	}
	b.pass(b.lease.ExpiresAfter + time.Millisecond)
	if v, _ := b.output(outDrive); v != 0 || b.status.Lease != link.LeaseExpired {
		t.Errorf("drive %v, lease %v", v, b.status.Lease)
	}
	b.brainStarted(b.now, 1)
	b.posts = 0
	b.post([]float64{0.5, 0}, 0, nil)
	if b.status.Lease != link.LeaseLive {
		t.Errorf("lease %v of the next brain", b.status.Lease)
	}
}

// A command is obeyed for its own lease: one that was posted before, and is put
// into the mailbox again with a new sequence, moves nothing.
func TestReplayedCommandIsDiscarded(t *testing.T) {
	b := moving(t)
	old := link.Command{Decision: b.posts, Epoch: b.status.Epoch, Values: []float64{0.9, 0}}
	b.post([]float64{0.5, 0}, 0, nil)
	before := b.status.Discarded
	for range 3 {
		if err := b.brain.PostCommand(&old); err != nil {
			t.Fatal(err)
		}
		b.takeCommand(b.now)
		b.frame(b.now, b.now, 0)
	}
	b.want(0.5, link.WhoCommand)
	if b.status.Discarded != before+3 {
		t.Errorf("%d discarded", b.status.Discarded-before)
	}
}

// However many requests there are, a wake-up carries out a few and the brain is
// muted until the window is over; then the rest has its turn.
func TestRequestsAreLimited(t *testing.T) {
	r := loadRobot(t, simRobot, testManual)
	ends, err := link.NewEnds(Layout(r))
	if err != nil {
		t.Fatal(err)
	}
	defer ends.Close()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	b := &bench{t: t, now: time.Hour, latches: map[int]bool{}, brain: attach(t, ends.Segment)}
	if b.core, err = newCore(r, ends.Segment, b, b, func() time.Duration { return b.now }); err != nil {
		t.Fatal(err)
	}
	b.start(b.now, nil)
	l := &loop{core: b.core, ends: ends, poller: p, hardware: &hardware{}, brain: brainWatch{pid: -1}}
	if err := p.watchEdges(ends.ToSpine.FD(), tokenBrain); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(requestLimit + 3) {
		b.brain.PostRequest(link.Request{Kind: link.RequestStop, Index: -1, Sequence: i})
	}
	for _, want := range []int{requestLimit, 3} {
		if err := ends.ToSpine.Signal(); err != nil {
			t.Fatal(err)
		}
		if n := p.wait(); n != 1 || p.events[0].Fd != tokenBrain {
			t.Fatalf("%d events, the first of %d", n, p.events[0].Fd)
		}
		l.brainSpeaks(b.now)
		var e link.Event
		answered := 0
		for b.brain.TakeEvent(&e) {
			if e.Kind == link.EventAnswer {
				answered++
			}
		}
		if answered != want || l.brainMuted != (want == requestLimit) {
			t.Fatalf("%d answered, want %d; muted %v", answered, want, l.brainMuted)
		}
		b.now += wakeWindow
		l.due(b.now)
	}
}

// evil is a brain that knows everything and means no good: it commands as the
// commander that it is, with the right epoch and check, asks for starts and clears
// without end, replays, scribbles over its half, punches holes into it, fills what
// can be filled and wakes the spine as often as it can.
func evil(ctx context.Context, ends *link.Ends, seed uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(link.MemoryFD, &st); err != nil {
		return err
	}
	memory, err := unix.Mmap(link.MemoryFD, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), len(memory)/8)
	_ = unix.SetNonblock(link.ToSpineFD, seed%2 == 0)
	random := rand.New(rand.NewPCG(seed, 7))
	for decision := uint64(1); ctx.Err() == nil; decision++ {
		status, _ := ends.Segment.LoadStatus()
		c := link.Command{Decision: decision, Epoch: status.Epoch, Values: []float64{random.NormFloat64() * 1e300, random.NormFloat64()}}
		if random.IntN(50) == 0 {
			c.HoldMask, c.Hold = 3, []float64{-math.MaxFloat64, math.MaxFloat64}
		}
		_ = ends.Segment.PostCommand(&c)
		for _, kind := range []link.RequestKind{link.RequestStart, link.RequestClear, link.RequestStart} {
			ends.Segment.PostRequest(link.Request{Kind: kind, Index: -1, Epoch: status.Epoch, At: link.Now(), Sequence: decision})
		}
		_ = ends.ToSpine.Signal()
		switch random.IntN(200) {
		case 0:
			_ = unix.Fallocate(link.MemoryFD, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, st.Size)
		case 1:
			for range 200 {
				words[random.IntN(len(words))] = random.Uint64() >> random.IntN(64)
			}
		case 2:
			words[0] += 2 // the same content once more
		}
		if seed%3 == 0 {
			var e link.Event
			for ends.Segment.TakeEvent(&e) {
			}
		}
	}
	return nil
}

// TestHostileBrains has an evil brain and an honest one take turns. While the evil
// one rages every reflex must have its output, a latched one must keep it while
// its cause lasts, and no value outside its range may reach the wire; when it is
// killed the robot is safe, and the honest one after it is obeyed, and moves
// nothing before an operator's start.
func TestHostileBrains(t *testing.T) {
	rounds := 20
	switch {
	case os.Getenv("DANCER_SOAK") != "":
		rounds = 200
	case testing.Short():
		rounds = 3
	}
	g := newRig(t, "evil")
	starts := 0
	out := g.listen()
	g.cfg.BrainCommand = func() *exec.Cmd {
		starts++
		if starts%2 == 0 { // the first call only looks whether there is a program
			return brainCommand("evil", g.robot, out)()
		}
		return brainCommand("steady", g.robot, out)()
	}
	g.run()
	for round := range rounds {
		g.pid(2*round + 1)
		g.reflexesHold()
		g.signal(g.pid(2*round+1), syscall.SIGKILL)
		g.drives("0", "1")
		g.pid(2*round + 2)
		g.status("lease=live")
		g.status("mode=safe")
		g.control("clear tester")
		g.movesAgain()
		g.signal(g.pid(2*round+2), syscall.SIGKILL)
		g.drives("0", "1")
	}
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
	lines, _ := g.snapshot()
	for _, line := range lines {
		var letter string
		var v float64
		if _, err := fmt.Sscanf(line, "%s %g", &letter, &v); err != nil || v < 0 || v > 1 {
			t.Fatalf("line %q on the wire", line)
		}
	}
	t.Logf("%d evil brains, %d honest ones, %d lines on the wire, reflexes %+v after their input", rounds, rounds, len(lines), g.report.Latency)
}

// movesAgain starts the robot, again where the honest brain loses its lease because
// the machine is busy.
func (g *rig) movesAgain() {
	g.t.Helper()
	g.until("an operator's start moves it", func() bool {
		if strings.Contains(g.control("status"), "mode=safe lease=live") {
			g.control("start tester")
		}
		return g.value("D") == "0.5" && g.value("B") == "0"
	})
}

// reflexesHold lets each reflex fire and looks that nothing takes its output.
func (g *rig) reflexesHold() {
	g.t.Helper()
	g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
	g.until("the reflex has the drive", func() bool { return g.value("D") == "0.1" })
	g.keeps("0.1")
	g.sense(`{"range": 2, "bumper": 1, "soft": 0}`)
	g.until("the latch has the drive", func() bool { return g.value("D") == "0" && strings.Contains(g.control("status"), "reflexes=bump") })
	g.keeps("0")
	g.sense(`{"range": 2, "bumper": 0, "soft": 0}`)
	g.until("the reflexes are over", func() bool { return strings.Contains(g.control("status")+"\n", "reflexes=-") })
}

// keeps looks that the drive stays where it is for a while.
func (g *rig) keeps(drive string) {
	g.t.Helper()
	before, _ := g.snapshot()
	time.Sleep(20 * time.Millisecond)
	after, _ := g.snapshot()
	for _, line := range after[len(before):] {
		if v, ok := strings.CutPrefix(line, "D "); ok && v != drive {
			g.t.Fatalf("the drive was set to %s while a reflex held it at %s", v, drive)
		}
	}
}

// What a brain started and left in its process group goes with it.
func TestBrainsChildrenEndWithIt(t *testing.T) {
	g := newRig(t, "parent")
	g.run()
	child := 0
	g.until("child", func() bool {
		_, told := g.snapshot()
		for _, line := range told {
			if _, err := fmt.Sscanf(line, "child %d", &child); err == nil {
				return true
			}
		}
		return false
	})
	g.signal(g.pid(1), syscall.SIGKILL)
	g.until("its child is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
