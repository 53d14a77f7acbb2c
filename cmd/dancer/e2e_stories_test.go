package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A story is what an example's README promises: a command that runs the robot on the
// simulated board, and a table of what happens when. The last column names events; the
// `dancer start` and `dancer clear` of the middle one are typed by the test.
type story struct {
	example string
	robot   string   // its name
	args    []string // of dancer
	length  time.Duration
	rows    []row
}

// row is one line of the table.
type row struct {
	after    time.Duration
	about    bool     // the time depends on how fast the robot gets there
	commands []string // start, stop or clear
	promises []promise
}

// promise is an event.
type promise struct {
	text   string
	kept   func(e *telling) bool
	events int // that kept it at its time
}

// telling is an event of a run.
type telling struct {
	event
	after time.Duration // since the run began
}

var (
	storyCommand = regexp.MustCompile(`(?m)^    dancer (run examples/[^#\n]*--events events[^#\n]*)`)
	storyTable   = regexp.MustCompile("(?m)^\\| after \\|.*\\| in `events` \\|\n\\|[-|]*\\|\n((?:\\|.*\\|\n)+)")
	storyTime    = regexp.MustCompile(`^(about )?([0-9.]+) s$`)
	inCode       = regexp.MustCompile("`([^`]+)`")
	robotName    = regexp.MustCompile(`(?m)^robot: (\S+)`)
)

// stories reads the README of every example that tells one.
func stories(t *testing.T) []story {
	t.Helper()
	files, err := filepath.Glob("../../examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []story
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		table, command := storyTable.FindSubmatch(text), storyCommand.FindSubmatch(text)
		if table == nil && command == nil {
			continue
		}
		if table == nil || command == nil {
			t.Fatalf("%s: a table of events needs a command with --events events, and the other way round", file)
		}
		s, err := readStory(filepath.Base(filepath.Dir(file)), strings.Fields(string(command[1])), string(table[1]))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, s)
	}
	return all
}

func readStory(example string, args []string, table string) (story, error) {
	s := story{example: example, args: args}
	at := slices.Index(args, "--for")
	if at < 0 || at+1 == len(args) {
		return s, fmt.Errorf("%v has no end: give it --for", args)
	}
	var err error
	if s.length, err = time.ParseDuration(args[at+1]); err != nil {
		return s, err
	}
	for line := range strings.Lines(table) {
		r, err := readRow(strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"))
		if err != nil {
			return s, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
		if r.after >= s.length || len(s.rows) > 0 && r.after < s.rows[len(s.rows)-1].after {
			return s, fmt.Errorf("%s: out of order, or after the end", strings.TrimSpace(line))
		}
		s.rows = append(s.rows, r)
	}
	return s, nil
}

func readRow(cells []string) (row, error) {
	if len(cells) != 3 {
		return row{}, fmt.Errorf("%d cells, not 3", len(cells))
	}
	at := storyTime.FindStringSubmatch(strings.TrimSpace(cells[0]))
	if at == nil {
		return row{}, fmt.Errorf("%q is no time such as 8 s or about 8 s", cells[0])
	}
	seconds, err := strconv.ParseFloat(at[2], 64)
	if err != nil {
		return row{}, err
	}
	r := row{after: time.Duration(seconds * float64(time.Second)), about: at[1] != ""}
	for _, code := range inCode.FindAllStringSubmatch(cells[1], -1) {
		if command, ok := strings.CutPrefix(code[1], "dancer "); ok {
			r.commands = append(r.commands, command)
		}
	}
	for _, code := range inCode.FindAllStringSubmatch(cells[2], -1) {
		p, err := readPromise(code[1])
		if err != nil {
			return row{}, err
		}
		r.promises = append(r.promises, p)
	}
	return r, nil
}

// readPromise reads what stands in the last column: a kind of event and what it is about.
func readPromise(text string) (promise, error) {
	words := strings.Fields(text)
	for len(words) < 3 {
		words = append(words, "")
	}
	name, more := words[1], words[2]
	value, err := strconv.ParseFloat(more, 64)
	p := promise{text: text}
	switch {
	case words[0] == "mode":
		p.kept = func(e *telling) bool { return e.Kind == "mode" && e.Mode == name }
	case words[0] == "run":
		p.kept = func(e *telling) bool { return e.Kind == "decision" && e.Running == name }
	case words[0] == "reflex" && (more == "" || more == "ends"):
		p.kept = func(e *telling) bool { return e.Kind == "reflex" && e.Rule == name && e.Active == (more == "") }
	case words[0] == "latch" && (more == "" || more == "cleared"):
		p.kept = func(e *telling) bool {
			return e.Kind == "latch" && e.Rule == name && (e.State == "cleared") == (more != "")
		}
	case words[0] == "signal" && more != "":
		p.kept = func(e *telling) bool { return e.Kind == "signal" && e.Name == name && e.State == more }
	case words[0] == "question" && name != "":
		p.kept = func(e *telling) bool { return e.Kind == "escalation" && e.State == name }
	case words[0] == "output" && err == nil:
		p.kept = func(e *telling) bool { return e.Kind == "output" && e.Name == name && math.Abs(e.Value-value) < 1e-9 }
	default:
		return p, fmt.Errorf("%q is no event such as `run go`, `reflex bump`, `reflex bump ends`, `latch bump`, `signal range stale`, `question open`, `output drive 0`", text)
	}
	return p, nil
}

// window is when a row's events may come: what the scenario or the test does is there
// within two seconds (its clock starts up to a second before the first event), and what
// depends on how fast the robot gets there may be three seconds off.
func (r *row) window() (from, to time.Duration) {
	if r.about {
		return r.after - 3*time.Second, r.after + 3*time.Second
	}
	return r.after - time.Second, r.after + 2*time.Second
}

// TestEndToEndStories runs every example that tells a story, all of them at once and each
// to its end, and holds its events against the table: each that is promised happens at
// its time, and no reflex, latch or question that is not.
func TestEndToEndStories(t *testing.T) {
	all := stories(t)
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].example
	}
	if want := []string{"cart", "gps-mower", "laser-rover", "museum", "wall-follower", "warehouse-picker"}; !slices.Equal(names, want) {
		t.Fatalf("stories of %v, want %v", names, want)
	}
	w := newWorld(t)
	runs := make([]*process, len(all))
	begin := time.Now()
	for i := range all {
		runs[i] = w.start(w.stage(&all[i])...)
	}
	w.operate(all, begin)
	for i := range all {
		if code := runs[i].wait(all[i].length + 30*time.Second); code != 0 {
			t.Errorf("%s: exit code %d\n%s", all[i].example, code, runs[i].stderr)
		}
		events := w.tellings(all[i].example)
		wrong := all[i].compare(events)
		for _, text := range wrong {
			t.Errorf("%s: %s", all[i].example, text)
		}
		if len(wrong) > 0 {
			t.Logf("%s:\n%s", all[i].example, chronicle(events))
		}
	}
}

// stage copies an example to where it runs without a network, and gives the command.
func (w *world) stage(s *story) []string {
	w.Helper()
	alone := strings.NewReplacer("{broker: auto}", `{broker: "off"}`, "{join: auto}", "{off: true}\nlisten: \"off\"")
	files, err := filepath.Glob("../../examples/" + s.example + "/*")
	if err != nil {
		w.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			w.Fatal(err)
		}
		w.file(filepath.Join(s.example, filepath.Base(file)), alone.Replace(string(text)))
	}
	args := slices.Clone(s.args)
	for i := range args {
		switch {
		case strings.HasPrefix(args[i], "examples/"):
			args[i] = filepath.Join(w.dir, strings.TrimPrefix(args[i], "examples/"))
			text, err := os.ReadFile(args[i])
			if err != nil {
				w.Fatal(err)
			}
			s.robot = string(robotName.FindSubmatch(text)[1])
		case args[i] == "events":
			args[i] = filepath.Join(w.dir, s.example, "events")
		}
	}
	return append(args, "--data", filepath.Join(w.dir, s.example, "data"))
}

// operate types what the tables say, at their times.
func (w *world) operate(all []story, begin time.Time) {
	w.Helper()
	type deed struct {
		after time.Duration
		args  []string
	}
	var deeds []deed
	for i := range all {
		for _, r := range all[i].rows {
			for _, command := range r.commands {
				deeds = append(deeds, deed{r.after, append(strings.Fields(command), all[i].robot)})
			}
		}
	}
	slices.SortStableFunc(deeds, func(a, b deed) int { return int(a.after - b.after) })
	for _, d := range deeds {
		time.Sleep(time.Until(begin.Add(d.after)))
		if code, stdout, stderr := w.once(d.args...); code != 0 {
			w.Errorf("after %v: dancer %v: exit code %d\n%s%s", d.after, d.args, code, stdout, stderr)
		}
	}
}

// tellings reads the events of a run; it began with the first.
func (w *world) tellings(example string) []telling {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, example, "events"))
	if err != nil {
		w.Fatal(err)
	}
	var all []telling
	for line := range strings.Lines(string(text)) {
		var e telling
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.Fatalf("%s: %v: %s", example, err, line)
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		w.Fatalf("%s: no event", example)
	}
	began := all[0].At
	for i := range all {
		if all[i].At.Before(began) {
			began = all[i].At
		}
	}
	for i := range all {
		all[i].after = all[i].At.Sub(began)
	}
	return all
}

// compare says where the events of a run and the table differ.
func (s *story) compare(events []telling) (wrong []string) {
	asked := map[string]bool{}
	for i := range events {
		e := &events[i]
		news := e.Kind == "reflex" && e.Active || e.Kind == "latch" || e.Kind == "escalation" && !asked[e.ID]
		asked[e.ID] = asked[e.ID] || e.Kind == "escalation"
		if !s.promised(e) && news {
			wrong = append(wrong, fmt.Sprintf("after %.1f s: %s %s%s %s, of which the README says nothing", e.after.Seconds(), e.Kind, e.Rule, e.ID, e.State))
		}
	}
	for _, r := range s.rows {
		for _, p := range r.promises {
			if p.events == 0 {
				wrong = append(wrong, fmt.Sprintf("after %v: no %q", r.after, p.text))
			}
		}
	}
	return wrong
}

// promised notes which promises an event keeps, and says whether it keeps one.
func (s *story) promised(e *telling) (kept bool) {
	for r := range s.rows {
		from, to := s.rows[r].window()
		for p := range s.rows[r].promises {
			if one := &s.rows[r].promises[p]; e.after >= from && e.after <= to && one.kept(e) {
				one.events++
				kept = true
			}
		}
	}
	return kept
}

// chronicle is what happened, for a person.
func chronicle(events []telling) string {
	var b strings.Builder
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case "mode", "decision", "reflex", "latch", "signal", "escalation", "lease":
			fmt.Fprintf(&b, "%6.2f %s %s%s%s %s%s active=%v\n", e.after.Seconds(), e.Kind, e.Mode, e.Running, e.Rule, e.Name, e.State, e.Active)
		}
	}
	return b.String()
}

// TestStoriesAreRead: what the test above relies on. Every table is read; a table that
// promises what does not happen, or not then, or keeps quiet about what does, is found.
func TestStoriesAreRead(t *testing.T) {
	for _, s := range stories(t) {
		promises := 0
		for _, r := range s.rows {
			promises += len(r.promises)
		}
		if promises < 10 {
			t.Errorf("%s promises %d events", s.example, promises)
		}
	}
	at := func(seconds float64, e event) telling {
		return telling{event: e, after: time.Duration(seconds * float64(time.Second))}
	}
	run := []telling{
		at(4, event{Kind: "decision", Running: "go"}),
		at(8, event{Kind: "reflex", Rule: "bump", Active: true}),
		at(8, event{Kind: "output", Name: "drive", Value: 0}),
		at(8, event{Kind: "latch", Rule: "bump", State: "latched"}),
		at(9, event{Kind: "reflex", Rule: "bump"}),
		at(12, event{Kind: "escalation", State: "open", ID: "1"}),
		at(12.5, event{Kind: "escalation", State: "open", ID: "1"}),
	}
	const sound = "| 4 s | | `run go` |\n| 8 s | | `reflex bump`, `output drive 0`, `latch bump` |\n| about 10 s | | `reflex bump ends` |\n| 12 s | | `question open` |\n"
	for name, c := range map[string]struct{ from, to, says string }{
		"as it is":           {"", "", ""},
		"another action":     {"run go", "run halt", `after 4s: no "run halt"`},
		"another time":       {"| 8 s |", "| 5 s |", "after 8.0 s: reflex bump"},
		"another value":      {"drive 0", "drive 1", `no "output drive 1"`},
		"a reflex unsaid":    {"`reflex bump`, ", "", "after 8.0 s: reflex bump"},
		"a question unsaid":  {"`question open`", "", "after 12.0 s: escalation 1 open"},
		"cleared, not there": {"`latch bump`", "`latch bump`, `latch bump cleared`", `no "latch bump cleared"`},
		"no event":           {"run go", "go", "is no event"},
		"no time":            {"| 4 s |", "| soon |", "is no time"},
		"out of order":       {"| 4 s |", "| 11 s |", "out of order"},
	} {
		s, err := readStory(name, []string{"run", "--for", "20s"}, strings.Replace(sound, c.from, c.to, 1))
		got := fmt.Sprint(err)
		if err == nil {
			got = strings.Join(s.compare(run), "\n")
		}
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: it says %q, not %q", name, got, c.says)
		}
	}
}
