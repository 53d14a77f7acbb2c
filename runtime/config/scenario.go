package config

import (
	"errors"
	"path/filepath"

	"dancer/hal/sim"
)

// scenario reads the scenario of a simulated robot and compares it with the
// robot's signals.
func (l *loader) scenario(k keys) Problems {
	path := k.path("scenario")
	if l.opt.Scenario != "" {
		path = filepath.Clean(l.opt.Scenario)
	}
	if path == "" || l.opt.Recorded {
		return nil
	}
	l.robot.Scenario = path
	data, problem := l.read(path)
	if problem == nil {
		return l.scenarioFaults(path, data)
	}
	if l.opt.Scenario != "" {
		l.fault(nil, problem.What, "check the path given with --scenario")
	} else {
		k.fault("scenario", "create it, or correct the path: it is relative to this file", "%s", problem.What)
	}
	return nil
}

func (l *loader) scenarioFaults(path string, data []byte) Problems {
	s, err := sim.ParseScenario(path, data)
	if err == nil && !l.world.partial {
		err = s.Check(l.world.signals)
	}
	var faults sim.Faults
	if err != nil && !errors.As(err, &faults) {
		return Problems{{File: path, What: err.Error()}}
	}
	var problems Problems
	for _, f := range faults {
		problems = append(problems, Problem{File: f.File, Line: f.Line, Column: f.Column, What: f.What, Hint: f.Hint})
	}
	return problems
}
