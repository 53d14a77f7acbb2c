package expr_test

import (
	"fmt"

	"dancer/dancer/expr"
)

func ExampleCompile() {
	centimetre, _ := expr.ParseUnit("cm")
	scope := expr.Scope{
		"range": {Slot: 0, Unit: centimetre}, // the sensor speaks centimetres
		"drive": {Slot: 1},
	}
	p, err := expr.Compile("range < 0.30 m && drive > 0", scope, expr.Want{Boolean: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	registers := make([]float64, p.Registers())
	fmt.Println(p.Eval([]float64{29.9, 0.5}, registers), p.Eval([]float64{30, 0.5}, registers))
	// Output: 1 0
}

func ExampleCompile_error() {
	metre, _ := expr.ParseUnit("m")
	scope := expr.Scope{"range": {Slot: 0, Unit: metre}}
	_, err := expr.Compile("range < 0.30", scope, expr.Want{Boolean: true})
	fmt.Println(err)
	// Output: column 9: 0.30 has no unit beside a quantity in m (write 0.30 m)
}
