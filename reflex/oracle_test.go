package reflex_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/reflex"
)

// plain is a second, slow version of one rule, written from the description and
// without any of the table's tricks.
type plain struct {
	rule            reflex.Rule
	active, latched bool
	since           time.Duration // condition true since; -1: it is not
	counted         time.Duration
	readings        int
}

func (p *plain) reads(slot int) bool {
	programs := p.rule.When.Reads()
	if p.rule.Until != nil {
		programs = append(append([]int{}, programs...), p.rule.Until.Reads()...)
	}
	for _, s := range programs {
		if s == slot {
			return true
		}
	}
	return false
}

func (p *plain) reading(now time.Duration, slots []float64) {
	scratch := make([]float64, p.rule.When.Registers())
	condition := p.rule.When.AnyInvalid(slots) || p.rule.When.Eval(slots, scratch) != 0
	switch {
	case p.active && !condition:
		if u := p.rule.Until; u == nil || !u.AnyInvalid(slots) && u.Eval(slots, scratch) == 1 {
			p.active = false
		}
	case !p.active && condition:
		if p.since < 0 {
			p.since, p.readings, p.counted = now, 0, -1
		}
		if p.counted != now {
			p.readings, p.counted = p.readings+1, now
		}
		p.pass(now)
	case !p.active:
		p.since = -1
	}
}

// pass lets time go by.
func (p *plain) pass(now time.Duration) {
	if p.since >= 0 && now-p.since >= p.rule.Debounce && p.readings >= p.rule.Confirm {
		p.active, p.since = true, -1
		p.latched = p.latched || p.rule.Latch
	}
}

var conditions = []string{
	"range < 0.5 m", "range < 0.5 m && drive > 0", "range <= 0.25 m || smoke >= 2", "bumper", "!bumper && smoke == 1", "smoke != 1",
	"bumper || drive != 0", "range * 2 < 1 m", "range < 0.5 m || bumper && drive > 0", "min(smoke, 2) > 1", "1 / smoke > 0.6", "drive > 0 ? bumper : smoke > 1",
}

func drawRule(t *rapid.T, tb testing.TB, name string) reflex.Rule {
	until := ""
	if rapid.Bool().Draw(t, "hysteresis") {
		until = rapid.SampledFrom(conditions).Draw(t, "until")
	}
	r := reflex.Rule{
		Name: name, Set: stop(), Latch: rapid.Bool().Draw(t, "latch"), Stop: reflex.Stop2,
		Debounce: ms * time.Duration(rapid.IntRange(0, 3).Draw(t, "debounce")),
		Confirm:  rapid.IntRange(0, 3).Draw(t, "confirm"),
	}
	return rule(tb, scope(tb), r, rapid.SampledFrom(conditions).Draw(t, "when"), until)
}

func TestTableAgreesWithThePlainVersion(t *testing.T) {
	values := rapid.SampledFrom([]float64{0, 0.25, 0.5, 1, 2, math.NaN()})
	rapid.Check(t, func(rt *rapid.T) {
		rules := make([]reflex.Rule, rapid.SampledFrom([]int{1, 3, 70}).Draw(rt, "rules"))
		plains := make([]plain, len(rules))
		for i := range rules {
			rules[i] = drawRule(rt, t, fmt.Sprintf("r%d", i))
			plains[i] = plain{rule: rules[i], since: -1}
		}
		table, err := reflex.NewTable(rules, outputs(), 3)
		if err != nil {
			rt.Fatal(err)
		}
		slots, now, whole := []float64{1, 0, 0, 0, 1}, time.Duration(0), false
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now += ms * time.Duration(rapid.IntRange(0, 2).Draw(rt, "pause"))
			slot := rapid.IntRange(0, 4).Draw(rt, "slot")
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				table.Tick(now)
				for i := range plains {
					plains[i].pass(now)
				}
			case 1:
				slots[slot] = values.Draw(rt, "value")
				table.Evaluate(now, slots)
				whole = true
				for i := range plains {
					plains[i].reading(now, slots)
				}
			default:
				slots[slot] = values.Draw(rt, "value")
				table.Changed(now, slot, slots)
				for i := range plains {
					if plains[i].reads(slot) {
						plains[i].reading(now, slots)
					}
				}
			}
			if whole && !table.Consistent(slots) {
				rt.Fatalf("%v: with %v the table says that it is inconsistent", now, slots)
			}
			for i := range plains {
				p := &plains[i]
				if table.Active(i) != p.active || table.Latched(i) != p.latched {
					rt.Fatalf("%v: rule %q (until %v) with %v: active %v latched %v, want %v %v", now, p.rule.When, p.rule.Until, slots,
						table.Active(i), table.Latched(i), p.active, p.latched)
				}
			}
		}
	})
}
