package spine

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/link"
)

// TestHangWatch gives the watchdog what it could see, a second a look.
func TestHangWatch(t *testing.T) {
	p := patience{look: time.Second, hang: 10 * time.Second, begin: time.Minute}
	type sight struct {
		decisions, signs uint64
		passed           time.Duration // since the look before; 0: a second
		repeat           int
	}
	for _, c := range []struct {
		name   string
		sights []sight
		after  int // looks until it hangs, 0: it does not
	}{
		{"decides", []sight{{1, 1, 0, 1}, {2, 2, 0, 9}, {3, 3, 0, 9}, {4, 4, 0, 9}}, 0},
		{"decided once", []sight{{1, 1, 0, 1}, {1, 1, 0, 20}}, 11},
		{"decided once and wakes the spine all the time", []sight{{1, 1, 0, 1}, {1, 2, 0, 1}, {1, 3, 0, 1}, {1, 4, 0, 20}}, 11},
		{"still starts", []sight{{0, 0, 0, 59}}, 0},
		{"never starts", []sight{{0, 0, 0, 90}}, 60},
		{"starts slowly", []sight{{0, 0, 0, 59}, {0, 1, 0, 59}, {0, 2, 0, 59}, {1, 3, 0, 5}}, 0},
		{"starts slowly, then never", []sight{{0, 0, 0, 59}, {0, 1, 0, 100}}, 120},
		{"a machine that slept", []sight{{1, 1, 0, 1}, {1, 1, time.Hour, 4}, {2, 2, 0, 9}}, 0},
		{"a brain that does not wake with it", []sight{{1, 1, 0, 1}, {1, 1, time.Hour, 9}}, 6},
	} {
		w := newHangWatch(p, 0, 0)
		looks, hung := 0, 0
		for _, s := range c.sights {
			for range s.repeat {
				if s.passed == 0 {
					s.passed = time.Second
				}
				looks++
				if w.look(s.passed, s.decisions, s.signs) && hung == 0 {
					hung = looks
				}
			}
		}
		if hung != c.after {
			t.Errorf("%s: hangs after look %d, want %d", c.name, hung, c.after)
		}
	}
}

func TestPatienceFollowsTheLease(t *testing.T) {
	if p := defaultPatience(300 * time.Millisecond); p.hang != 10*time.Second || p.begin != time.Minute {
		t.Errorf("%+v", p)
	}
	if p := defaultPatience(time.Minute); p.hang != 3*time.Minute || p.begin != 3*time.Minute {
		t.Errorf("a brain that decides every 20 s gets %+v", p)
	}
}

// TestHangingBrainIsReplaced: the watchdog ends a brain that was stopped, and the
// next one is told why.
func TestHangingBrainIsReplaced(t *testing.T) {
	g := newRig(t, "steady")
	g.cfg.patience.look, g.cfg.patience.hang, g.cfg.patience.begin = 200*time.Millisecond, 3*time.Second, patient
	g.run()
	g.moving()
	g.signal(g.pid(1), syscall.SIGSTOP)
	g.drives("0", "1")
	g.pid(2)
	g.status("lease=live")
	g.status("mode=safe")
	g.status("brain-deaths=1 brain-strikes=0 brain-exit=-9 brain-end=watchdog")
	want := "brain index=1 flags=0 value=-9 cause=14" // link.ReasonBrainHung
	if link.ReasonBrainHung != 14 {
		t.Fatal("the reason has another number")
	}
	g.until("the next brain is told", func() bool { return g.count(want) == 1 })
	if log := g.log.String(); !strings.Contains(log, "ended by the watchdog") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// TestMuteBrainIsReportOnly: brains that live, wake the spine, and never decide are
// ended like those that die.
func TestMuteBrainIsReportOnly(t *testing.T) {
	g := newRig(t, "mute")
	g.cfg.patience.look, g.cfg.patience.hang, g.cfg.patience.begin = 20*time.Millisecond, 10*time.Second, 200*time.Millisecond
	g.run()
	g.status("mode=report-only")
	g.status("brain-strikes=3 brain-exit=-9 brain-end=watchdog")
	if answer := g.control("start tester"); !strings.HasPrefix(answer, "refused start: report-only: restart dancer run: brain-deaths=") ||
		!strings.HasSuffix(answer, " brain-strikes=3 brain-exit=-9 brain-end=watchdog") {
		t.Errorf("start says %q", answer)
	}
	g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
	g.drives("0.1", "0")
}

// TestDeathsAreKept: what made the brain report-only is not overwritten by how the
// report-only brain ends.
func TestDeathsAreKept(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	b.brainEnded(b.now, 1, death{exit: 3, why: link.ReasonBrainEnded, strikes: 3})
	b.reportOnly(b.now)
	b.brainEnded(b.now, 2, death{exit: -9, why: link.ReasonBrainHung})
	s := b.status
	if s.Deaths != 2 || s.Strikes != 3 || s.LastExit != 3 || s.LastDeath != link.ReasonBrainEnded {
		t.Errorf("%+v", s)
	}
}
