package spine

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestLoadEndsWithItsChildren starts a load whose child holds a pipe open: the
// pipe ends only when the child does.
func TestLoadEndsWithItsChildren(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", "sleep 1000 & wait")
	cmd.Stdout = w
	end, err := startLoad(cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	end()
	r.SetReadDeadline(time.Now().Add(patient))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("something of the load is still there: %v", err)
	}
}

// TestMeasureLatency: the instrument loses nothing, and the measured spine answers
// each edge without allocating.
func TestMeasureLatency(t *testing.T) {
	m, err := measureLatency(measureConfig{
		Probe: buildProbe(t), Subject: measuredSpec{CPU: -1, Stamps: true}.command, Edges: 500, Warmup: 100, Stamps: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Count != 500 || m.P50 <= 0 || m.P50 > m.P99 || m.P99 > m.P999 || m.P999 > m.Max {
		t.Errorf("measurement %v %v %v %v of %d", m.P50, m.P99, m.P999, m.Max, m.Count)
	}
	for i, e := range m.Edges {
		if e.Begin > e.Sent || e.Read < e.Begin || e.Read > e.End {
			t.Fatalf("edge %d: %+v", i, e)
		}
	}
	if m.Subject == nil || m.Subject.Report.Frames != 600 || m.Subject.Report.Fired != 300 {
		t.Fatalf("subject %+v", m.Subject)
	}
	// Go makes threads, of seven objects each; a loop that allocates makes 500 at least.
	if m.Subject.Allocations > 250 || m.Subject.Collections != 0 {
		t.Errorf("%d allocations and %d collections in 550 edges", m.Subject.Allocations, m.Subject.Collections)
	}
	t.Logf("p50 %v p99 %v p99.9 %v max %v, real time %v", m.P50, m.P99, m.P999, m.Max, m.Subject.Report.RealTime)
}
