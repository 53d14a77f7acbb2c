package program

import "math"

// The operations that models are made of, for all lanes. Four lanes a turn: a
// loop of one is as fast only where it happens to be aligned. The slices are of
// one length, and d may be x or y.

func add(d, x, y []float64) {
	x, y = x[:len(d)], y[:len(d)]
	l := 0
	for ; l < len(d)-3; l += 4 {
		d[l] = x[l] + y[l]
		d[l+1] = x[l+1] + y[l+1]
		d[l+2] = x[l+2] + y[l+2]
		d[l+3] = x[l+3] + y[l+3]
	}
	for ; l < len(d); l++ {
		d[l] = x[l] + y[l]
	}
}

func addK(d, x []float64, k float64) {
	x = x[:len(d)]
	l := 0
	for ; l < len(d)-3; l += 4 {
		d[l] = x[l] + k
		d[l+1] = x[l+1] + k
		d[l+2] = x[l+2] + k
		d[l+3] = x[l+3] + k
	}
	for ; l < len(d); l++ {
		d[l] = x[l] + k
	}
}

func subtract(d, x, y []float64) {
	x, y = x[:len(d)], y[:len(d)]
	l := 0
	for ; l < len(d)-3; l += 4 {
		d[l] = x[l] - y[l]
		d[l+1] = x[l+1] - y[l+1]
		d[l+2] = x[l+2] - y[l+2]
		d[l+3] = x[l+3] - y[l+3]
	}
	for ; l < len(d); l++ {
		d[l] = x[l] - y[l]
	}
}

func subtractFromK(d, x []float64, k float64) {
	x = x[:len(d)]
	l := 0
	for ; l < len(d)-3; l += 4 {
		d[l] = k - x[l]
		d[l+1] = k - x[l+1]
		d[l+2] = k - x[l+2]
		d[l+3] = k - x[l+3]
	}
	for ; l < len(d); l++ {
		d[l] = k - x[l]
	}
}

func multiply(d, x, y []float64) {
	x, y = x[:len(d)], y[:len(d)]
	l := 0
	for ; l < len(d)-3; l += 4 {
		d[l] = x[l] * y[l]
		d[l+1] = x[l+1] * y[l+1]
		d[l+2] = x[l+2] * y[l+2]
		d[l+3] = x[l+3] * y[l+3]
	}
	for ; l < len(d); l++ {
		d[l] = x[l] * y[l]
	}
}

func multiplyK(d, x []float64, k float64) {
	x = x[:len(d)]
	l := 0
	for ; l < len(d)-3; l += 4 {
		d[l] = x[l] * k
		d[l+1] = x[l+1] * k
		d[l+2] = x[l+2] * k
		d[l+3] = x[l+3] * k
	}
	for ; l < len(d); l++ {
		d[l] = x[l] * k
	}
}

// Comparisons and selections of constants have branches, which lanes that move
// alike predict well.

func lessK(d, x []float64, k float64) {
	x = x[:len(d)]
	for l, v := range x {
		switch {
		case v < k:
			d[l] = 1
		case v >= k:
			d[l] = 0
		default:
			d[l] = math.NaN()
		}
	}
}

func greaterK(d, x []float64, k float64) {
	x = x[:len(d)]
	for l, v := range x {
		switch {
		case v > k:
			d[l] = 1
		case v <= k:
			d[l] = 0
		default:
			d[l] = math.NaN()
		}
	}
}

func selectKK(d, x []float64, yes, no float64) {
	x = x[:len(d)]
	for l, v := range x {
		switch {
		case v == 0:
			d[l] = no
		case v == v:
			d[l] = yes
		default:
			d[l] = v
		}
	}
}
