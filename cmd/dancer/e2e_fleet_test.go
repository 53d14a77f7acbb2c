package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	meshfleet "dancer/mesh/fleet"
)

// TestEndToEndFleet: the README's command, as a machine runs it, meets all targets,
// and the same seed gives the same report.
func TestEndToEndFleet(t *testing.T) {
	w := newWorld(t)
	path := w.dir + "/report.json"
	code, first, stderr := w.once("fleet", "--json", path)
	if code != exitDone || !strings.Contains(first, "0 missed") || !strings.Contains(stderr, "simulated 10m0s of 1000 agents") {
		t.Fatalf("exit code %d\n%s\n%s", code, first, stderr)
	}
	if _, again, _ := w.once("fleet"); again != first {
		t.Error("the same flags give another report")
	}
	if _, other, _ := w.once("fleet", "--seed", "2"); other == first {
		t.Error("another seed gives the same report")
	}
	var r meshfleet.Report
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil || r.Version != meshfleet.ReportVersion || len(r.KPIs) != 9 {
		t.Errorf("%v: %+v", err, r)
	}
	faults := w.file("faults.txt", "from 60s crash coordinator 1\n")
	if code, stdout, stderr := w.once("fleet", "--agents", "900", "--faults", faults); code != exitJob || !strings.Contains(stdout, "sector") || !strings.Contains(stderr, "misses its target") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	for _, bad := range [][]string{{"--agents", "0"}, {"--pattern", "spiral"}, {"--loss", "200%"}, {"--faults", w.dir + "/none"}} {
		if code, _, stderr := w.once(append([]string{"fleet"}, bad...)...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit code %d, %q", bad, code, stderr)
		}
	}
	long := w.start("fleet", "--agents", "20000", "--for", "20h")
	time.Sleep(500 * time.Millisecond) // so that it is under way; what comes out does not depend on it
	if err := long.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-long.done
	if code := long.cmd.ProcessState.ExitCode(); code != exitJob || !strings.Contains(long.stdout.String(), "INDICATOR") || !strings.Contains(long.stderr.String(), "interrupted") {
		t.Errorf("interrupted: exit code %d\n%s", code, long.stderr)
	}
}
