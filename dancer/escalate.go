package dancer

// ShouldEscalate is the one rule of every level of the ladder: is a confidence
// (0-1) too low for the importance of what hangs on it? The experimental branch
// comes first, because behind the others it could never be reached. A confidence
// that is not a number escalates.
func ShouldEscalate(confidence float64, importance Importance) bool {
	if confidence != confidence {
		return true
	}
	if importance == Experimental {
		return confidence < 0.3
	}
	switch {
	case confidence > 0.8:
		return false
	case confidence < 0.4:
		return true
	case importance == Critical && confidence < 0.7:
		return true
	}
	return false
}

// Limits beyond which a verdict asks, whatever its confidence.
const (
	cascadeLimit = 0.8 // share of roll-outs in which a floor breaks
	firstLimit   = 3.0 // index of the first value
)

// escalation fills in whether and why the verdict goes up.
func (l *ladder) escalation(v *Verdict, winner, runner *contender) {
	because := func(reason string) { v.Because = append(v.Because, reason) }
	if v.Outcome == OutcomeUnderFloor {
		because("every option is under a floor: choose the least bad")
	}
	importance, precedent := l.m.importance(winner.a)
	grade := importance.String()
	if l.anyBroken && importance != Critical {
		importance, grade = Critical, "critical (an option breaks a floor)"
	}
	if ShouldEscalate(v.Confidence, importance) {
		because("confidence " + number(v.Confidence) + " is too low for a decision that is " + grade)
	}
	if l.doubtful(v) && importance == Critical {
		because(l.incomparableWords(winner, runner))
	}
	if hopeless := v.Outcome == OutcomeUnderFloor && winner.a.Is(l.fallbackName()); !winner.a.Recoverable && !hopeless {
		because("no way back from " + winner.a.Option + ": from the worst state it reaches, " +
			l.fallbackName() + " does not keep every floor")
	}
	if winner.a.CascadeRisk > cascadeLimit {
		because("cascade risk " + number(winner.a.CascadeRisk) + " of " + winner.a.Option + " is over " + number(cascadeLimit))
	}
	if len(winner.worst) > 0 && winner.worst[0] < firstLimit {
		because(l.m.Values[0].Name + " at " + number(winner.worst[0]) + " is under " + number(firstLimit))
	}
	if precedent {
		because(winner.a.Option + " sets a precedent: it always asks")
	}
	v.Escalate = len(v.Because) > 0
}

// String names the importance as in YAML.
func (i Importance) String() string {
	switch i {
	case Normal:
		return "normal"
	case Critical:
		return "critical"
	case Experimental:
		return "experimental"
	}
	return "unknown"
}
