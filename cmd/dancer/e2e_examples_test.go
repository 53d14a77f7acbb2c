package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exampleAlone copies an example so that it runs without a network and moves by
// itself.
func (w *world) exampleAlone(name string) string {
	w.Helper()
	files, err := filepath.Glob("../../examples/" + name + "/*")
	if err != nil || len(files) == 0 {
		w.Fatalf("example %s: %v", name, err)
	}
	alone := strings.NewReplacer("{broker: auto}", `{broker: "off"}`, "{join: auto}", "{off: true}\nlisten: \"off\"\nautostart: true")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			w.Fatal(err)
		}
		w.file(filepath.Base(file), alone.Replace(string(text)))
	}
	return filepath.Join(w.dir, "robot-sim.yaml")
}

// TestEndToEndMower runs the example as its README says: each feature that it is
// there for happens, and its recording replays.
func TestEndToEndMower(t *testing.T) {
	w := newWorld(t)
	robot, file := w.exampleAlone("mower"), filepath.Join(w.dir, "mower.mcap")
	p := w.start("run", robot, "--data", filepath.Join(w.dir, "data"), "--record", file, "--events", "-", "--for", "34s")
	if code := p.wait(90 * time.Second); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.stderr)
	}
	missing := map[string]bool{"mows": true, "halts": true, "goes home": true, "finds its model wrong": true, "allows for it": true, "reflex": true, "ramp": true}
	for line := range strings.Lines(p.stdout.String()) {
		var e struct {
			Kind, Running, Rule, Signal, Name string
			Active                            bool
			Value                             float64
			Capped                            bool
			Baseline                          string
			Widening                          *struct{ Ranges []struct{ Signal string } }
		}
		if json.Unmarshal([]byte(line), &e) != nil {
			continue // the last line is for people
		}
		happened := map[string]bool{
			"mows":                  e.Kind == "decision" && e.Running == "mow" && e.Baseline == "halt",
			"halts":                 e.Kind == "decision" && e.Running == "halt" && !missing["mows"],
			"goes home":             e.Kind == "decision" && e.Running == "go-home",
			"finds its model wrong": e.Kind == "model" && e.Signal == "charge" && !e.Capped,
			"allows for it":         e.Kind == "decision" && e.Widening != nil && e.Widening.Ranges[0].Signal == "charge",
			"reflex":                e.Kind == "reflex" && e.Rule == "child" && e.Active,
			"ramp":                  e.Kind == "output" && e.Name == "drive" && e.Rule == "child" && e.Value > 0 && e.Value < 0.6,
		}
		for what, did := range happened {
			if did {
				delete(missing, what)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("it did not happen: %v\n%s", missing, p.stdout)
	}
	if code, r := w.replayed(file); code != 0 || r.Result != "identical" || r.Decisions.Replayed < 300 || r.Reflexes.Replayed < 2 {
		t.Errorf("replay: exit code %d, %+v", code, r)
	}
}
