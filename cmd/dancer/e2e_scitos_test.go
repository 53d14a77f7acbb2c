package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// recording is 24 real ultrasound channels of a robot that circles a room. It
// is not part of the project; the test says so where it is absent.
const recording = "../../../shared/data/scitos-wall-following.csv.gz"

// rowsOfRecording is how many readings it holds beside its header.
const rowsOfRecording = 5456

// readRecording gives the lines, header first.
func readRecording(t *testing.T) []string {
	t.Helper()
	f, err := os.Open(recording)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not here", recording)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for s := bufio.NewScanner(z); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if len(lines) != rowsOfRecording+1 {
		t.Fatalf("%s has %d lines", recording, len(lines))
	}
	return lines
}

// exampleOnWire copies an example with its serial device exchanged for a wire,
// and with no network beyond its own HTTP address.
func exampleOnWire(w *world, example, device, listen string) string {
	w.Helper()
	folder := filepath.Join("../../examples", example)
	robot, err := os.ReadFile(filepath.Join(folder, "robot.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	manual, err := os.ReadFile(filepath.Join(folder, "manual.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	w.file(example+"/manual.yaml", string(manual))
	text := regexp.MustCompile(`/dev/[\w/-]+`).ReplaceAllString(string(robot), device)
	text = regexp.MustCompile(`(?m)^(listen|conductor|mesh|board|scenario):.*\n`).ReplaceAllString(text, "")
	return w.file(example+"/robot.yaml", text+"\nboard: linux\nlisten: "+listen+"\nconductor: {broker: off}\nmesh: {off: true}\n")
}

// stop is one change of the protective stop, at a row (from 1).
type stop struct {
	row    uint64
	active bool
}

// expectStops is the independent check: what `when: min(s24, s1, s2) < 0.60 m`
// and `until: ... > 0.70 m` give on these rows, with nothing of dancer in it.
func expectStops(t *testing.T, rows []string, active bool) (stops []stop) {
	t.Helper()
	for i, row := range rows {
		columns := strings.Split(row, ",")
		nearest := 1e9
		for _, c := range []int{23, 0, 1} {
			v, err := strconv.ParseFloat(columns[c], 64)
			if err != nil {
				t.Fatal(err)
			}
			nearest = min(nearest, v)
		}
		next := nearest < 0.60 || active && !(nearest > 0.70)
		if next != active {
			stops = append(stops, stop{uint64(i + 1), next})
		}
		active = next
	}
	return stops
}

// TestEndToEndRealSensors feeds a real recording through a serial line at
// twenty times its pace: every row becomes signals, none is lost, and the
// reflex is active on exactly the rows that the manual says.
func TestEndToEndRealSensors(t *testing.T) {
	lines := readRecording(t)
	w := newWorld(t)
	sonar, listen := w.newWire(), w.freePort()
	robot := exampleOnWire(w, "wall-follower", sonar.Device, listen)
	events := filepath.Join(w.dir, "events")
	run := w.start("run", robot, "--data", filepath.Join(w.dir, "data"), "--events", events)

	frames := func() uint64 { return w.state(listen, "wall-follower-1").Frames["sonar"] }
	alive := func() bool { return w.state(listen, "wall-follower-1").Mode != "" || run.ended() }
	w.until(20*time.Second, "the robot's status", alive)
	sonar.send(w, lines[0]+"\n")
	const pace = time.Second / (9 * 20)
	begin := time.Now()
	for i, row := range lines[1:] {
		if run.ended() {
			t.Fatalf("dancer ended at row %d", i+1)
		}
		time.Sleep(time.Until(begin.Add(time.Duration(i) * pace)))
		sonar.send(w, row+"\n")
	}
	t.Logf("fed %d rows in %v", len(lines)-1, time.Since(begin).Round(time.Millisecond))
	w.until(20*time.Second, "all rows counted", func() bool { return frames() >= rowsOfRecording })
	if got := frames(); got != rowsOfRecording {
		t.Errorf("frame counter says %d, want %d", got, rowsOfRecording)
	}
	run.stop()
	compareStops(t, w.events(events, "reflex"), lines[1:])
}

// compareStops holds the reflex events against the independent check.
func compareStops(t *testing.T, reflexes []event, rows []string) {
	t.Helper()
	var got []stop
	// No frame causes it when a signal goes stale: before the first row, and a
	// second after the last one.
	began, over := false, false
	for _, e := range reflexes {
		switch {
		case e.Rule != "protective-stop":
			t.Errorf("reflex %q is not in the manual", e.Rule)
		case e.Frame == 0 && len(got) == 0:
			began = e.Active
		case e.Frame == 0:
			over = true
		case over:
			t.Errorf("row %d: signals were stale before it", e.Frame)
		default:
			got = append(got, stop{e.Frame, e.Active})
		}
	}
	want := expectStops(t, rows, began)
	if len(got) != len(want) {
		t.Errorf("%d changes of the protective stop, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("change %d: row %d active %v, want row %d active %v", i, got[i].row, got[i].active, want[i].row, want[i].active)
		}
	}
	activations := 0
	for _, s := range want {
		if s.active {
			activations++
		}
	}
	t.Logf("%d activations in %d rows, each at the row that the manual gives", activations, len(rows))
	if activations < 10 {
		t.Errorf("only %d activations: this recording no longer tests the rule", activations)
	}
}
