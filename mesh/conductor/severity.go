package conductor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"dancer/mesh"
)

// Levels of severity, in the manner of an alarm list.
const (
	LevelCritical = "critical" // what runs now is under a floor, or nobody can tell
	LevelHigh     = "high"     // a floor breaks if nothing is decided, or the way back is lost
	LevelNormal   = "normal"   // the rest: low confidence, precedent
)

// Severity orders questions. It is derived from the decision that a question
// carries, never from what the robot says of its own importance.
type Severity struct {
	Level     string  `json:"level"`
	Why       string  `json:"why"`             // in plain words
	Value     string  `json:"value,omitempty"` // the highest value under its floor
	Rung      int     `json:"rung"`            // of that value, 0 is the highest; -1 when no floor is broken
	Violation float64 `json:"violation"`       // how far under the floor, 0-10
}

// decision is the part of a decision record that severity reads. The record is
// the robot's (package dancer); here it is bytes from a peer.
type decision struct {
	Assessments []assessment `json:"assessments"`
	Ladder      []rung       `json:"ladder"`
	Verdict     struct {
		Outcome string `json:"outcome"`
		Option  string `json:"option"`
		Vetoes  []veto `json:"vetoes"`
	} `json:"verdict"`
}

type assessment struct {
	Option        string        `json:"option"`
	Aliases       []string      `json:"aliases"`
	Inaction      bool          `json:"inaction"`
	Indices       []index       `json:"indices"`
	CascadeRisk   float64       `json:"cascade_risk"`
	Recoverable   bool          `json:"recoverable"`
	FloorBreaksIn time.Duration `json:"floor_breaks_in"`
}

type index struct {
	Value string  `json:"value"`
	Worst float64 `json:"worst"`
}

type rung struct {
	Value    string  `json:"value"`
	Floor    float64 `json:"floor"`
	HasFloor bool    `json:"has_floor"`
}

type veto struct {
	Option string  `json:"option"`
	Value  string  `json:"value"`
	Worst  float64 `json:"worst"`
	Floor  float64 `json:"floor"`
}

// Assess gives the severity of a question. A decision that cannot be read is
// critical: the unsafe side of not knowing.
func Assess(e mesh.Escalation) Severity {
	var d decision
	if err := json.Unmarshal(e.Decision, &d); err != nil || len(d.Assessments) == 0 {
		return Severity{Level: LevelCritical, Rung: -1, Why: "the robot's decision cannot be read"}
	}
	running := find(d.Assessments, e.Running)
	if running == nil {
		running = find(d.Assessments, d.Verdict.Option)
	}
	if running != nil {
		if s, broken := violated(d, running); broken {
			s.Level = LevelCritical
			s.Why = fmt.Sprintf("what runs now (%s) is under the floor of %s: worst %.1f", running.Option, s.Value, s.worst)
			return s.Severity
		}
	}
	return elevated(d)
}

// elevated judges a question whose running option keeps every floor.
func elevated(d decision) Severity {
	none := Severity{Level: LevelNormal, Rung: -1, Why: "every floor is kept"}
	for i := range d.Assessments {
		a := &d.Assessments[i]
		if !a.Inaction {
			continue
		}
		if s, broken := violated(d, a); broken {
			s.Level = LevelHigh
			s.Why = fmt.Sprintf("without an answer %s goes under its floor: worst %.1f", s.Value, s.worst)
			return s.Severity
		}
	}
	winner := find(d.Assessments, d.Verdict.Option)
	switch {
	case winner == nil:
		return none
	case !winner.Recoverable:
		none.Level, none.Why = LevelHigh, fmt.Sprintf("%s cannot be undone", winner.Option)
	case winner.CascadeRisk > 0.8:
		none.Level, none.Why = LevelHigh, fmt.Sprintf("%s breaks a floor in %.0f%% of the forecasts", winner.Option, 100*winner.CascadeRisk)
	}
	return none
}

type violation struct {
	Severity
	worst float64
}

// violated finds the highest value of an option that is under its floor. The
// floors come with the decision; an older record tells them by its vetoes.
func violated(d decision, a *assessment) (violation, bool) {
	for i, x := range a.Indices {
		floor, ok := floorOf(d, x.Value)
		if !ok || !(x.Worst < floor) {
			continue
		}
		by := math.Min(10, math.Max(0, floor-x.Worst))
		return violation{Severity{Value: x.Value, Rung: i, Violation: by}, x.Worst}, true
	}
	return violation{}, false
}

func floorOf(d decision, value string) (float64, bool) {
	for _, r := range d.Ladder {
		if r.Value == value {
			return r.Floor, r.HasFloor
		}
	}
	for _, v := range d.Verdict.Vetoes {
		if v.Value == value {
			return v.Floor, true
		}
	}
	return 0, false
}

func find(list []assessment, option string) *assessment {
	for i := range list {
		a := &list[i]
		if a.Option == option {
			return a
		}
		for _, alias := range a.Aliases {
			if alias == option {
				return a
			}
		}
	}
	return nil
}

// options lists every name that a ruling may say for a question; nil when the
// decision cannot be read.
func options(e mesh.Escalation) []string {
	var d decision
	if json.Unmarshal(e.Decision, &d) != nil {
		return nil
	}
	var names []string
	for _, a := range d.Assessments {
		names = append(append(names, a.Option), a.Aliases...)
	}
	return names
}

// compareSeverity orders the more severe first: level, then the rung of the
// broken value, then how far it is broken.
func compareSeverity(a, b Severity) int {
	return cmp.Or(
		cmp.Compare(level(a.Level), level(b.Level)),
		cmp.Compare(rungOrder(a.Rung), rungOrder(b.Rung)),
		cmp.Compare(b.Violation, a.Violation),
	)
}

func level(l string) int {
	switch l {
	case LevelCritical:
		return 0
	case LevelHigh:
		return 1
	}
	return 2
}

func rungOrder(r int) int {
	if r < 0 {
		return math.MaxInt
	}
	return r
}
