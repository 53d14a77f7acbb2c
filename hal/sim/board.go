package sim

import (
	"errors"
	"fmt"
	"math"
	"time"

	"dancer/hal"
)

// DefaultStep is the time between two sets of readings.
const DefaultStep = 20 * time.Millisecond

// MaxStep bounds Config.Step.
const MaxStep = time.Minute

// maxCatchUp bounds the steps of one Advance. A caller that is later than that
// finds that the simulated world stood still meanwhile.
const maxCatchUp = 50

// ErrOutput says that an output does not exist or its value is outside its
// range.
var ErrOutput = errors.New("output cannot be driven")

// ErrClosed says that the board has been closed.
var ErrClosed = errors.New("simulated board is closed")

// Config of a simulated board.
type Config struct {
	Signals  []hal.Signal
	Outputs  []hal.Output
	Plant    func(dt time.Duration, slots []float64) // moves the signals, in place; slots are signals, then outputs; nil: nothing moves by itself
	Start    []float64                               // first value per signal, NaN: none; nil: none at all; the scenario's start comes after
	Other    []bool                                  // signals that others give: none of these has a value by itself; nil: none
	Scenario *Scenario                               // nil: nothing happens
	Step     time.Duration                           // default DefaultStep, at most MaxStep
	Seed     uint64                                  // of the noise
}

// Board is a simulated board. One goroutine owns it.
type Board struct {
	config  Config
	slots   []float64 // what the world is: signals, then outputs
	before  []float64 // signals before the plant moved them
	noise   []float64 // amplitude per signal
	dropped []bool
	given   []bool // the signal has had a value, so that nan is a reading of it
	sets    []move
	holds   []hold
	ramps   []move
	drops   []move
	random  uint64
	begun   bool
	closed  bool
	base    time.Duration // of scenario time 0
	steps   int64         // done since base, the one at 0 not counted
	skipped uint64
}

// move is a change or a window of the scenario with its signal resolved.
type move struct {
	signal     int
	begin, end time.Duration
	value      float64
}

// hold is a window in which a signal has a value; saved is the one before.
type hold struct {
	move
	active bool
	saved  float64
}

// New makes a board whose outputs are safe. The error is Faults if the scenario
// does not fit the signals.
//
// A boolean signal starts at 0 if nothing else is said. Any other gives no
// readings until Start or the scenario gives it a value, so that the robot
// waits for it: Missing tells which.
func New(c Config) (*Board, error) {
	if c.Step == 0 {
		c.Step = DefaultStep
	}
	if c.Step < 0 || c.Step > MaxStep {
		return nil, fmt.Errorf("make simulated board: step %v is outside 0s to %v", c.Step, MaxStep)
	}
	if c.Scenario == nil {
		c.Scenario = &Scenario{}
	}
	if err := c.Scenario.Check(c.Signals); err != nil {
		return nil, err
	}
	b := &Board{
		config:  c,
		slots:   make([]float64, len(c.Signals)+len(c.Outputs)),
		before:  make([]float64, len(c.Signals)),
		noise:   make([]float64, len(c.Signals)),
		dropped: make([]bool, len(c.Signals)),
		given:   make([]bool, len(c.Signals)),
		random:  c.Seed,
	}
	b.resolve(c.Scenario)
	b.reset()
	return b, nil
}

// resolve finds the signals of the scenario.
func (b *Board) resolve(s *Scenario) {
	for _, c := range s.noises {
		b.noise[find(b.config.Signals, c.name.text)] = c.value.number
	}
	for _, c := range s.sets {
		b.sets = append(b.sets, move{find(b.config.Signals, c.name.text), c.at, c.at, c.value.number})
	}
	for _, w := range s.holds {
		b.holds = append(b.holds, hold{move: b.move(w)})
	}
	for _, w := range s.ramps {
		b.ramps = append(b.ramps, b.move(w))
	}
	for _, w := range s.drops {
		b.drops = append(b.drops, b.move(w))
	}
}

func (b *Board) move(w window) move {
	return move{find(b.config.Signals, w.name.text), w.begin, w.end, w.value.number}
}

// reset puts the world to its start.
func (b *Board) reset() {
	for i, s := range b.config.Signals {
		b.slots[i] = math.NaN()
		if s.Boolean && !b.others(i) {
			b.slots[i] = 0
		}
		if i < len(b.config.Start) && !math.IsNaN(b.config.Start[i]) {
			b.slots[i] = b.config.Start[i]
		}
	}
	for _, c := range b.config.Scenario.starts {
		i := find(b.config.Signals, c.name.text)
		b.slots[i], b.given[i] = c.value.number, true
	}
	for i, o := range b.config.Outputs {
		b.slots[len(b.config.Signals)+i] = o.Safe
	}
}

func (b *Board) others(i int) bool { return i < len(b.config.Other) && b.config.Other[i] }

// Missing lists the signals that will give no reading: neither the scenario nor
// the plant ever gives them a value (a plant that computes one from nothing is
// not noticed).
func (b *Board) Missing() []string {
	var names []string
	for i, s := range b.config.Signals {
		given := b.given[i] || !math.IsNaN(b.slots[i]) || b.others(i)
		for _, m := range b.sets {
			given = given || m.signal == i
		}
		for _, h := range b.holds {
			given = given || h.signal == i
		}
		if !given {
			names = append(names, s.Name)
		}
	}
	return names
}

// Due is when the next readings are ready: at once before the first Advance.
func (b *Board) Due() time.Duration {
	if !b.begun {
		return 0
	}
	return b.base + time.Duration(b.steps+1)*b.config.Step
}

// Advance brings the world to now, with the outputs as they are (nil: as Drive
// left them), and emits the readings of every step that is due, each with the
// time of its step. The first call is time 0 of the scenario. It returns the
// number of steps.
func (b *Board) Advance(now time.Duration, outputs []float64, emit func(hal.Reading)) int {
	if b.closed {
		return 0
	}
	copy(b.slots[len(b.config.Signals):], outputs)
	done := 0
	if !b.begun {
		b.begun, b.base = true, now
		b.happen(-1, 0)
		b.emit(now, emit)
		done++
	}
	if late := (now - b.Due()) / b.config.Step; late >= maxCatchUp {
		b.skipped += uint64(late - maxCatchUp + 1)
		b.base += (late - maxCatchUp + 1) * b.config.Step
	}
	for b.Due() <= now {
		b.step()
		b.emit(b.base+time.Duration(b.steps)*b.config.Step, emit)
		done++
	}
	return done
}

// Skipped counts steps that were left out because the caller came too late.
func (b *Board) Skipped() uint64 { return b.skipped }

// step moves the world by one step: the plant first, then what happens.
func (b *Board) step() {
	from := time.Duration(b.steps) * b.config.Step
	b.steps++
	if b.config.Plant != nil {
		copy(b.before, b.slots)
		b.config.Plant(b.config.Step, b.slots)
		for i := range b.config.Signals {
			b.saturate(i, b.before[i])
		}
	}
	to := from + b.config.Step
	loop := b.config.Scenario.loop
	if loop == 0 {
		b.happen(from, to)
		return
	}
	from, to = from%loop, from%loop+b.config.Step
	for to >= loop {
		b.happen(from, loop-1)
		from, to = -1, to-loop
	}
	b.happen(from, to)
}

// happen applies what the scenario has after from up to and including to.
func (b *Board) happen(from, to time.Duration) {
	for _, r := range b.ramps {
		if overlap := min(to, r.end) - max(from, r.begin, 0); overlap > 0 {
			before := b.slots[r.signal]
			b.slots[r.signal] += float64(r.value * overlap.Seconds())
			b.saturate(r.signal, before)
		}
	}
	for i := range b.holds {
		b.release(&b.holds[i], to)
	}
	for _, s := range b.sets {
		if from < s.begin && s.begin <= to {
			b.slots[s.signal], b.given[s.signal] = s.value, true
		}
	}
	for i := range b.holds {
		b.pin(&b.holds[i], to)
	}
	clear(b.dropped)
	for _, d := range b.drops {
		if d.begin <= to && to < d.end {
			b.dropped[d.signal] = true
		}
	}
}

// release gives a signal its old value back when a hold has ended.
func (b *Board) release(h *hold, now time.Duration) {
	if h.active && (now < h.begin || now >= h.end) {
		b.slots[h.signal], h.active = h.saved, false
	}
}

// pin keeps a held signal at its value.
func (b *Board) pin(h *hold, now time.Duration) {
	if now < h.begin || now >= h.end {
		return
	}
	if !h.active {
		h.active, h.saved = true, b.slots[h.signal]
	}
	b.slots[h.signal], b.given[h.signal] = h.value, true
}

// saturate keeps a signal that moved by itself inside its range, as a sensor
// does. A value that the scenario put outside stays until it moves.
func (b *Board) saturate(i int, before float64) {
	s := &b.config.Signals[i]
	v := b.slots[i]
	if s.Boolean || s.Minimum >= s.Maximum || v == before || math.IsNaN(v) {
		return
	}
	b.slots[i] = min(max(v, s.Minimum), s.Maximum)
}

// emit delivers a reading of every signal that has one.
func (b *Board) emit(at time.Duration, emit func(hal.Reading)) {
	for i := range b.config.Signals {
		v := b.slots[i]
		b.given[i] = b.given[i] || !math.IsNaN(v)
		if b.dropped[i] || !b.given[i] {
			continue
		}
		emit(hal.Reading{Signal: i, Value: b.noisy(i, v), At: at})
	}
}

// noisy adds the signal's noise, inside the range if the value is.
func (b *Board) noisy(i int, v float64) float64 {
	if b.noise[i] == 0 {
		return v
	}
	n := v + float64(b.noise[i]*b.uniform())
	s := &b.config.Signals[i]
	if s.Minimum < s.Maximum && v >= s.Minimum && v <= s.Maximum {
		n = min(max(n, s.Minimum), s.Maximum)
	}
	return n
}

// uniform is from -1 to 1, by splitmix64: the same on every machine.
func (b *Board) uniform() float64 {
	b.random += 0x9e3779b97f4a7c15
	z := b.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(float64(z>>11)/(1<<52)) - 1
}

// Drive sets output i, as the next Advance without outputs uses it.
func (b *Board) Drive(i int, value float64) error {
	if b.closed {
		return ErrClosed
	}
	if i < 0 || i >= len(b.config.Outputs) {
		return ErrOutput
	}
	if o := &b.config.Outputs[i]; !(value >= o.Minimum && value <= o.Maximum) {
		return ErrOutput
	}
	b.slots[len(b.config.Signals)+i] = value
	return nil
}

// Output reads output i back.
func (b *Board) Output(i int) float64 { return b.slots[len(b.config.Signals)+i] }

// Value is what signal i truly is, noise and drops left out; NaN if it has no
// value.
func (b *Board) Value(i int) float64 { return b.slots[i] }

// Halt puts every output to its safe value.
func (b *Board) Halt() error {
	if b.closed {
		return ErrClosed
	}
	for i, o := range b.config.Outputs {
		b.slots[len(b.config.Signals)+i] = o.Safe
	}
	return nil
}

// Close halts the board for good. A second Close does nothing.
func (b *Board) Close() error {
	if b.closed {
		return nil
	}
	err := b.Halt()
	b.closed = true
	return err
}
