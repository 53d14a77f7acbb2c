package dancer

import "strconv"

// explain says a counterfactual in plain words.
func (c *Counterfactual) explain(s *search, ranged bool) string {
	switch {
	case !c.Read:
		return "nothing that decides reads " + c.Signal
	case !ranged:
		return c.Signal + " has no range to look in"
	case c.Decisions == 0:
		return "there was no time to look into " + c.Signal
	case !s.valid():
		return c.ifValid(s)
	}
	if c.Below == nil && c.Above == nil {
		return "no value of " + c.Signal + " " + c.limits(c.Ranges[0].From, c.Ranges[len(c.Ranges)-1].To) + " would change it" + c.unfinished()
	}
	text := ""
	for _, change := range []*CounterfactualChange{c.Below, c.Above} {
		if change == nil {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += "if " + c.Signal + " were " + c.side(change) + " (it is " + c.quantity(c.Value) + "), " + c.would(s, change.Option, change.Outcome)
		if s.d.Verdict.Outcome == OutcomeUnderFloor && change.Outcome != OutcomeUnderFloor {
			text += ", above every floor"
		}
	}
	return text + c.unfinished()
}

// ifValid says what an invalid signal would have decided.
func (c *Counterfactual) ifValid(s *search) string {
	text := c.Signal + " is " + c.Validity + "; if it were valid"
	if len(c.Ranges) == 1 {
		return text + ", whatever it is, " + c.would(s, c.Ranges[0].Option, c.Ranges[0].Outcome) + c.unfinished()
	}
	for i := range c.Ranges {
		r := &c.Ranges[i]
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		text += separator + c.limits(r.From, r.To) + " " + c.would(s, r.Option, r.Outcome)
	}
	return text + c.unfinished()
}

// side writes how far a verdict beyond the border reaches.
func (c *Counterfactual) side(change *CounterfactualChange) string {
	for i := range c.Ranges {
		r := &c.Ranges[i]
		if change.At < r.From || change.At > r.To {
			continue
		}
		switch {
		case c.Boolean:
		case change == c.Below && i == 0:
			return c.quantity(r.To) + " or less"
		case change == c.Above && i == len(c.Ranges)-1:
			return c.quantity(r.From) + " or more"
		case r.From != r.To:
			return "between " + c.figure(r.From) + " and " + c.quantity(r.To)
		}
	}
	return c.quantity(change.At)
}

func (c *Counterfactual) would(s *search, option, outcome string) string {
	switch {
	case outcome == OutcomeHold && s.d.Baseline != "":
		return "it would not act (" + option + ")"
	case outcome == OutcomeHold:
		return "it would go on as now (" + option + ")"
	case outcome == OutcomeUnderFloor:
		return "every option would be under a floor and " + option + " the least bad"
	}
	return option + " would be chosen"
}

func (c *Counterfactual) limits(from, to float64) string {
	if from == to {
		return "at " + c.quantity(from)
	}
	return "from " + c.figure(from) + " to " + c.quantity(to)
}

func (c *Counterfactual) unfinished() string {
	if c.Cut {
		return " (the search was cut short)"
	}
	return ""
}

// figure prints a value to twelve digits: more are the rounding of a binary
// number, and the values that are tried have fewer.
func (c *Counterfactual) figure(x float64) string {
	if c.Boolean {
		return strconv.FormatBool(x > 0)
	}
	if rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 12, 64), 64); err == nil {
		x = rounded
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func (c *Counterfactual) quantity(x float64) string {
	if c.Unit == "" || c.Boolean {
		return c.figure(x)
	}
	return c.figure(x) + " " + c.Unit
}
