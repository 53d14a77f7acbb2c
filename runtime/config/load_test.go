package config

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/reflex"
)

const testManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
impact: {human_safety: "10", task: "10 * drive"}
actions:
  - {name: go, set: {drive: true}}
  - {name: halt, set: safe, fallback: true}
`

const testRobot = `robot: bot
board: raspberry-pi-4
manual: manual.yaml
ports: {nav: {device: /dev/ttyUSB0, framing: csv}}
signals:
  range: {port: nav, unit: m, range: [0, 8]}
  bumper: {pin: pin 11, active: low, pull: up}
outputs: {drive: {pin: GPIO18, safe: 0}}
`

// loadText loads a robot and a manual that are given as text.
func loadText(robot, manual string, opt Options) (*Robot, Problems) {
	opt.Root = machine
	return load("robot.yaml", []byte(robot), opt, func(path string) ([]byte, *Problem) {
		if path == "manual.yaml" {
			return []byte(manual), nil
		}
		return nil, &Problem{File: path, What: "file " + path + " does not exist"}
	})
}

func TestDefaults(t *testing.T) {
	r, problems := loadText(testRobot, testManual, Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	m := r.Manual
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"cell", r.Cell, "default"},
		{"baud", r.Ports[0].Baud, 115200},
		{"delimiter", r.Ports[0].Delimiter, ","},
		{"field", r.Inputs[0].Field, "range"},
		{"port of a pin", r.Inputs[1].Port, -1},
		{"pin", r.Inputs[1].Pin.Offset, 17},
		{"active low", r.Inputs[1].ActiveHigh, false},
		{"start", math.IsNaN(r.Inputs[0].Start), true},
		{"stale after of a port", m.Signals[0].StaleAfter, time.Second},
		{"stale after of a pin", m.Signals[1].StaleAfter, time.Duration(0)},
		{"boolean", m.Signals[1].Boolean, true},
		{"listen", r.Listen, "127.0.0.1:8421"},
		{"broker", r.Conductor.Broker, "auto"},
		{"bind", r.Mesh.Bind, "127.0.0.1:0"},
		{"join", r.Mesh.Join == nil, true},
		{"lease", r.Lease.ExpiresAfter, 300 * time.Millisecond},
		{"lease stop", r.Lease.Stop, reflex.Stop1},
		{"autostart", r.Autostart, false},
		{"enough", m.Values[0].Enough, 7.0},
		{"floor", m.Values[1].HasFloor, false},
		{"step", m.Model.Step, 100 * time.Millisecond},
		{"horizon", m.Model.Horizon, 3 * time.Second},
		{"fallback", m.Fallback, 1},
		{"hold", m.Escalation.Hold, 1},
		{"on timeout", m.Escalation.OnTimeout, 1},
		{"deadline", m.Escalation.Deadline, 5 * time.Minute},
		{"band", m.Escalation.Band, 0.5},
		{"settle", m.Escalation.Settle, 2 * time.Second},
		{"baseline", m.Baseline, ""},
		{"reversibility", m.Actions[0].Reversibility, 1.0},
		{"importance", m.Actions[0].Importance, dancer.Normal},
		{"true sets 1", m.Actions[0].Set[0].Value, 1.0},
		{"hash", strings.HasPrefix(m.Hash, "sha256:"), true},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
}

// TestBaseline: an action by name, or the default said aloud.
func TestBaseline(t *testing.T) {
	for text, want := range map[string]string{"": "", "baseline: halt\n": "halt", "baseline: inaction\n": ""} {
		r, problems := loadText(testRobot, testManual+text, Options{})
		if len(problems) > 0 || r.Manual.Baseline != want {
			t.Errorf("%q: baseline %q, problems %v", text, r.Manual.Baseline, problems)
		}
	}
}

func TestBoardIsDetectedAndOverridden(t *testing.T) {
	robot := strings.Replace(testRobot, "raspberry-pi-4", "auto", 1)
	robot = strings.Replace(robot, "pin 11", "GPIO17", 1)
	for _, c := range []struct{ board, want string }{{"", "linux"}, {"sim", "sim"}, {"raspberry-pi-5", "raspberry-pi-5"}} {
		r, problems := loadText(robot, testManual, Options{Board: c.board})
		if err := problems.Err(); err != nil || r.BoardName != c.want {
			t.Errorf("board %q: %v", c.board, err)
		}
	}
	if _, problems := loadText(robot, testManual, Options{Board: "mars"}); problems.Error() !=
		"robot.yaml: board mars is not known (boards: beaglebone-black, jetson-agx-orin, jetson-nano, jetson-orin-nano, jetson-orin-nx, linux, raspberry-pi-3, raspberry-pi-4, raspberry-pi-400, raspberry-pi-5, raspberry-pi-cm4, raspberry-pi-zero-2-w, sim)" {
		t.Error(problems)
	}
}

func TestExpressionsAreCompiledForTheirSlots(t *testing.T) {
	manual := strings.Replace(testManual, "impact:", `reflexes:
  - {name: near, when: "range < 30 cm && bumper", set: {drive: 0}, latch: operator, stop: 0, debounce: 5ms, confirm: 3}
model:
  next: {range: "range - 1 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.5, 0.5]}
impact:`, 1)
	r, problems := loadText(testRobot, manual, Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	rule := r.Manual.Rules[0]
	eval := func(slots ...float64) float64 { return rule.When.Eval(slots, make([]float64, rule.When.Registers())) }
	if eval(0.29, 1, 0) != 1 || eval(0.31, 1, 0) != 0 || eval(0.29, 0, 0) != 0 {
		t.Error("rule near is not range < 0.30 m && bumper")
	}
	if !rule.Latch || rule.Stop != reflex.Stop0 || rule.Debounce != 5*time.Millisecond || rule.Confirm != 3 {
		t.Errorf("rule near is %+v", rule)
	}
	next := r.Manual.Model.Next[0].Program
	if got := next.Eval([]float64{5, 0, 1, 0.25}, make([]float64, next.Registers())); math.Abs(got-5.15) > 1e-12 {
		t.Errorf("next of range is %v, want 5.15", got)
	}
}

func TestLoadReadsFilesRelativeToTheRobot(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "robot.yaml"), strings.Replace(testRobot, "manual.yaml", "manuals/one.yaml", 1)+"scenario: day.scenario\n")
	write(t, filepath.Join(dir, "manuals/one.yaml"), testManual)
	write(t, filepath.Join(dir, "day.scenario"), "at 2s range = 3\n")
	r, problems := Load(filepath.Join(dir, "robot.yaml"), Options{Board: "sim"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if r.ManualPath != filepath.Join(dir, "manuals/one.yaml") || string(r.ManualBytes) != testManual || r.Scenario != filepath.Join(dir, "day.scenario") {
		t.Errorf("manual %s, scenario %s", r.ManualPath, r.Scenario)
	}
	_, problems = Load(filepath.Join(dir, "robot.yaml"), Options{Board: "sim", Scenario: filepath.Join(dir, "night.scenario")})
	want := filepath.Join(dir, "robot.yaml") + ": file " + filepath.Join(dir, "night.scenario") + " does not exist (check the path given with --scenario)"
	if problems.Error() != want {
		t.Errorf("got  %s\nwant %s", problems.Error(), want)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none.yaml"), "file " + filepath.Join(dir, "none.yaml") + " does not exist"},
		{dir, "read " + dir + ": not a regular file"},
	} {
		r, problems := Load(c.path, Options{})
		if r != nil || len(problems) != 1 || problems[0].What != c.want || !problems.Unreadable() {
			t.Errorf("%s: %v", c.path, problems)
		}
		if c, problems := LoadConductor(c.path); c != nil || !problems.Unreadable() {
			t.Errorf("conductor: %v", problems)
		}
	}
}

func TestHostileText(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"large":      {strings.Repeat("#", maxBytes+1), "f.yaml: file has 524289 bytes (at most 524288 are read)"},
		"not UTF-8":  {"robot: a\nb: \xff\n", "f.yaml:2:4: file is not UTF-8 text (save it as UTF-8)"},
		"brackets":   {"a: " + strings.Repeat("[", 100_000), "f.yaml:1:69: brackets are nested too deep (at most 64 levels are read)"},
		"dashes":     {strings.Repeat("- ", 100_000), "f.yaml:1:130: brackets are nested too deep (at most 64 levels are read)"},
		"questions":  {strings.Repeat("? ", 100_000), "f.yaml:1:130: brackets are nested too deep (at most 64 levels are read)"},
		"two in one": {"a: 1\n---\nb: 2\n", "f.yaml:3:1: second document in one file (keep one document: remove the --- line and what follows it)"},
	} {
		r := newReader("f.yaml")
		r.parse([]byte(c.text))
		if got := r.sorted().Error(); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct {
		text string
		at   string // the rest of the decoded text from the place that is asked for
		line int
		col  int
	}{
		{"a: \"x + y\"\n", "y", 1, 9},
		{"a: 'x'' + y'\n", "y", 1, 11},
		{"a: \"\\u0078 + y\"\n", "y", 1, 14},
		{"a: \"x\n  + y\"\n", "y", 2, 5},
		{"a: \"ü + y\" # z\n", "y", 1, 9},
		{"a: >-\n    x +\n    y\n", "y", 3, 5},
		{"a: |\n  x +\n  y\n", "y\n", 3, 3},
		{"a: x + y\n", "y", 1, 8},
		{"b: 1\r\na: \"x + y\"\r\n", "y", 2, 9},
	} {
		r := newReader("f.yaml")
		root := r.parse([]byte(c.text))
		if root == nil {
			t.Fatalf("%q: %v", c.text, r.problems)
		}
		n := root.entries[len(root.entries)-1].value
		line, col := r.locate(n, strings.LastIndex(n.text, c.at))
		if line != c.line || col != c.col {
			t.Errorf("%q: %q is at %d:%d, want %d:%d", c.text, c.at, line, col, c.line, c.col)
		}
	}
}

func TestConductorDefaults(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "conductor.yaml")
	write(t, path, "# nothing yet\n")
	c, problems := LoadConductor(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := DefaultConductor()
	want.Path = path
	if c.Name != want.Name || c.Listen != want.Listen || c.Broker != want.Broker || c.BrokerListen != want.BrokerListen || c.Mesh.Bind != want.Mesh.Bind || c.Cell != want.Cell {
		t.Errorf("got %+v, want %+v", c, want)
	}
	write(t, path, "name: lead\ncell: east\nbroker: mqtt://127.0.0.1:2883\ndata: store\nmesh: {off: true, join: [127.0.0.1:7950]}\n")
	c, problems = LoadConductor(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if c.Name != "lead" || c.Cell != "east" || c.Data != filepath.Join(dir, "store") || !c.Mesh.Off || len(c.Mesh.Join) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestCheckTellsFilesApart(t *testing.T) {
	dir := t.TempDir()
	robot := strings.Replace(testRobot, "raspberry-pi-4", "sim", 1)
	for name, text := range map[string]string{
		"robot.yaml": robot, "manual.yaml": testManual, "conductor.yaml": "name: lead\n",
		"lonely/manual.yaml": testManual, "other.yaml": "colour: red\n", "torn.yaml": "robot: [1\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for _, c := range []struct {
		file, kind       string
		faults, warnings int
	}{
		{"robot.yaml", KindRobot, 0, 0},
		{"manual.yaml", KindManual, 0, 0},
		{"lonely/manual.yaml", KindManual, 0, 1},
		{"conductor.yaml", KindConductor, 0, 0},
		{"other.yaml", KindUnknown, 1, 0},
		{"torn.yaml", KindRobot, 1, 0},
		{"none.yaml", KindUnknown, 1, 0},
	} {
		kind, problems := Check(filepath.Join(dir, c.file), Options{})
		if kind != c.kind || problems.Faults() != c.faults || len(problems) != c.faults+c.warnings {
			t.Errorf("%s is %s: %v", c.file, kind, problems)
		}
	}
	// A fault of the manual is found through the robot that names it.
	write(t, filepath.Join(dir, "manual.yaml"), strings.Replace(testManual, "10 * drive", "10 * dirve", 1))
	if _, problems := Check(filepath.Join(dir, "manual.yaml"), Options{}); len(problems) != 1 || problems[0].What != "unknown name dirve" {
		t.Errorf("manual: %v", problems)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOutputsThatAreLimitedAndWatched: what rate, read_back and the lease's ramp
// come to, with their defaults, and the reflex that a read-back makes.
func TestOutputsThatAreLimitedAndWatched(t *testing.T) {
	const outputs = `outputs:
  speed: {port: nav, format: "M {value}\n", unit: m, range: [-4, 6], safe: 0, rate: 0.5, read_back: {signal: range, within: 1500ms}}
  arm:   {port: nav, format: "A {value}\n", unit: m, range: [0, 4], safe: 0, read_back: {signal: range, tolerance: 0.25}}
  drive: {pin: GPIO18, safe: 0, read_back: {signal: bumper}}
lease: {stop: 2, ramp: 250ms}`
	text := strings.Replace(testRobot, "outputs: {drive: {pin: GPIO18, safe: 0}}", outputs, 1)
	text = strings.Replace(text, "range: [0, 8]}", "range: [-8, 8]}", 1)
	r, problems := loadText(text, testManual, Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	first := len(r.Manual.Rules) - 3
	want := []ReadBack{
		{Output: 0, Signal: 0, Rule: first, Within: 1500 * time.Millisecond, Tolerance: 0.5},
		{Output: 1, Signal: 0, Rule: first + 1, Within: 500 * time.Millisecond, Tolerance: 0.25},
		{Output: 2, Signal: 1, Rule: first + 2, Within: 500 * time.Millisecond, Tolerance: 0.5},
	}
	if !slices.Equal(r.ReadBacks, want) {
		t.Errorf("read-backs %+v", r.ReadBacks)
	}
	if r.Manual.Outputs[0].Rate != 0.5 || r.Manual.Outputs[1].Rate != 0 {
		t.Errorf("outputs %+v", r.Manual.Outputs)
	}
	if r.Lease.Stop != reflex.Stop2 || !r.Lease.HasRamp || r.Lease.Ramp != 250*time.Millisecond {
		t.Errorf("lease %+v", r.Lease)
	}
	for i, source := range []string{
		"range < lowest(speed, 1500ms) - 0.5 m || range > highest(speed, 1500ms) + 0.5 m",
		"range < lowest(arm, 500ms) - 0.25 m || range > highest(arm, 500ms) + 0.25 m",
		"(bumper ? 1 : 0) < lowest(drive, 500ms) - 0.5 || (bumper ? 1 : 0) > highest(drive, 500ms) + 0.5",
	} {
		rule := r.Manual.Rules[first+i]
		if rule.When.String() != source || !rule.Latch || rule.Stop != reflex.Stop0 || len(rule.Set) != 3 {
			t.Errorf("rule %s: %s, latch %v, stop %v, sets %v; want %s", rule.Name, rule.When, rule.Latch, rule.Stop, rule.Set, source)
		}
	}
}
