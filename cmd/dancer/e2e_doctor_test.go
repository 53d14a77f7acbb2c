package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dancer/runtime/doctor"
)

// TestEndToEndDoctor runs the program as a person does: beside a robot that
// runs, whose port it must not take away, and after one that holds the port.
func TestEndToEndDoctor(t *testing.T) {
	w := newWorld(t)
	code, stdout, stderr := w.once("doctor")
	if code != 0 && code != 1 && code != 3 || stderr != "" || !strings.Contains(stdout, "kernel               Linux ") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	b := newBenchRobot(w, "patient", "")
	p := b.run()
	b.operator("start")
	w.until(10*time.Second, "the robot moves", b.moves)
	robots, rivals := 0, 0
	for range 3 {
		code, stdout, _ := w.once("doctor", "--json", "--data", b.data, b.path)
		var report doctor.Report
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != doctorExit(report.Worst) {
			t.Fatalf("exit code %d: %v: %s", code, err, stdout)
		}
		for _, f := range report.Findings {
			switch f.ID {
			case "port-device":
				switch {
				case f.Severity == doctor.OK && strings.HasPrefix(f.Found, "a robot that runs has it"):
					robots++
				case f.Severity == doctor.Fault && strings.HasSuffix(f.Found, "has it open"): // this test, which keeps the line alive
					rivals++
				default:
					t.Errorf("%+v", f)
				}
			case "data-folder", "data-room":
				if f.Subject != b.data {
					t.Errorf("%+v", f)
				}
			}
		}
	}
	if robots != 6 || rivals != 6 {
		t.Errorf("of two ports in three runs: the robot %d times, this test %d times, want 6 of each", robots, rivals)
	}
	if p.ended() || !b.moves() {
		t.Error("the robot does not move any more")
	}
}
