package config

import (
	"fmt"
	"math"
	"testing"
	"time"

	"dancer/reflex/program"
)

const windowedManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: closing, when: "mean(rate(range), 2s) < -1 m/s || held(bumper, 300 ms)", set: {drive: 0}}
  - {name: again, when: "held(bumper, 0.3 s) && drive > 0", set: {drive: 0}, until: "since(bumper) > 1 s"}
model:
  step: 250ms
  next: {range: "range - 1 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.5, 0.5]}
impact:
  human_safety: "10 - mean(drive, 10s) - mean(3 * range, 1min) / 1 m"
  task: "10 * drive + mean(range, 1s) / 1 m"
actions:
  - {name: go, set: {drive: true}}
  - {name: halt, set: safe, fallback: true}
`

func TestWindowsBecomeSignals(t *testing.T) {
	r, problems := loadText(testRobot, windowedManual, Options{})
	if problems.Faults() > 0 {
		t.Fatal(problems)
	}
	m := r.Manual
	want := []string{
		"range m [0, 8] 0s", "bumper  [0, 1] 0s",
		"rate(range, 500ms) m/s [-8000, 8000] 20ms",
		"mean(rate(range), 2s) m/s [0, 0] 20ms",
		"held(bumper, 300ms)  [0, 1] 20ms",
		"since(bumper) s [0, 1e+06] 20ms",
		"mean(drive, 10s)  [0, 0] 250ms",
		"mean(3 * range, 1min) m [0, 0] 250ms",
		"mean(range, 1s) m [0, 8] 250ms",
	}
	if len(m.Signals) != len(want) || len(m.Windows) != len(want)-2 {
		t.Fatalf("%d signals and %d windows, want %d and %d", len(m.Signals), len(m.Windows), len(want), len(want)-2)
	}
	for i, s := range m.Signals {
		refresh := time.Duration(0)
		if own := len(m.Measured()); i >= own {
			w := m.Windows[i-own]
			refresh = w.Refresh
			if w.Slot != i {
				t.Errorf("%s has slot %d, want %d", s.Name, w.Slot, i)
			}
			if s.Publish || s.StaleAfter != 0 {
				t.Errorf("%s is published or goes stale by itself", s.Name)
			}
		}
		if got := fmt.Sprintf("%s %s [%v, %v] %v", s.Name, s.Unit, s.Minimum, s.Maximum, refresh); got != want[i] {
			t.Errorf("got %s\nwant %s", got, want[i])
		}
	}
	if len(m.Measured()) != len(r.Inputs) {
		t.Errorf("%d measured signals and %d inputs", len(m.Measured()), len(r.Inputs))
	}
}

// The slots of outputs and disturbances lie behind the derived signals, in every
// expression.
func TestSlotsBehindWindows(t *testing.T) {
	r, _ := loadText(testRobot+`plant: {next: {range: "range - drive * 1 m"}}`+"\n", windowedManual, Options{Board: "sim"})
	m := r.Manual
	layout := m.Layout()
	slots := make([]float64, layout.Slots())
	for i := range slots {
		slots[i] = math.NaN() // what is read by mistake shows
	}
	slots[0], slots[layout.Output(0)], slots[layout.Disturbance(0)] = 4, 1, 0.5
	scratch := make([]float64, program.Registers)
	if got := m.Model.Next[0].Program.Eval(slots, scratch); got != 4.25 {
		t.Errorf("next of range is %v, want 4.25", got)
	}
	if got := r.Plant.Next[0].Program.Eval(slots, scratch); got != 3 {
		t.Errorf("range of the plant is %v, want 3", got)
	}
	slots[4] = 1 // held(bumper, 300ms)
	if got := m.Rules[1].When.Eval(slots, scratch); got != 1 {
		t.Errorf("again is %v, want true", got)
	}
	slots[6], slots[7] = 0.25, 2
	if got := m.Impact[0].Eval(slots, scratch); got != 7.75 {
		t.Errorf("human_safety is %v, want 7.75", got)
	}
}

func TestManualsWithoutWindowsHaveNone(t *testing.T) {
	r, _ := loadText(testRobot, testManual, Options{})
	if n := len(r.Manual.Windows); n != 0 || len(r.Manual.Signals) != len(r.Inputs) {
		t.Errorf("%d windows, %d signals of %d", n, len(r.Manual.Signals), len(r.Inputs))
	}
}
