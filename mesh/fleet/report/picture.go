package report

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"dancer/mesh/breaker"
	"dancer/mesh/fleet"
)

// The size of the pictures and the place of their axes, in units of the view box.
const (
	width, height = 560, 260
	left, right   = 76, 532
	top, bottom   = 16, 216
)

// picture is one SVG. x and y run from 0 to 1, along and up.
type picture struct{ strings.Builder }

func newPicture(id, title, description string) *picture {
	p := &picture{}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="%s-title %s-text">`+"\n", width, height, id, id)
	fmt.Fprintf(p, `<title id="%s-title">%s</title>`+"\n", id, html.EscapeString(title))
	fmt.Fprintf(p, `<desc id="%s-text">%s</desc>`+"\n", id, html.EscapeString(description))
	return p
}

func (p *picture) end() string {
	p.WriteString("</svg>\n")
	return p.String()
}

// coordinate writes one to a tenth.
func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

func along(x float64) float64 { return left + float64(x*(right-left)) }
func up(y float64) float64    { return bottom - float64(y*(bottom-top)) }

// axes draws lines and labels: so many steps up, and labels along.
func (p *picture) axes(upLabels []string, alongLabels []string, unit string) {
	for i, label := range upLabels {
		y := up(float64(i) / float64(max(1, len(upLabels)-1)))
		p.line("axis", left, y, right, y)
		p.text(left-6, y+4, "end", label)
	}
	for i, label := range alongLabels {
		p.text(along(float64(i)/float64(max(1, len(alongLabels)-1))), bottom+16, "middle", label)
	}
	p.text((left+right)/2, bottom+34, "middle", unit)
}

func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(p, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2))
}

func (p *picture) text(x, y float64, anchor, text string) {
	fmt.Fprintf(p, `<text x="%s" y="%s" text-anchor="%s">%s</text>`+"\n", coordinate(x), coordinate(y), anchor, html.EscapeString(text))
}

// path draws points that are already in the picture's units.
func (p *picture) path(class, dash string, points [][2]float64) {
	list := make([]string, len(points))
	for i, at := range points {
		list[i] = coordinate(at[0]) + "," + coordinate(at[1])
	}
	if dash != "" {
		dash = ` stroke-dasharray="` + dash + `"`
	}
	fmt.Fprintf(p, `<polyline class="%s" fill="none" stroke-width="2"%s points="%s"/>`+"\n", class, dash, strings.Join(list, " "))
}

// legend names a line, the i-th, under the picture.
func (p *picture) legend(i int, class, dash, name string) {
	x := float64(left + 150*i)
	p.path(class, dash, [][2]float64{{x, height - 8}, {x + 24, height - 8}})
	p.text(x+30, height-4, "start", name)
}

// counts gives labels from 0 to most, few of them, all whole numbers.
func counts(most uint64) (labels []string, scale float64) {
	steps := min(max(most, 1), 4)
	each := (max(most, 1) + steps - 1) / steps
	for i := range steps + 1 {
		labels = append(labels, strconv.FormatUint(i*each, 10))
	}
	return labels, float64(each * steps)
}

// timeLabels are five times from 0 to the run's end.
func timeLabels(end fleet.Millis) (labels []string) {
	for i := range 5 {
		labels = append(labels, span(end*fleet.Millis(i)/4))
	}
	return labels
}

func arrivalPicture(r *fleet.Report) string {
	var most, all, late uint64
	for _, b := range r.Arrivals {
		most, all = max(most, b.Count), all+b.Count
		if isLate(b) {
			late += b.Count
		}
	}
	p := newPicture("arrival", "When agents became READY",
		fmt.Sprintf("A histogram of %d arrivals around T: %d by T, left of the line, and %d after it.", all, all-late, late))
	labels, scale := counts(most)
	bars := float64(len(r.Arrivals))
	p.axes(labels, nil, "ms from T")
	for i, b := range r.Arrivals {
		kind := "bar"
		if isLate(b) {
			kind = "late"
		}
		x, h := along(float64(i)/bars), float64(b.Count)/scale
		if b.Count > 0 {
			h = max(h, 0.005) // one arrival can be seen
		}
		fmt.Fprintf(p, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`+"\n", kind,
			coordinate(x+0.5), coordinate(up(h)), coordinate(max(1, (right-left)/bars-1)), coordinate(bottom-up(h)))
		if b.Open {
			continue
		}
		if b.From == 0 {
			p.line("target", x, top, x, bottom)
		}
		if step := max(1, len(r.Arrivals)/6); i%step == 0 {
			p.text(x, bottom+16, "middle", ms(b.From))
		}
	}
	return p.end()
}

func isLate(b fleet.ArrivalBin) bool { return b.From >= 0 }

func coveragePicture(r *fleet.Report) string {
	last := r.Coverage[len(r.Coverage)-1]
	p := newPicture("coverage-picture", "Coverage over time",
		fmt.Sprintf("The share of members that was READY rises to %s, %s ms after the beginning. A line marks 95%%.", amount(last.Share, "share"), ms(last.After)))
	var labels []string
	for i := range 5 {
		labels = append(labels, ms(last.After*fleet.Millis(i)/4))
	}
	p.axes([]string{"0%", "25%", "50%", "75%", "100%"}, labels, "ms after the beginning")
	p.line("target", left, up(0.95), right, up(0.95))
	var points [][2]float64
	for _, c := range r.Coverage {
		points = append(points, [2]float64{along(float64(c.After / last.After)), up(c.Share)})
	}
	p.path("one", "", points)
	return p.end()
}

func breakerPicture(r *fleet.Report) string {
	var most, cluster, sector, global int32
	for _, b := range r.Breakers {
		cluster, sector, global = max(cluster, b.Cluster), max(sector, b.Sector), max(global, b.Global)
	}
	most = max(cluster, sector, global)
	p := newPicture("breaker-picture", "Breakers over time",
		fmt.Sprintf("At most %s, %s and %s were open or half open at a time.", plural(int(cluster), "cluster breaker"), plural(int(sector), "sector breaker"), plural(int(global), "global breaker")))
	labels, scale := counts(uint64(most))
	p.axes(labels, timeLabels(r.Duration), "")
	steps := func(of func(fleet.BreakerPoint) int32) [][2]float64 {
		points := [][2]float64{{left, bottom}}
		y := float64(bottom)
		for _, b := range spans(r) {
			x := along(min(1, float64(b.At/r.Duration)))
			points = append(points, [2]float64{x, y})
			y = up(float64(of(b)) / scale)
			points = append(points, [2]float64{x, y})
		}
		return append(points, [2]float64{right, y})
	}
	p.path("one", "", steps(func(b fleet.BreakerPoint) int32 { return b.Cluster }))
	p.path("two", "7 3", steps(func(b fleet.BreakerPoint) int32 { return b.Sector }))
	p.path("three", "2 3", steps(func(b fleet.BreakerPoint) int32 { return b.Global }))
	p.legend(0, "one", "", "clusters")
	p.legend(1, "two", "7 3", "sectors")
	p.legend(2, "three", "2 3", "global")
	return p.end()
}

func modePicture(r *fleet.Report) string {
	rank := map[string]int{}
	var labels []string
	for m := breaker.Emergency; m <= breaker.Full; m++ {
		rank[m.String()] = int(m)
		labels = append(labels, shortMode(m))
	}
	worst := breaker.Full.String()
	for _, m := range r.Modes {
		if rank[m.Mode] < rank[worst] {
			worst = m.Mode
		}
	}
	p := newPicture("mode-picture", "Mode over time", fmt.Sprintf("A line of steps, %s; the worst mode was %s.", plural(len(r.Modes)-1, "change"), worst))
	p.axes(labels, timeLabels(r.Duration), "")
	var points [][2]float64
	y := up(float64(rank[r.Modes[0].Mode]) / float64(breaker.Full))
	for _, m := range r.Modes {
		x := along(min(1, float64(m.At/max(r.Duration, 1))))
		if len(points) > 0 {
			points = append(points, [2]float64{x, y})
		}
		y = up(float64(rank[m.Mode]) / float64(breaker.Full))
		points = append(points, [2]float64{x, y})
	}
	p.path("one", "", append(points, [2]float64{right, y}))
	return p.end()
}

// shortMode fits beside the axis.
func shortMode(m breaker.Mode) string {
	return strings.ToLower(strings.TrimPrefix(m.String(), "DEGRADED_"))
}
