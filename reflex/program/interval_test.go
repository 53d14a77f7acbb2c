package program

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// awkward are the numbers at which arithmetic changes its ways.
var awkward = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 2, -2.5, 3, 0.1, -0.1, 10, 60, 100, 1e-3, 1.02, 0.8, math.Pi, -math.E, 1e16, 1e200, -1e200, 1e-200,
	math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0x1p-1022, 1e-310,
	709.782712893384, 709.7827128933841, -745.1332191019411, -745.1332191019412, -708.4, 1 + 0x1p-52, 1 - 0x1p-53,
}

const testSlots = 4

// chooser draws; it is a random source, or the bytes of a fuzzer.
type chooser interface{ IntN(n int) int }

// drawProgram builds a random program of all operations.
func drawProgram(t testing.TB, c chooser) *Program {
	t.Helper()
	var b Builder
	values := []Value{b.Slot(0), b.Slot(1), b.Slot(2), b.Slot(3)}
	pick := func() Value { // the later the likelier, so that programs grow deep
		if c.IntN(2) == 0 {
			return values[len(values)-1-c.IntN(min(3, len(values)))]
		}
		return values[c.IntN(len(values))]
	}
	for range 1 + c.IntN(12) {
		switch c.IntN(6) {
		case 0:
			values = append(values, b.Unary(Not+Operation(c.IntN(int(Logarithm-Not)+1)), pick()))
		case 1:
			values = append(values, b.Select(pick(), pick(), pick()))
		case 2:
			values = append(values, b.Constant(awkward[c.IntN(len(awkward))]))
		default:
			values = append(values, b.Binary(Add+Operation(c.IntN(int(Or-Add)+1)), pick(), pick()))
		}
	}
	p, err := b.Program("drawn", values[len(values)-1])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drawNumber draws a finite number of any size.
func drawNumber(c chooser) float64 {
	switch c.IntN(4) {
	case 0:
		return awkward[c.IntN(len(awkward))]
	case 1:
		bits := uint64(c.IntN(1<<30))<<34 ^ uint64(c.IntN(1<<30))<<17 ^ uint64(c.IntN(1<<30))
		if v := math.Float64frombits(bits); v-v == 0 {
			return v
		}
	}
	return float64(c.IntN(1<<20)-1<<19) / 1024
}

func drawInterval(c chooser) Interval {
	low, high := drawNumber(c), drawNumber(c)
	switch c.IntN(5) {
	case 0:
		high = low
	case 1:
		high = math.Nextafter(low, math.Inf(1))
	case 2:
		high = low + math.Abs(low)*1e-9
	}
	x := Between(min(low, high), max(low, high))
	x.Invalid = c.IntN(8) == 0
	if x.Invalid && c.IntN(3) == 0 {
		return Invalid()
	}
	return x
}

// drawPoint draws a point of the interval, often at its ends.
func drawPoint(c chooser, x Interval) float64 {
	if x.Empty() || x.Invalid && c.IntN(4) == 0 {
		return math.NaN()
	}
	share := float64(c.IntN(1<<20)) / (1 << 20)
	v := x.Low + (x.High-x.Low)*share
	switch c.IntN(6) {
	case 0:
		v = x.Low
	case 1:
		v = x.High
	case 2:
		v = awkward[c.IntN(len(awkward))]
	}
	if !x.Span.Contains(v) {
		return x.Low
	}
	return v
}

// intervalCheck holds drawn points against one interval evaluation.
type intervalCheck struct {
	box, registers []Interval
	point, scratch []float64
}

func newIntervalCheck() *intervalCheck {
	return &intervalCheck{make([]Interval, testSlots), make([]Interval, Registers), make([]float64, testSlots), make([]float64, Registers)}
}

func (k *intervalCheck) run(t testing.TB, c chooser, p *Program, points int) (invalid int) {
	t.Helper()
	for i := range k.box {
		k.box[i] = drawInterval(c)
	}
	got := p.EvalInterval(k.box, k.registers)
	if got.Empty() && !got.Invalid {
		t.Fatalf("an interval without any value, of %+v in %+v", k.box, p.code)
	}
	for range points {
		for i := range k.point {
			k.point[i] = drawPoint(c, k.box[i])
		}
		v := p.Eval(k.point, k.scratch)
		if v != v {
			invalid++
		}
		if !got.Contains(v) {
			t.Fatalf("%v at %v is not in %+v over %+v, of %+v", v, k.point, got, k.box, p.code)
		}
	}
	return invalid
}

// evaluations is how many random evaluations a containment test makes: few in
// the ordinary test, and what DANCER_EVALUATIONS says in `make soak`.
func evaluations(t testing.TB, ordinary int) int {
	t.Helper()
	text := os.Getenv("DANCER_EVALUATIONS")
	if text == "" {
		return ordinary
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("DANCER_EVALUATIONS: %v", err)
	}
	return n
}

func TestIntervalContainsPoints(t *testing.T) {
	const boxes, points = 5, 20
	c, k := rand.New(rand.NewPCG(1, 2)), newIntervalCheck()
	done, invalid := 0, 0
	for want := evaluations(t, 400_000); done < want; {
		p := drawProgram(t, c)
		for range boxes {
			invalid += k.run(t, c, p, points)
			done += points
		}
	}
	t.Logf("%d evaluations, %d of them invalid", done, invalid)
	if invalid < done/20 || invalid > done*9/10 {
		t.Errorf("%d of %d evaluations are invalid: the draw is lopsided", invalid, done)
	}
}

// bytesChooser draws from a fuzzer's bytes, and 0 when they run out.
type bytesChooser struct{ data []byte }

func (b *bytesChooser) IntN(n int) int {
	var word [4]byte
	size := 1
	if n > 256 {
		size = 4
	}
	b.data = b.data[copy(word[:size], b.data):]
	return int(binary.LittleEndian.Uint32(word[:]) % uint32(n))
}

func FuzzIntervalContainsPoints(f *testing.F) {
	for seed := range byte(4) {
		data := make([]byte, 300)
		rand.NewChaCha8([32]byte{seed}).Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &bytesChooser{data}
		newIntervalCheck().run(t, c, drawProgram(t, c), 8)
	})
}

// TestIntervalsAreTight: containment alone would let everything be anything.
func TestIntervalsAreTight(t *testing.T) {
	x, half := Between(-2, 3), 0.5
	binary := func(operation Operation, y float64) func(b *Builder) Value {
		return func(b *Builder) Value { return b.Binary(operation, b.Slot(0), b.Constant(y)) }
	}
	unary := func(operation Operation) func(b *Builder) Value {
		return func(b *Builder) Value { return b.Unary(operation, b.Slot(0)) }
	}
	maybe := func(low, high float64) Interval { return Interval{Span{low, high}, true} }
	for name, c := range map[string]struct {
		build func(b *Builder) Value
		want  Interval
	}{
		"add":            {binary(Add, 1), Between(-1, 4)},
		"add overflows":  {binary(Add, math.MaxFloat64), Between(math.MaxFloat64-2, math.MaxFloat64)},
		"subtract":       {binary(Subtract, 1), Between(-3, 2)},
		"multiply":       {binary(Multiply, -2), Between(-6, 4)},
		"divide":         {binary(Divide, 2), Between(-1, 1.5)},
		"divide by zero": {binary(Divide, 0), Invalid()},
		"divide into": {func(b *Builder) Value { return b.Binary(Divide, b.Constant(1), b.Slot(0)) },
			maybe(-math.MaxFloat64, math.MaxFloat64)},
		"minimum":           {binary(Minimum, half), Between(-2, half)},
		"maximum":           {binary(Maximum, half), Between(half, 3)},
		"less":              {binary(Less, half), Between(0, 1)},
		"surely less":       {binary(Less, 3.5), Between(1, 1)},
		"never less":        {binary(Less, -2), Between(0, 0)},
		"less or equal":     {binary(LessOrEqual, 3), Between(1, 1)},
		"equal":             {binary(Equal, 3), Between(0, 1)},
		"never equal":       {binary(Equal, 4), Between(0, 0)},
		"absolute":          {unary(Absolute), Between(0, 3)},
		"square root":       {unary(SquareRoot), maybe(0, math.Sqrt(3))},
		"either branch":     {func(b *Builder) Value { return b.Select(b.Slot(0), b.Constant(5), b.Constant(7)) }, Between(5, 7)},
		"an invalid branch": {func(b *Builder) Value { return b.Select(b.Slot(0), b.Constant(math.NaN()), b.Constant(7)) }, maybe(7, 7)},
		"a branch not taken": {func(b *Builder) Value {
			return b.Select(b.Binary(Less, b.Slot(0), b.Constant(9)), b.Constant(5), b.Constant(math.NaN()))
		}, Between(5, 5)},
	} {
		var b Builder
		p, err := b.Program(name, c.build(&b))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.EvalInterval([]Interval{x}, make([]Interval, Registers)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	var b Builder
	p, err := b.Program("exp(log(x))", b.Unary(Exponential, b.Unary(Logarithm, b.Slot(0))))
	if err != nil {
		t.Fatal(err)
	}
	got := p.EvalInterval([]Interval{Between(1, 2)}, make([]Interval, Registers))
	if got.Invalid || !got.Contains(1) || !got.Contains(2) || got.Low < 1-1e-12 || got.High > 2+1e-12 {
		t.Errorf("exp(log(x)) over 1 to 2: %+v", got)
	}
}

// TestEveryOpcodeHasAForm: one that is missing is sound, but says nothing.
func TestEveryOpcodeHasAForm(t *testing.T) {
	for op := opConstant; op <= opLogarithm; op++ {
		if !forms[op].known {
			t.Errorf("opcode %d has no form over intervals", op)
		}
	}
}

func TestUnknownOpcodeIsAnything(t *testing.T) {
	p := Program{reads: []int{0}, code: []instruction{{op: 255, d: 1}}, result: 1}
	got := p.EvalInterval([]Interval{Between(1, 1)}, make([]Interval, Registers))
	if got != (Interval{allValues, true}) {
		t.Errorf("interval %+v", got)
	}
	pair := p.EvalPair([]Pair{Same(Between(1, 1))}, make([]Pair, Registers))
	if !pair.Contains(-math.MaxFloat64, math.MaxFloat64) || !pair.Contains(math.NaN(), 1) || !pair.Contains(1, math.NaN()) || !pair.Contains(math.NaN(), math.NaN()) {
		t.Errorf("pair %+v", pair)
	}
}

func TestInfiniteConstants(t *testing.T) {
	c, k := rand.New(rand.NewPCG(3, 4)), newIntervalCheck()
	pk := newPairCheck()
	for _, infinite := range []float64{math.Inf(1), math.Inf(-1)} {
		for operation := Add; operation <= Or; operation++ {
			for _, flip := range []bool{false, true} {
				var b Builder
				x, y := b.Slot(0), b.Constant(infinite)
				if flip {
					x, y = y, x
				}
				p, err := b.Program("", b.Select(b.Slot(1), b.Binary(operation, x, y), b.Constant(infinite)))
				if err != nil {
					t.Fatal(err)
				}
				for range 50 {
					k.run(t, c, p, 20)
					pk.run(t, c, p, 20)
				}
			}
		}
	}
}

func TestEvalIntervalDoesNotAllocate(t *testing.T) {
	p := drawProgram(t, rand.New(rand.NewPCG(5, 6)))
	slots, registers := make([]Interval, testSlots), make([]Interval, Registers)
	if n := testing.AllocsPerRun(100, func() { p.EvalInterval(slots, registers) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	pairs, pairRegisters := make([]Pair, testSlots), make([]Pair, Registers)
	if n := testing.AllocsPerRun(100, func() { p.EvalPair(pairs, pairRegisters) }); n != 0 {
		t.Errorf("%v allocations of pairs", n)
	}
}
