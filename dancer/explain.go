package dancer

import (
	"strconv"
	"time"
)

// Explain says in plain words what was decided, why, on what input, and what was
// forecast for every option: one line a fact, for a safety engineer who was not
// there.
func (d Decision) Explain() []string {
	lines := []string{"decision " + orDash(d.ID) + " of " + orDash(d.Robot) + " at " + d.moment() +
		" by tier " + strconv.Itoa(d.Tier) + ": " + d.outcomeWords() + ", option " + d.Verdict.Option}
	lines = append(lines, d.runningLine())
	for _, why := range d.Verdict.Why {
		lines = append(lines, "why: "+why)
	}
	lines = append(lines, "confidence: "+number(d.Verdict.Confidence)+d.decidedBy())
	lines = append(lines, d.confidenceLines()...)
	for i := range d.Assessments {
		lines = append(lines, d.Assessments[i].explain(d.Baseline))
	}
	lines = append(lines, d.wideningLines()...)
	for i := range d.Signals {
		lines = append(lines, d.Signals[i].explain())
	}
	for _, o := range d.Outputs {
		lines = append(lines, "output before: "+o.Name+" = "+number(o.Value))
	}
	again := "to repeat it: manual " + orDash(d.ManualHash) + ", seed " + strconv.FormatUint(d.Seed, 10) +
		", " + strconv.Itoa(d.Budget) + " roll-outs per option"
	if d.Completed > 0 {
		again += ", cut short after " + strconv.Itoa(d.Completed)
	}
	return append(lines, again)
}

// moment is the time for people, and the robot's own, which the record goes by.
func (d *Decision) moment() string {
	if d.At.IsZero() {
		return seconds(d.Monotonic)
	}
	return d.At.UTC().Format("2006-01-02 15:04:05.000 UTC") + " (" + seconds(d.Monotonic) + " on its clock)"
}

func (d *Decision) runningLine() string {
	switch d.Who {
	case WhoCommand:
		return "running: " + d.Running + ", as the verdict says"
	case WhoHold:
		return "running: " + d.Running + ", the hold, while question " + orDash(d.Question) + " is not answered with a yes"
	case WhoRuling:
		return "running: " + d.Running + ", as ruled on question " + orDash(d.Question)
	case WhoTimeout:
		return "running: " + d.Running + ", because question " + orDash(d.Question) + " was not answered in time"
	}
	return "running: nothing was commanded by this decision"
}

func (d *Decision) decidedBy() string {
	v := &d.Verdict
	text := "; decided by " + v.DecidedBy
	if v.RunnerUp != "" {
		text += " against " + v.RunnerUp
	}
	if v.Margin != 0 {
		text += ", margin " + number(v.Margin)
	}
	return text
}

// confidenceLines says what the confidence is made of.
func (d *Decision) confidenceLines() []string {
	p := d.Verdict.Parts
	if p == nil {
		return nil
	}
	line := "confidence is the share of paired roll-outs in which the winner is not worse (" + number(p.Separation) +
		") times the freshness of the signals (" + number(p.Freshness) + "): " + number(p.Score)
	if n := d.Calibration.Outcomes(); n > 0 {
		line += ", and " + number(p.Calibrated) + " as " + strconv.Itoa(n) + " outcomes bear it out"
	}
	return []string{line}
}

// wideningLines says where the forecast allowed for more than the manual says.
func (d *Decision) wideningLines() []string {
	if d.Widening == nil {
		return nil
	}
	var lines []string
	for _, r := range d.Widening.Ranges {
		lines = append(lines, "disturbance of "+r.Signal+": "+short(r.Minimum)+" to "+short(r.Maximum)+
			" a step, wider than in the manual, because the model was that far off")
	}
	return lines
}

// short prints a figure of any size for people: three digits.
func short(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }

func (a *Assessment) explain(baseline string) string {
	text := "option " + a.Option
	switch {
	case a.Inaction && baseline != "":
		text += " (not acting)"
	case a.Inaction:
		text += " (going on as now)"
	}
	text += ":"
	for i, x := range a.Indices {
		if i > 0 {
			text += ","
		}
		text += " " + x.Value + " at worst " + number(x.Worst) + " expected " + number(x.Expected)
		if x.Unknown {
			text += " (unknown)"
		}
		if x.Repair > 0 {
			text += " (" + number(x.Repair) + " of it undoes what was found: not counted)"
		}
	}
	text += "; cascade risk " + number(a.CascadeRisk)
	if a.FloorBreaksIn > 0 {
		text += ", a floor breaks in " + a.FloorBreaksIn.String()
	}
	if !a.Recoverable {
		text += ", no way back"
	}
	return text + "; disruption " + number(a.Disruption) + ", reversibility " + number(a.Reversibility) +
		", " + strconv.Itoa(a.Rollouts) + " roll-outs"
}

func (s *SignalSnapshot) explain() string {
	if s.Validity != "valid" {
		return "signal " + s.Name + ": " + s.Validity + ", not used"
	}
	value := number(s.Value)
	if s.Unit != "" {
		value += " " + s.Unit
	}
	return "signal " + s.Name + " = " + value + ", " + s.Age.Round(time.Millisecond).String() + " old"
}

func (d *Decision) outcomeWords() string {
	switch {
	case d.Verdict.Outcome == OutcomeAct:
		return "act"
	case d.Verdict.Outcome == OutcomeHold && d.Baseline != "":
		return "do not act"
	case d.Verdict.Outcome == OutcomeHold:
		return "go on as now"
	case d.Verdict.Outcome == OutcomeUnderFloor:
		return "under the floor"
	}
	return orDash(d.Verdict.Outcome)
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
