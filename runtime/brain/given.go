package brain

import (
	"context"
	"sync"
	"time"
)

// given are the signals that the cell gives: each has its idle value until a command
// sets it, and again when the command's time is over, the scope is frozen, or the
// brain starts anew. The readings are said again and again, because a reading that is
// not is stale: a brain that fails leaves no command standing.
type given struct {
	b       *brain
	byName  map[string]int // signal
	every   time.Duration
	mutex   sync.Mutex
	signals map[int]*givenSignal
}

type givenSignal struct {
	value, idle  float64
	lasts, until time.Duration
}

// Bounds of how often readings are said: a quarter of what the most hurried signal is
// stale after.
const (
	givenMost  = 20 * time.Millisecond
	givenLeast = time.Second
)

func newGiven(b *brain) *given {
	g := &given{b: b, byName: map[string]int{}, signals: map[int]*givenSignal{}, every: givenLeast}
	for i := range b.robot.Inputs {
		in := &b.robot.Inputs[i]
		if !in.Cell {
			continue
		}
		g.byName[b.manual.Signals[i].Name] = i
		g.signals[i] = &givenSignal{value: in.Idle, idle: in.Idle, lasts: in.Lasts}
		g.every = max(min(g.every, b.manual.Signals[i].StaleAfter/4), givenMost)
	}
	return g
}

// run says the readings until the context ends.
func (g *given) run(ctx context.Context) {
	if len(g.signals) == 0 {
		return
	}
	tick := time.NewTicker(g.every)
	defer tick.Stop()
	for {
		g.say()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// say gives the spine all of them as they are now.
func (g *given) say() {
	now := g.b.clock()
	values := make(map[int]float64, len(g.signals))
	g.mutex.Lock()
	for i, s := range g.signals {
		if now >= s.until {
			s.value = s.idle
		}
		values[i] = s.value
	}
	g.mutex.Unlock()
	_ = g.b.advice.give(values, now) // counted where it is lost, and said again soon
}

// set gives the values of a command, from now on for as long as each lasts.
func (g *given) set(values map[int]float64) error {
	now := g.b.clock()
	g.mutex.Lock()
	for i, value := range values {
		if s := g.signals[i]; s != nil {
			s.value, s.until = value, now+s.lasts
		}
	}
	g.mutex.Unlock()
	return g.b.advice.give(values, now)
}

// end ends what commands have set.
func (g *given) end() {
	g.mutex.Lock()
	for _, s := range g.signals {
		s.until = 0
	}
	g.mutex.Unlock()
	g.say()
}
