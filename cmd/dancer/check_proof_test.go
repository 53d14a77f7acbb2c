package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/dancer/proof"
	"dancer/partner"
	"dancer/runtime/config"
)

// provableRobot and provableManual are a robot before a wall.
const provableRobot = `robot: bot
board: sim
manual: manual.yaml
signals:
  range: {unit: m, range: [0, 8], stale_after: 300ms}
outputs:
  drive: {pin: GPIO18, pwm: 1kHz, range: [0, 1], safe: 0}
  brake: {pin: GPIO23, safe: 1}
`

const provableManual = `values: [{name: human_safety, floor: 5}, {name: task}]
reflexes:
  - {name: protective-stop, when: "range < 0.30 m", set: {drive: 0, brake: 1}, until: "range > 0.45 m"}
model:
  next: {range: "range - 1.2 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.01, 0.01]}
  horizon: 1s
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
  task: "10 * drive"
actions:
  - {name: patrol, set: {drive: 0.5, brake: 0}}
  - {name: halt, set: {drive: 0, brake: 1}, fallback: true}
`

// provable writes a robot with a changed manual into a folder.
func provable(t *testing.T, change ...string) (robot, manual string) {
	t.Helper()
	dir := t.TempDir()
	robot, manual = filepath.Join(dir, "robot.yaml"), filepath.Join(dir, "manual.yaml")
	for path, text := range map[string]string{robot: provableRobot, manual: strings.NewReplacer(change...).Replace(provableManual)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return robot, manual
}

func TestCheckProves(t *testing.T) {
	const speedUp = `{drive: 0, brake: 1}, until`
	for name, c := range map[string]struct {
		change []string
		args   []string
		code   int
		says   []string // in the output; FILE: stands for the manual's path
		not    string
	}{
		"sound": {says: []string{"robot.yaml: 4 of 4 claims proved\n", "robot.yaml: robot: sound, 1 warning\n",
			"FILE:13:5: warning: every option breaks a floor in at least "}},
		"a reflex that makes it worse": {change: []string{speedUp, `{drive: 1, brake: 0}, until`}, code: 1,
			says: []string{"FILE:3:5: protective-stop can make human_safety worse: from range = ", "its index is ", "(change what it sets, or narrow when)\n", "robot: 1 fault"}},
		"an emergency stop that makes it worse": {
			change: []string{`"range < 0.30 m", set: {drive: 0, brake: 1}, until: "range > 0.45 m"`, `"range < 0.30 m", set: safe, stop: 0, latch: operator`,
				"range - 1.2", "range + 1.2"},
			says: []string{"FILE:3:5: warning: protective-stop can make human_safety worse", "an emergency stop overrides everything else", "robot: sound"}},
		"no time": {args: []string{"--proof-time", "0s"}, says: []string{"FILE:13:5: warning: no state was tried in which halt might win (give the proof more time with --proof-time", "undecided\n", "robot: sound"}},
		"no proof": {change: []string{speedUp, `{drive: 1, brake: 0}, until`}, args: []string{"--no-proof"},
			says: []string{"robot.yaml: robot: sound\n"}, not: "claims"},
		"a fault comes first": {change: []string{"range < 0.30 m", "rang < 0.30 m"}, code: 1, says: []string{"unknown name rang"}, not: "claims"},
		"reflexes that keep each other": {code: 1,
			change: []string{`  - {name: protective-stop, when: "range < 0.30 m", set: {drive: 0, brake: 1}, until: "range > 0.45 m"}`,
				`  - {name: stop, when: "range < 0.30 m || brake > 0.5", set: {drive: 0}}` + "\n" + `  - {name: hold, when: "range < 0.10 m || drive < 0.1", set: {brake: 1}}`},
			says: []string{"FILE:3:5: stop and hold keep each other from ending: once both hold drive = 0, brake = 1", "(let one of them end by signals alone)"}},
		"an action that never wins": {change: []string{"  - {name: patrol", "  - {name: walk, set: {brake: 0, drive: 0.5}}\n  - {name: patrol"},
			says: []string{"FILE:12:5: warning: walk never wins: it sets the same outputs as patrol"}},
	} {
		t.Run(name, func(t *testing.T) {
			robot, manual := provable(t, c.change...)
			out, code := runCommand(t, newCheck(), append(c.args, robot)...)
			out = strings.ReplaceAll(out, manual, "FILE")
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, text := range c.says {
				if !strings.Contains(out, text) {
					t.Errorf("it does not say %q:\n%s", text, out)
				}
			}
			if c.not != "" && strings.Contains(out, c.not) {
				t.Errorf("it says %q:\n%s", c.not, out)
			}
		})
	}
}

func TestCheckProvesJSON(t *testing.T) {
	robot, manual := provable(t, `{drive: 0, brake: 1}, until`, `{drive: 1, brake: 0}, until`)
	out, code := runCommand(t, newCheck(), "--json", robot, manual)
	var result struct{ Files []checkedFile }
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 1 || len(result.Files) != 2 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	for _, f := range result.Files {
		if f.Sound || len(f.Problems) != 0 || len(f.Proofs) != 4 {
			t.Fatalf("%+v", f)
		}
		p := f.Proofs[0]
		if p.Place != (config.Place{File: manual, Line: 3, Column: 5}) || !p.Fault || p.Answer != proof.Refuted || p.Property != proof.Domination {
			t.Errorf("%+v", p)
		}
		e := p.Example
		if e == nil || e.Step < 1 || len(e.Disturbances) != e.Step || e.Index >= e.Against || len(e.Signals) != 1 || len(e.Outputs) != 2 {
			t.Errorf("example %+v", e)
		}
	}
}

// TestProverSaysTheSameOnce: a manual that two robots share is proved once.
func TestProverSaysTheSameOnce(t *testing.T) {
	const museum = "../../examples/museum/"
	robot, sim := museum+"robot.yaml", museum+"robot-sim.yaml"
	p := newProver(time.Minute)
	p.terminal = nil
	a := p.file(robot, config.KindRobot, config.Options{Board: "raspberry-pi-4"})
	b := p.file(sim, config.KindRobot, config.Options{Board: "sim"})
	if len(p.known) != 1 || len(a) != len(b) || len(a) == 0 {
		t.Errorf("%d proofs; %d and %d answers", len(p.known), len(a), len(b))
	}
	if all := p.file(museum+"manual.yaml", config.KindManual, config.Options{Board: "sim"}); len(all) != len(a) {
		t.Errorf("the manual has %d answers, its robots %d", len(all), len(a))
	}
}

// TestExamplesAreProved: no example has a fault, and the museum is decided.
func TestExamplesAreProved(t *testing.T) {
	examples, err := filepath.Glob("../../examples/*/robot*.yaml")
	if err != nil || len(examples) < 4 {
		t.Fatalf("examples: %v %v", examples, err)
	}
	for _, path := range examples {
		robot, problems := config.Load(path, config.Options{Board: boardOf(t, path)})
		if robot == nil {
			t.Fatal(problems)
		}
		var p partner.Partner
		budget := proof.Options{Boxes: quickBoxes, States: 4 * quickStates, Tier2: p.Corners, Tier3: p.Forecast}
		for _, c := range located(robot, proof.Prove(robot.Manual, robot.Switches(), budget)) {
			if c.Fault {
				t.Errorf("%s: %s", path, c.Says)
			}
			if c.Answer == proof.Undecided && (c.Property == proof.Domination || strings.Contains(path, "museum/")) {
				t.Errorf("%s: undecided: %s", path, c.Says)
			}
		}
	}
}

// BenchmarkProveMuseum is `dancer check` of the museum's manual, without reading
// it. The mark is 2 s.
func BenchmarkProveMuseum(b *testing.B) {
	robot, problems := config.Load("../../examples/museum/robot-sim.yaml", config.Options{})
	if robot == nil {
		b.Fatal(problems)
	}
	for b.Loop() {
		p := newProver(time.Hour)
		p.terminal = nil
		if len(p.robot(robot)) == 0 {
			b.Fatal("no answer")
		}
	}
}
