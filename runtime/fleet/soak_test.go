package fleet

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
)

// The marks of a million agents.
const (
	millionTime   = 5 * time.Minute
	millionMemory = int64(8 << 30)
)

func soak(t *testing.T) {
	if os.Getenv("DANCER_SOAK") == "" {
		t.Skip("takes minutes: make soak runs it")
	}
}

// ten minutes with ten cascades, as the command has by default.
func ten(t *testing.T, agents int, seed uint64, random int) (fleet.Report, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	var out, progress bytes.Buffer
	err := Run(t.Context(), Options{
		Config: run.Config{Agents: agents, Seed: fleet.Seed(seed), Conditions: fleet.DefaultConditions(), Cascades: 10, Every: 57 * time.Second, Conflict: 20},
		For:    10 * time.Minute, Random: random, JSON: path, Out: &out, Errors: &progress,
	})
	var r fleet.Report
	text, rerr := os.ReadFile(path)
	if rerr != nil {
		t.Fatal(err, rerr)
	}
	if rerr := json.Unmarshal(text, &r); rerr != nil {
		t.Fatal(rerr)
	}
	t.Logf("seed %d: %s", seed, bytes.TrimSpace(progress.Bytes()))
	return r, err
}

// TestSoakSeeds: 30,000 agents meet every target over twenty seeds, and report
// honestly over five more with faults.
func TestSoakSeeds(t *testing.T) {
	soak(t)
	cascades, proceeded := 0, 0
	for seed := uint64(1); seed <= 20; seed++ {
		r, err := ten(t, 30_000, seed, 0)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		for _, o := range r.Operations {
			cascades++
			if o.Decision == "PROCEED" {
				proceeded++
			}
		}
		for _, k := range r.KPIs {
			t.Logf("seed %d: %-32s %10.4f (target %g)", seed, k.Name, k.Value, k.Target)
		}
	}
	if proceeded*1000 < cascades*999 {
		t.Errorf("%d of %d cascades had their quorum", proceeded, cascades)
	}
	for seed := uint64(21); seed <= 25; seed++ {
		r, err := ten(t, 30_000, seed, 30)
		t.Logf("seed %d with 30 faults: %v", seed, err)
		for _, k := range r.KPIs {
			t.Logf("seed %d: %-32s %10.4f (target %g, measured %v, met %v)", seed, k.Name, k.Value, k.Target, k.Measured, k.Met)
		}
		if len(r.Incidents) == 0 || len(r.Failures) == 0 {
			t.Errorf("seed %d: 30 faults and nobody found any", seed)
		}
	}
}

// TestSoakMillion: a million agents for ten minutes with ten cascades, in five minutes
// and 8 GB.
func TestSoakMillion(t *testing.T) {
	soak(t)
	began := time.Now()
	r, err := ten(t, 1_000_000, 1, 0)
	took := time.Since(began)
	if err != nil {
		t.Error(err)
	}
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v, %v of processor time, %d events, %d MB", took.Round(time.Second), time.Duration(use.Utime.Nano()+use.Stime.Nano()).Round(time.Second), r.Events.Events, peak(t)>>20)
	for _, k := range r.KPIs {
		t.Logf("%-32s %10.4f (target %g)", k.Name, k.Value, k.Target)
	}
	if took > millionTime || peak(t) > millionMemory {
		t.Errorf("%v and %d bytes; the marks are %v and %d", took, peak(t), millionTime, millionMemory)
	}
}

// peak is the most memory that this process has had.
func peak(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if line == nil {
		t.Fatal("no VmHWM")
	}
	kilobytes, err := strconv.Atoi(string(line[1]))
	if err != nil {
		t.Fatal(err)
	}
	return int64(kilobytes) << 10
}
