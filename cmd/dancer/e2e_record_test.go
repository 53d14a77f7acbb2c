package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/replay"
)

// recordedWorld is the museum's robot without a network, whose bumper is hit
// after two seconds.
func recordedWorld(w *world) string {
	w.Helper()
	for _, name := range []string{"manual.yaml", "robot-sim.yaml"} {
		text, err := os.ReadFile("../../examples/museum/" + name)
		if err != nil {
			w.Fatal(err)
		}
		robot := strings.NewReplacer("{broker: auto}", `{broker: "off"}`, "{join: auto}", "{off: true}\nlisten: \"off\"\nautostart: true").Replace(string(text))
		w.file(name, robot)
	}
	w.file("fire.scenario", "at 2s bumper = 1\nat 2500ms bumper = 0\nat 3s smoke = 500\n")
	return filepath.Join(w.dir, "robot-sim.yaml")
}

func (w *world) replayed(args ...string) (int, replay.Report) {
	w.Helper()
	code, stdout, stderr := w.once(append([]string{"replay", "--json"}, args...)...)
	var r replay.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		w.Fatalf("replay %v: exit code %d: %v\n%s%s", args, code, err, stdout, stderr)
	}
	return code, r
}

// TestEndToEndRecordReplay records a robot from start to end, and the last
// minutes beside it, and replays both.
func TestEndToEndRecordReplay(t *testing.T) {
	w := newWorld(t)
	robot := recordedWorld(w)
	data, file := filepath.Join(w.dir, "data"), filepath.Join(w.dir, "run.mcap")
	if code, _, stderr := w.once("run", robot, "--data", data, "--record", file, "--for", "6s"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	code, r := w.replayed(file)
	if code != 0 || r.Result != "identical" || r.Decisions.Replayed < 40 || r.Questions.Replayed != r.Decisions.Replayed || r.Reflexes.Replayed < 3 || r.Readings < 200 || r.Gaps != 0 {
		t.Errorf("exit code %d, %+v", code, r)
	}
	if code, r = w.replayed(filepath.Join(data, "brain", "recordings")); code != 0 || r.Reflexes.Replayed < 3 {
		t.Errorf("the last minutes: exit code %d, %+v", code, r)
	}
	sealed, err := filepath.Glob(filepath.Join(data, "brain", "sealed", "*-latch-bump"))
	if err != nil || len(sealed) != 1 {
		t.Fatalf("the bump was sealed in %v, %v", sealed, err)
	}
	if text, err := os.ReadFile(filepath.Join(sealed[0], "causes.json")); err != nil || !strings.Contains(string(text), `"escalation"`) {
		t.Errorf("the question is not among the causes: %s, %v", text, err)
	}
	if code, r = w.replayed(sealed[0]); code != 0 || r.Decisions.Replayed == 0 {
		t.Errorf("sealed: exit code %d, %+v", code, r)
	}
	code, stdout, _ := w.once("replay", file)
	if code != 0 || !strings.HasSuffix(stdout, "identical\n") {
		t.Errorf("exit code %d, says %s", code, stdout)
	}
	w.otherManual(file)
	w.refuses(robot, data, file)
}

// otherManual tries a manual in which smoke hardly matters.
func (w *world) otherManual(file string) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "manual.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	other := w.file("other.yaml", strings.Replace(string(text), "smoke / 60 ppm", "smoke / 6000 ppm", 1))
	code, stdout, stderr := w.once("replay", file, "--manual", other)
	if code != 1 || !strings.Contains(stdout, "the first difference: a verdict") || !strings.Contains(stdout, "why, as recorded:") || !strings.Contains(stdout, "why, as replayed:") {
		w.Errorf("another manual: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// refuses: a recording is never overwritten, and a damaged one is not replayed.
func (w *world) refuses(robot, data, file string) {
	w.Helper()
	sound, err := os.ReadFile(file)
	if err != nil {
		w.Fatal(err)
	}
	code, _, stderr := w.once("run", robot, "--data", data, "--record", file, "--for", "1s")
	if after, err := os.ReadFile(file); code != 1 || err != nil || string(after) != string(sound) || !strings.Contains(stderr, "never overwritten") {
		w.Errorf("exit code %d for a recording that is there: %s", code, stderr)
	}
	for name, text := range map[string]string{
		"cut":     string(sound[:len(sound)*2/3]),
		"flipped": string(sound[:len(sound)/2]) + string(sound[len(sound)/2]^4) + string(sound[len(sound)/2+1:]),
	} {
		path := w.file(name+".mcap", text)
		code, stdout, stderr := w.once("replay", path)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "good up to byte") {
			w.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
		if code, r := w.replayed("--partial", path); code != 0 || r.Damage == "" || r.Decisions.Replayed == 0 {
			w.Errorf("%s, the good part: exit code %d, %+v", name, code, r)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != text {
			w.Errorf("%s was changed by the replay", name)
		}
	}
	if code, _, stderr := w.once("replay", filepath.Join(w.dir, "manual.yaml")); code != 2 || !strings.Contains(stderr, "not a recording of dancer") {
		w.Errorf("a manual: exit code %d, %s", code, stderr)
	}
}

// TestEndToEndRecordKilled: after kill -9 of everything the recording is
// readable but for its last seconds; after one of the brain alone the next brain
// goes on in a file of its own.
func TestEndToEndRecordKilled(t *testing.T) {
	w := newWorld(t)
	robot := recordedWorld(w)
	data, file := filepath.Join(w.dir, "data"), filepath.Join(w.dir, "run.mcap")
	p := w.start("run", robot, "--data", data, "--record", file)
	second := filepath.Join(w.dir, "run-2.mcap")
	time.Sleep(7 * time.Second) // more than the recording may be behind
	if err := syscall.Kill(p.brain(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.until(20*time.Second, "the next brain records", func() bool { _, err := os.Stat(second); return err == nil })
	time.Sleep(7 * time.Second)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait(10 * time.Second)
	for _, path := range []string{file, second} {
		if code, _, stderr := w.once("replay", path); code != 2 || !strings.Contains(stderr, "good up to byte") {
			t.Errorf("%s: exit code %d, %s", path, code, stderr)
		}
		code, r := w.replayed("--partial", path)
		if code != 0 || r.Duration < time.Second || r.Decisions.Replayed < 10 {
			t.Errorf("%s: exit code %d, %+v", path, code, r)
		}
	}
}
