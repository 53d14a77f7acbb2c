package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// faultSite is a place in the source that reports a fault, and the pattern of its
// message.
type faultSite struct {
	at      token.Position
	pattern *regexp.Regexp
}

// faultSites finds every message that this package's own source reports as text. A
// message that comes as a whole from elsewhere (an expression's, say) has no text
// here.
func faultSites(t *testing.T) []faultSite {
	t.Helper()
	files := token.NewFileSet()
	packages, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sites []faultSite
	for _, path := range packages {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if text, ok := messageOf(call); ok {
				sites = append(sites, faultSite{files.Position(call.Pos()), regexp.MustCompile("(?s)^" + text + "$")})
			}
			return true
		})
	}
	return sites
}

// messageOf gives the message of a call that reports a fault, as a pattern.
func messageOf(call *ast.CallExpr) (string, bool) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	place := -1
	switch selector.Sel.Name {
	case "at", "faultf":
		place = 2
	case "fault":
		place = 2 // keys: name, hint, format
		receiver, named := selector.X.(*ast.Ident)
		first, identifier := call.Args[0].(*ast.Ident)
		if named && receiver.Name == "r" || identifier && first.Name == "nil" {
			place = 1 // reader: node, message, hint
		}
	}
	if place < 0 || len(call.Args) <= place {
		return "", false
	}
	text := literal(call.Args[place])
	return text, strings.Trim(text, ".*") != ""
}

var verbs = regexp.MustCompile(`%[-+# 0-9.\[\]]*[a-zA-Z]`)

// literal gives the fixed parts of a text, with .* for the others.
func literal(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		if err != nil {
			return ".*"
		}
		parts := verbs.Split(text, -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		return strings.Join(parts, ".*")
	case *ast.BinaryExpr:
		return literal(x.X) + literal(x.Y)
	case *ast.CallExpr:
		if s, ok := x.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Sprintf" {
			return literal(x.Args[0])
		}
	}
	return ".*"
}

// guarded are messages that no file brings about, with the reason.
var guarded = map[string]string{
	"(?s)^key is not a word$":    "the YAML library refuses such a key before we see it",
	"(?s)^file is not YAML: .*$": "the YAML library gives every fault of its own a place",
}

// TestEveryFaultHasACase: every message of this package is given by a file of
// testdata or by a row of the table, and every problem of theirs has a file, a
// line, a column, a cause and a hint.
func TestEveryFaultHasACase(t *testing.T) {
	problems := allProblems(t)
	for _, s := range faultSites(t) {
		_, found := guarded[s.pattern.String()]
		for i := range problems {
			found = found || s.pattern.MatchString(problems[i].What)
		}
		if !found {
			t.Errorf("%s: no case gives %s", s.at, s.pattern)
		}
	}
}

// TestEveryProblemSaysWhereAndWhatToDo: no message without its place, its cause and
// a hint.
func TestEveryProblemSaysWhereAndWhatToDo(t *testing.T) {
	for _, p := range allProblems(t) {
		if p.File == "" || p.What == "" || p.Hint == "" {
			t.Errorf("%+v lacks a file, a cause or a hint", p)
		}
		if (p.Line < 1 || p.Column < 1) && !ofTheWholeFile(p) {
			t.Errorf("%+v lacks a line or a column", p)
		}
	}
}

// ofTheWholeFile: these are about no place in it.
func ofTheWholeFile(p Problem) bool {
	for _, what := range []string{"file ", "board ", "read ", "this is neither"} {
		if strings.HasPrefix(p.What, what) {
			return true
		}
	}
	return false
}

// allProblems of the golden files and of the table.
func allProblems(t *testing.T) Problems {
	t.Helper()
	all := goldenProblems(t)
	for _, c := range faultCases {
		all = append(all, problemsOfCase(t, c.file, c.old, c.new)...)
	}
	_, large := loadText(testRobot+strings.Repeat("#", maxBytes), testManual, Options{})
	blind := fstest.MapFS{"proc/device-tree/model/x": {}}
	_, unknown := load("robot.yaml", []byte(strings.Replace(testRobot, "raspberry-pi-4", "auto", 1)), Options{Root: blind}, func(string) ([]byte, *Problem) {
		return []byte(testManual), nil
	})
	all = append(append(append(all, large...), unknown...), canProblems()...)
	return append(all, unknownKind("x.yaml", []byte("a: 1\n"))...)
}

func goldenProblems(t *testing.T) Problems {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all Problems
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(data), "-- want --\n")
		comment, parts := split(head)
		all = append(all, problemsOf(parts, comment)...)
	}
	return all
}

// faultCases are wrong files, each a sound robot and manual (testRobot,
// testManual) with one text in the place of another, and a part of the cause that
// must be said.
var faultCases = []struct{ file, old, new, cause string }{
	{"robot", "range: {port: nav, unit: m, range: [0, 8]}", "range: {port: nav, unit: , range: [0, 8]}", "unit of signal range has no value"},
	{"robot", "unit: m", "unit: [m]", "unit of signal range is not a single value"},
	{"robot", "unit: m", "unit: ''", "unit of signal range is empty"},
	{"robot", "unit: m", "unit: metre", "unknown unit"},
	{"robot", "unit: m, ", "unit: m, start: 9, ", "start of signal range is 9, out of its range"},
	{"robot", "unit: m, ", "unit: m, start: [1], ", "start of signal range is not a single value"},
	{"robot", "[0, 8]", "[0, [8]]", "is not a number"},
	{"robot", "unit: m, ", "unit: m, start: '1', ", "is text, not a number"},
	{"robot", "unit: m, ", "unit: m, pull: up, ", "signal range has pull but no pin"},
	{"robot", "active: low", "unit: m", "signal bumper has a pin and unit"},
	{"robot", "range: [0, 8]", "range: [8, 0]", "range of signal range goes from 8 down to 0"},
	{"robot", "range: [0, 8]", "range: 8", "is not a pair of numbers"},
	{"robot", "  range: {port", "  1range: {port", "signal name \"1range\" cannot be used"},
	{"robot", "pull: up}", "pull: up}\n  [a, b]: {port: nav}", "found an invalid key for this map"},
	{"robot", "framing: csv", "framing: csv, columns: range", "columns of port nav is not a list"},
	{"robot", "safe: 0}}", "safe: 0, pwm: fast}}", "is \"fast\", not a frequency"},
	{"robot", "outputs: {drive: {pin: GPIO18, safe: 0}}", "outputs: {}", "outputs is empty"},
	{"robot", "outputs: {drive: {pin: GPIO18, safe: 0}}", "outputs: [drive]", "outputs is not a mapping"},
	{"robot", "pin: GPIO18, safe: 0", "port: nav, pwm: 1kHz, format: \"M {value}\\n\", range: [0, 1], safe: 0", "output drive has a port and pwm"},
	{"robot", "pin: GPIO18, safe: 0", "port: nav, format: \"M {value}\\n\", safe: 0", "output drive has a port but no range"},
	{"robot", "pin: GPIO18, safe: 0", "port: nav, range: [0, 1], safe: 0", "output drive has a port but no format"},
	{"robot", "pin: GPIO18, safe: 0", "port: nav, format: \"M\\n\", range: [0, 1], safe: 0", "format of output drive has {value} 0 times, not once"},
	{"robot", "pin: GPIO18, safe: 0", "pin: GPIO18, format: \"M {value}\", safe: 0", "output drive has format but no port"},
	{"robot", "pin: GPIO18, safe: 0", "pin: GPIO18, pwm: 1kHz, range: [0, 5], safe: 0", "but a GPIO line goes from 0 to 1"},
	{"robot", "device: /dev/ttyUSB0, ", "", "port nav has no device"},
	{"robot", "ports: {nav", "ports: {\"x y\"", "port name \"x y\" cannot be used"},
	{"robot", "signals:\n  range: {port: nav, unit: m, range: [0, 8]}\n  bumper: {pin: pin 11, active: low, pull: up}", "signals: {}", "signals is empty"},
	{"robot", "outputs:", "conductor: {broker: \"mqtt://bot:secret@127.0.0.1\"}\noutputs:", "has a user name in its address"},
	{"robot", "outputs:", "mesh: {join: [[a]]}\noutputs:", "is not a text"},
	{"robot", "outputs: {", "outputs: {" + manyReadBacks(33), "reflex read-back-o32 cannot be made of"},
	{"robot", "outputs:", "lease: {stop: 0, ramp: 1s}\noutputs:", "lease has a ramp, and stop category 0 is at once"},
	{"robot", "outputs:", "lease: {ramp: 6s}\noutputs:", "ramp of lease is 6s, out of range"},
	{"robot", "outputs:", "lease: {ramp: 1s}\noutputs:", "all outputs are on or off"},
	{"robot", "robot: bot", "robot: bot\n---\nrobot: bot", "second document in one file"},
	{"robot", "robot: bot", "robot: b\xffot", "file is not UTF-8 text"},
	{"robot", "robot: bot", "robot: " + strings.Repeat("[", 100) + "bot", "brackets are nested too deep"},
	{"manual", "values:\n  - {name: human_safety, floor: 5}\n  - {name: task}", "values: []", "values is empty"},
	{"manual", "values:\n  - {name: human_safety, floor: 5}\n  - {name: task}", "values: {human_safety: 5}", "values is not a list"},
	{"manual", "values:\n", "values:\n" + strings.Repeat("  - {name: a}\n", 17), "values has 19 entries"},
	{"manual", "{name: task}", "{name: human_safety}", "value human_safety is there twice"},
	{"manual", "{name: task}", "{name: task, enough: 7}", "value task has enough but no floor"},
	{"manual", "floor: 5}", "floor: 5, enough: 4}", "under its floor 5"},
	{"manual", "impact: {", "impact: {beauty: \"10\", ", "impact of beauty, which is not a value"},
	{"manual", ", task: \"10 * drive\"}", "}", "impact has no expression for value task"},
	{"manual", "task: \"10 * drive\"", "task: [10]", "task of impact is not an expression"},
	{"manual", "{name: go, ", "{name: halt, ", "action halt is there twice"},
	{"manual", "{drive: true}", "{drive: 2}", "sets drive to 2, out of its range"},
	{"manual", "{drive: true}", "drive", "set of action go names no output"},
	{"manual", "actions:", "reflexes:\n  - {name: a, when: \"bumper\", set: safe, latch: operator, stop: 1}\n  - {name: a, when: \"bumper\", set: safe, latch: operator, stop: 1}\nactions:", "reflex a is there twice"},
	{"manual", "actions:", "model: {step: 1s, horizon: 100ms}\nactions:", "horizon of the model is 100ms, shorter than its step"},
	{"manual", "actions:", "model: {next: {" + strings.Repeat("range: \"range\", ", 1025) + "}}\nactions:", "next has 1025 entries"},
}

// manyReadBacks are so many outputs with two windows each.
func manyReadBacks(n int) string {
	text := strings.Builder{}
	for i := range n {
		fmt.Fprintf(&text, "o%d: {port: nav, unit: m, format: \"o {value}\\n\", range: [0, 8], safe: 0, read_back: {signal: range}}, ", i)
	}
	return text.String()
}

// TestEveryFaultIsExplained: each wrong file is refused, for its own cause.
func TestEveryFaultIsExplained(t *testing.T) {
	for _, c := range faultCases {
		found := ""
		for _, p := range problemsOfCase(t, c.file, c.old, c.new) {
			found += p.Error() + "\n"
		}
		if !strings.Contains(found, c.cause) {
			t.Errorf("%s in the place of %s: want %s, got\n%s", strconv.Quote(c.new), strconv.Quote(c.old), c.cause, found)
		}
	}
}

func problemsOfCase(t *testing.T, file, before, after string) Problems {
	t.Helper()
	parts := map[string]string{"robot": testRobot, "manual": testManual}
	if !strings.Contains(parts[file], before) {
		t.Fatalf("the sound %s has no %q", file, before)
	}
	parts[file] = strings.Replace(parts[file], before, after, 1)
	_, problems := loadText(parts["robot"], parts["manual"], Options{})
	return problems
}
