package brain

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/storage"
)

// calibrationKey is where the calibration is stored.
const calibrationKey = "calibration"

// calibrationState is the calibration as it is stored: it speaks of one manual,
// because another one forecasts otherwise.
type calibrationState struct {
	Manual      string             `json:"manual"`
	Calibration dancer.Calibration `json:"calibration"`
}

// restoreCalibration goes on with what the outcomes of earlier brains say. What
// is damaged or of another manual is left behind: confidences are raw until
// there are outcomes again.
func (b *brain) restoreCalibration() *dancer.Calibrator {
	stored, err := b.archive.calibration.Get(calibrationKey)
	if err == nil {
		err = stored.Calibration.Check()
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		b.log.Warn("read calibration: it starts anew, confidences are raw until there are outcomes", "error", err)
	case stored.Manual != b.manual.Hash:
		b.log.Info("calibration is of another manual: it starts anew", "manual", stored.Manual)
	default:
		return dancer.NewCalibrator(&stored.Calibration)
	}
	return dancer.NewCalibrator(nil)
}

// calibrate counts what followed from earlier decisions, and keeps it.
func (b *brain) calibrate(outcomes []dancer.Outcome) {
	counted := false
	for i := range outcomes {
		counted = b.calibrator.Add(&outcomes[i], b.manual.Band()) || counted
	}
	if counted {
		b.archive.note(b.archive.calibration.Enqueue(calibrationKey, calibrationState{b.manual.Hash, *b.calibrator.Calibration()}))
	}
}

// modelEvent tells that the model's error has widened a disturbance.
type modelEvent struct {
	Signal   string     `json:"signal"`
	Declared [2]float64 `json:"declared"` // lowest and highest disturbance a step, in the signal's unit
	Widened  [2]float64 `json:"widened"`
	Capped   bool       `json:"capped"` // it is at its limit: the model does not fit
	Why      string     `json:"why"`
}

// learn holds the model against what was measured, and puts what is known of its
// error and of the outcomes into the input of the decision. A dry run is left
// out: other hands than the outputs move that robot.
func (b *brain) learn(in *dancer.Input) {
	in.Calibration = b.calibrator.Calibration()
	if status, ok := b.ends.Segment.LoadStatus(); ok && !status.DryRun {
		changes := b.modelError.Feed(in.Monotonic, in.Values, in.Age, b.outputsSince())
		if len(changes) > 0 || in.Monotonic-b.figuresAt >= figuresEvery {
			figures := b.modelError.Figures()
			b.modelFigures.Store(&figures)
			b.figuresAt = in.Monotonic
		}
		for i := range changes {
			b.tellModel(&changes[i])
		}
	}
	in.Widening = b.modelError.Widening()
}

// figuresEvery is how often the state and the status get new figures of the
// model's error.
const figuresEvery = time.Second

// outputsSince is when the outputs last changed on the wire.
func (b *brain) outputsSince() time.Duration {
	var since time.Duration
	for i := range b.manual.Outputs {
		if value, at, _, _ := b.ends.Segment.LoadOutput(i); !math.IsNaN(value) {
			since = max(since, at)
		}
	}
	return since
}

func (b *brain) tellModel(c *dancer.ModelChange) {
	why := fmt.Sprintf("what is measured of %s is farther from the model than declared: the forecast allows for it", c.Signal)
	if c.Capped {
		why = fmt.Sprintf("the model of %s does not fit what is measured: look at its next and disturbance in the manual", c.Signal)
		b.log.Warn(why, "widest", c.Widened)
	}
	b.emit(kindModel, modelEvent{
		Signal: c.Signal, Capped: c.Capped, Why: why,
		Declared: [2]float64{c.Declared.Minimum, c.Declared.Maximum}, Widened: [2]float64{c.Widened.Minimum, c.Widened.Maximum},
	})
	b.stateChanged()
}

// stateOfModel gives the model's error as the robot tells it.
func (b *brain) stateOfModel(s *mesh.State) {
	if c := b.last.Load(); c != nil && c.Calibration != nil {
		s.CalibratedBy = c.Calibration.Outcomes()
	}
	figures := b.modelFigures.Load()
	if figures == nil {
		return
	}
	list := append([]dancer.ModelFigure(nil), *figures...)
	sort.SliceStable(list, func(i, k int) bool { return widened(&list[i]) && !widened(&list[k]) })
	for i := range list[:min(len(list), stateModels)] {
		f := &list[i]
		e := mesh.StateModel{Signal: f.Signal, Residuals: f.Residuals, Low: f.Low, High: f.High, LeftOut: f.LeftOut, Jumps: f.Jumps, Capped: f.CappedSoFar}
		if f.HasDisturbance {
			e.Declared = []float64{f.Declared.Minimum, f.Declared.Maximum}
			e.Widened = []float64{f.Widened.Minimum, f.Widened.Maximum}
		}
		s.Model = append(s.Model, e)
	}
}

// stateModels bounds the signals whose model error is in the state: those that
// need attention first.
const stateModels = 32

func widened(f *dancer.ModelFigure) bool {
	return f.Capped || f.HasDisturbance && f.Widened != f.Declared
}

// modelProblems says of which signals the model does not fit now.
func (b *brain) modelProblems() []string {
	figures := b.modelFigures.Load()
	if figures == nil {
		return nil
	}
	var out []string
	for i := range *figures {
		f := &(*figures)[i]
		switch {
		case f.Capped:
			out = append(out, fmt.Sprintf("the model does not fit %s: its error is over %d times the declared disturbance; look at its next and disturbance in the manual", f.Signal, f.LimitTimesDeclared))
		case !f.HasDisturbance && b.notable(f):
			out = append(out, fmt.Sprintf("the model errs on %s by %.3g to %.3g a step, and the forecast cannot allow for it: declare a disturbance of %s in the manual", f.Signal, f.Low, f.High, f.Signal))
		}
	}
	return out
}

// notable is an error over the horizon of more than a hundredth of the signal's
// range.
func (b *brain) notable(f *dancer.ModelFigure) bool {
	for i := range b.manual.Signals {
		if s := &b.manual.Signals[i]; s.Name == f.Signal {
			reach := max(math.Abs(f.Low), math.Abs(f.High)) * float64(b.manual.Model.Steps())
			return reach > (s.Maximum-s.Minimum)/100
		}
	}
	return false
}
