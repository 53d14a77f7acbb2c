package dancer

// why says the verdict in plain words, one reason a line.
func (l *ladder) why(v *Verdict, winner, runner *contender) []string {
	lines := []string{l.headline(v, winner)}
	lines = append(lines, l.unknowns()...)
	for _, veto := range v.Vetoes {
		lines = append(lines, l.vetoLine(&veto))
	}
	if runner != nil {
		lines = append(lines, l.rivalLine(v, winner, runner))
	}
	if l.doubtful(v) {
		lines = append(lines, l.incomparableWords(winner, runner)+"; the ladder takes "+winner.a.Option)
	}
	for _, reason := range v.Because {
		lines = append(lines, "asks a conductor or a human: "+reason)
	}
	return lines
}

func (l *ladder) headline(v *Verdict, winner *contender) string {
	name := winner.a.Option
	switch v.Outcome {
	case OutcomeUnderFloor:
		if v.DecidedBy == decidedByFallback {
			return name + " is chosen: every option is under a floor and an index is unknown, so the fallback is chosen"
		}
		return name + " is chosen: every option is under a floor and it violates them least"
	case OutcomeHold:
		return l.inactionWords() + " (" + name + "): " + l.against(false)
	}
	return name + " is chosen: " + l.against(true)
}

// against compares acting with not acting, the question that people ask first.
func (l *ladder) against(act bool) string {
	inactionBroken, othersBroken := false, len(l.all) > 1
	for _, c := range l.all {
		if c.a.Inaction {
			inactionBroken = l.breaks(c)
			continue
		}
		othersBroken = othersBroken && l.breaks(c)
	}
	switch {
	case act && inactionBroken:
		return l.inactingWords() + " would break a floor, and it does not"
	case !act && othersBroken:
		return "every other option would break a floor"
	case act:
		return "it is above every floor and better than " + l.inactingWords()
	}
	return "it is above every floor and nothing else is better"
}

// inactionWords and inactingWords name the baseline: to let the outputs go on, or
// what the manual names instead.
func (l *ladder) inactionWords() string {
	if l.m.Action(l.m.Baseline) >= 0 {
		return "do not act"
	}
	return "go on as now"
}

func (l *ladder) inactingWords() string {
	if l.m.Action(l.m.Baseline) >= 0 {
		return "not acting"
	}
	return "going on as now"
}

func (l *ladder) breaks(c *contender) bool {
	for i := range l.m.Values {
		if l.m.Values[i].HasFloor && c.worst[i] < l.m.Values[i].Floor {
			return true
		}
	}
	return false
}

func (l *ladder) unknowns() []string {
	var lines []string
	for i := range l.m.Values {
		if unknown(l.all, i) == len(l.all) {
			lines = append(lines, l.m.Values[i].Name+" cannot be known: it reads a signal that is not valid, so its index counts as 0")
		}
	}
	return lines
}

func (l *ladder) vetoLine(veto *Veto) string {
	line := veto.Option + " is out: " + veto.Value + " could fall to " + number(veto.Worst)
	if veto.Worst < veto.Floor {
		line += ", under its floor " + number(veto.Floor)
	}
	for _, c := range l.all {
		if c.a.Option == veto.Option && c.a.FloorBreaksIn > 0 {
			line += " (a floor breaks within " + c.a.FloorBreaksIn.String() + ")"
		}
	}
	return line
}

func (l *ladder) rivalLine(v *Verdict, winner, runner *contender) string {
	line := winner.a.Option + " rather than " + runner.a.Option + ": "
	for i := range l.m.Values {
		switch v.DecidedBy {
		case l.m.Values[i].Name:
			return line + v.DecidedBy + " is at worst " + number(winner.worst[i]) + " against " + number(runner.worst[i]) + l.enoughNote(i)
		case "expected " + l.m.Values[i].Name:
			return line + "as good at worst, and " + l.m.Values[i].Name + " is expected at " +
				number(winner.expected[i]) + " against " + number(runner.expected[i])
		}
	}
	switch v.DecidedBy {
	case decidedByFallback:
		return line + "it is the fallback"
	case "disruption":
		return line + "tied on every value, and it disrupts less"
	case "reversibility":
		return line + "tied on every value, and it can better be undone"
	case "output changes":
		return line + "tied on every value, and it changes fewer outputs"
	}
	return line + "tied on everything; the name decides"
}

func (l *ladder) enoughNote(value int) string {
	v := &l.m.Values[value]
	if !v.HasFloor {
		return ""
	}
	return " (" + number(v.Enough) + " is enough)"
}
