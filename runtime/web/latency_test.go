package web

import (
	"encoding/xml"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dancer/mesh"
)

// reacting is a robot that measures.
type reacting struct {
	Backend
	mutex sync.Mutex
	l     Latencies
}

func (r *reacting) Latencies() *Latencies {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	l := r.l
	return &l
}

func (r *reacting) Status() Status {
	s := r.Backend.Status()
	s.Role, s.Latency = RoleRobot, FiguresOf(r.Latencies())
	return s
}

// reflex counts one, now.
func (r *reacting) reflex(d time.Duration) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.l.EdgeToOutput.SinceStart.Record(d)
	r.l.EdgeToOutput.LastMinute.Record(d)
}

// newReacting has measured for an hour, as a spine on a busy machine does.
func newReacting(b Backend) *reacting {
	random := rand.New(rand.NewPCG(1, 2))
	like := func(median float64, spread float64) time.Duration {
		return time.Duration(median * 1e3 * math.Exp(spread*random.NormFloat64()))
	}
	r := &reacting{Backend: b, l: Latencies{LastMinute: 63 * time.Second}}
	for range 200_000 {
		r.l.EdgeToOutput.SinceStart.Record(like(40, 0.4))
		r.l.WakeUpLateness.SinceStart.Record(like(25, 0.6))
	}
	for range 1500 {
		r.l.EdgeToOutput.LastMinute.Record(like(60, 0.5))
		r.l.WakeUpLateness.LastMinute.Record(like(30, 0.7))
	}
	return r
}

func serveReacting(t *testing.T) (*hall, *reacting, *httptest.Server) {
	h := newHall(t)
	h.museum()
	r := newReacting(h.desk)
	s := httptest.NewServer(Handler(Options{Backend: r, Hub: h.hub}))
	t.Cleanup(func() { h.hub.Close(); s.Close() })
	return h, r, s
}

// TestLatencyMetrics reads /metrics with Prometheus' own parser.
func TestLatencyMetrics(t *testing.T) {
	_, robot, server := serveReacting(t)
	answer, err := http.Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	l := robot.Latencies()
	for name, m := range map[string]*Measured{"dancer_edge_to_output_seconds": &l.EdgeToOutput, "dancer_wake_up_lateness_seconds": &l.WakeUpLateness} {
		f := families[name]
		if f == nil || f.GetType() != dto.MetricType_HISTOGRAM || len(f.GetMetric()) != 1 {
			t.Fatalf("%s: %v", name, f)
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != m.SinceStart.Count() || math.Abs(h.GetSampleSum()-m.SinceStart.Sum.Seconds()) > 1e-9 {
			t.Errorf("%s: count %d, sum %v", name, h.GetSampleCount(), h.GetSampleSum())
		}
		bounds := h.GetBucket()
		if len(bounds) != 26 || bounds[0].GetUpperBound() != 1.024e-6 || bounds[24].GetUpperBound() != 17.179869184 || !math.IsInf(bounds[25].GetUpperBound(), 1) {
			t.Fatalf("%s: %d bounds: %v", name, len(bounds), bounds)
		}
		var before uint64
		for _, b := range bounds {
			if b.GetCumulativeCount() < before || b.GetCumulativeCount() > m.SinceStart.Count() {
				t.Errorf("%s: %d up to %v, after %d", name, b.GetCumulativeCount(), b.GetUpperBound(), before)
			}
			before = b.GetCumulativeCount()
		}
		// Half of them lie around the median, which a bound of the octaves brackets.
		p50 := m.SinceStart.Quantile(500_000).Seconds()
		at := slices.IndexFunc(bounds, func(b *dto.Bucket) bool { return b.GetUpperBound() >= p50 })
		if bounds[at].GetCumulativeCount() < m.SinceStart.Count()/2 || bounds[at-1].GetCumulativeCount() > m.SinceStart.Count()/2 {
			t.Errorf("%s: the median %v is not between its bounds", name, p50)
		}
	}
	if plain := call(t, "GET", newHall(t).serve("").URL+"/api/v1/latency.svg", "", nil, nil); plain.StatusCode != http.StatusNotFound {
		t.Errorf("a conductor's plot: %d", plain.StatusCode)
	}
}

func TestStatusTellsLatency(t *testing.T) {
	_, robot, server := serveReacting(t)
	var got struct {
		Latency Latency `json:"latency"`
	}
	call(t, "GET", server.URL+"/api/v1/status", "", nil, &got)
	if got.Latency != *FiguresOf(robot.Latencies()) || got.Latency.LastMinuteS != 63 {
		t.Errorf("latency %+v", got.Latency)
	}
	since := got.Latency.EdgeToOutput.SinceStart
	if since.Count != 200_000 || since.P50US < 39 || since.P50US > 42 || since.P99US <= since.P50US || since.P999US <= since.P99US || since.MaxUS < since.P999US {
		t.Errorf("since start %+v", since)
	}
	var raw struct {
		Latency map[string]any `json:"latency"`
	}
	call(t, "GET", newHall(t).serve("").URL+"/api/v1/status", "", nil, &raw)
	if raw.Latency != nil {
		t.Errorf("a conductor tells %v", raw.Latency)
	}
}

// drawn is what the tests look at in a plot.
type drawn struct {
	Role   string `xml:"role,attr"`
	Title  string `xml:"title"`
	Words  string `xml:"desc"`
	Curves []struct {
		Class  string `xml:"class,attr"`
		Dash   string `xml:"stroke-dasharray,attr"`
		Points string `xml:"points,attr"`
	} `xml:"polyline"`
	Dots  []struct{} `xml:"circle"`
	Texts []string   `xml:"text"`
}

func draw(t *testing.T, l *Latencies) (d drawn) {
	t.Helper()
	if err := xml.Unmarshal([]byte(plot(l)), &d); err != nil {
		t.Fatalf("%v in %s", err, plot(l))
	}
	return d
}

func TestPlot(t *testing.T) {
	l := newReacting(nil).Latencies()
	d := draw(t, l)
	if len(d.Curves) != 4 || d.Role != "img" || d.Title == "" || !strings.Contains(d.Words, "edge to output, since start: 200000 measured, half within ") {
		t.Errorf("drawn: %d curves, %q", len(d.Curves), d.Words)
	}
	for _, want := range []string{"50%", "99.9%", "99.999%", "10 µs", "1 ms", "last minute"} {
		if !slices.Contains(d.Texts, want) {
			t.Errorf("no %q among %q", want, d.Texts)
		}
	}
	for i, c := range d.Curves {
		if (c.Dash != "") != (i%2 == 1) {
			t.Errorf("curve %d has dashes %q", i, c.Dash)
		}
		lastX, lastY := 0.0, 1e9
		for point := range strings.FieldsSeq(c.Points) {
			var x, y float64
			if _, err := fmt.Sscanf(point, "%f,%f", &x, &y); err != nil {
				t.Fatal(err)
			}
			if x <= lastX || y > lastY || x < plotLeft || x > plotRight || y < plotTop-0.1 || y > plotBottom+0.1 {
				t.Fatalf("curve %d: %v,%v after %v,%v", i, x, y, lastX, lastY)
			}
			lastX, lastY = x, y
		}
		if whole := i%2 == 0; whole != (lastX == plotRight) {
			t.Errorf("curve %d ends at %v: 200,000 tell 99.999 %% apart, 1,500 do not", i, lastX)
		}
	}
}

// TestPlotPlaces checks points that can be worked out by hand: 999 of 10 us (10.24
// as told) and one of 10 ms, with which the curve ends.
func TestPlotPlaces(t *testing.T) {
	var l Latencies
	for range 999 {
		l.EdgeToOutput.SinceStart.Record(10 * time.Microsecond)
	}
	l.EdgeToOutput.SinceStart.Record(10 * time.Millisecond)
	d := draw(t, &l)
	if len(d.Curves) != 1 {
		t.Fatalf("%d curves", len(d.Curves))
	}
	first, _, _ := strings.Cut(d.Curves[0].Points, " ")
	last := d.Curves[0].Points[strings.LastIndex(d.Curves[0].Points, " ")+1:]
	// From 10 us to 10 ms: three decades over 170 units.
	y := 182 - 170*math.Log10(1.024)/3
	if want := fmt.Sprintf("52.0,%.1f", y); first != want {
		t.Errorf("the first point is %s, want %s", first, want)
	}
	x := 52 + 296*(3-math.Log10(2))/(5-math.Log10(2))
	if want := fmt.Sprintf("%.1f,12.0", x); last != want {
		t.Errorf("the last point is %s, want %s: the longest at 99.9 %%", last, want)
	}
}

func TestPlotOfFew(t *testing.T) {
	var l Latencies
	if d := draw(t, &l); len(d.Curves) != 0 || strings.Count(d.Words, "nothing measured") != 4 {
		t.Errorf("nothing measured is drawn as %+v", d)
	}
	l.WakeUpLateness.SinceStart.Record(0)
	if d := draw(t, &l); len(d.Curves) != 0 || len(d.Dots) != 1 {
		t.Errorf("one measurement is drawn as %+v", d)
	}
	l.WakeUpLateness.SinceStart.Record(time.Hour)
	l.WakeUpLateness.SinceStart.Record(time.Hour)
	if d := draw(t, &l); len(d.Curves) != 1 || !slices.Contains(d.Texts, "10000 s") {
		t.Errorf("an hour is drawn as %+v", d)
	}
	if strings.Contains(plot(&l), "NaN") || strings.Contains(plot(&l), "Inf") {
		t.Error("a place that is no number")
	}
}

var secondsOf = regexp.MustCompile(`^\d+(\.\d+)?$`)

func TestPageShowsReactionTime(t *testing.T) {
	ctx := browser(t)
	h, robot, server := serveReacting(t)
	run(t, ctx, size(1440, 900), chromedp.Navigate(server.URL), until(loaded), until(`document.querySelectorAll("#latency svg.plot polyline").length === 4`))
	rows := js[[]string](t, ctx, `[...document.querySelectorAll("#latency tbody tr")].map(r => [...r.children].map(c => c.textContent).join("|"))`)
	if len(rows) != 4 || !strings.HasPrefix(rows[0], "Edge to output since start|200000|") || !strings.HasPrefix(rows[3], "Wake-up lateness last minute|1500|") {
		t.Errorf("the table says %q", rows)
	}
	for _, figure := range strings.Split(rows[0], "|")[1:] {
		if !secondsOf.MatchString(figure) {
			t.Errorf("a figure %q", figure)
		}
	}
	if words := js[string](t, ctx, `document.getElementById("plot-text").textContent`); !strings.Contains(words, "99.9% within") {
		t.Errorf("the picture says %q to those who cannot see it", words)
	}
	if colours := js[[]string](t, ctx, `[...document.querySelectorAll("#latency polyline")].map(p => getComputedStyle(p).stroke)`); colours[0] == colours[2] || colours[0] != colours[1] {
		t.Errorf("colours of the curves: %v", colours)
	}
	run(t, ctx, chromedp.ScrollIntoView("#latency", chromedp.ByQuery))
	shoot(t, ctx, "latency-dark")
	run(t, ctx, chromedp.Click("#theme"))
	shoot(t, ctx, "latency-light")

	// A reflex brings the figures up to date, some seconds later.
	before := robot.Latencies().EdgeToOutput.SinceStart.Max
	robot.reflex(before + time.Second)
	if err := h.hub.PublishJSON(time.Now(), "reflex", "gallery-bot-1", map[string]any{"kind": "reflex", "rule": "bump", "active": true}); err != nil {
		t.Fatal(err)
	}
	longest := strconv.FormatFloat(microseconds(before+time.Second), 'f', 0, 64)
	run(t, ctx, until(`document.querySelector("#latency tbody").textContent.includes("200001") && document.getElementById("plot-text").textContent.includes("200001 measured")`))
	if row := js[string](t, ctx, `document.querySelector("#latency tbody tr").textContent`); !strings.Contains(row, longest) {
		t.Errorf("after a reflex of %s us: %q", longest, row)
	}
}

func TestReactionTimeFitsAPhone(t *testing.T) {
	ctx := browser(t)
	_, _, server := serveReacting(t)
	run(t, ctx, size(360, 740), chromedp.Navigate(server.URL), until(loaded), until(`document.querySelectorAll("#latency svg.plot polyline").length === 4`))
	if wide := js[int](t, ctx, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("the page is %d px wide on a phone of 360", wide)
	}
	beyond := js[[]string](t, ctx, `[...document.querySelectorAll("#latency *")].filter(e => e.getBoundingClientRect().right > 360.5 || e.getBoundingClientRect().left < -0.5).map(e => e.tagName + " " + e.textContent.slice(0, 40))`)
	if len(beyond) > 0 {
		t.Errorf("reaching beyond the phone's edge: %q", beyond)
	}
	if small := js[float64](t, ctx, `Math.min(...[...document.querySelectorAll("#latency svg text")].map(e => e.getBoundingClientRect().height))`); small < 10 {
		t.Errorf("text of the plot is %v px high", small)
	}
	run(t, ctx, chromedp.ScrollIntoView("#latency", chromedp.ByQuery))
	shoot(t, ctx, "latency-phone")
}

// A conductor shows some figures of each robot, and no plot of its own.
func TestPageShowsLatencyOfRobots(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	h.museum()
	h.take("gallery-bot-1", mesh.KindState, mesh.State{Robot: "gallery-bot-1", Cell: cell, Mode: "running", Latency: &mesh.StateLatency{
		EdgeToOutput: mesh.LatencyFigures{Count: 17, P50US: 41.2, P99US: 80, P999US: 96.3, MaxUS: 130},
	}})
	server := h.serve("")
	run(t, ctx, size(1280, 900), chromedp.Navigate(server.URL), until(loaded))
	said := js[string](t, ctx, `document.getElementById("agent-`+cell+`-gallery-bot-1").querySelector(".impedance").textContent`)
	for _, want := range []string{"edge to outputp50 41.2, p99.9 96.3, longest 130 µs (17)", "wake-up latenessnothing measured"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if !js[bool](t, ctx, `document.getElementById("latency").hidden`) {
		t.Error("a conductor shows a plot")
	}
}
