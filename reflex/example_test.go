package reflex_test

import (
	"fmt"
	"time"

	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

func ExampleTable() {
	var b program.Builder
	near, _ := b.Program("range < 0.3", b.Binary(program.Less, b.Slot(0), b.Constant(0.3)))
	stop := reflex.Rule{Name: "protective-stop", When: near, Set: []reflex.Setting{{Output: 0, Value: 0}}, Stop: reflex.Stop2}
	drive := hal.Output{Name: "drive", Minimum: 0, Maximum: 1, Safe: 0}

	table, err := reflex.NewTable([]reflex.Rule{stop}, []hal.Output{drive}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	slots := []float64{2, 0.5} // range, drive
	table.Evaluate(0, slots)
	slots[0] = 0.2
	table.Changed(10*time.Millisecond, 0, slots)

	value, by, ok := table.Merged(0)
	fmt.Println(value, by, ok)
	// Output: 0 0 true
}
