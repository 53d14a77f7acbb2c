package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/fleet"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; review the difference")

// ping is the protocol of the golden runs. The orchestrator pings every agent at
// certain times; machines work on it, hold until T and act. Leads listen for a beat
// a second of their agents and call their cluster failed when half are silent.
type ping struct {
	topology *fleet.Topology
	asks     []time.Duration
	nodes    []pinger
	predict  time.Duration
	modes    *breaker.Modes
	members  int32
}

type pinger struct {
	next, hold, decide time.Duration
	asked, ready, seen int32
	failed             bool
}

type pong struct {
	kind  uint8 // 1 beat, 2 order, 3 answer, 4 how many a lead has heard
	state int8
	order int32
	count int32
	at    time.Duration
}

const wait = 900 * time.Millisecond

func (p *ping) Start(n *fleet.Node[pong], _ uint16) {
	p.nodes[n.Number()] = pinger{next: n.Now() + time.Duration(fleet.Below(n.Draw(fleet.PurposeProtocol, 0), uint64(time.Second))), hold: fleet.Never, decide: fleet.Never}
}

func (p *ping) Next(n int32) time.Duration {
	me := &p.nodes[n]
	at := min(me.next, me.hold, me.decide)
	if n == fleet.Orchestrator && int(me.asked) < len(p.asks) {
		at = min(at, p.asks[me.asked])
	}
	return at
}

func (p *ping) Tick(n *fleet.Node[pong]) {
	me := &p.nodes[n.Number()]
	if me.hold <= n.Now() {
		n.Note(fleet.Note{Kind: fleet.Acted, Operation: me.asked - 1, At: me.hold})
		me.hold = fleet.Never
	}
	if n.Number() == fleet.Orchestrator {
		p.orchestrate(n)
	}
	if me.next > n.Now() {
		return
	}
	me.next += time.Second
	switch tier, index := p.topology.Place(n.Number()); tier {
	case quorum.TierAgent:
		n.Send(p.topology.ParentOf(n.Number()), &pong{kind: 1})
	case quorum.TierCluster:
		p.listen(n, index)
	}
}

func (p *ping) listen(n *fleet.Node[pong], cluster int32) {
	me := &p.nodes[n.Number()]
	first, end := p.topology.Children(n.Number())
	n.Send(fleet.Orchestrator, &pong{kind: 4, count: me.seen})
	if failed := me.seen*2 < end-first; failed != me.failed {
		me.failed = failed
		kind, state := fleet.Restored, breaker.Closed
		if failed {
			kind, state = fleet.Failed, breaker.Open
		}
		n.Note(fleet.ScopeNote(kind, breaker.ScopeCluster, cluster))
		n.Note(fleet.BreakerNote(breaker.ScopeCluster, cluster, state))
	}
	me.seen = 0
}

func (p *ping) orchestrate(n *fleet.Node[pong]) {
	me := &p.nodes[fleet.Orchestrator]
	if me.decide <= n.Now() {
		decision := quorum.Retry
		if me.ready*100 >= p.members*95 {
			decision = quorum.Proceed
		}
		n.Note(fleet.Note{Kind: fleet.Decided, Operation: me.asked - 1, Value: int32(decision)})
		me.decide = fleet.Never
	}
	if me.next <= n.Now() {
		n.Note(fleet.Note{Kind: fleet.Active, Value: me.seen, Operation: p.topology.Agents()})
		was := p.modes.Mode()
		if n.Now() < 3*time.Second {
			p.modes.Start(p.topology.Agents(), p.topology.Agents())
		} else {
			p.modes.Observe(n.Now(), min(me.seen, p.topology.Agents()), p.topology.Agents())
		}
		if is := p.modes.Mode(); is != was {
			n.Note(fleet.Note{Kind: fleet.ModeIs, Value: int32(is)})
		}
		me.next, me.seen = me.next+2*time.Second, 0
	}
	if int(me.asked) >= len(p.asks) || p.asks[me.asked] > n.Now() {
		return
	}
	me.asked, me.ready, me.decide = me.asked+1, 0, n.Now()+2*wait
	at := n.Now() + wait
	n.Note(fleet.Note{Kind: fleet.Planned, Operation: me.asked - 1, At: at, Value: p.members})
	for a := range p.topology.Agents() {
		n.Send(p.topology.Agent(a), &pong{kind: 2, order: me.asked, at: at})
	}
}

func (p *ping) Handle(n *fleet.Node[pong], _ int32, m *pong) {
	me := &p.nodes[n.Number()]
	switch m.kind {
	case 1:
		me.seen++
	case 4:
		me.seen += (m.count + 1) / 2 // two words in each of the orchestrator's periods
	case 2:
		if m.order <= me.asked || p.topology.ClassOf(n.Number()) == impedance.ClassHuman {
			return
		}
		me.asked, me.hold = m.order, fleet.Never
		n.Note(fleet.Note{Kind: fleet.Reached, Operation: m.order - 1})
		me.decide = fleet.Never
		me.next = max(me.next, n.Now())
		p.nodes[n.Number()].hold = fleet.Never
		n.Work(1000, uint32(m.order)<<20|uint32(m.at/time.Millisecond))
	case 3:
		n.Note(fleet.Note{Kind: fleet.Answered, Operation: m.order - 1, Value: int32(m.state)})
		if m.state > 0 {
			me.ready++
		}
	}
}

func (p *ping) Done(n *fleet.Node[pong], token uint32) {
	me := &p.nodes[n.Number()]
	me.hold = time.Duration(token&(1<<20-1)) * time.Millisecond
	order := int32(token >> 20)
	n.Note(fleet.Note{Kind: fleet.Ready, Operation: order - 1, Value: int32(p.predict.Microseconds())})
	state := int8(1)
	if n.Draw(fleet.PurposeProtocol+1, uint64(order))%200 == 0 {
		state = -1
	}
	n.Send(fleet.Orchestrator, &pong{kind: 3, order: order, state: state})
}

// made is the report of a small fleet.
func made(t *testing.T, seed fleet.Seed, faults string) *fleet.Report {
	t.Helper()
	top, err := fleet.NewTopology(330)
	if err != nil {
		t.Fatal(err)
	}
	list, err := fleet.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	modes, err := breaker.NewModes(breaker.DefaultModeConfig())
	if err != nil {
		t.Fatal(err)
	}
	p := &ping{topology: top, asks: []time.Duration{5 * time.Second, 20 * time.Second, 35 * time.Second}, nodes: make([]pinger, top.Nodes()), predict: 500 * time.Millisecond, modes: modes}
	for _, c := range top.AgentClass {
		if impedance.Class(c).Counted() {
			p.members++
		}
	}
	c := fleet.DefaultConditions()
	c.Offset = 0 // ping does not measure clocks
	setup := fleet.Setup{Topology: top, Conditions: c, Faults: list, Seed: seed}
	recorder := fleet.NewRecorder(top)
	s, err := fleet.New(setup, p, recorder)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	for now := time.Duration(0); now <= time.Minute; now += time.Second {
		s.Run(now)
		recorder.Up(now, s.AgentsUp())
	}
	return recorder.Report(setup, s.Now(), s.Traffic(), s.Counters())
}

const trouble = "from 10s for 8s partition lead 3\nfrom 18s for 12s crash sector 1\nfrom 33s for 10s loss class E 50%\n"

// forms gives the three forms by the end of their file names.
func forms(t *testing.T, r *fleet.Report) map[string][]byte {
	t.Helper()
	text, err := JSON(r)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"txt": Text(r), "json": text, "html": HTML(r)}
}

// TestGolden: the same seed gives the same bytes, in all three forms, on every
// machine. Review what -rewrite changes.
func TestGolden(t *testing.T) {
	for name, faults := range map[string]string{"calm": "", "trouble": trouble} {
		for end, got := range forms(t, made(t, 1, faults)) {
			file := filepath.Join("testdata", name+"."+end)
			if *rewrite {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what the run gives; go test ./mesh/fleet/report -rewrite, and review", file)
			}
		}
	}
}

// TestSeeds: another seed is another report.
func TestSeeds(t *testing.T) {
	a, b := forms(t, made(t, 1, trouble)), forms(t, made(t, 2, trouble))
	for end := range a {
		if bytes.Equal(a[end], b[end]) {
			t.Errorf("%s is the same for two seeds", end)
		}
	}
}

// TestText: 80 columns, ASCII, no blanks at the ends of lines.
func TestText(t *testing.T) {
	for _, r := range reports(t) {
		for number, line := range strings.Split(string(Text(r)), "\n") {
			if len(line) > columns {
				t.Errorf("line %d has %d columns: %q", number+1, len(line), line)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("line %d ends with a blank", number+1)
			}
			for _, c := range line {
				if c < ' ' || c > '~' {
					t.Errorf("line %d has %q", number+1, c)
				}
			}
		}
	}
}

// reports are those of the runs, an empty one, and one with the largest numbers.
func reports(t *testing.T) []*fleet.Report {
	t.Helper()
	large := made(t, 1, trouble)
	large.Agents, large.Duration = 4_000_000, 86_400_000
	large.Traffic.Sent = 999_999_999_999
	for i := range large.Operations {
		o := &large.Operations[i]
		o.Number, o.Members, o.Ready, o.Acted, o.Decision = 100+i, 4_000_000, 4_000_000, 4_000_000, "RESOLVE_CONFLICTS"
	}
	for i := range large.KPIs {
		large.KPIs[i].Samples = 999_999_999
	}
	for i := range 3000 {
		large.Breakers = append(large.Breakers, fleet.BreakerPoint{At: fleet.Millis(60_000 + i*1000), Cluster: int32(i % 77), Sector: int32(i % 5)})
		large.Incidents = append(large.Incidents, fleet.IncidentReport{Scope: "cluster", Index: 133_333, From: 86_399_999, Took: 86_399_999})
		large.Faults = append(large.Faults, "from 23h59m59.999999999s for 23h59m59.999999999s byzantine class F answer <&>")
		large.Modes = append(large.Modes, fleet.ModePoint{At: 86_399_999, Mode: "DEGRADED_MODERATE"})
	}
	return []*fleet.Report{made(t, 1, ""), made(t, 1, trouble), {Version: 1}, large}
}

// TestPage: one file without a script or a reference, well formed, each picture with
// a title, a description and a table, each heading named by its section, ids unique.
func TestPage(t *testing.T) {
	for _, r := range reports(t) {
		text := string(HTML(r))
		for _, never := range []string{"<script", "href=", "src=", "url(", "@import", "onload"} {
			if strings.Contains(text, never) {
				t.Errorf("the page has %s", never)
			}
		}
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if ids[m[1]] {
				t.Errorf("two elements have the id %s", m[1])
			}
			ids[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`aria-labelledby="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			for _, id := range strings.Fields(m[1]) {
				if !ids[id] {
					t.Errorf("nothing has the id %s", id)
				}
			}
		}
		checkMarkup(t, text)
		if n, titles, descs := strings.Count(text, "<svg"), strings.Count(text, "<title id"), strings.Count(text, "<desc id"); n != titles || n != descs || n != strings.Count(text, `class="figure"`) {
			t.Errorf("%d pictures, %d titles, %d descriptions", n, titles, descs)
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Error("a number is none")
		}
	}
}

// checkMarkup holds the page against XML, which is stricter than what browsers take.
func checkMarkup(t *testing.T, text string) {
	t.Helper()
	text = regexp.MustCompile(`<meta ([^>]*)>`).ReplaceAllString(strings.TrimPrefix(text, "<!DOCTYPE html>"), "<meta $1/>")
	d := xml.NewDecoder(strings.NewReader(text))
	figures, inFigure := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "div" && len(e.Attr) == 1 && e.Attr[0].Value == "figure" {
				figures++
				inFigure = 0
			}
			if e.Name.Local == "svg" {
				inFigure++
			}
			if e.Name.Local == "table" && figures > 0 && inFigure == 1 {
				inFigure++
			}
		case xml.EndElement:
			if e.Name.Local == "section" && figures > 0 && inFigure == 1 {
				t.Error("a picture has no table beside it")
			}
		}
	}
}

// TestColours computes the contrast (WCAG 2.2, 1.4.3 and 1.4.11) in both themes: 4.5
// for text, 3 for lines and bars.
func TestColours(t *testing.T) {
	light, dark, _ := strings.Cut(sheet, "@media")
	for name, block := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for front, least := range map[string]float64{"text": 4.5, "muted": 4.5, "one": 3, "two": 3, "three": 3, "line": 3} {
			for _, back := range []string{"ground", "surface"} {
				a, b := colours[front]+0.05, colours[back]+0.05
				if got := max(a, b) / min(a, b); got < least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, front, back, got, least)
				}
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(v uint64) float64 {
		c := float64(v&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

// TestJSON: it reads back as it was, with its version, and no list is null.
func TestJSON(t *testing.T) {
	for _, r := range []*fleet.Report{made(t, 1, ""), made(t, 1, trouble)} {
		text, err := JSON(r)
		if err != nil {
			t.Fatal(err)
		}
		var back fleet.Report
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&back); err != nil {
			t.Fatal(err)
		}
		again, err := JSON(&back)
		if err != nil || !bytes.Equal(text, again) {
			t.Errorf("came back as another: %v", err)
		}
		if back.Version != fleet.ReportVersion || bytes.Contains(text, []byte("null")) {
			t.Errorf("version %d, or a list is null", back.Version)
		}
	}
}

// TestSpans: drawn in few points, no peak is lost.
func TestSpans(t *testing.T) {
	r := &fleet.Report{Duration: 600_000}
	for i := range 600 {
		b := fleet.BreakerPoint{At: fleet.Millis(i * 1000), Cluster: int32(i % 3)}
		if i == 333 {
			b.Cluster = 900
		}
		r.Breakers = append(r.Breakers, b)
	}
	list := spans(r)
	var most int32
	for i, b := range list {
		most = max(most, b.Cluster)
		if i > 0 && list[i-1].At >= b.At {
			t.Errorf("point %d at %v after %v", i, b.At, list[i-1].At)
		}
	}
	if len(list) > maxSpans || most != 900 {
		t.Errorf("%d points, at most %d open", len(list), most)
	}
}

// TestWrap keeps words and widths.
func TestWrap(t *testing.T) {
	text := strings.Repeat("seven words in a row make it ", 9)
	got := wrap(text, 30, "  ")
	if strings.Join(strings.Fields(got), " ") != strings.TrimSpace(text) {
		t.Errorf("words changed: %q", got)
	}
	for _, line := range strings.Split(got, "\n") {
		if len(line) > 30 {
			t.Errorf("%q has %d columns", line, len(line))
		}
	}
	if fmt.Sprint(wrap("", 10, " ")) != "" {
		t.Error("something of nothing")
	}
}
