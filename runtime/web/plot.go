package web

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dancer/runtime/latency"
)

// The plot's size and the place of its axes, in the units of its view box: as
// wide as a phone, so that its text keeps its size there.
const (
	plotWidth, plotHeight = 360, 250
	plotLeft, plotRight   = 52, 348
	plotTop, plotBottom   = 12, 182
)

// The percentiles that the plot begins and ends with, as the logarithm of
// 1/(1-p): a half, and 99.999 %.
var (
	plotFirst = math.Log10(2)
	plotLast  = 5.0
)

// plotTicks are the percentiles that are named.
var plotTicks = []struct {
	nines float64 // log10(1/(1-p))
	label string
}{{plotFirst, "50%"}, {1, "90%"}, {2, "99%"}, {3, "99.9%"}, {4, "99.99%"}, {5, "99.999%"}}

// curve is one line of the plot.
type curve struct {
	histogram   *latency.Histogram
	name, class string
	dashed      bool
}

func (s *server) getPlot(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(plot(s.options.Backend.(Measurer).Latencies()))) // the peer is gone: nobody is left to tell
}

// plot draws percentiles of latencies as SVG: along, 1/(1-p) on a logarithmic
// scale, so that each nine has the same room; up, the time, on one too. A curve
// ends where there are no more measurements to tell percentiles apart: at 1-1/n
// with the longest, or at 99.999 %.
func plot(l *Latencies) string {
	curves := []curve{
		{&l.EdgeToOutput.SinceStart, "edge to output", "plot-edge", false},
		{&l.EdgeToOutput.LastMinute, "edge to output", "plot-edge", true},
		{&l.WakeUpLateness.SinceStart, "wake-up lateness", "plot-wake", false},
		{&l.WakeUpLateness.LastMinute, "wake-up lateness", "plot-wake", true},
	}
	low, high := plotDecades(curves)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 %d %d" role="img" aria-labelledby="plot-title plot-text" font-family="system-ui, sans-serif" font-size="11" fill="currentColor">`+"\n", plotWidth, plotHeight)
	b.WriteString(`<title id="plot-title">Percentiles of the reaction time</title>` + "\n")
	fmt.Fprintf(&b, `<desc id="plot-text">%s</desc>`+"\n", plotWords(curves))
	plotAxes(&b, low, high)
	for _, c := range curves {
		c.draw(&b, low, high)
	}
	plotLegend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

// plotDecades gives the decades of microseconds that hold every curve: 10^low to
// 10^high.
func plotDecades(curves []curve) (low, high int) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, at := range c.points() {
			least, most = min(least, at[1]), max(most, at[1])
		}
	}
	if least > most {
		return 0, 3 // nothing measured: 1 us to 1 ms
	}
	low = int(math.Floor(least))
	return low, max(int(math.Ceil(most)), low+1)
}

// points of a curve: log10 of 1/(1-p) and of the microseconds.
func (c curve) points() (points [][2]float64) {
	n := c.histogram.Count()
	if n == 0 {
		return nil
	}
	const step = 0.05
	longest := math.Log10(float64(n))
	last := min(plotLast, max(plotFirst, longest))
	for i := 0; ; i++ {
		nines := min(plotFirst+float64(step*float64(i)), last)
		d := c.histogram.Quantile(uint64(math.Round(latency.Whole * (1 - math.Pow(10, -nines)))))
		if nines >= longest {
			d = c.histogram.Max
		}
		points = append(points, [2]float64{nines, math.Log10(max(d, latency.Shortest).Seconds() * 1e6)})
		if nines == last {
			return points
		}
	}
}

func (c curve) draw(b *strings.Builder, low, high int) {
	points := c.points()
	if len(points) == 0 {
		return
	}
	if len(points) == 1 {
		fmt.Fprintf(b, `<circle class="%s" cx="%s" cy="%s" r="3" stroke="none"/>`+"\n", c.class, plotX(points[0][0]), plotY(points[0][1], low, high))
		return
	}
	list := make([]string, len(points))
	for i, at := range points {
		list[i] = plotX(at[0]) + "," + plotY(at[1], low, high)
	}
	fmt.Fprintf(b, `<polyline class="%s" fill="none" stroke="currentColor" stroke-width="2"%s points="%s"/>`+"\n", c.class, c.dash(), strings.Join(list, " "))
}

func (c curve) dash() string {
	if c.dashed {
		return ` stroke-dasharray="4 3"`
	}
	return ""
}

func plotAxes(b *strings.Builder, low, high int) {
	line := func(x1, y1, x2, y2 string) {
		fmt.Fprintf(b, `<line class="plot-grid" x1="%s" y1="%s" x2="%s" y2="%s" stroke="currentColor" stroke-opacity="0.25"/>`+"\n", x1, y1, x2, y2)
	}
	left, right, top, bottom := strconv.Itoa(plotLeft), strconv.Itoa(plotRight), strconv.Itoa(plotTop), strconv.Itoa(plotBottom)
	for decade := low; decade <= high; decade++ {
		y := plotY(float64(decade), low, high)
		line(left, y, right, y)
		fmt.Fprintf(b, `<text x="%d" y="%s" text-anchor="end" dominant-baseline="middle">%s</text>`+"\n", plotLeft-6, y, decadeName(decade))
	}
	for i, tick := range plotTicks {
		x, anchor := plotX(tick.nines), "middle"
		line(x, top, x, bottom)
		if i == len(plotTicks)-1 {
			x, anchor = strconv.Itoa(plotRight+11), "end"
		}
		fmt.Fprintf(b, `<text x="%s" y="%d" text-anchor="%s" font-size="10">%s</text>`+"\n", x, plotBottom+15, anchor, tick.label)
	}
}

// decadeName names a power of ten of microseconds: 10 us, 1 ms.
func decadeName(decade int) string {
	unit := "µs"
	switch {
	case decade >= 6:
		decade, unit = decade-6, "s"
	case decade >= 3:
		decade, unit = decade-3, "ms"
	}
	return "1" + strings.Repeat("0", max(decade, 0)) + " " + unit
}

func plotLegend(b *strings.Builder) {
	item := func(x, y int, class, dash, text string) {
		fmt.Fprintf(b, `<line class="%s" x1="%d" y1="%d" x2="%d" y2="%d" stroke="currentColor" stroke-width="2"%s/>`, class, x, y, x+24, y, dash)
		fmt.Fprintf(b, `<text x="%d" y="%d" dominant-baseline="middle">%s</text>`+"\n", x+30, y, text)
	}
	const first, second, right = plotBottom + 34, plotBottom + 54, plotLeft + 150
	item(plotLeft, first, "plot-edge", "", "edge to output")
	item(right, first, "plot-wake", "", "wake-up lateness")
	item(plotLeft, second, "plot-any", "", "since start")
	item(right, second, "plot-any", curve{dashed: true}.dash(), "last minute")
}

// plotWords says in words what the plot shows.
func plotWords(curves []curve) string {
	var all []string
	for _, c := range curves {
		when := "since start"
		if c.dashed {
			when = "last minute"
		}
		f := c.histogram.Figures()
		if f.Count == 0 {
			all = append(all, fmt.Sprintf("%s, %s: nothing measured.", c.name, when))
			continue
		}
		all = append(all, fmt.Sprintf("%s, %s: %d measured, half within %s, 99%% within %s, 99.9%% within %s, longest %s.",
			c.name, when, f.Count, plotTime(f.P50), plotTime(f.P99), plotTime(f.P999), plotTime(f.Most)))
	}
	return strings.Join(all, " ")
}

func plotTime(d time.Duration) string {
	return strconv.FormatFloat(microseconds(d), 'f', -1, 64) + " microseconds"
}

func plotX(nines float64) string {
	return place(plotLeft, plotRight, (nines-plotFirst)/(plotLast-plotFirst))
}

func plotY(decades float64, low, high int) string {
	return place(plotBottom, plotTop, (decades-float64(low))/float64(high-low))
}

func place(from, to, share float64) string {
	return strconv.FormatFloat(from+float64((to-from)*share), 'f', 1, 64)
}
