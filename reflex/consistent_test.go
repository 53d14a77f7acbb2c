package reflex

import (
	"testing"

	"dancer/dancer/expr"
	"dancer/hal"
)

// TestInconsistentTables damages the state of a sound table, one bit or one value
// at a time.
func TestInconsistentTables(t *testing.T) {
	scope := expr.Scope{"smoke": {Slot: 0}, "heat": {Slot: 1}, "drive": {Slot: 2}}
	var rules []Rule
	for name, text := range map[string]string{"smoke": "smoke > 1", "heat": "heat + smoke > 3", "drive": "drive > 0.5"} {
		when, err := expr.Compile(text, scope, expr.Want{Boolean: true})
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, Rule{Name: name, When: when, Set: []Setting{{Output: 0, Value: 0}}, Latch: name == "smoke", Stop: Stop2})
	}
	for name, damage := range map[string]func(*Table, []float64){
		"condition":   func(table *Table, _ []float64) { table.word[0].condition ^= 1 << ruleNamed(table, "heat") },
		"reading":     func(_ *Table, slots []float64) { slots[0] = 0 },
		"not active":  func(table *Table, _ []float64) { table.word[0].active &^= 1 << ruleNamed(table, "smoke") },
		"not merged":  func(table *Table, _ []float64) { table.merged[0] = choice{} },
		"other value": func(table *Table, _ []float64) { table.merged[0].value = 1 },
	} {
		table, err := NewTable(rules, []hal.Output{{Name: "drive", Maximum: 1}}, 2)
		if err != nil {
			t.Fatal(err)
		}
		slots := []float64{2, 0, 1}
		table.Evaluate(0, slots)
		if !table.Consistent(slots) {
			t.Fatal("a table that was just evaluated is inconsistent")
		}
		slots[2] = 0 // an output that moved: its rules come later
		if !table.Consistent(slots) {
			t.Error("an output moved, and the table is inconsistent")
		}
		if n := testing.AllocsPerRun(10, func() { table.Consistent(slots) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		if damage(table, slots); table.Consistent(slots) {
			t.Errorf("%s: not found", name)
		}
	}
}

func ruleNamed(t *Table, name string) int {
	for i := range t.rules {
		if t.rules[i].Name == name {
			return i
		}
	}
	return -1
}
