package spine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dancer/reflex"
	"dancer/runtime/link"
)

// historyManual has a rule of every kind, several of them on each output.
const historyManual = `
values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: near, when: "range < 0.30 m", set: {drive: 0.1, brake: 0}, until: "range > 0.45 m", stop: 2}
  - {name: bump, when: "bumper > 0.5", set: {drive: 0, brake: 1}, latch: operator, stop: 0}
  - {name: fast, when: "drive > 0.9", set: {drive: 0.2}, stop: 2}
  - {name: slow-bump, when: "soft > 0.5", set: {brake: 0.5}, debounce: 50ms, confirm: 3, stop: 2}
  - {name: ramp, when: "soft > 0.7", set: {drive: 0.05, arm: -0.5}, until: "soft < 0.4", stop: 1, ramp: 400ms}
  - {name: ramp-latch, when: "held(range < 1 m, 200ms)", set: {arm: 0.3}, latch: operator, until: "range > 1.5 m", stop: 1, ramp: 300ms}
  - {name: closing, when: "rate(range, 300ms) < -3 m/s", set: {drive: 0.02, brake: 0.9}, until: "since(range < 1 m) > 500ms", stop: 2}
  - {name: worn, when: "mean(drive, 1s) > 0.6 && bumper < 0.2", set: {drive: 0.3}, until: "mean(drive, 1s) < 0.4", stop: 2}
  - {name: reach, when: "arm > 0.8 || arm < -0.8", set: {brake: 0.7}, stop: 2}
model:
  step: 100ms
  next: {range: "range - 1 m/s * drive * dt"}
  horizon: 1s
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
  task: "10 * drive"
actions:
  - {name: go, set: {drive: 0.5, brake: 0}}
  - {name: halt, set: {drive: 0, brake: 1}, fallback: true}
`

const historyOutputs = 3

func historyRobot() string {
	more := `  arm:   {port: nav, format: "A {value}\n", range: [-1, 1], safe: 0}` + "\n"
	return insertAfter(strings.ReplaceAll(simRobot, "stale_after: 5s", "stale_after: 400ms"), "range: [0, 1], safe: 1}\n", more)
}

// history plays one random story to a core and holds it to what it promises,
// event by event, against a version of the precedence that remembers nothing but
// the last command.
type history struct {
	*bench
	r       *rand.Rand
	said    []string
	calmer  bool // most of what is read is harmless
	fresh   bool // a command was taken in this very event
	command [historyOutputs]float64
	hold    [historyOutputs]float64
	mask    uint64
	good    [historyOutputs]bool // the last command has met nothing so far
	before  [historyOutputs]target

	firedBefore uint64
}

func (h *history) say(format string, arguments ...any) {
	h.said = append(h.said, fmt.Sprintf("%v ", h.now)+fmt.Sprintf(format, arguments...))
}

// step does one thing at random.
func (h *history) step() {
	switch k := h.r.IntN(60); {
	case k < 14:
		h.someReadings()
	case k < 22:
		h.wait()
	case k < 26:
		h.rest()
	case k < 52:
		h.decide()
	case k < 55:
		h.say("start: %v", h.begin(h.now, link.ReasonOperator, nil))
	case k == 55:
		h.say("stop")
		h.halt(h.now, link.ReasonOperator, nil)
		h.good = [historyOutputs]bool{}
		if h.r.IntN(2) == 0 { // in one event: the mode is the same at its end
			h.say("start: %v", h.begin(h.now, link.ReasonOperator, nil))
		}
	case k < 58:
		rule := h.r.IntN(len(h.rules)+1) - 1
		h.say("clear %d: %v", rule, h.clear(h.now, rule, nil))
	case k == 58:
		h.posts = 0
		h.say("brain %d", h.generation+1)
		if h.r.IntN(2) == 0 {
			h.brainGone(h.now)
		}
		h.brainStarted(h.now, h.generation+1)
	default:
		h.say("source gone")
		h.invalidate(h.r.IntN(h.table.Len()), h.now)
	}
	h.frame(h.now, h.now, 0)
	h.look()
}

// someReadings are frames that lie a nanosecond apart, some of them back in time.
func (h *history) someReadings() {
	for range 1 + h.r.IntN(4) {
		for range 1 + h.r.IntN(3) {
			signal := h.r.IntN(h.table.Len())
			value := h.r.Float64()
			switch {
			case signal == sigRange:
				value = 2 * value
				if h.calmer {
					value = 1.9 + 0.1*value
				}
			case h.calmer:
				value *= 0.1
			}
			switch h.r.IntN(100) {
			case 0:
				value = math.NaN()
			case 1:
				value = math.Inf(1)
			case 2:
				value = 99
			}
			at := h.now
			if h.r.IntN(10) == 0 {
				at -= time.Duration(h.r.IntN(int(50 * time.Millisecond)))
			}
			h.say("signal %d = %v at %v", signal, value, at)
			h.reading(signal, value, at)
		}
		h.frame(h.now, h.now, 0)
		h.look()
		h.now++
	}
}

// rest is a second of calm, after which an operator clears what can be cleared
// and starts: without it every story would end in latches.
func (h *history) rest() {
	h.say("rest")
	h.calmer = h.r.IntN(4) > 0
	for range 8 {
		for signal, value := range []float64{2, 0, 0} {
			h.reading(signal, value, h.now)
		}
		h.frame(h.now, h.now, 0)
		h.look()
		h.decide()
		h.frame(h.now, h.now, 0)
		h.look()
		h.wait()
	}
	h.clear(h.now, -1, nil)
	h.frame(h.now, h.now, 0)
	h.look()
	h.decide()
	h.begin(h.now, link.ReasonOperator, nil)
}

// look checks, and begins the next event.
func (h *history) look() {
	h.check()
	h.proves()
	h.fresh, h.firedBefore = false, h.fired
	for o := range h.before {
		h.before[o] = h.written[o]
	}
}

// proves holds prove to its word: whatever the history, it finds nothing wrong
// and moves nothing.
func (h *history) proves() {
	wrote, moves := len(h.wrote), h.changes
	if h.quiet() && !h.prove(h.now) {
		h.t.Fatalf("a sound core does not prove itself\n%s", strings.Join(h.said, "\n"))
	}
	if len(h.wrote) != wrote || h.changes != moves {
		h.t.Fatalf("the proof moved something: %v\n%s", h.wrote[wrote:], strings.Join(h.said, "\n"))
	}
}

// wait lets time go by from deadline to deadline, and looks after each.
func (h *history) wait() {
	end := h.now + time.Duration(h.r.IntN(int(150*time.Millisecond)))
	for n := 0; ; n++ {
		if n > 10_000 {
			h.t.Fatal("deadlines without end")
		}
		h.status.Now = h.now
		due := max(h.deadline(), h.now+1)
		if due >= end {
			break
		}
		h.now = due
		h.tick(h.now)
		h.look()
	}
	h.now = end
	h.tick(h.now)
	h.look()
	h.say("waited")
}

// decide is a decision of the brain, now and then of another life or mode.
func (h *history) decide() {
	h.posts++
	c := link.Command{Decision: h.posts, Epoch: h.status.Epoch, Values: make([]float64, historyOutputs), Hold: make([]float64, historyOutputs)}
	for o := range c.Values {
		c.Values[o], c.Hold[o] = 2*h.r.Float64()-1, 2*h.r.Float64()-1
	}
	if h.r.IntN(3) == 0 {
		c.HoldMask = h.r.Uint64N(1 << historyOutputs)
	}
	stale := h.r.IntN(8) == 0
	if stale {
		c.Epoch += uint64(h.r.IntN(3)) - 1
		stale = c.Epoch != h.status.Epoch
	}
	if err := h.brain.PostCommand(&c); err != nil {
		h.t.Fatal(err)
	}
	running := h.status.Mode == link.ModeRunning
	h.takeCommand(h.now)
	h.say("command %v hold %v mask %b stale %v running %v", c.Values, c.Hold, c.HoldMask, stale, running)
	if stale || !running {
		return
	}
	h.fresh, h.mask = true, c.HoldMask
	for o := range h.good {
		h.command[o], h.hold[o], h.good[o] = h.clip(o, c.Values[o]), h.clip(o, c.Hold[o]), !h.isSet(o)
	}
}

// check holds what is on the wire against the rules' state and the last command.
func (h *history) check() {
	h.t.Helper()
	live := h.status.Mode == link.ModeRunning && h.status.Lease == link.LeaseLive && h.unseen == 0
	for o := range h.before {
		free := live && !h.isSet(o)
		if !free || h.fired != h.firedBefore && h.written[o].value == h.outputs[o].Safe {
			h.good[o] = false // in the second case it has met a rule that has ended by now
		}
		if problem := h.fault(o, free); problem != "" {
			h.t.Fatalf("output %d was %+v, is %+v: %s\n%s", o, h.before[o], h.written[o], problem, strings.Join(h.said[max(0, len(h.said)-25):], "\n"))
		}
	}
}

// isSet says whether a rule is in force that sets the output.
func (h *history) isSet(o int) bool {
	for i := range h.rules {
		if !h.reflex.Active(i) && !h.reflex.Latched(i) {
			continue
		}
		for _, s := range h.rules[i].Set {
			if s.Output == o {
				return true
			}
		}
	}
	return false
}

// fault says what is wrong with one output.
func (h *history) fault(o int, free bool) string {
	is, safe := h.written[o].value, h.outputs[o].Safe
	away := math.Abs(is-safe) > math.Abs(h.before[o].value-safe)
	switch {
	case !(is >= h.outputs[o].Minimum && is <= h.outputs[o].Maximum):
		return "out of range"
	case free && h.good[o] && h.mask>>o&1 != 0 && is != h.hold[o]:
		return fmt.Sprintf("want the hold %v", h.hold[o])
	case free && h.good[o] && h.mask>>o&1 == 0 && is != h.command[o]:
		return fmt.Sprintf("want the command %v", h.command[o])
	case free && !h.good[o] && is != safe:
		return "want safe: what was commanded has met a rule, or its lease or mode is over"
	case free && away && !h.fresh:
		return "moved away from safe without a fresh command"
	case !free && !h.isSet(o) && is != safe:
		return "want safe: nothing may drive it"
	case h.isSet(o):
		return h.setFault(o, is, away)
	}
	return ""
}

// setFault holds an output that rules drive to the nearest of their values; one
// in the controlled part of a ramp may be nearer, and must never move away.
func (h *history) setFault(o int, is float64, away bool) string {
	safe, nearest, ramped := h.outputs[o].Safe, math.Inf(1), false
	for i := range h.rules {
		rule := &h.rules[i]
		if !h.reflex.Active(i) && !h.reflex.Latched(i) {
			continue
		}
		for _, s := range rule.Set {
			if s.Output != o {
				continue
			}
			ramped = ramped || rule.Ramp > 0
			switch {
			case rule.Ramp > 0: // between where it was and safe
			case rule.Stop == reflex.Stop0:
				nearest = 0
			default:
				nearest = min(nearest, math.Abs(s.Value-safe))
			}
		}
	}
	far := math.Abs(is - safe)
	switch {
	case far > nearest:
		return fmt.Sprintf("a rule wants it within %v of safe", nearest)
	case !ramped && far != nearest:
		return fmt.Sprintf("want the rule's value, %v from safe", nearest)
	case ramped && away && math.IsInf(nearest, 1):
		return "a ramp moved it away from safe"
	}
	return ""
}

// TestNoHistoryMovesAnything: whatever is read, decided, lost, cleared or started,
// in any order and at any time, an output is away from safe only because a rule
// in force asks for it or because a command came inside a live lease, in running
// mode, and has met no rule since.
func TestNoHistoryMovesAnything(t *testing.T) {
	robot := loadRobot(t, historyRobot(), historyManual)
	stories, steps := 80, 400
	if testing.Short() {
		stories = 12
	}
	driven, set := 0, 0
	for seed := range uint64(stories) {
		r := rand.New(rand.NewPCG(seed, 7))
		var latches []int
		for i, rule := range robot.Manual.Rules {
			if rule.Latch && r.IntN(6) == 0 {
				latches = append(latches, i)
			}
		}
		h := &history{bench: newBench(t, robot, latches...), r: r}
		h.say("seed %d, latches %v", seed, latches)
		h.brainStarted(h.now, 1)
		h.frame(h.now, h.now, 0)
		for range steps {
			h.step()
			for o := range h.before {
				switch h.written[o].who {
				case link.WhoCommand, link.WhoHold:
					driven++
				case link.WhoReflex, link.WhoLatch:
					set++
				}
			}
		}
	}
	if events := stories * steps * historyOutputs; driven < events/50 || set < events/20 {
		t.Errorf("of %d events commands had %d and rules %d: the stories show too little", events, driven, set)
	}
}
