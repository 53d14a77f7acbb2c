package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"dancer/mesh/fleet"
)

// columns is the width of the text.
const columns = 80

// Text writes the report for a terminal of 80 columns, in ASCII.
func Text(r *fleet.Report) []byte {
	t := &text{}
	t.line("FLEET  %s", summary(r))
	t.line("%s", wrap(r.Conditions, columns, "       "))
	t.line("")
	t.indicators(r)
	t.operations(r)
	t.arrivals(r)
	t.coverage(r)
	t.breakers(r)
	t.modes(r)
	t.incidents(r)
	t.failures(r)
	t.conflicts(r)
	t.faults(r)
	t.traffic(r)
	return []byte(t.String())
}

type text struct{ strings.Builder }

func (t *text) line(format string, values ...any) {
	t.WriteString(strings.TrimRight(fmt.Sprintf(format, values...), " "))
	t.WriteByte('\n')
}

func (t *text) heading(words string) {
	t.WriteByte('\n')
	t.line("%s", words)
}

func (t *text) indicators(r *fleet.Report) {
	t.line("%-27s %12s %13s %10s  %s", "INDICATOR", "measured", "target", "of", "")
	for _, k := range r.KPIs {
		t.line("%-27s %12s %13s %10d  %s", title(k), measured(k), target(k), k.Samples, shortState(k))
	}
	t.line("%s", verdict(r))
}

// shortState leaves room for the columns before it.
func shortState(k fleet.KPI) string {
	if !k.Measured {
		return "nothing"
	}
	return state(k)
}

func (t *text) operations(r *fleet.Report) {
	t.heading("COORDINATIONS (ms after their beginning; READY of members; acts at T)")
	if len(r.Operations) == 0 {
		t.line("none")
		return
	}
	t.line("%3s %7s %7s %7s %7s %7s %6s %6s %5s %6s  %s", "", "members", "ready", "acted", "T", "p95", "path", "late", "skip", "confl.", "decision")
	for _, o := range r.Operations {
		p95 := ms(o.P95)
		if o.P95 == 0 {
			p95 = "never"
		}
		t.line("%3d %7d %7d %7d %7s %7s %6s %6d %5d %6d  %s", o.Number, o.Members, o.Ready, o.Acted, ms(o.T-o.Begun), p95, ms(o.Slowest), o.Late, o.Skipped, o.Conflicts, decision(o))
	}
	t.line("acts: %d, %d of them before T by the true clock; after T: median %.3f ms,", r.Acts.Count, r.Acts.Early, float64(r.Acts.P50))
	t.line("      99%% within %.3f ms, longest %.3f ms", float64(r.Acts.P99), float64(r.Acts.Max))
}

// decision in one word.
func decision(o fleet.OperationReport) string {
	if o.Decision == "RESOLVE_CONFLICTS" {
		return "RESOLVE"
	}
	return o.Decision
}

// bar draws a share of so many characters.
func bar(part, whole float64, width int) string {
	if whole <= 0 || part <= 0 {
		return ""
	}
	n := int(float64(part/whole*float64(width)) + 0.5)
	if n == 0 {
		return "." // some, too few to draw
	}
	return strings.Repeat("#", min(n, width))
}

func (t *text) arrivals(r *fleet.Report) {
	if len(r.Arrivals) == 0 {
		return
	}
	t.heading("ARRIVALS (READY, in ms from T)")
	var most uint64
	for _, b := range r.Arrivals {
		most = max(most, b.Count)
	}
	for _, b := range r.Arrivals {
		t.line("%16s %9d %s", binName(b), b.Count, bar(float64(b.Count), float64(most), 50))
	}
}

func (t *text) coverage(r *fleet.Report) {
	if len(r.Coverage) == 0 {
		return
	}
	t.heading("COVERAGE (share of members READY, ms after the beginning)")
	for i, p := range r.Coverage {
		if i%2 == 0 {
			t.line("%16s %8.2f%% %s", ms(p.After), float64(100*p.Share), bar(p.Share, 1, 50))
		}
	}
}

func (t *text) breakers(r *fleet.Report) {
	t.heading("BREAKERS (open or half open)")
	if len(r.Breakers) == 0 {
		t.line("all closed, all the time")
		return
	}
	t.line("%16s %9s %9s %9s", "from", "clusters", "sectors", "global")
	for _, p := range spans(r) {
		t.line("%16s %9d %9d %9d", span(p.At), p.Cluster, p.Sector, p.Global)
	}
}

func (t *text) modes(r *fleet.Report) {
	t.heading("MODES")
	if len(r.Modes) == 0 {
		t.line("the mesh did not say")
	}
	for _, m := range firstModes(r) {
		t.line("%16s  %s", span(m.At), m.Mode)
	}
	if more := len(r.Modes) - len(firstModes(r)); more > 0 {
		t.line("%16s  and %d changes more", "", more)
	}
}

// listed is how many modes, incidents and faults are listed; the JSON has all.
const listed = 40

func firstModes(r *fleet.Report) []fleet.ModePoint { return r.Modes[:min(len(r.Modes), listed)] }

func (t *text) incidents(r *fleet.Report) {
	t.heading("INCIDENTS")
	if len(r.Incidents) == 0 {
		t.line("none")
		return
	}
	for _, i := range r.Incidents[:min(len(r.Incidents), listed)] {
		t.line("%16s  %-7s %6d  %s", span(i.From), i.Scope, i.Index, incidentEnd(i))
	}
	if more := len(r.Incidents) - listed; more > 0 {
		t.line("%16s  and %d more", "", more)
	}
}

func (t *text) failures(r *fleet.Report) {
	t.heading("FAILURES (found, by class)")
	if len(r.Failures) == 0 {
		t.line("none")
	}
	for _, f := range r.Failures {
		t.line("%12d  %s", f.Count, f.Class)
	}
}

func (t *text) conflicts(r *fleet.Report) {
	t.heading("CONFLICTS (reported, by type)")
	if len(r.Conflicts.Types) == 0 {
		t.line("none")
		return
	}
	for _, c := range r.Conflicts.Types {
		t.line("%12d  %s", c.Count, c.Type)
	}
	t.line("%12d  logged", r.Conflicts.Logged)
	t.line("%12d  told to a sector's coordinator, %d to the orchestrator", r.Conflicts.Sectors, r.Conflicts.Orchestrator)
}

func incidentEnd(i fleet.IncidentReport) string {
	if i.Restored {
		return "restored after " + span(i.Took)
	}
	return "not restored, " + span(i.Took) + " until the end"
}

func (t *text) faults(r *fleet.Report) {
	t.heading("FAULTS")
	if len(r.Faults) == 0 {
		t.line("none")
		return
	}
	for _, f := range r.Faults[:min(len(r.Faults), listed)] {
		t.line("%s", clip("  "+f))
	}
	if more := len(r.Faults) - listed; more > 0 {
		t.line("  and %d more", more)
	}
}

// clip keeps a line within the columns.
func clip(line string) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return line[:columns-3] + "..."
}

func (t *text) traffic(r *fleet.Report) {
	t.heading("MESSAGES")
	for _, row := range trafficRows(r) {
		t.line("%16s %12d", row.name, row.count)
	}
}

type trafficRow struct {
	name  string
	count uint64
}

func trafficRows(r *fleet.Report) []trafficRow {
	m := r.Traffic
	return []trafficRow{
		{"sent", m.Sent}, {"delivered", m.Delivered}, {"lost", m.Lost}, {"damaged", m.Damaged}, {"cut off", m.Cut},
		{"came twice", m.Duplicated}, {"held up", m.Reordered}, {"radio asleep", m.Asleep}, {"receiver down", m.Dead},
		{"forged", m.Forged}, {"events", r.Events.Events},
	}
}
