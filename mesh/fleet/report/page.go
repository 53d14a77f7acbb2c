package report

import (
	"fmt"
	"html"
	"strings"

	"dancer/mesh/fleet"
)

// HTML writes the report as one page that needs no other file and no script: the
// pictures are inline SVG, each with a title, a description and its numbers in a
// table beside it; colours follow the reader's choice of light or dark, and nothing
// is told by colour alone.
func HTML(r *fleet.Report) []byte {
	p := &page{}
	p.put(`<!DOCTYPE html>`)
	p.put(`<html lang="en">`)
	p.put(`<head>`)
	p.put(`<meta charset="utf-8">`)
	p.put(`<meta name="viewport" content="width=device-width, initial-scale=1">`)
	p.put(`<meta name="color-scheme" content="light dark">`)
	p.put(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">`)
	p.put(`<title>Fleet: %s</title>`, html.EscapeString(summary(r)))
	p.put("<style>\n%s</style>", sheet)
	p.put(`</head>`)
	p.put(`<body>`)
	p.put(`<header>`)
	p.put(`<h1>Fleet report</h1>`)
	p.put(`<p>%s</p>`, html.EscapeString(summary(r)))
	p.put(`<p class="muted">%s</p>`, html.EscapeString(r.Conditions))
	p.put(`</header>`)
	p.put(`<main>`)
	p.indicators(r)
	p.operations(r)
	p.arrivals(r)
	p.coverage(r)
	p.breakers(r)
	p.modes(r)
	p.incidents(r)
	p.failures(r)
	p.faults(r)
	p.traffic(r)
	p.put(`</main>`)
	p.put(`</body>`)
	p.put(`</html>`)
	return []byte(p.String())
}

type page struct{ strings.Builder }

// put writes one line. Values that are text are escaped by who gives them.
func (p *page) put(format string, values ...any) {
	fmt.Fprintf(p, format, values...)
	p.WriteByte('\n')
}

// section opens one with its heading; its end is the caller's.
func (p *page) section(id, heading string) {
	p.put(`<section aria-labelledby="%s">`, id)
	p.put(`<h2 id="%s">%s</h2>`, id, html.EscapeString(heading))
}

// table writes one; the first column names the row, the others are numbers where
// right says so. Cells are text.
func (p *page) table(caption string, heads []string, right []bool, rows [][]string) {
	p.put(`<div class="scroll" tabindex="0" role="region" aria-label="%s">`, html.EscapeString(caption))
	p.put(`<table>`)
	p.put(`<caption>%s</caption>`, html.EscapeString(caption))
	p.WriteString(`<thead><tr>`)
	for i, h := range heads {
		fmt.Fprintf(p, `<th scope="col"%s>%s</th>`, class(right[i]), html.EscapeString(h))
	}
	p.put(`</tr></thead>`)
	p.put(`<tbody>`)
	for _, row := range rows {
		p.WriteString(`<tr>`)
		for i, cell := range row {
			if i == 0 {
				fmt.Fprintf(p, `<th scope="row"%s>%s</th>`, class(right[0]), html.EscapeString(cell))
				continue
			}
			fmt.Fprintf(p, `<td%s>%s</td>`, class(right[i]), html.EscapeString(cell))
		}
		p.put(`</tr>`)
	}
	p.put(`</tbody>`)
	p.put(`</table>`)
	p.put(`</div>`)
}

func class(right bool) string {
	if right {
		return ` class="n"`
	}
	return ""
}

func numbers(columns int) []bool {
	right := make([]bool, columns)
	for i := range right {
		right[i] = true
	}
	return right
}

func (p *page) indicators(r *fleet.Report) {
	p.section("indicators", "Indicators")
	p.put(`<p>%s.</p>`, html.EscapeString(verdict(r)))
	var rows [][]string
	for _, k := range r.KPIs {
		rows = append(rows, []string{title(k), measured(k), target(k), state(k), number(k.Samples), k.Meaning})
	}
	p.table("Success metrics of the specification, each beside its target",
		[]string{"indicator", "measured", "target", "result", "of", "what was measured"},
		[]bool{false, true, true, false, true, false}, rows)
	p.put(`</section>`)
}

func (p *page) operations(r *fleet.Report) {
	p.section("coordinations", "Coordinations")
	var rows [][]string
	for _, o := range r.Operations {
		p95 := ms(o.P95)
		if o.P95 == 0 {
			p95 = "never"
		}
		rows = append(rows, []string{
			fmt.Sprint(o.Number), count(o.Members), count(o.Ready), count(o.InTime), count(o.Late), count(o.Skipped), count(o.Conflicts), count(o.Acted),
			ms(o.T - o.Begun), p95, ms(o.Slowest), o.Decision,
		})
	}
	right := numbers(12)
	right[11] = false
	p.table("Each coordination of the whole fleet; times in ms after its beginning",
		[]string{"no.", "members", "ready", "in time", "late", "skipped", "conflicts", "acted", "T", "95% ready", "slowest path", "decision"}, right, rows)
	p.put(`<p>%d acts, %d of them before T by the true clock. After T: median %.3f ms, 99%% within %.3f ms, longest %.3f ms.</p>`,
		r.Acts.Count, r.Acts.Early, float64(r.Acts.P50), float64(r.Acts.P99), float64(r.Acts.Max))
	p.put(`</section>`)
}

// figure is a picture with its table beside it.
func (p *page) figure(picture, caption string, heads []string, right []bool, rows [][]string) {
	p.put(`<div class="figure">`)
	p.WriteString(picture)
	p.table(caption, heads, right, rows)
	p.put(`</div>`)
}

func (p *page) arrivals(r *fleet.Report) {
	p.section("arrivals", "Arrivals")
	if len(r.Arrivals) == 0 {
		p.put(`<p>No agent became READY.</p>`)
	} else {
		var rows [][]string
		for _, b := range r.Arrivals {
			rows = append(rows, []string{binName(b), number(b.Count)})
		}
		p.figure(arrivalPicture(r), "Agents by when they became READY, in ms from T (negative: before it)", []string{"ms from T", "agents"}, numbers(2), rows)
	}
	p.put(`</section>`)
}

func (p *page) coverage(r *fleet.Report) {
	p.section("coverage", "Coverage over time")
	if len(r.Coverage) == 0 {
		p.put(`<p>No agent became READY.</p>`)
	} else {
		var rows [][]string
		for _, c := range r.Coverage {
			rows = append(rows, []string{ms(c.After), amount(c.Share, "share")})
		}
		p.figure(coveragePicture(r), "Share of the members that were READY, all coordinations together", []string{"ms after the beginning", "READY"}, numbers(2), rows)
	}
	p.put(`</section>`)
}

func (p *page) breakers(r *fleet.Report) {
	p.section("breakers", "Breakers")
	if len(r.Breakers) == 0 {
		p.put(`<p>All closed, all the time.</p>`)
	} else {
		var rows [][]string
		for _, b := range spans(r) {
			rows = append(rows, []string{span(b.At), count(b.Cluster), count(b.Sector), count(b.Global)})
		}
		p.figure(breakerPicture(r), "Breakers that were open or half open, from each time on", []string{"from", "clusters", "sectors", "global"}, numbers(4), rows)
	}
	p.put(`</section>`)
}

func (p *page) modes(r *fleet.Report) {
	p.section("modes", "Modes")
	if len(r.Modes) == 0 {
		p.put(`<p>The mesh did not say in which mode it was.</p>`)
	} else {
		var rows [][]string
		for _, m := range firstModes(r) {
			rows = append(rows, []string{span(m.At), m.Mode})
		}
		p.figure(modePicture(r), "Mode of the mesh, from each time on", []string{"from", "mode"}, []bool{true, false}, rows)
		p.more(len(r.Modes))
	}
	p.put(`</section>`)
}

// more says what a list leaves out.
func (p *page) more(all int) {
	if all > listed {
		p.put(`<p>And %d more; the JSON has all.</p>`, all-listed)
	}
}

func (p *page) incidents(r *fleet.Report) {
	p.section("incidents", "Incidents")
	if len(r.Incidents) == 0 {
		p.put(`<p>None.</p>`)
	} else {
		var rows [][]string
		for _, i := range r.Incidents[:min(len(r.Incidents), listed)] {
			rows = append(rows, []string{span(i.From), i.Scope, count(i.Index), incidentEnd(i)})
		}
		p.table("Failures that the mesh found, and when they were over", []string{"found at", "scope", "number", "end"}, []bool{true, false, true, false}, rows)
		p.more(len(r.Incidents))
	}
	p.put(`</section>`)
}

func (p *page) failures(r *fleet.Report) {
	p.section("failures", "Failures and conflicts")
	rows := make([][]string, 0, len(r.Failures)+len(r.Conflicts.Types))
	for _, f := range r.Failures {
		rows = append(rows, []string{f.Class, number(f.Count)})
	}
	for _, c := range r.Conflicts.Types {
		rows = append(rows, []string{"conflict: " + c.Type, number(c.Count)})
	}
	if len(rows) == 0 {
		p.put(`<p>None were found.</p>`)
	} else {
		p.table("Failures that the mesh found by class, and conflicts that were reported by type", []string{"what", "how many"}, []bool{false, true}, rows)
		p.put(`<p>Of the conflicts %d were logged, %d told to a sector's coordinator, %d to the orchestrator.</p>`,
			r.Conflicts.Logged, r.Conflicts.Sectors, r.Conflicts.Orchestrator)
	}
	p.put(`</section>`)
}

func (p *page) faults(r *fleet.Report) {
	p.section("faults", "Faults")
	if len(r.Faults) == 0 {
		p.put(`<p>None were made.</p>`)
	} else {
		p.put(`<pre tabindex="0">%s</pre>`, html.EscapeString(strings.Join(r.Faults[:min(len(r.Faults), listed)], "\n")))
		p.more(len(r.Faults))
	}
	p.put(`</section>`)
}

func (p *page) traffic(r *fleet.Report) {
	p.section("messages", "Messages")
	var rows [][]string
	for _, row := range trafficRows(r) {
		rows = append(rows, []string{row.name, number(row.count)})
	}
	p.table("What became of the messages", []string{"what", "how many"}, []bool{false, true}, rows)
	p.put(`</section>`)
}
