package spine

import (
	"context"
	"os"
	"os/exec"
	"testing"
)

func TestMeasureLatency(t *testing.T) {
	m, err := MeasureLatency(context.Background(), MeasureConfig{
		Subject: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envBrain+"=measured")
			return cmd
		},
		Edges: 500, Warmup: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Count != 500 || m.Lost != 0 || m.P50 <= 0 || m.P50 > m.P99 || m.P99 > m.P999 {
		t.Errorf("measurement %+v", m)
	}
	if m.Subject == nil || m.Subject.Report.Frames != 600 || m.Subject.Report.Fired != 300 {
		t.Fatalf("subject %+v", m.Subject)
	}
	// Go makes a thread now and then, which is seven objects.
	if m.Subject.Allocations > 50 || m.Subject.Collections != 0 {
		t.Errorf("%d allocations and %d collections in 550 edges", m.Subject.Allocations, m.Subject.Collections)
	}
	t.Logf("p50 %v p99 %v p99.9 %v max %v, real time %v", m.P50, m.P99, m.P999, m.Most, m.Subject.Report.RealTime)
}
