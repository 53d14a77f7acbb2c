package brain

import (
	"math"
	"sort"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/mesh"
)

// modeDryRun is how a robot in commissioning names its mode.
const modeDryRun = "dry-run"

// state gathers what the robot says of itself: from the shared segment what is
// true now, from the last decision what it runs and why.
func (b *brain) state() mesh.State {
	s := mesh.State{
		Robot: b.robot.Name, Cell: b.robot.Cell, Version: b.version, ManualHash: b.manual.Hash,
		Latches: []string{}, Reflexes: []string{}, Signals: map[string]float64{}, Outputs: map[string]float64{},
		Frames: map[string]uint64{}, At: b.wall().UTC(),
	}
	b.stateOfSpine(&s)
	b.stateOfSignals(&s)
	b.stateOfModel(&s)
	s.Latency, s.Fault = b.reactions.sinceStart(), b.fault()
	if last := b.last.Load(); last != nil {
		s.Running, s.Outcome, s.Question = last.Running, last.Verdict.Outcome, last.Question
		s.Indices = b.indices(last)
	}
	if b.mail != nil {
		s.Outbox = b.mail.pending()
	}
	if f, ok := b.recorder.Figures(); ok && f.Stopped {
		s.Recording = "stopped"
	} else if ok {
		s.Recording = "on"
	}
	return s
}

func (b *brain) stateOfSpine(s *mesh.State) {
	segment := b.ends.Segment
	if status, ok := segment.LoadStatus(); ok {
		s.Mode, s.Lease = status.Mode.String(), status.Lease.String()
		if status.DryRun {
			s.Mode = modeDryRun
		}
		s.BrainRestarts = max(0, int(status.BrainStarts)-1)
	}
	for i := range b.manual.Rules {
		active, latched := segment.LoadRule(i)
		if active {
			s.Reflexes = append(s.Reflexes, b.manual.Rules[i].Name)
		}
		if latched {
			s.Latches = append(s.Latches, b.manual.Rules[i].Name)
		}
	}
	for i := range b.manual.Outputs {
		if value, _, _, _ := segment.LoadOutput(i); !math.IsNaN(value) {
			s.Outputs[b.manual.Outputs[i].Name] = value
		}
	}
	for i, name := range b.robot.Sources() {
		if port, ok := segment.LoadPort(i); ok && name != "" {
			s.Frames[name] = port.Frames
		}
	}
}

// stateOfSignals gives the values that the owner publishes, and the names of all
// that are invalid now.
func (b *brain) stateOfSignals(s *mesh.State) {
	for i := range b.manual.Signals {
		value, _, validity := b.ends.Segment.LoadSignal(i)
		switch {
		case validity != hal.Valid:
			s.Invalid = append(s.Invalid, b.manual.Signals[i].Name)
		case b.manual.Signals[i].Publish:
			s.Signals[b.manual.Signals[i].Name] = value
		}
	}
	sort.Strings(s.Invalid)
}

// indices of the option that runs, beside their floors.
func (b *brain) indices(d *dancer.Decision) []mesh.StateIndex {
	for i := range d.Assessments {
		if !d.Assessments[i].Is(d.Running) {
			continue
		}
		out := make([]mesh.StateIndex, 0, len(d.Assessments[i].Indices))
		for k, index := range d.Assessments[i].Indices {
			value := &b.manual.Values[k]
			out = append(out, mesh.StateIndex{
				Value: index.Value, Worst: index.Worst, Expected: index.Expected,
				Floor: value.Floor, HasFloor: value.HasFloor,
			})
		}
		return out
	}
	return nil
}

// stateChanged asks for the state to be sent soon. It never blocks.
func (b *brain) stateChanged() {
	select {
	case b.changed <- struct{}{}:
	default: // one is pending already
	}
}

// Intervals of the state: at most this often on change, and this often anyway.
const (
	stateAtMost  = 200 * time.Millisecond
	stateAtLeast = 30 * time.Second
)
