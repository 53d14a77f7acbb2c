package dancer_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// manualText reads a manual in the short form of the test tables.
type manualText struct {
	t     testing.TB
	m     *dancer.Manual
	units map[string]expr.Unit
	later []func()
}

func parseManual(t testing.TB, lines []string) *dancer.Manual {
	t.Helper()
	p := &manualText{t: t, units: map[string]expr.Unit{}, m: &dancer.Manual{Hash: "sha256:test"}}
	p.m.Model.Step, p.m.Model.Horizon = 100*time.Millisecond, 3*time.Second
	for _, line := range lines {
		p.line(line)
	}
	p.m.Impact = make([]*program.Program, len(p.m.Values))
	for _, do := range p.later {
		do()
	}
	return p.m
}

func (p *manualText) line(line string) {
	word, rest, _ := strings.Cut(line, " ")
	f := strings.Fields(rest)
	switch word {
	case "signal": // NAME UNIT MIN MAX [stale D]
		s := hal.Signal{Name: f[0], Unit: strings.Trim(f[1], "-"), Minimum: p.number(f[2]), Maximum: p.number(f[3])}
		if len(f) > 5 {
			s.StaleAfter = p.duration(f[5])
		}
		p.m.Signals = append(p.m.Signals, s)
		p.units[s.Name] = p.unit(s.Unit)
	case "output": // NAME MIN MAX safe X
		p.m.Outputs = append(p.m.Outputs, hal.Output{Name: f[0], Minimum: p.number(f[1]), Maximum: p.number(f[2]), Safe: p.number(f[4])})
	case "value": // NAME [FLOOR]
		v := dancer.Value{Name: f[0]}
		if len(f) > 1 {
			v.HasFloor, v.Floor = true, p.number(f[1])
			v.Enough = v.Floor + 2
		}
		p.m.Values = append(p.m.Values, v)
	case "disturb": // SIGNAL MIN MAX
		p.m.Model.Disturbance = append(p.m.Model.Disturbance, dancer.Disturbance{Signal: p.signal(f[0]), Minimum: p.number(f[1]), Maximum: p.number(f[2])})
	case "next": // SIGNAL = EXPRESSION
		name, source, _ := strings.Cut(rest, " = ")
		p.later = append(p.later, func() {
			p.m.Model.Next = append(p.m.Model.Next, dancer.Next{Signal: p.signal(name), Program: p.compile(source, p.units[name])})
		})
	case "impact": // VALUE = EXPRESSION
		name, source, _ := strings.Cut(rest, " = ")
		p.later = append(p.later, func() { p.m.Impact[p.value(name)] = p.compile(source, expr.Unit{}) })
	case "baseline": // NAME of an action
		p.m.Baseline = f[0]
	case "action":
		p.action(f)
	case "escalation": // hold NAME deadline D on_timeout NAME
		p.m.Escalation.Hold, p.m.Escalation.Deadline = p.m.Action(f[1]), p.duration(f[3])
		p.m.Escalation.OnTimeout = p.m.Action(f[5])
	case "step":
		p.m.Model.Step = p.duration(f[0])
	case "horizon":
		p.m.Model.Horizon = p.duration(f[0])
	default:
		p.t.Fatalf("unknown line %q in a manual", line)
	}
}

// action NAME [fallback] [precedent] [critical] [disruption=X] [reversibility=X] OUTPUT=X ...
func (p *manualText) action(f []string) {
	a := dancer.Action{Name: f[0], Reversibility: 1}
	for _, word := range f[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "fallback":
			a.Fallback, p.m.Fallback = true, len(p.m.Actions)
		case "precedent":
			a.Precedent = true
		case "critical":
			a.Importance = dancer.Critical
		case "experimental":
			a.Importance = dancer.Experimental
		case "disruption":
			a.Disruption = p.number(value)
		case "reversibility":
			a.Reversibility = p.number(value)
		default:
			a.Set = append(a.Set, reflex.Setting{Output: p.output(key), Value: p.number(value)})
		}
	}
	p.m.Actions = append(p.m.Actions, a)
}

func (p *manualText) compile(source string, unit expr.Unit) *program.Program {
	layout := p.m.Layout()
	second, _ := expr.ParseUnit("s")
	scope := expr.Scope{"dt": {Constant: true, Value: p.m.Model.Step.Seconds(), Unit: second}}
	for i, s := range p.m.Signals {
		scope[s.Name] = expr.Symbol{Slot: i, Unit: p.units[s.Name]}
	}
	for i, o := range p.m.Outputs {
		scope[o.Name] = expr.Symbol{Slot: layout.Output(i)}
	}
	for i, d := range p.m.Model.Disturbance {
		name := p.m.Signals[d.Signal].Name
		scope["d."+name] = expr.Symbol{Slot: layout.Disturbance(i), Unit: p.units[name]}
	}
	out, err := expr.Compile(source, scope, expr.Want{Unit: unit})
	if err != nil {
		p.t.Fatalf("compile %q: %v", source, err)
	}
	return out
}

func (p *manualText) unit(text string) expr.Unit {
	u, err := expr.ParseUnit(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

func (p *manualText) number(s string) float64 { return number(p.t, s) }

func number(t testing.TB, s string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (p *manualText) duration(s string) time.Duration { return duration(p.t, s) }

func duration(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (p *manualText) signal(name string) int {
	for i := range p.m.Signals {
		if p.m.Signals[i].Name == name {
			return i
		}
	}
	p.t.Fatalf("no signal %q", name)
	return 0
}

func (p *manualText) output(name string) int {
	for i := range p.m.Outputs {
		if p.m.Outputs[i].Name == name {
			return i
		}
	}
	p.t.Fatalf("no output %q", name)
	return 0
}

func (p *manualText) value(name string) int {
	for i := range p.m.Values {
		if p.m.Values[i].Name == name {
			return i
		}
	}
	p.t.Fatalf("no value %q", name)
	return 0
}
