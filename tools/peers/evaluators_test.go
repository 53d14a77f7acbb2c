package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	language "dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
)

// evaluator is one of the four. Every state is prepared in the form that the
// evaluator likes best before time is taken.
type evaluator interface {
	// prepare keeps a state under the next number.
	prepare(state []float64)
	// all evaluates every rule in a prepared state.
	all(state int)
	// changed evaluates the rules that read a slot, in a prepared state.
	changed(state, slot int)
	// is gives the truth value of a rule as last evaluated.
	is(rule int) bool
}

func evaluators(tb testing.TB, rules []condition) map[string]evaluator {
	index := reads(rules)
	return map[string]evaluator{
		"dancer": newTable(tb, rules), "expr": newExpr(tb, rules, index),
		"cel": newCEL(tb, rules, index), "opa": newOPA(tb, rules, index),
	}
}

// table is the reflex table of this project. Its rules have neither debounce nor
// hysteresis, so that a rule is active exactly when its condition is true.
type table struct {
	table  *reflex.Table
	states [][]float64
	now    time.Duration
}

func newTable(tb testing.TB, conditions []condition) *table {
	scope := language.Scope{}
	for s := range slots {
		scope[name(s)] = language.Symbol{Slot: s, Boolean: isTruth(s)}
	}
	list := make([]hal.Output, outputs)
	for i := range list {
		list[i] = hal.Output{Name: name(numbers + truths + i), Maximum: 1}
	}
	rules := make([]reflex.Rule, len(conditions))
	for i, c := range conditions {
		when, err := language.Compile(c.text(), scope, language.Want{Boolean: true})
		if err != nil {
			tb.Fatalf("%s: %v", c.text(), err)
		}
		rules[i] = reflex.Rule{Name: fmt.Sprintf("r%d", i), When: when, Stop: reflex.Stop2, Set: []reflex.Setting{{Output: i % outputs}}}
	}
	t, err := reflex.NewTable(rules, list, numbers+truths)
	if err != nil {
		tb.Fatal(err)
	}
	return &table{table: t}
}

func (t *table) prepare(state []float64) { t.states = append(t.states, state) }

func (t *table) all(state int) {
	t.now++
	t.table.Evaluate(t.now, t.states[state])
}

func (t *table) changed(state, slot int) {
	t.now++
	t.table.Changed(t.now, slot, t.states[state])
}

func (t *table) is(rule int) bool { return t.table.Active(rule) }

// results keeps the truth values of an evaluator that has no state, and the index
// that the table has built in.
type results struct {
	index [][]int
	truth []bool
	every []int
}

func newResults(rules []condition, index [][]int) results {
	r := results{index: index, truth: make([]bool, len(rules))}
	for i := range rules {
		r.every = append(r.every, i)
	}
	return r
}

func (r *results) is(rule int) bool { return r.truth[rule] }

// environment is a state as a map from names.
func environment(state []float64) map[string]any {
	e := make(map[string]any, slots)
	for s, x := range state {
		e[name(s)] = x
		if isTruth(s) {
			e[name(s)] = x != 0
		}
	}
	return e
}

// exprRules are programs of expr-lang, run by one machine.
type exprRules struct {
	results
	programs []*vm.Program
	machine  vm.VM
	states   []map[string]any
}

func newExpr(tb testing.TB, rules []condition, index [][]int) *exprRules {
	e := &exprRules{results: newResults(rules, index)}
	for _, r := range rules {
		p, err := expr.Compile(r.text(), expr.Env(environment(make([]float64, slots))), expr.AsBool())
		if err != nil {
			tb.Fatalf("expr: %s: %v", r.text(), err)
		}
		e.programs = append(e.programs, p)
	}
	return e
}

func (e *exprRules) prepare(state []float64) { e.states = append(e.states, environment(state)) }
func (e *exprRules) all(state int)           { e.run(state, e.every) }
func (e *exprRules) changed(state, slot int) { e.run(state, e.index[slot]) }

func (e *exprRules) run(state int, rules []int) {
	for _, i := range rules {
		out, err := e.machine.Run(e.programs[i], e.states[state])
		if err != nil {
			panic(err)
		}
		e.truth[i] = out.(bool)
	}
}

// celRules are programs of CEL.
type celRules struct {
	results
	programs []cel.Program
	states   []cel.Activation
}

func newCEL(tb testing.TB, rules []condition, index [][]int) *celRules {
	var variables []cel.EnvOption
	for s := range slots {
		kind := cel.DoubleType
		if isTruth(s) {
			kind = cel.BoolType
		}
		variables = append(variables, cel.Variable(name(s), kind))
	}
	env, err := cel.NewEnv(variables...)
	if err != nil {
		tb.Fatal(err)
	}
	c := &celRules{results: newResults(rules, index)}
	for _, r := range rules {
		tree, issues := env.Compile(r.text())
		if issues.Err() != nil {
			tb.Fatalf("cel: %s: %v", r.text(), issues.Err())
		}
		p, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			tb.Fatal(err)
		}
		c.programs = append(c.programs, p)
	}
	return c
}

func (c *celRules) prepare(state []float64) {
	activation, err := cel.NewActivation(environment(state))
	if err != nil {
		panic(err)
	}
	c.states = append(c.states, activation)
}

func (c *celRules) all(state int)           { c.run(state, c.every) }
func (c *celRules) changed(state, slot int) { c.run(state, c.index[slot]) }

func (c *celRules) run(state int, rules []int) {
	for _, i := range rules {
		out, _, err := c.programs[i].Eval(c.states[state])
		if err != nil {
			panic(err)
		}
		c.truth[i] = out.Value().(bool)
	}
}

// opaRules is one Rego module: a set of the rules that are true, and one for each
// slot of those that read it. (A truth value for every rule takes twice as long.)
type opaRules struct {
	results
	whole  rego.PreparedEvalQuery
	bySlot []rego.PreparedEvalQuery
	states []ast.Value
}

func newOPA(tb testing.TB, rules []condition, index [][]int) *opaRules {
	var module strings.Builder
	module.WriteString("package robot\n")
	o := &opaRules{results: newResults(rules, index)}
	sets := map[string][]int{"whole": o.every}
	for s := range slots {
		sets["reads_"+name(s)] = index[s]
	}
	for set, members := range sets {
		for _, i := range members {
			for _, alternative := range rules[i].alternatives() {
				fmt.Fprintf(&module, "%s contains %d if { %s }\n", set, i, strings.Join(alternative, "; "))
			}
		}
	}
	prepare := func(set string) rego.PreparedEvalQuery {
		query, err := rego.New(rego.Query("data.robot."+set), rego.Module("robot.rego", module.String())).PrepareForEval(context.Background())
		if err != nil {
			tb.Fatal(err)
		}
		return query
	}
	o.whole = prepare("whole")
	for s := range slots {
		o.bySlot = append(o.bySlot, prepare("reads_"+name(s)))
	}
	return o
}

func (o *opaRules) prepare(state []float64) {
	value, err := ast.InterfaceToValue(environment(state))
	if err != nil {
		panic(err)
	}
	o.states = append(o.states, value)
}

func (o *opaRules) all(state int)           { o.run(&o.whole, state, o.every) }
func (o *opaRules) changed(state, slot int) { o.run(&o.bySlot[slot], state, o.index[slot]) }

func (o *opaRules) run(query *rego.PreparedEvalQuery, state int, rules []int) {
	if len(rules) == 0 { // then there is no set
		return
	}
	set, err := query.Eval(context.Background(), rego.EvalParsedInput(o.states[state]))
	if err != nil {
		panic(err)
	}
	for _, i := range rules {
		o.truth[i] = false
	}
	for _, x := range set[0].Expressions[0].Value.([]any) {
		i, err := x.(json.Number).Int64()
		if err != nil {
			panic(err)
		}
		o.truth[i] = true
	}
}
