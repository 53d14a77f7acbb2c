package expr

import (
	"fmt"
	"strings"
	"testing"

	oracle "github.com/expr-lang/expr"
	"pgregory.net/rapid"
)

// The names of the common subset and their values: plain numbers and truths.
var (
	numberNames = []string{"a", "b", "c"}
	truthNames  = []string{"p", "q"}
	numerals    = []string{"0.0", "1.0", "0.25", "3.0", "7.5", "1e1"}
)

// arithmetic draws source text of a number, with few parentheses, so that the
// binding of the operators is tested too.
func arithmetic(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 11).Draw(t, "kind")
	if depth == 0 || kind < 3 {
		return rapid.SampledFrom(append(numberNames, numerals...)).Draw(t, "leaf")
	}
	x := arithmetic(t, depth-1)
	switch kind {
	case 3:
		return "(" + x + ")"
	case 4:
		return "-" + tight(x)
	case 5:
		return "abs(" + x + ")"
	case 6:
		return "min(" + x + ", " + arithmetic(t, depth-1) + ")"
	case 7:
		return "max(" + x + ", " + arithmetic(t, depth-1) + ", 2.0)"
	case 8:
		return "(" + logic(t, depth-1) + " ? " + x + " : " + arithmetic(t, depth-1) + ")"
	}
	return x + rapid.SampledFrom([]string{" + ", " - ", " * ", "*", " / "}).Draw(t, "operator") + arithmetic(t, depth-1)
}

// tight puts an operand into parentheses where two signs would meet: the oracle
// does not read them.
func tight(x string) string {
	if strings.HasPrefix(x, "-") {
		return "(" + x + ")"
	}
	return x
}

// logic draws source text of a condition.
func logic(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	switch {
	case depth == 0 || kind == 0:
		return rapid.SampledFrom(append(truthNames, "true", "false")).Draw(t, "truth")
	case kind < 5:
		operator := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "comparison")
		return arithmetic(t, depth-1) + " " + operator + " " + arithmetic(t, depth-1)
	case kind == 5:
		return "!(" + logic(t, depth-1) + ")"
	case kind == 6:
		return "(" + logic(t, depth-1) + ")"
	}
	return logic(t, depth-1) + rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "join") + logic(t, depth-1)
}

// ask evaluates with the oracle.
func ask(t *rapid.T, source string, slots []float64) any {
	environment := map[string]any{"p": slots[3] > 0, "q": slots[4] > 0}
	for i, n := range numberNames {
		environment[n] = slots[i]
	}
	program, err := oracle.Compile(source, oracle.Env(environment))
	if err != nil {
		t.Fatalf("the oracle does not read %s: %v", source, err)
	}
	result, err := oracle.Run(program, environment)
	if err != nil {
		t.Fatalf("the oracle does not run %s: %v", source, err)
	}
	return result
}

func TestAgreesWithTheOracle(t *testing.T) {
	scope := Scope{"p": {Slot: 3, Boolean: true}, "q": {Slot: 4, Boolean: true}}
	for i, n := range numberNames {
		scope[n] = Symbol{Slot: i}
	}
	registers, numbers, invalid := make([]float64, 256), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		want := Want{Boolean: rapid.Bool().Draw(t, "condition")}
		source := ""
		if want.Boolean {
			source = logic(t, 4)
		} else {
			source = arithmetic(t, 5)
		}
		value := rapid.SampledFrom([]float64{-2, -0.5, 0, 1, 2.25, 100})
		slots := []float64{value.Draw(t, "a"), value.Draw(t, "b"), value.Draw(t, "c"), float64(rapid.IntRange(0, 1).Draw(t, "p")), float64(rapid.IntRange(0, 1).Draw(t, "q"))}
		p, err := Compile(source, scope, want)
		if err != nil {
			if e := err.(*Error); e.What == "division by zero" || strings.HasSuffix(e.What, "has no value") {
				return
			}
			t.Fatalf("%s: %v", source, err)
		}
		got := p.Eval(slots, registers)
		if got != got {
			invalid++
			if !strings.Contains(source, "/") {
				t.Fatalf("%s is invalid without a division", source)
			}
			return
		}
		numbers++
		answer := any(got)
		if want.Boolean {
			answer = got == 1
		}
		if expected := ask(t, source, slots); fmt.Sprint(number64(answer)) != fmt.Sprint(number64(expected)) {
			t.Errorf("%s with %v = %v, the oracle says %v", source, slots, answer, expected)
		}
	})
	if numbers < 4*invalid {
		t.Errorf("only %d of %d drawn expressions had a value", numbers, numbers+invalid)
	}
}

// number64 makes the oracle's integers and zeros comparable with ours.
func number64(x any) any {
	switch v := x.(type) {
	case int:
		return float64(v)
	case float64:
		return v + 0 // -0 becomes 0
	}
	return x
}
