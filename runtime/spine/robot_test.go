package spine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dancer/runtime/config"
)

// testManual is what most tests run: a range sensor, a bumper and an emergency
// stop, a drive and a brake.
const testManual = `
values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: near, when: "range < 0.30 m", set: {drive: 0.1, brake: 0}, until: "range > 0.45 m", stop: 2}
  - {name: bump, when: "bumper > 0.5", set: {drive: 0, brake: 1}, latch: operator, stop: 0}
  - {name: fast, when: "drive > 0.9", set: {drive: 0.2}, stop: 2}
  - {name: slow-bump, when: "soft > 0.5", set: {brake: 0.5}, debounce: 50ms, stop: 2}
model:
  step: 100ms
  next: {range: "range - 1 m/s * drive * dt"}
  horizon: 1s
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
  task: "10 * drive"
actions:
  - {name: go, set: {drive: 0.5, brake: 0}}
  - {name: halt, set: {drive: 0, brake: 1}, fallback: true}
`

// signals and outputs of testManual.
const (
	sigRange = iota
	sigBumper
	sigSoft
)

const (
	outDrive = iota
	outBrake
)

const (
	ruleNear = iota
	ruleBump
	ruleFast
	ruleSoft
)

// simRobot is testManual on the simulated board.
const simRobot = `
robot: test-bot
board: sim
manual: manual.yaml
ports:
  nav: {framing: json}
signals:
  range:  {port: nav, field: range, unit: m, range: [0, 8], stale_after: 5s}
  bumper: {port: nav, field: bumper, range: [0, 1], stale_after: 5s}
  soft:   {port: nav, field: soft, range: [0, 1], stale_after: 5s}
outputs:
  drive: {port: nav, format: "D {value}\n", range: [0, 1], safe: 0}
  brake: {port: nav, format: "B {value}\n", range: [0, 1], safe: 1}
lease: {expires_after: 300ms, stop: 1}
`

// wiredRobot is testManual on a serial port, %s its device.
func wiredRobot(device string) string {
	return strings.NewReplacer("board: sim", "board: linux",
		"{framing: json}", fmt.Sprintf("{device: %q, framing: json}", device)).Replace(simRobot)
}

// loadRobot loads a robot from texts.
func loadRobot(t testing.TB, robot, manual string) *config.Robot {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"robot.yaml": robot, "manual.yaml": manual} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, problems := config.Load(filepath.Join(dir, "robot.yaml"), config.Options{})
	for _, p := range problems {
		if !p.Warning {
			t.Fatalf("load robot: %v", problems)
		}
	}
	return r
}

func insertAfter(text, mark, more string) string {
	before, after, _ := strings.Cut(text, mark)
	return before + mark + more + after
}
