package spine

import (
	"context"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"dancer/runtime/link"
)

func TestFormat(t *testing.T) {
	buffer := make([]byte, 0, 64)
	for _, c := range []struct {
		format string
		value  float64
		want   string
	}{
		{"M {value}\n", 0.5, "M 0.5\n"},
		{"M {value}\n", 1e-9, "M 0.000000001\n"},
		{"M {value}\n", 1e7, "M 10000000\n"},
		{"M {value}\n", math.Copysign(0, -1), "M 0\n"},
		{"{value},{value};", 2, "2,2;"},
		{"fixed", 2, "fixed"},
	} {
		f := newFormat(c.format)
		if got := string(f.append(buffer, c.value)); got != c.want {
			t.Errorf("%q with %v: %q, want %q", c.format, c.value, got, c.want)
		}
		if n := testing.AllocsPerRun(10, func() { f.append(buffer, c.value) }); n != 0 {
			t.Errorf("%q: %v allocations", c.format, n)
		}
	}
}

func TestWorldMovesFromTheOldState(t *testing.T) {
	const more = `plant: {step: 50ms, next: {range: "soft * 1 m", soft: "range / 1 m"}}` + "\n"
	w, err := newWorld(loadRobot(t, simRobot+more, testManual))
	if err != nil {
		t.Fatal(err)
	}
	if w.step != 50*time.Millisecond {
		t.Errorf("step %v", w.step)
	}
	slots := []float64{3, 0, 7, 0, 1}
	w.move(w.step, slots)
	if slots[sigRange] != 7 || slots[sigSoft] != 3 {
		t.Errorf("range %v soft %v, want them swapped", slots[sigRange], slots[sigSoft])
	}
	slots[sigSoft] = math.NaN()
	w.move(w.step, slots)
	if slots[sigRange] != 7 || slots[sigSoft] != 7 {
		t.Errorf("range %v soft %v: no number leaves a signal as it was", slots[sigRange], slots[sigSoft])
	}
}

// A model that looks back sees the past of the world that it moves.
func TestWorldLooksBack(t *testing.T) {
	manual := strings.Replace(testManual, `next: {range: "range - 1 m/s * drive * dt"}`, `next: {range: "range - 1 m/s * drive * dt", soft: "mean(range, 1s) / 1 m", bumper: "held(drive > 0.5, 200ms) ? 1 : 0"}`, 1)
	w, err := newWorld(loadRobot(t, simRobot, manual))
	if err != nil {
		t.Fatal(err)
	}
	slots := []float64{4, 0, 0, 1, 1} // drives at 1 m/s from 4 m
	for i := range 31 {
		w.move(w.step, slots) // at 0 ms, 100 ms, 200 ms: held from the third on
		if (slots[sigBumper] == 1) != (i >= 2) {
			t.Fatalf("after %d steps bumper is %v", i+1, slots[sigBumper])
		}
	}
	if range_, mean := slots[sigRange], slots[sigSoft]; math.Abs(range_-0.9) > 1e-9 || math.Abs(mean-(1+0.55)) > 0.01 {
		t.Errorf("range %v and its mean %v, want 0.9 and about 1.55", range_, mean)
	}
}

func TestClockIsTheKernels(t *testing.T) {
	c := newClock()
	before := link.Now()
	now := c.now()
	after := link.Now()
	const slack = 100 * time.Microsecond // of the calibration
	if now < before-slack || now > after+slack {
		t.Errorf("clock says %v, the kernel %v to %v", now, before, after)
	}
}

// TestStrikes runs brains that end at once: what counts is a short life without
// a decision, three times in a row.
func TestStrikes(t *testing.T) {
	for _, c := range []struct {
		name       string
		soon       time.Duration
		decides    func(generation uint64) bool
		reportOnly bool
	}{
		{"never decides", time.Hour, func(uint64) bool { return false }, true},
		{"decides each time", time.Hour, func(uint64) bool { return true }, false},
		{"decides every third time", time.Hour, func(g uint64) bool { return g%3 == 0 }, false},
		{"lives long", time.Nanosecond, func(uint64) bool { return false }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ends, err := link.NewEnds(link.Layout{})
			if err != nil {
				t.Fatal(err)
			}
			defer ends.Close()
			s := &supervisor{
				ends: ends, log: slog.New(slog.DiscardHandler), wakeLoop: func() {},
				patience: patience{first: 1, most: 1, soon: c.soon, strikes: 3, grace: time.Second},
			}
			starts := uint64(0)
			s.command = func() *exec.Cmd {
				if starts++; starts > 8 {
					stop()
				}
				if c.decides(starts) {
					s.decided.Store(starts)
				}
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), envBrain+"=dies")
				return cmd
			}
			s.run(ctx)
			if s.reportOnly.Load() != c.reportOnly {
				t.Errorf("report-only %v after %d starts", s.reportOnly.Load(), starts)
			}
			if s.exit.Load() != 3 && s.exit.Load() >= 0 {
				t.Errorf("exit code %d", s.exit.Load())
			}
		})
	}
}

// TestBrainThatCannotStart: where the machine refuses to start it, the brain has
// not died, however often: it is tried again for ever.
func TestBrainThatCannotStart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ends, err := link.NewEnds(link.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	defer ends.Close()
	s := &supervisor{
		ends: ends, log: slog.New(slog.DiscardHandler), wakeLoop: func() {},
		patience: patience{first: 1, most: 1, soon: time.Hour, strikes: 3, grace: time.Second},
	}
	starts := 0
	s.command = func() *exec.Cmd {
		if starts++; starts > 16 { // twice a start: with and without a pidfd, where that is refused
			stop()
		}
		return exec.Command("/nowhere/dancer")
	}
	s.run(ctx)
	if s.reportOnly.Load() || s.exit.Load() != exitNotStarted {
		t.Errorf("report-only %v, exit code %d", s.reportOnly.Load(), s.exit.Load())
	}
}
