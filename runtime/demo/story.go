package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"dancer/dancer"
	"dancer/mesh"
)

// story is what happened, as the robots' event streams tell it.
type story struct {
	began time.Time
	out   io.Writer
	mutex sync.Mutex

	fire      bool              // a decision in which extinguishing is allowed because inaction is under a floor
	foam      bool              // and the extinguisher's output was on
	gas       bool              // a decision in which every option is under a floor
	leastBad  bool              // and the least-violating option ran meanwhile
	asked     bool              // a question was raised
	delivered bool              // and the conductor shows it as open
	people    int               // robots that the conductor sees alive
	driven    map[string]string // who drove an output last, by robot and name
}

// event is the part of an event that the story reads.
type event struct {
	Kind   string  `json:"kind"`
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Who    string  `json:"who"`
	Rule   string  `json:"rule"`
	Active bool    `json:"active"`
	Mode   string  `json:"mode"`
	Why    string  `json:"why"`
}

// hear takes one line of a robot's event stream.
func (s *story) hear(robot string, line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		return // a body of another shape: hear below reads those it needs
	}
	switch e.Kind {
	case "decision":
		s.decision(robot, line)
	case "output":
		s.output(robot, &e)
	case "escalation":
		s.escalation(robot, line)
	case "reflex":
		if e.Active {
			s.tell(robot, "reflex %s", e.Rule)
		}
	case "mode":
		s.tell(robot, "mode %s (%s)", e.Mode, e.Why)
	}
}

func (s *story) decision(robot string, line []byte) {
	var d dancer.Decision
	if json.Unmarshal(line, &d) != nil {
		return
	}
	inaction := d.Find(dancer.InactionName)
	s.mutex.Lock()
	if d.Running == "extinguish" && d.Verdict.Outcome == dancer.OutcomeAct && inaction != nil && vetoed(&d, inaction.Option) {
		s.fire = true
	}
	if d.Verdict.Outcome == dancer.OutcomeUnderFloor {
		s.gas = true
		s.leastBad = s.leastBad || d.Running == d.Verdict.Option
	}
	s.mutex.Unlock()
	why := ""
	if len(d.Verdict.Why) > 0 {
		why = ": " + d.Verdict.Why[0]
	}
	if d.Running != d.Verdict.Option { // the question has the last word
		why += "; " + d.Running + " runs, because a question is open"
	}
	s.tell(robot, "%s%s", d.Verdict.Outcome, why)
}

func vetoed(d *dancer.Decision, option string) bool {
	for i := range d.Verdict.Vetoes {
		if d.Verdict.Vetoes[i].Option == option {
			return true
		}
	}
	return false
}

func (s *story) output(robot string, e *event) {
	s.mutex.Lock()
	if e.Name == "extinguisher" && e.Value == 1 {
		s.foam = true
	}
	before := s.driven[robot+" "+e.Name]
	s.driven[robot+" "+e.Name] = e.Who
	s.mutex.Unlock()
	if e.Who == "reflex" && before == e.Who && e.Value != math.Trunc(e.Value) {
		return // a step of a ramp: its beginning and its end tell it
	}
	s.tell(robot, "output %s = %g (%s)", e.Name, e.Value, e.Who)
}

func (s *story) escalation(robot string, line []byte) {
	var e mesh.Escalation
	if json.Unmarshal(line, &e) != nil {
		return
	}
	if e.State != "open" {
		s.tell(robot, "question %s is %s", e.ID, e.State)
		return
	}
	s.mutex.Lock()
	s.asked = true
	s.mutex.Unlock()
	s.tell(robot, "asks: %s; %s runs meanwhile (question %s)", strings.TrimSuffix(e.Situation, "."), e.Running, e.ID)
}

// seen takes what the conductor shows.
func (s *story) seen(alive int, open bool) {
	s.mutex.Lock()
	first := open && !s.delivered
	s.people = max(s.people, alive)
	s.delivered = s.delivered || open
	s.mutex.Unlock()
	if first {
		s.tell("conductor", "the question is open on the dashboard")
	}
}

// tell prints one line: seconds since the start, who, what.
func (s *story) tell(who, format string, args ...any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	fmt.Fprintf(s.out, "%5.1f s  %-14s %s\n", time.Since(s.began).Seconds(), who, fmt.Sprintf(format, args...))
}

// missing lists what should have happened and did not.
func (s *story) missing() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var out []string
	for _, f := range []struct {
		happened bool
		what     string
	}{
		{s.people == len(cast), fmt.Sprintf("the conductor sees %d robots alive, not %d", s.people, len(cast))},
		{s.fire, "no decision allowed extinguishing because inaction is under a floor"},
		{s.foam, "the extinguisher was not switched on"},
		{s.gas, "no decision had every option under a floor"},
		{s.leastBad, "the least-violating option did not run while the question was open"},
		{s.asked, "no robot asked a question"},
		{s.delivered, "no question reached the conductor"},
	} {
		if !f.happened {
			out = append(out, f.what)
		}
	}
	return out
}
