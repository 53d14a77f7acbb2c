package spine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dancer/runtime/config"
)

// measuredRules is how many rules the measured robot has, windows among them.
const measuredRules = 100

// The measured robot. Its autostart lets the brain's commands drive at once. The
// outputs of the port nowhere are what its actions differ in; each of them, doing
// nothing included, leaves the output of the reflex safe, so that only edges move
// it.
const measuredWiring = `robot: measured
board: linux
manual: manual.yaml
ports:
  pipe: {device: /dev/null, framing: json}
  nowhere: {device: /dev/zero, framing: lines, pattern: "ok={y}"}
signals: {x: {port: pipe, range: [0, 1], stale_after: 60s}}
outputs:
  o: {port: pipe, format: "O {value}\n", range: [0, 1], safe: 0}
  a: {port: nowhere, format: "A {value}\n", range: [0, 1], safe: 0}
  b: {port: nowhere, format: "B {value}\n", range: [0, 1], safe: 0}
lease: {expires_after: 200ms}
autostart: true
listen: "off"
`

// The brain's work: nine options over 2,000 steps, which take it longer than one
// step of the model, so that it never rests.
const measuredModel = `model:
  step: 10ms
  next: {x: "x + 0.1 / 1s * (a - x) * dt + d.x"}
  disturbance: {x: [-0.01, 0.01]}
  horizon: 20s
impact:
  safety: "10 - 2 * max(x - 0.9, 0)"
  task: "5 * a + 3 * b - x"
baseline: halt
actions:
  - {name: halt, set: {o: 0, a: 0, b: 0}, fallback: true}
`

func measuredManual(spec measuredSpec) string {
	var m strings.Builder
	m.WriteString(`values: [{name: safety, floor: 5}, {name: task}]
reflexes:
  - {name: edge, when: "x > 0.5", set: {o: 1}}
  - {name: fast, when: "rate(x, 100ms) * 1s > 1e9", set: {o: 0}}
  - {name: mean, when: "mean(x, 100ms) > 2", set: {o: 0}}
  - {name: long, when: "held(x > 2, 50ms)", set: {o: 0}}
`)
	rules := 4
	if spec.Wake {
		m.WriteString("  - {name: wake, when: \"x > 0.5\", set: {o: 1}, debounce: 200us}\n")
		rules++
	}
	for i := range measuredRules - rules {
		fmt.Fprintf(&m, "  - {name: idle-%d, when: \"x > %d\", set: {o: 0}}\n", i, i+2)
	}
	m.WriteString(measuredModel)
	for i := range 7 {
		fmt.Fprintf(&m, "  - {name: go-%d, set: {o: 0, a: %.1f, b: %.1f}}\n", i, float64(i+1)/10, float64(7-i)/10)
	}
	return m.String()
}

// measuredRobot writes and loads the files.
func measuredRobot(folder string, spec measuredSpec) (*config.Robot, error) {
	wiring := measuredWiring + "mesh: {off: true}\nconductor: {broker: off}\n"
	if spec.Broker != "" {
		wiring = measuredWiring + fmt.Sprintf("cell: %s\nmesh: {join: auto}\nconductor: {broker: \"mqtt://%s\"}\n", spec.Cell, spec.Broker)
	}
	for name, text := range map[string]string{"robot.yaml": wiring, "manual.yaml": measuredManual(spec)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	r, problems := config.Load(filepath.Join(folder, "robot.yaml"), config.Options{})
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return r, nil
}
