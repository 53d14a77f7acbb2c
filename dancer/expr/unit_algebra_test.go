package expr

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"dancer/reflex/program"
)

// exactUnit is a unit worked out from the definitions in exact arithmetic.
type exactUnit struct {
	scale *big.Rat
	power map[string]int
}

func (u exactUnit) times(v exactUnit, n int) exactUnit {
	out := exactUnit{new(big.Rat).Set(u.scale), map[string]int{}}
	for k, p := range u.power {
		out.power[k] = p
	}
	for range max(n, -n) {
		if n > 0 {
			out.scale.Mul(out.scale, v.scale)
		} else {
			out.scale.Quo(out.scale, v.scale)
		}
	}
	for k, p := range v.power {
		if out.power[k] += n * p; out.power[k] == 0 {
			delete(out.power, k)
		}
	}
	return out
}

// exactUnits are all units but those of angle, whose scales are no rationals.
func exactUnits(t *testing.T) map[string]exactUnit {
	t.Helper()
	one := exactUnit{big.NewRat(1, 1), nil}
	table := map[string]exactUnit{"": one, "1": one}
	for _, name := range baseNames {
		table[name] = exactUnit{big.NewRat(1, 1), map[string]int{name: 1}}
	}
	delete(table, "rad")
	for _, d := range definitions {
		of, sign := one, 1
		known := true
		for i, part := range strings.FieldsFunc(d.of, func(r rune) bool { return r == '·' || r == '/' }) {
			if i > 0 && strings.Contains(d.of[:strings.Index(d.of, part)], "/") {
				sign = -1
			}
			name, power, _ := strings.Cut(part, "^")
			n := 1
			if power != "" {
				fmt.Sscan(power, &n)
			}
			v, ok := table[name]
			known = known && ok
			if ok {
				of = of.times(v, sign*n)
			}
		}
		if !known || d.names == "mrad" || strings.Contains(d.names, "turn") || strings.Contains(d.names, "deg ") {
			continue
		}
		for _, name := range strings.Fields(d.names) {
			scale := new(big.Rat).Quo(r(fmt.Sprint(d.numerator)), r(fmt.Sprint(d.denominator)))
			table[name] = exactUnit{scale.Mul(scale, of.scale), of.power}
		}
	}
	delete(table, "")
	delete(table, "1")
	return table
}

// TestUnitAlgebraIsExact: numbers with random products of units, brought to base
// units and divided by one another, are what exact arithmetic gives.
func TestUnitAlgebraIsExact(t *testing.T) {
	table := exactUnits(t)
	var names []string
	for n := range unitTable {
		if _, ok := table[n]; ok && n != "%" {
			names = append(names, n)
		}
	}
	if len(names) < 60 {
		t.Fatalf("only %d units", len(names))
	}
	random := rand.New(rand.NewPCG(3, 9))
	product := func() (string, exactUnit) {
		text, u := "", exactUnit{big.NewRat(1, 1), nil}
		for i := range 1 + random.IntN(4) {
			n := names[random.IntN(len(names))]
			power, operator := 1+random.IntN(2), "·"
			if i > 0 && random.IntN(2) == 0 {
				operator = "/"
			}
			if i > 0 {
				text += operator
			}
			if text += n; power > 1 {
				text += fmt.Sprintf("^%d", power)
			}
			if operator == "/" {
				power = -power
			}
			u = u.times(table[n], power)
		}
		return text, u
	}
	registers, done := make([]float64, program.Registers), 0
	for range 4000 {
		left, u := product()
		number := fmt.Sprint(1 + random.IntN(9999))
		want := new(big.Rat).Mul(u.scale, r(number))
		p, err := Compile(number+" "+left, nil, Want{AnyUnit: true})
		if err != nil {
			if strings.Contains(err.Error(), "out of all proportion") || strings.Contains(err.Error(), "too large") {
				continue
			}
			t.Fatalf("%s %s: %v", number, left, err)
		}
		done++
		exact, _ := want.Float64()
		if got := p.Eval(nil, registers); math.Abs(got-exact) > 1e-15*exact { // a scale above 2^53 is rounded too
			t.Errorf("%s %s is %v in base units, want %v", number, left, got, exact)
		}
		right, v := product()
		q, err := Compile("("+number+" "+left+") / (1 "+right+")", nil, Want{AnyUnit: true})
		if err != nil {
			continue
		}
		exact, _ = new(big.Rat).Quo(want, v.scale).Float64()
		if got := q.Eval(nil, registers); math.Abs(got-exact) > 1e-15*exact {
			t.Errorf("%s %s / 1 %s is %v in base units, want %v", number, left, right, got, exact)
		}
		left1, err := ParseUnit(left)
		right1, err2 := ParseUnit(right)
		if err == nil && err2 == nil && left1.Fits(right1) != (fmt.Sprint(u.power) == fmt.Sprint(v.power)) {
			t.Errorf("%s fits %s: %v", left, right, left1.Fits(right1))
		}
	}
	if done < 2000 {
		t.Errorf("only %d products could be written", done)
	}
}
