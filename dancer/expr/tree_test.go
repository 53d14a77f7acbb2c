package expr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	oracle "github.com/expr-lang/expr"

	"dancer/reflex/program"
)

// tree is an expression as a tree, drawn as such: so all of its shapes come up,
// and not only those of which a drawn text consists.
type tree struct {
	text  string // of a leaf, or the operator or function
	parts []*tree
	value float64 // of a leaf
}

var treeLeaves = []*tree{
	{text: "a"}, {text: "b"}, {text: "c"}, {text: "0.5", value: 0.5}, {text: "3.0", value: 3}, {text: "7.25", value: 7.25}, {text: "0.1", value: 0.1}, {text: "1e3", value: 1e3},
}

func drawQuantity(r *rand.Rand, depth int) *tree {
	if depth == 0 || r.IntN(6) == 0 {
		return treeLeaves[r.IntN(len(treeLeaves))]
	}
	x := func() *tree { return drawQuantity(r, depth-1) }
	switch r.IntN(9) {
	case 0:
		return &tree{text: "-", parts: []*tree{x()}}
	case 1:
		return &tree{text: "?", parts: []*tree{drawCondition(r, depth-1), x(), x()}}
	case 2:
		return &tree{text: []string{"min(", "max("}[r.IntN(2)], parts: []*tree{x(), x()}}
	case 3:
		return &tree{text: "abs(", parts: []*tree{x()}}
	}
	return &tree{text: []string{"+", "-", "*", "/"}[r.IntN(4)], parts: []*tree{x(), x()}}
}

func drawCondition(r *rand.Rand, depth int) *tree {
	if depth == 0 {
		return &tree{text: []string{"p", "q", "true", "false"}[r.IntN(4)]}
	}
	x := func() *tree { return drawCondition(r, depth-1) }
	switch r.IntN(6) {
	case 0:
		return &tree{text: "!", parts: []*tree{x()}}
	case 1:
		return &tree{text: "?", parts: []*tree{x(), x(), x()}}
	case 2, 3:
		return &tree{text: []string{"&&", "||"}[r.IntN(2)], parts: []*tree{x(), x()}}
	}
	return &tree{text: []string{"<", "<=", ">", ">=", "==", "!="}[r.IntN(6)], parts: []*tree{drawQuantity(r, depth-1), drawQuantity(r, depth-1)}}
}

// binding says how tightly a node binds: what binds looser than its place needs
// gets parentheses.
func (x *tree) binding() int {
	switch {
	case len(x.parts) == 0 || strings.HasSuffix(x.text, "("):
		return 9
	case len(x.parts) == 1:
		return 8
	}
	return map[string]int{"?": 1, "||": 2, "&&": 3, "==": 4, "!=": 4, "<": 5, "<=": 5, ">": 5, ">=": 5, "+": 6, "-": 6, "*": 7, "/": 7}[x.text]
}

// print writes the tree with as few parentheses as the grammar needs. The oracle
// binds ! and unary minus as we do, but reads no two of them in a row, and gives
// comparison and equality one level; for it careful is set.
func (x *tree) print(least int, careful bool) string {
	s := ""
	switch {
	case len(x.parts) == 0:
		return x.text
	case strings.HasSuffix(x.text, "("):
		list := make([]string, len(x.parts))
		for i, p := range x.parts {
			list[i] = p.print(0, careful)
		}
		return x.text + strings.Join(list, ", ") + ")"
	case x.text == "?": // groups to the right, and between ? and : there may be anything
		s = x.parts[0].print(2, careful) + " ? " + x.parts[1].print(1, careful) + " : " + x.parts[2].print(1, careful)
	case len(x.parts) == 1 && careful:
		s = x.text + x.parts[0].print(9, careful)
	case len(x.parts) == 1:
		s = x.text + x.parts[0].print(8, careful)
	case x.binding() == 4 || x.binding() == 5: // do not chain
		level := 6
		s = x.parts[0].print(level, careful) + " " + x.text + " " + x.parts[1].print(level, careful)
	default: // to the left
		s = x.parts[0].print(x.binding(), careful) + " " + x.text + " " + x.parts[1].print(x.binding()+1, careful)
	}
	if x.binding() < least {
		return "(" + s + ")"
	}
	return s
}

// treeNames are the values of the names: a, b, c, and p, q as 0 or 1.
type treeNames map[string]float64

// of evaluates the tree itself; ok is false where the value is invalid, or where
// it depends on how much of an invalid part is looked at.
func (n treeNames) of(x *tree) (value float64, ok bool) {
	if len(x.parts) == 0 {
		if v, named := n[x.text]; named {
			return v, true
		}
		return map[string]float64{"true": 1, "false": 0}[x.text] + x.value, true
	}
	v := make([]float64, len(x.parts))
	for i, p := range x.parts {
		if v[i], ok = n.of(p); !ok {
			return 0, false
		}
	}
	truth := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	switch x.text {
	case "+":
		value = v[0] + v[1]
	case "-":
		if value = -v[0]; len(v) == 2 {
			value = v[0] - v[1]
		}
	case "*":
		value = v[0] * v[1]
	case "/":
		value = v[0] / v[1]
	case "min(":
		value = math.Min(v[0], v[1])
	case "max(":
		value = math.Max(v[0], v[1])
	case "abs(":
		value = math.Abs(v[0])
	case "?":
		if value = v[2]; v[0] == 1 {
			value = v[1]
		}
	case "!":
		value = 1 - v[0]
	case "&&":
		value = v[0] * v[1]
	case "||":
		value = max(v[0], v[1])
	case "<":
		value = truth(v[0] < v[1])
	case "<=":
		value = truth(v[0] <= v[1])
	case ">":
		value = truth(v[0] > v[1])
	case ">=":
		value = truth(v[0] >= v[1])
	case "==":
		value = truth(v[0] == v[1])
	case "!=":
		value = truth(v[0] != v[1])
	}
	return value, value-value == 0
}

// TestTreesReadBack: a tree that is printed with as few parentheses as may be
// reads as that tree, to the last bit of its value, whether names stand for slots
// or for constants, and as the oracle reads it.
func TestTreesReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	draws := 15000
	if testing.Short() {
		draws = 3000
	}
	registers := make([]float64, program.Registers)
	valid, asked := 0, 0
	for range draws {
		want := Want{Boolean: r.IntN(2) == 0}
		x := drawQuantity(r, 5)
		if want.Boolean {
			x = drawCondition(r, 5)
		}
		slots := []float64{-2, 0.3, 4e5, float64(r.IntN(2)), float64(r.IntN(2))}
		r.Shuffle(3, func(i, k int) { slots[i], slots[k] = slots[k], slots[i] })
		names := treeNames{"a": slots[0], "b": slots[1], "c": slots[2], "p": slots[3], "q": slots[4]}
		value, ok := names.of(x)
		source := x.print(0, false)
		if len(source) > maximumLength {
			continue
		}
		p, err := Compile(source, treeScope(names, false), want)
		if err != nil && (!constantFault(err) || ok) {
			t.Fatalf("%s: %v", source, err)
		}
		if !ok {
			continue
		}
		valid++
		if got := p.Eval(slots, registers); got != value {
			t.Fatalf("%s at %v is %v, the tree says %v", source, slots, got, value)
		}
		folded, err := Compile(source, treeScope(names, true), want)
		if err != nil {
			t.Fatalf("%s with constants %v: %v", source, slots, err)
		}
		if got := folded.Eval(nil, registers); math.Float64bits(got+0) != math.Float64bits(p.Eval(slots, registers)+0) || len(folded.Reads()) > 0 {
			t.Fatalf("%s at %v folds to %v, evaluates to %v", source, slots, got, value)
		}
		if r.IntN(8) == 0 {
			asked++
			askOracle(t, x.print(0, true), names, want.Boolean, value)
		}
	}
	if valid < draws/2 || asked < draws/40 {
		t.Errorf("of %d trees %d had a value, %d were asked for", draws, valid, asked)
	}
}

func constantFault(err error) bool {
	e := err.(*Error)
	return e.What == "division by zero" || strings.HasSuffix(e.What, "has no value")
}

func treeScope(names treeNames, constant bool) Scope {
	scope := Scope{}
	for i, n := range []string{"a", "b", "c", "p", "q"} {
		scope[n] = Symbol{Slot: i, Boolean: i > 2, Constant: constant, Value: names[n]}
	}
	return scope
}

func askOracle(t *testing.T, source string, names treeNames, boolean bool, value float64) {
	t.Helper()
	environment := map[string]any{"a": names["a"], "b": names["b"], "c": names["c"], "p": names["p"] > 0, "q": names["q"] > 0}
	p, err := oracle.Compile(source, oracle.Env(environment))
	if err != nil {
		t.Fatalf("the oracle does not read %s: %v", source, err)
	}
	result, err := oracle.Run(p, environment)
	if err != nil {
		t.Fatalf("the oracle does not run %s: %v", source, err)
	}
	want := any(value + 0)
	if boolean {
		want = value == 1
	}
	if fmt.Sprint(number64(result)) != fmt.Sprint(want) {
		t.Errorf("%s with %v: the oracle says %v, we say %v", source, names, result, want)
	}
}
