package spine

import (
	"fmt"
	"math"
	"os"
	"time"

	"dancer/dancer"
	"dancer/hal/sim"
	"dancer/reflex"
	"dancer/reflex/program"
	"dancer/runtime/config"
)

// newBoard makes the simulated board of a robot: its plant, or else the
// manual's model without disturbance, and its scenario.
func newBoard(r *config.Robot, cfg *Config) (*sim.Board, error) {
	path := cfg.Scenario
	if path == "" {
		path = r.Scenario
	}
	c := sim.Config{Signals: r.Manual.Measured(), Outputs: r.Manual.Outputs, Seed: cfg.Seed}
	for i := range r.Inputs {
		c.Start = append(c.Start, r.Inputs[i].Start) // NaN: none
		c.Other = append(c.Other, r.Inputs[i].Advisory())
	}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read scenario: %w", err)
		}
		if c.Scenario, err = sim.ParseScenario(path, text); err != nil {
			return nil, err
		}
	}
	w, err := newWorld(r)
	if err != nil {
		return nil, err
	}
	c.Step, c.Plant = w.step, w.move
	if len(w.next) == 0 {
		c.Step, c.Plant = 0, nil
	}
	b, err := sim.New(c)
	if err != nil {
		return nil, err
	}
	if missing := b.Missing(); len(missing) > 0 && cfg.Log != nil {
		cfg.Log.Warn("simulated signals have no value: outputs stay safe until they are given up",
			"signals", missing, "cure", "add lines such as: start "+missing[0]+" = 1")
	}
	return b, nil
}

// world moves the signals of a simulated robot by its programs.
type world struct {
	step      time.Duration
	next      []dancer.Next
	layout    dancer.Layout
	own       int       // measured signals
	slots     []float64 // signals, outputs, disturbances (0)
	result    []float64 // per program
	registers []float64

	windows *reflex.Windows // what the model makes of the past of its own world
	now     time.Duration
	changed []int
}

func newWorld(r *config.Robot) (*world, error) {
	w := &world{step: r.Manual.Model.Step, next: r.Manual.Model.Next, layout: r.Manual.Layout(), own: len(r.Manual.Measured())}
	if r.Plant != nil {
		w.step, w.next = r.Plant.Step, r.Plant.Next
	}
	w.slots = make([]float64, w.layout.Slots())
	w.result = make([]float64, len(w.next))
	w.registers = make([]float64, program.Registers)
	var err error
	if w.windows, err = reflex.NewWindows(r.Manual.Windows, len(w.slots)); err != nil {
		return nil, fmt.Errorf("build windows of the simulated world: %w", err)
	}
	for i := range w.own {
		w.slots[i] = math.NaN() // until the world gives it
	}
	w.windows.Start(0, w.slots)
	for slot := range w.layout.Signals + w.layout.Outputs {
		if slot < w.own || slot >= w.layout.Signals {
			w.changed = append(w.changed, slot)
		}
	}
	return w, nil
}

// move is one step, all programs over the old state. dt is a constant in the
// programs. A program that gives no number leaves its signal as it was: the
// world has a state even where a model has none.
func (w *world) move(step time.Duration, slots []float64) {
	copy(w.slots, slots[:w.own])
	copy(w.slots[w.layout.Signals:], slots[w.own:])
	w.windows.Update(w.now, w.changed, w.slots)
	w.windows.Tick(w.now, w.slots)
	w.now += step
	for i := range w.next {
		w.result[i] = w.next[i].Program.Eval(w.slots, w.registers)
	}
	for i := range w.next {
		if !math.IsNaN(w.result[i]) {
			slots[w.next[i].Signal] = w.result[i]
		}
	}
}
