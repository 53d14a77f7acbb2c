package fleet

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
)

func options(agents int, length time.Duration) (Options, *bytes.Buffer, *bytes.Buffer) {
	var out, progress bytes.Buffer
	return Options{
		Config: run.Config{Agents: agents, Seed: 1, Conditions: fleet.DefaultConditions(), Cascades: 2, Every: 30 * time.Second},
		For:    length, Out: &out, Errors: &progress,
	}, &out, &progress
}

// TestRun: a sound run prints its report, writes the other forms and says nothing.
func TestRun(t *testing.T) {
	o, out, progress := options(300, 90*time.Second)
	o.JSON, o.HTML = filepath.Join(t.TempDir(), "r.json"), filepath.Join(t.TempDir(), "r.html")
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "FLEET  300 agents") || strings.Count(progress.String(), "\n") != 1 {
		t.Errorf("%s\n%s", out, progress)
	}
	var r fleet.Report
	text, err := os.ReadFile(o.JSON)
	if err != nil || json.Unmarshal(text, &r) != nil || r.Agents != 300 || len(r.Operations) != 2 {
		t.Errorf("%v: %+v", err, r)
	}
	if page, err := os.ReadFile(o.HTML); err != nil || !bytes.HasPrefix(page, []byte("<!DOCTYPE html>")) {
		t.Errorf("%v: %.40s", err, page)
	}
}

// TestMissed: an indicator that misses its target is an error that names it.
func TestMissed(t *testing.T) {
	o, out, _ := options(300, 90*time.Second)
	o.Faults = filepath.Join(t.TempDir(), "faults")
	if err := os.WriteFile(o.Faults, []byte("from 25s for 60s crash sector 0 # nearly all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), o)
	if !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), fleet.KPICoordination) || !strings.Contains(out.String(), "crash sector 0") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInterrupted: who stops it has the report until then.
func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	o, out, _ := options(30, time.Hour)
	if err := Run(ctx, o); !errors.Is(err, ErrInterrupted) || !strings.Contains(out.String(), "simulated") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInput: what makes no fleet says so, and where.
func TestInput(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for want, change := range map[string]func(*Options){
		"0 agents":        func(o *Options) { o.Agents = 0 },
		"line 2":          func(o *Options) { o.Faults = write("faults", "from 1s crash agent 1\nfrom nowhere\n") },
		"not in this":     func(o *Options) { o.Faults = write("far", "from 1s crash agent 99999\n") },
		"no such file":    func(o *Options) { o.Trace = filepath.Join(dir, "none") },
		"values":          func(o *Options) { o.Trace = write("trace", "1 2\n") },
		"read trace":      func(o *Options) { o.Trace = write("trace.gz", "no gzip") },
		"a run of -1s":    func(o *Options) { o.For = -time.Second },
		"T 2m0s ahead":    func(o *Options) { o.Ahead = 2 * time.Minute },
		"clocks off by 4": func(o *Options) { o.Conditions.Drift = 4000; o.Conditions.Offset = 4 },
	} {
		o, _, _ := options(30, time.Minute)
		change(&o)
		if err := Run(t.Context(), o); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestTrace: a packed campaign is the same as an unpacked one.
func TestTrace(t *testing.T) {
	var text strings.Builder
	for slice := range 3 {
		fmt.Fprintf(&text, "# %d\n0 0.0%d 0.020\n0.030 0 0.010\n0.025 0.015 0\n", slice, slice+1)
	}
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "t.txt"), filepath.Join(dir, "t.txt.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text.String())); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if os.WriteFile(plain, []byte(text.String()), 0o600) != nil || os.WriteFile(packed, b.Bytes(), 0o600) != nil {
		t.Fatal("cannot write")
	}
	reports := map[string]string{}
	for _, path := range []string{plain, packed} {
		o, out, _ := options(60, time.Minute)
		o.Trace = path
		if err := Run(t.Context(), o); err != nil && !errors.Is(err, ErrMissed) {
			t.Fatal(err)
		}
		reports[path] = out.String()
	}
	if reports[plain] != reports[packed] || !strings.Contains(reports[plain], "a trace of 6 pairs") {
		t.Error(reports[plain])
	}
}
