package dancer_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dancer/dancer"
	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/partner"
	"dancer/reflex/program"
)

// TestWorlds drives the worlds of testdata/world-*.txt: at every step a verdict is
// taken from what the robot sees, its outputs are applied, and the world moves on
// by the manual's own rules, undisturbed. The whole course is asserted, and above it
// what must hold whatever the words:
//
//	episode N steps
//	SIGNAL=VALUE ... | OUTPUT=VALUE ...    the state at step 0
//	at STEP SIGNAL=VALUE                   somebody else's hand
//	always CONDITION                       in every state
//	finally CONDITION                      in the last state
//	never OPTION                           is not chosen
func TestWorlds(t *testing.T) {
	paths, err := filepath.Glob("testdata/world-*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no worlds: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var m *dancer.Manual
			transcript(t, path, func(t *testing.T, input []string) string {
				if m == nil {
					m = parseManual(t, input)
					return ""
				}
				e := newEpisode(t, m, input)
				e.run()
				return strings.Join(e.course, "\n")
			})
		})
	}
}

// episode is one run of a robot in a world.
type episode struct {
	t       *testing.T
	m       *dancer.Manual
	steps   int
	in      dancer.Input
	hands   map[int][]string
	always  []*program.Program
	finally []*program.Program
	never   map[string]bool
	course  []string
	reasons string
}

func newEpisode(t *testing.T, m *dancer.Manual, lines []string) *episode {
	t.Helper()
	e := &episode{t: t, m: m, hands: map[int][]string{}, never: map[string]bool{}}
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "episode":
			e.steps = e.number(strings.Fields(rest)[0])
		case "at":
			step, assignment, _ := strings.Cut(rest, " ")
			e.hands[e.number(step)] = append(e.hands[e.number(step)], strings.Fields(assignment)...)
		case "always":
			e.always = append(e.always, e.condition(rest))
		case "finally":
			e.finally = append(e.finally, e.condition(rest))
		case "never":
			if e.never[rest] = true; m.Action(rest) < 0 {
				t.Fatalf("there is no option %s", rest)
			}
		default:
			e.in = parseInput(t, m, []string{line})
		}
	}
	return e
}

func (e *episode) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

func (e *episode) condition(source string) *program.Program {
	e.t.Helper()
	scope := expr.Scope{}
	for i, s := range e.m.Signals {
		unit, err := expr.ParseUnit(s.Unit)
		if err != nil {
			e.t.Fatal(err)
		}
		scope[s.Name] = expr.Symbol{Slot: i, Unit: unit}
	}
	p, err := expr.Compile(source, scope, expr.Want{Boolean: true})
	if err != nil {
		e.t.Fatalf("%s: %v", source, err)
	}
	return p
}

func (e *episode) run() {
	var p partner.Partner
	for step := range e.steps {
		e.lendHand(step)
		d := dancer.Decide(e.m, e.in, p.Corners, p.Forecast)
		checkReplay(e.t, e.m, d)
		e.hold(e.always, step)
		if e.never[d.Verdict.Option] {
			e.t.Errorf("step %d: %s is chosen", step, d.Verdict.Option)
		}
		e.tell(step, &d)
		copy(e.in.Values[len(e.m.Signals):], d.Find(d.Verdict.Option).Outputs)
		e.move()
	}
	e.hold(e.always, e.steps)
	e.hold(e.finally, e.steps)
	e.course = append(e.course, fmt.Sprintf("%d: %s", e.steps, e.state()))
}

func (e *episode) lendHand(step int) {
	for _, assignment := range e.hands[step] {
		name, value, _ := strings.Cut(assignment, "=")
		p := &manualText{t: e.t, m: e.m}
		e.in.Values[p.signal(name)] = p.number(value)
	}
}

// move takes the world one step on: every rule from the old state.
func (e *episode) move() {
	slots := append(append([]float64(nil), e.in.Values...), make([]float64, len(e.m.Model.Disturbance))...)
	next := append([]float64(nil), e.in.Values...)
	for _, rule := range e.m.Model.Next {
		next[rule.Signal] = rule.Program.Eval(slots, make([]float64, rule.Program.Registers()))
	}
	e.in.Values = next
	e.in.Monotonic += e.m.Model.Step
}

func (e *episode) hold(conditions []*program.Program, step int) {
	e.t.Helper()
	for _, p := range conditions {
		if p.Eval(e.in.Values, make([]float64, p.Registers())) != 1 {
			e.t.Errorf("step %d (%s): not %s", step, e.state(), p)
		}
	}
}

func (e *episode) state() string {
	var words []string
	for i, s := range e.m.Signals {
		if e.in.Validity[i] == hal.Valid {
			words = append(words, s.Name+"="+strconv.FormatFloat(e.in.Values[i], 'g', 4, 64))
		}
	}
	return strings.Join(words, " ")
}

// tell writes the step down; reasons that were just given are not given again.
func (e *episode) tell(step int, d *dancer.Decision) {
	line := fmt.Sprintf("%d: %s", step, e.state())
	if why := reasons(d); why != e.reasons {
		e.course, e.reasons = append(e.course, line, "   "+strings.ReplaceAll(why, "\n", "\n   ")), why
		return
	}
	e.course = append(e.course, line, "   the same")
}
