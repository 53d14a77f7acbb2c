package operator

import (
	"fmt"
	"strings"
)

// Progress is a line that says how far an operation is.
func (o *Operation) Progress() string {
	switch {
	case o.Broadcast != nil:
		return o.Broadcast.progress()
	case o.Ask != nil:
		return fmt.Sprintf("%s of %s answered", number(o.Ask.Answered), number(o.Ask.Asked))
	case o.Delegation != nil:
		return "waiting for " + plain(last(o.Delegation.Asked))
	case o.Freeze != nil:
		return fmt.Sprintf("%s of %s confirmed", number(o.Freeze.Confirmed), number(o.Freeze.Agents))
	}
	return string(o.State)
}

func last(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return list[len(list)-1]
}

func (b *BroadcastResult) progress() string {
	for i := range b.Phases {
		if p := &b.Phases[i]; p.Open {
			return fmt.Sprintf("%s: %s of %s READY, %s in CONFLICT", p.label(), number(int(p.Counts.Ready)), number(int(p.Counts.Total)), number(int(p.Counts.Conflict)))
		}
	}
	if b.Verdict != "" {
		return b.Verdict + ", waiting for T"
	}
	return "begins"
}

func (p *PhaseResult) label() string {
	label := p.Tier + "s"
	if p.Classes != "" {
		label += " of class " + p.Classes
	}
	return label
}

// Succeeded says whether what was ordered has come about.
func (o *Operation) Succeeded() bool { return o.State == Done }

// Report is what came of an operation, in lines.
func (o *Operation) Report(paint Painter) (lines []string) {
	switch {
	case o.Broadcast != nil:
		lines = o.Broadcast.report(paint)
	case o.Ask != nil:
		lines = o.Ask.report(paint)
	case o.Delegation != nil:
		lines = o.Delegation.report()
	case o.Heal != nil:
		lines = o.Heal.report(o.Scope)
	case o.Freeze != nil:
		lines = o.Freeze.report(o, paint)
	}
	if o.State == Failed || o.State == Cancelled || o.Why != "" {
		lines = append(lines, o.ending(paint))
	}
	return lines
}

// ending is why it ended.
func (o *Operation) ending(paint Painter) string {
	text, tone := o.Why, Plain
	switch {
	case o.State == Failed:
		text, tone = "failed: "+o.Why, Bad
	case o.State == Cancelled:
		text, tone = strings.TrimSuffix("cancelled: "+o.Why, ": "), Warning
	}
	if o.Hint != "" {
		text += " (" + o.Hint + ")"
	}
	return paint.paint(tone, plain(text))
}

func (b *BroadcastResult) report(paint Painter) (lines []string) {
	for i := range b.Phases {
		p := &b.Phases[i]
		line := fmt.Sprintf("%-24s %s of %s READY, %s in CONFLICT, %s not heard", p.label(), number(int(p.Counts.Ready)), number(int(p.Counts.Total)), number(int(p.Counts.Conflict)), number(int(p.Counts.Transit)))
		if p.Counts.Absent > 0 {
			line += fmt.Sprintf(" (%s of them not asked)", number(int(p.Counts.Absent)))
		}
		if p.Verdict == "" && !p.Open && p.Counts == (Share{}) {
			line = fmt.Sprintf("%-24s not asked", p.label())
		} else if p.Verdict != "" {
			line += ": " + p.Verdict
		}
		lines = append(lines, plain(line))
	}
	if b.Verdict == "PROCEED" || b.Verdict == "DEGRADED" {
		tone := Good
		if b.Verdict == "DEGRADED" {
			tone = Warning
		}
		lines = append(lines, paint.paint(tone, plain(fmt.Sprintf("%s: %s of %s READY; decided after %s, %s before T",
			b.Verdict, number(int(b.Counts.Ready)), number(int(b.Counts.Total)), millis(b.DecidedMS), millis(max(b.TargetMS-b.DecidedMS, 0))))))
	}
	if a := b.Acted; a != nil && a.Agents > 0 {
		lines = append(lines, plain(fmt.Sprintf("%s acted, the last one %s after T by its own clock (clocks are within %s)", number(a.Agents), millis(a.LatestMS), millis(a.BoundMS))))
	}
	return lines
}

func (r *AskResult) report(paint Painter) (lines []string) {
	lines = append(lines, fmt.Sprintf("%s asked, %s answered, %s silent", number(r.Asked), number(r.Answered), number(r.Silent)))
	if r.Answered > 0 {
		lines[0] = plain(lines[0] + fmt.Sprintf("; p50 %s, p95 %s", millis(r.P50MS), millis(r.P95MS)))
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		word, tone := "agents", Plain
		if g.Agents == 1 {
			word = "agent"
		}
		answer := g.Answer
		if g.Conflict {
			answer, tone = "CONFLICT: "+answer, Warning
		}
		names := strings.Join(g.Named[:min(len(g.Named), 3)], ", ")
		if g.Agents > 3 {
			names += ", ..."
		}
		lines = append(lines, paint.paint(tone, plain(fmt.Sprintf("  %s %s: %s  (%s)", pad(number(g.Agents), 5), word, answer, names))))
	}
	return lines
}

func (r *DelegationResult) report() []string {
	if r.Agent == "" {
		return []string{plain("asked " + strings.Join(r.Asked, ", "))}
	}
	line := fmt.Sprintf("%s (class %s, score %d) has it done after %s", r.Agent, r.Class, r.Score, millis(r.TookMS))
	if r.Conflict {
		line = fmt.Sprintf("%s (class %s, score %d) answered after %s", r.Agent, r.Class, r.Score, millis(r.TookMS))
	}
	if r.Answer != "" {
		line += ": " + r.Answer
	}
	return []string{plain(line)}
}

func (r *HealResult) report(scope string) (lines []string) {
	for i := range r.Actions {
		a := &r.Actions[i]
		lines = append(lines, plain(fmt.Sprintf("%-12s %-14s %s", a.What, a.Place, a.Note)))
	}
	if r.Left > 0 {
		lines = append(lines, fmt.Sprintf("and %s more", number(r.Left)))
	}
	if r.UnledAll > 0 {
		lines = append(lines, plain(fmt.Sprintf("%s led by nobody, and left alone: %s", number(r.UnledAll), strings.Join(r.Unled, ", "))))
	}
	if len(r.Actions) > 0 {
		lines = append(lines, plain("dancer status shows how "+scope+" recovers"))
	}
	return lines
}

func (r *FreezeResult) report(o *Operation, paint Painter) []string {
	word, tone := "FROZEN", Bad
	if o.Kind == Thaw {
		word, tone = "THAWED", Good
	}
	lines := []string{paint.paint(tone, plain(fmt.Sprintf("%s %s: %s of %s agents have confirmed", word, o.Scope, number(r.Confirmed), number(r.Agents))))}
	switch {
	case o.Kind == Freeze:
		lines = append(lines, plain("to resume: dancer thaw"+scopeFlag(o.Scope)))
	case len(r.Frozen) > 0:
		lines = append(lines, plain("still frozen by itself: "+strings.Join(r.Frozen[:min(len(r.Frozen), maxNamed)], ", ")))
	}
	return lines
}

func scopeFlag(scope string) string {
	if scope == "all" {
		return ""
	}
	return " " + scope
}
