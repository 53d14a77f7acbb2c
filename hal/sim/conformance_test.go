package sim

import (
	"testing"
	"time"

	"dancer/hal"
	"dancer/hal/haltest"
)

// simRig is a board whose plant shows the world that the test makes.
type simRig struct {
	*Board
	world []float64
	now   time.Duration
	count int
	emit  func(hal.Reading)
}

func (r *simRig) Stimulate(signal int, value float64) { r.world[signal] = value }

func (r *simRig) Collect(emit func(hal.Reading)) {
	r.now += DefaultStep
	r.Advance(r.now, nil, emit)
}

// Silence goes to where the scenario drops the readings, or to where it ends that.
func (r *simRig) Silence(on bool) {
	to := silentFrom
	if !on {
		to = silentTo
	}
	for r.now < to+DefaultStep {
		r.Collect(func(hal.Reading) {})
	}
}

func (r *simRig) World(output int) (float64, bool) { return r.Output(output), true }

func (r *simRig) Turn() {
	r.Collect(r.emit)
	_ = r.Drive(0, 0.5)
}

// silentFrom and silentTo bound the silence of the rig's scenario.
const (
	silentFrom = 100 * time.Second
	silentTo   = 200 * time.Second
)

func TestConformance(t *testing.T) {
	scenario, err := ParseScenario("silence", []byte("drop range from 100s to 200s\ndrop bumper from 100s to 200s\n"))
	if err != nil {
		t.Fatal(err)
	}
	var rig *simRig
	suite := haltest.Suite{
		Signals: []hal.Signal{
			{Name: "range", Minimum: 0, Maximum: 8},
			{Name: "bumper", Boolean: true},
		},
		Outputs: []hal.Output{
			{Name: "drive", Minimum: -1, Maximum: 1},
			{Name: "brake", Maximum: 1, Safe: 1},
		},
		Now:        func() time.Duration { return rig.now },
		StartsSafe: true,
		Sampled:    true,
	}
	suite.Open = func(t *testing.T) haltest.Rig {
		rig = &simRig{world: make([]float64, 2)}
		rig.emit = func(hal.Reading) { rig.count++ }
		plant := func(_ time.Duration, slots []float64) { copy(slots, rig.world) }
		board, err := New(Config{Signals: suite.Signals, Outputs: suite.Outputs, Plant: plant, Scenario: scenario})
		if err != nil {
			t.Fatal(err)
		}
		rig.Board = board
		t.Cleanup(func() { board.Close() })
		return rig
	}
	suite.Run(t)
}
