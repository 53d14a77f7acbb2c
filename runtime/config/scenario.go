package config

import "path/filepath"

// scenario finds the scenario of a simulated robot.
func (l *loader) scenario(k keys) {
	l.robot.Scenario = k.existing("scenario", l.read)
	if l.opt.Scenario == "" {
		return
	}
	l.robot.Scenario = filepath.Clean(l.opt.Scenario)
	if _, problem := l.read(l.robot.Scenario); problem != nil {
		l.fault(nil, problem.What, "check the path given with --scenario")
	}
}
