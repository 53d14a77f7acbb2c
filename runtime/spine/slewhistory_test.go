package spine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/link"
)

const (
	storyRamp = 130 * time.Millisecond // of the lease stop
	storyNear = 1e-9
)

// slowHistoryRobot has outputs with rates (drive 2, arm 0.7 per second, brake none)
// and a lease stop with a ramp.
func slowHistoryRobot() string {
	return strings.NewReplacer(
		`"D {value}\n", range: [0, 1], safe: 0}`, `"D {value}\n", range: [0, 1], safe: 0, rate: 2}`,
		`"A {value}\n", range: [-1, 1], safe: 0}`, `"A {value}\n", range: [-1, 1], safe: 0, rate: 0.7}`,
		"expires_after: 300ms, stop: 1}", "expires_after: 100ms, stop: 1, ramp: 130ms}",
	).Replace(historyRobot())
}

// slowHistory holds a story to what rates and lease stops promise. What it knows of
// an output comes from the wire alone.
type slowHistory struct {
	*history
	running  bool
	leaseEnd time.Duration                 // of the lease as it was seen last
	lost     time.Duration                 // when the lease stop in hand began
	from     [historyOutputs]float64       // where the outputs were then
	way      [historyOutputs]way           // on the way to a command
	since    [historyOutputs]time.Duration // the output has its value
	stepped  int
	stops    int
	reached  int
}

// way is a stretch in which commands and holds alone drove an output.
type way struct {
	on    bool
	aim   float64
	value float64       // where it began
	began time.Duration // when it was there
}

func (s *slowHistory) check() {
	s.t.Helper()
	s.noticeStop()
	for o := range s.before {
		if problem := s.fault(o); problem != "" {
			s.t.Fatalf("output %d was %+v, is %+v: %s\n%s", o, s.before[o], s.written[o], problem, strings.Join(s.said[max(0, len(s.said)-25):], "\n"))
		}
		if s.written[o].value != s.before[o].value {
			s.since[o] = s.now
		}
	}
}

// noticeStop sees that the robot stopped running, and from when that counts.
func (s *slowHistory) noticeStop() {
	running := s.status.Mode == link.ModeRunning
	if s.running && !running && s.leaseStopped {
		s.lost = min(s.now, s.leaseEnd)
		s.stops++
		for o := range s.from {
			s.from[o] = s.before[o].value
		}
	}
	if !running && !s.leaseStopped {
		s.lost = -time.Hour // an operator's stop is at once
	}
	s.running = running
	if s.status.Lease == link.LeaseLive {
		s.leaseEnd = s.leaseUntil
	}
}

func (s *slowHistory) fault(o int) string {
	is, out := s.written[o], &s.outputs[o]
	away := math.Abs(is.value-out.Safe) > math.Abs(s.before[o].value-out.Safe)
	commanded := is.who == link.WhoCommand || is.who == link.WhoHold
	if !commanded {
		s.way[o].on = false
	}
	switch {
	case !(is.value >= out.Minimum && is.value <= out.Maximum):
		return "out of range"
	case s.isSet(o): // neither rate nor ramp of the lease keeps a rule from its value
		return s.setFault(o, is.value, away)
	case commanded:
		return s.commandFault(o, out)
	case away && !s.isSet(o):
		return "moved away from safe, and no command and no rule drives it"
	}
	return s.stopFault(o, out)
}

// commandFault: inside a live lease, and no faster than the rate allows since it
// was last moved, nor since the brain has had it.
func (s *slowHistory) commandFault(o int, out *hal.Output) string {
	is, before := s.written[o].value, s.before[o].value
	aim := s.clip(o, s.core.command.Values[o])
	if s.written[o].who == link.WhoHold {
		aim = s.clip(o, s.core.command.Hold[o])
	}
	if s.status.Mode != link.ModeRunning || s.status.Lease != link.LeaseLive || s.now >= s.leaseUntil {
		return "driven by a command without a live lease"
	}
	if out.Rate == 0 {
		if is != aim {
			return fmt.Sprintf("want %v: it has no rate", aim)
		}
		return ""
	}
	w := &s.way[o]
	if !w.on || w.aim != aim {
		if !w.on && is != before {
			return "the first value of a command is not what was on the wire"
		}
		next := way{on: true, aim: aim, value: before, began: s.now}
		if w.on && before != w.aim { // another aim between two steps: the next one stays due
			next.began = max(w.began, s.since[o])
		}
		*w = next
	}
	if is != before {
		s.stepped++
	}
	if is == aim {
		s.reached++
	}
	whole := (s.now - w.began).Seconds() * out.Rate
	switch step := math.Abs(is - before); {
	case step > (s.now-s.since[o]).Seconds()*out.Rate+storyNear:
		return fmt.Sprintf("a step of %v after %v", step, s.now-s.since[o])
	case step > (mostSteps*slewStep).Seconds()*out.Rate+storyNear:
		return fmt.Sprintf("a jump of %v", step)
	case math.Abs(is-w.value) > whole+storyNear:
		return fmt.Sprintf("moved by %v in %v", is-w.value, s.now-w.began)
	case math.Abs(aim-is) > math.Abs(aim-w.value)+storyNear:
		return "moved away from what is commanded"
	case math.Abs(aim-is) > max(0, math.Abs(aim-w.value)-whole+2*slewStep.Seconds()*out.Rate)+storyNear:
		return fmt.Sprintf("it lags behind: %v left after %v", math.Abs(aim-is), s.now-w.began)
	}
	return ""
}

// stopFault: on the straight line to safe or nearer, and safe when its time is over.
func (s *slowHistory) stopFault(o int, out *hal.Output) string {
	elapsed := s.now - s.lost
	if elapsed >= storyRamp || s.status.Mode != link.ModeRunning && !s.leaseStopped {
		if s.written[o].value != out.Safe {
			return "want safe: the time of its stop is over"
		}
		return ""
	}
	steps := float64(elapsed/(10*time.Millisecond)) * 10e6 / float64(storyRamp)
	far, most := s.written[o].value-out.Safe, (s.from[o]-out.Safe)*(1-steps)
	switch {
	case math.Abs(far) > math.Abs(most)+storyNear:
		return fmt.Sprintf("%v after its lease was lost it is %v from safe, want %v at most", elapsed, far, most)
	case far*most < 0 && far*(s.before[o].value-out.Safe) < 0:
		return "on the other side of safe"
	}
	return ""
}

// TestNoHistoryIsFasterThanItsRate: whatever is read, decided, lost, cleared or
// started, an output that commands drive never moves faster than its rate and gets
// where it is sent in time, never leaves its range and never moves outside a live
// lease but for its stop, which ends at safe by its deadline to the nanosecond.
func TestNoHistoryIsFasterThanItsRate(t *testing.T) {
	robot := loadRobot(t, slowHistoryRobot(), historyManual)
	stories, steps := 80, 400
	if testing.Short() {
		stories = 12
	}
	stepped, stops, reached := 0, 0, 0
	for seed := range uint64(stories) {
		r := rand.New(rand.NewPCG(seed, 11))
		s := &slowHistory{history: &history{bench: newBench(t, robot), r: r}, lost: -time.Hour}
		s.judge = s.check
		s.say("seed %d", seed)
		s.brainStarted(s.now, 1)
		s.frame(s.now, s.now, 0)
		for o := range s.before {
			s.before[o], s.since[o] = s.written[o], s.now
		}
		for range steps {
			s.step()
		}
		stepped, stops, reached = stepped+s.stepped, stops+s.stops, reached+s.reached
	}
	if stepped < 100*stories || stops < 5*stories || reached < 10*stories {
		t.Errorf("%d steps, %d stops, %d times there: the stories show too little", stepped, stops, reached)
	}
	t.Logf("%d steps, %d stops, %d times there", stepped, stops, reached)
}
