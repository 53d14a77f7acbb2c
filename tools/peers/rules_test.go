package peers

import (
	"fmt"
	"strings"
)

// The inputs: 20 numbers, 4 truth values and 4 outputs, which are numbers.
const (
	numbers = 20
	truths  = 4
	outputs = 4
	slots   = numbers + truths + outputs
)

func name(slot int) string {
	if slot < numbers+truths {
		return fmt.Sprintf("s%d", slot)
	}
	return fmt.Sprintf("o%d", slot-numbers-truths)
}

func isTruth(slot int) bool { return slot >= numbers && slot < numbers+truths }

// condition is a truth value of the language that all peers share. It can be
// written in the usual notation and as alternatives of conjunctions, which is
// what Rego has in place of "or".
type condition interface {
	text() string
	alternatives() [][]string
}

// number is an arithmetic expression.
type number interface {
	text() string
	// cases gives the expression without a choice in it, with what has to be true
	// for each.
	cases() []choice
}

type choice struct {
	given []string
	text  string
}

type (
	constant string // always with a decimal point: the peers do not mix whole numbers in
	slot     int
	binary   struct {
		left     number
		operator string
		right    number
	}
	ternary struct {
		when    condition
		yes, no number
	}

	truth      int // a slot
	comparison struct {
		left     number
		operator string
		right    number
	}
	and []condition
	or  []condition
)

func (c constant) text() string    { return string(c) }
func (c constant) cases() []choice { return []choice{{text: string(c)}} }

func (s slot) text() string    { return name(int(s)) }
func (s slot) cases() []choice { return []choice{{text: "input." + name(int(s))}} }

func (b binary) text() string {
	return "(" + b.left.text() + " " + b.operator + " " + b.right.text() + ")"
}
func (b binary) cases() []choice { return pairs(b.left, b.operator, b.right, "(%s %s %s)") }

func (t ternary) text() string {
	return "(" + t.when.text() + " ? " + t.yes.text() + " : " + t.no.text() + ")"
}

// cases: the condition of a choice is one comparison, whose opposite is known.
func (t ternary) cases() []choice {
	when := t.when.(comparison)
	var out []choice
	for _, branch := range []struct {
		when  condition
		value number
	}{{when, t.yes}, {comparison{when.left, opposite[when.operator], when.right}, t.no}} {
		for _, given := range branch.when.alternatives() {
			for _, c := range branch.value.cases() {
				out = append(out, choice{append(append([]string{}, given...), c.given...), c.text})
			}
		}
	}
	return out
}

var opposite = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<"}

func pairs(left number, operator string, right number, format string) []choice {
	var out []choice
	for _, l := range left.cases() {
		for _, r := range right.cases() {
			out = append(out, choice{append(append([]string{}, l.given...), r.given...), fmt.Sprintf(format, l.text, operator, r.text)})
		}
	}
	return out
}

func (t truth) text() string             { return name(int(t)) }
func (t truth) alternatives() [][]string { return [][]string{{"input." + name(int(t))}} }

func (c comparison) text() string {
	return c.left.text() + " " + c.operator + " " + c.right.text()
}

func (c comparison) alternatives() [][]string {
	var out [][]string
	for _, p := range pairs(c.left, c.operator, c.right, "%s %s %s") {
		out = append(out, append(p.given, p.text))
	}
	return out
}

func (a and) text() string { return join(a, " && ") }

func (a and) alternatives() [][]string {
	out := [][]string{nil}
	for _, c := range a {
		var longer [][]string
		for _, before := range out {
			for _, then := range c.alternatives() {
				longer = append(longer, append(append([]string{}, before...), then...))
			}
		}
		out = longer
	}
	return out
}

func (o or) text() string { return join(o, " || ") }

func (o or) alternatives() [][]string {
	var out [][]string
	for _, c := range o {
		out = append(out, c.alternatives()...)
	}
	return out
}

func join(conditions []condition, operator string) string {
	texts := make([]string, len(conditions))
	for i, c := range conditions {
		texts[i] = "(" + c.text() + ")"
	}
	return strings.Join(texts, operator)
}

// hundred gives the rules, in the mixture that robots have: limits joined by &&
// and ||, single limits, truth values; four weigh one signal against another by
// arithmetic, as a stopping distance does, and two choose a limit by ?:.
func hundred() []condition {
	rules := make([]condition, 100)
	for i := range rules {
		a, b, o := slot((i+i/numbers)%numbers), slot((i*7+3)%numbers), slot(numbers+truths+i%outputs)
		below := func(s slot, limit string) condition { return comparison{s, "<", constant(limit)} }
		switch {
		case i%50 == 7:
			rules[i] = comparison{a, "<", ternary{comparison{o, ">", constant("0.5")}, constant("0.6"), constant("0.3")}}
		case i%25 == 12:
			rules[i] = and{comparison{a, "<", binary{constant("0.25"), "+", binary{constant("0.5"), "*", o}}}, comparison{o, ">", constant("0.0")}}
		case i%10 == 0:
			rules[i] = truth(numbers + i/10%truths)
		case i%10 <= 2:
			rules[i] = comparison{a, ">", constant(fmt.Sprintf("%d.0", 5+i))}
		case i%10 <= 4:
			rules[i] = or{below(a, "0.2"), comparison{b, ">", constant("90.0")}}
		case i%10 == 5:
			rules[i] = and{below(a, "0.3"), below(b, "0.4"), comparison{o, ">=", constant("0.5")}}
		default:
			rules[i] = and{below(a, "0.3"), comparison{o, ">", constant("0.0")}}
		}
	}
	return rules
}

// reads says for every slot which rules read it.
func reads(rules []condition) [][]int {
	index := make([][]int, slots)
	for i, r := range rules {
		words := strings.FieldsFunc(r.text(), func(c rune) bool { return strings.ContainsRune(" ()", c) })
		for s := range slots {
			for _, w := range words {
				if w == name(s) {
					index[s] = append(index[s], i)
					break
				}
			}
		}
	}
	return index
}
