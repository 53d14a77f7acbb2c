package program_test

import (
	"fmt"

	"dancer/reflex/program"
)

func ExampleBuilder() {
	var b program.Builder
	distance := b.Slot(0)
	near := b.Binary(program.Less, distance, b.Constant(0.3))
	p, err := b.Program("range < 0.3", near)
	if err != nil {
		fmt.Println(err)
		return
	}
	registers := make([]float64, p.Registers())
	fmt.Println(p, p.Reads(), p.Eval([]float64{0.25}, registers), p.Eval([]float64{0.5}, registers))
	// Output: range < 0.3 [0] 1 0
}
