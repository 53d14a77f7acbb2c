package config

import (
	"fmt"
	"slices"
	"strings"

	"dancer/reflex"
	"dancer/reflex/program"
)

// categories are the stop categories as a manual writes them.
var categories = map[reflex.StopCategory]string{reflex.Stop0: "0", reflex.Stop1: "1", reflex.Stop2: "2"}

// checkAdvice reports reflexes that a brain could keep from firing, or end, because they
// read what comes through it. A rule of stop category 0 or 1 is there to stop the robot:
// it must read something else as well. Any other rule is warned of.
func (l *loader) checkAdvice() Problems {
	m := l.robot.Manual
	if m == nil || l.faultsSince(0) {
		return nil
	}
	r := newReader(l.robot.ManualPath)
	places := l.robot.Places().Reflexes
	for i := range m.Rules {
		rule, line, column := &m.Rules[i], 0, 0
		if i < len(places) { // else it is one of a read-back
			line, column = places[i].Line, places[i].Column
		}
		for _, c := range []struct {
			p    *program.Program
			does string
		}{{rule.When, "keep it from firing"}, {rule.Until, "end it"}} {
			l.adviseOn(r, rule, c.p, c.does, line, column)
		}
	}
	return r.sorted()
}

func (l *loader) adviseOn(r *reader, rule *reflex.Rule, p *program.Program, does string, line, column int) {
	if p == nil {
		return
	}
	var names []string
	alone := true
	signals, _ := l.reads(p)
	for _, s := range signals {
		switch name := l.world.signals[s].Name; {
		case !l.robot.Inputs[s].Advisory():
			alone = false
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	list := strings.Join(names, ", ")
	if alone && rule.Stop != reflex.Stop2 {
		r.at(line, column, fmt.Sprintf("reflex %s of stop category %s rests on %s alone, which comes from the network or a post: a brain that fails or lies can %s", rule.Name, categories[rule.Stop], list, does),
			"read a signal of a pin, a port or a joystick as well, or give it stop: 2 and do not count on it for safety")
		return
	}
	r.at(line, column, fmt.Sprintf("reflex %s reads %s, which comes from the network or a post: a brain that fails or lies can %s", rule.Name, list, does),
		"do not count on it to guard anybody; what guards people reads a pin or a port")
	r.problems[len(r.problems)-1].Warning = true
}
