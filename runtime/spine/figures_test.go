package spine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestFiguresReflex measures the spine's edge to output over pipes beside the
// same loop in C, in five interleaved runs, idle and with a load, and prints the
// median of each percentile (`make bench-spine`). Pipes, because a
// pseudo-terminal passes through a kernel worker without real-time priority;
// what a real port's driver and line add is therefore not in it.
func TestFiguresReflex(t *testing.T) {
	if os.Getenv("DANCER_FIGURES") == "" {
		t.Skip("measures for minutes; make bench-spine runs it")
	}
	probe := filepath.Join(t.TempDir(), "probe")
	if out, err := exec.Command("gcc", "-O2", "-o", probe, "../../tools/probe/probe.c").CombinedOutput(); err != nil {
		t.Skipf("compile the probe: %v: %s", err, out)
	}
	subjects := []struct {
		name  string
		start func() *exec.Cmd
	}{
		{"C loop", func() *exec.Cmd { return exec.Command(probe, "loop", "-", "-") }},
		{"spine", func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envBrain+"=measured")
			return cmd
		}},
	}
	loads := []struct {
		name  string
		start func() *exec.Cmd
	}{
		{"idle", nil},
		{"busy", func() *exec.Cmd {
			folder := t.TempDir()
			return exec.Command("sh", "-c", fmt.Sprintf("for i in 1 2 3; do (while :; do :; done) & done; while :; do dd if=/dev/zero of=%s/x bs=1M count=64 conv=fsync 2>/dev/null; done", folder))
		}},
	}
	t.Log("| what | p50 | p99 | p99.9 | max | (us, medians of five runs of 10,000 edges)")
	for _, load := range loads {
		runs := map[string][]Measurement{}
		for range 5 {
			for _, s := range subjects {
				m, err := MeasureLatency(context.Background(), MeasureConfig{Subject: s.start, Load: load.start})
				if err != nil {
					t.Fatalf("%s, %s: %v", s.name, load.name, err)
				}
				if m.Lost > 0 || !m.FIFO {
					t.Errorf("%s, %s: %d lost, real-time reader %v", s.name, load.name, m.Lost, m.FIFO)
				}
				runs[s.name] = append(runs[s.name], m)
			}
		}
		for _, s := range subjects {
			median := func(of func(Measurement) time.Duration) float64 {
				var all []time.Duration
				for _, m := range runs[s.name] {
					all = append(all, of(m))
				}
				slices.Sort(all)
				return float64(all[len(all)/2]) / 1e3
			}
			var notes bytes.Buffer
			if told := runs[s.name][0].Subject; told != nil {
				fmt.Fprintf(&notes, "| %d allocations and %d collections in the first run", told.Allocations, told.Collections)
			}
			t.Logf("| %s, %s | %.1f | %.1f | %.1f | %.1f %s", s.name, load.name,
				median(func(m Measurement) time.Duration { return m.P50 }),
				median(func(m Measurement) time.Duration { return m.P99 }),
				median(func(m Measurement) time.Duration { return m.P999 }),
				median(func(m Measurement) time.Duration { return m.Most }), notes.String())
		}
	}
}
