package brain

import (
	"context"
	"math"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/mesh"
	"dancer/runtime/link"
)

// Budgets of the tiers (design part 1). A tier that overruns is counted; the
// decision still counts, as it is only late and not wrong.
const (
	tier2Budget = 150 * time.Millisecond
	tier3Budget = 500 * time.Millisecond

	// forecastBudget is when tier 3 is cut short at the latest. The rest of its
	// budget is for the block of roll-outs under way, the way back and the verdict.
	forecastBudget = 400 * time.Millisecond
)

// forecastTime is how long after its beginning a decision's forecast is cut short:
// after half of the lease, if that comes first, because a decision that outlasts
// the lease stops the robot.
func (b *brain) forecastTime() time.Duration {
	return min(forecastBudget, b.robot.Lease.ExpiresAfter/2)
}

// decide runs a decision each model step until the context ends. The next
// deadline is the last one plus the step; steps that were missed are counted and
// left out, never made up for.
func (b *brain) decide(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := b.clock()
	for {
		select {
		case <-ctx.Done():
			return nil
		case call := <-b.calls:
			call(b)
			continue
		case <-timer.C:
		}
		b.cycle()
		due += b.manual.Model.Step
		if now := b.clock(); now >= due {
			missed := uint64((now-due)/b.manual.Model.Step) + 1
			due += time.Duration(missed) * b.manual.Model.Step
			b.overrun("cycle", missed, 0, 0)
		}
		timer.Reset(due - b.clock())
	}
}

// call runs f in the decision goroutine, which alone owns the question, and
// waits for it.
func (b *brain) call(ctx context.Context, f func(*brain)) error {
	done := make(chan struct{})
	select {
	case b.calls <- func(b *brain) { f(b); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cycle makes one decision and commands what follows from it.
func (b *brain) cycle() {
	now := b.clock()
	status, ok := b.ends.Segment.LoadStatus()
	if !ok {
		return // the spine is writing it: no decision, no lease
	}
	in := b.input(now)
	b.slots, b.cutAt = in.Values, now+b.forecastTime()
	d := dancer.Decide(b.manual, in, b.partner.Corners, b.partner.Forecast)
	d.ID, d.At = b.newID(), b.wall().UTC()
	before := b.question.Record()
	changes := b.settle(&d, now)
	if status.Mode != link.ModeRunning || status.DryRun {
		d.Who = dancer.WhoNone
	}
	d.Elapsed = b.clock() - now
	b.command(&d, status.Epoch)
	b.watchBudget(&d)
	b.last.Store(&d)
	b.count(&d)
	b.record(&d, now)
	b.recorder.Decision(&d, before)
	for i := range changes {
		b.recorder.Change(now, &changes[i])
		b.ask(&changes[i], &d)
	}
}

// count counts decisions for the metrics.
func (b *brain) count(d *dancer.Decision) {
	b.decided.Add(1)
	if len(d.Verdict.Incomparable) > 0 {
		b.incomparable.Add(1)
	}
}

// late says whether the forecast under way has to make do with what it has.
func (b *brain) late() bool { return b.clock() >= b.cutAt }

// settle says what runs: the question has the last word. Until every signal has
// been seen or given up nothing is asked, because nothing is known yet, and the
// fallback runs; the spine holds the outputs safe meanwhile.
func (b *brain) settle(d *dancer.Decision, now time.Duration) []dancer.Change {
	if waiting(d) {
		d.Running, d.Who = b.manual.Actions[b.manual.Fallback].Name, dancer.WhoHold
		return nil
	}
	changes := b.question.Observe(now, *d)
	if state, id := b.question.State(); state.Awaits() {
		d.Question = id
	}
	d.Running, d.Who = b.question.Effective(now)
	return changes
}

// waiting says whether a signal has not been seen since start.
func waiting(d *dancer.Decision) bool {
	for i := range d.Signals {
		if d.Signals[i].Validity == hal.NeverSeen.String() {
			return true
		}
	}
	return false
}

// input reads what the spine sees into the slots of the manual.
func (b *brain) input(now time.Duration) dancer.Input {
	layout := b.manual.Layout()
	in := dancer.Input{
		Robot: b.robot.Name, Monotonic: now, Seed: b.seed(), Rollouts: b.rollouts,
		Values:   make([]float64, layout.Signals+layout.Outputs),
		Validity: make([]hal.Validity, layout.Signals), Age: make([]time.Duration, layout.Signals),
	}
	for i := range layout.Signals {
		value, at, validity := b.ends.Segment.LoadSignal(i)
		in.Values[i], in.Validity[i], in.Age[i] = value, validity, max(0, now-at)
		if validity != hal.Valid {
			in.Values[i] = math.NaN()
		}
	}
	for i := range layout.Outputs {
		in.Values[layout.Output(i)], _, _, _ = b.ends.Segment.LoadOutput(i)
	}
	b.learn(&in)
	return in
}

// seed of the next decision: a fixed sequence from the manual's hash, so that a
// recording says all that there is to say.
func (b *brain) seed() uint64 {
	b.decisions++
	const golden = 0x9e3779b97f4a7c15 // Steele, Lea and Flood 2014, SplitMix's increment
	return b.seedBase + b.decisions*golden
}

// command posts the outputs of the running option, which renews the lease. A
// hold goes in the hold's place, so that the precedence shows who has an output.
func (b *brain) command(d *dancer.Decision, epoch uint64) {
	outputs := b.outputsOf(d)
	c := link.Command{Decision: b.decisions, Epoch: epoch, Values: outputs}
	if d.Who == dancer.WhoHold {
		c.HoldMask, c.Hold = 1<<len(outputs)-1, outputs
	}
	if err := b.ends.Segment.PostCommand(&c); err != nil {
		b.log.Error("command outputs", "decision", d.ID, "error", err)
		return
	}
	if err := b.ends.ToSpine.Signal(); err != nil {
		b.log.Error("wake the spine", "error", err)
	}
}

// outputsOf gives the outputs of the option that runs. An option that no action
// names is inaction: the baseline's outputs, or the outputs as they are.
func (b *brain) outputsOf(d *dancer.Decision) []float64 {
	if a := d.Find(d.Running); a != nil {
		return a.Outputs
	}
	outputs := make([]float64, len(b.manual.Outputs))
	for i := range outputs {
		outputs[i] = d.Outputs[i].Value
	}
	name := d.Running
	if name == dancer.InactionName && b.manual.Baseline != "" {
		name = b.manual.Baseline
	}
	if i := b.manual.Action(name); i >= 0 {
		return b.manual.Actions[i].Apply(outputs)
	}
	return outputs
}

func (b *brain) watchBudget(d *dancer.Decision) {
	budget, where := tier3Budget, "tier-3"
	if d.Tier == 2 {
		budget, where = tier2Budget, "tier-2"
	}
	if d.Elapsed > budget {
		b.overrun(where, 1, budget, d.Elapsed)
	}
}

func (b *brain) overrun(where string, count uint64, budget, elapsed time.Duration) {
	b.overruns.Add(count)
	b.emit(kindOverrun, overrunEvent{Where: where, Count: b.overruns.Load(), BudgetNS: int64(budget), ElapsedNS: int64(elapsed)})
}

// record keeps a decision, what followed from earlier ones, and tells the
// readers. The cell hears of it when the robot rules otherwise than before.
func (b *brain) record(d *dancer.Decision, now time.Duration) {
	b.archive.decision(d)
	b.processed(d, d.Elapsed <= tier3Budget)
	b.follow(d, now)
	if !b.verdictChanged(d) {
		return
	}
	b.emit(kindDecision, d)
	b.stateChanged()
}

// follow compares what happens with what earlier decisions predicted.
func (b *brain) follow(d *dancer.Decision, now time.Duration) {
	outcomes := append(b.tracker.Start(d), b.tracker.Feed(now, b.slots)...)
	for i := range outcomes {
		b.archive.outcome(&outcomes[i])
		b.recorder.Outcome(now, &outcomes[i])
	}
	b.calibrate(outcomes)
	b.markers.decided(d, outcomes)
}

// verdictChanged compares with the decision before: the event stream tells each
// new verdict once, the store has every decision.
func (b *brain) verdictChanged(d *dancer.Decision) bool {
	key := verdictKey{d.Verdict.Outcome, d.Verdict.Option, d.Running, d.Who, d.Question}
	changed := key != b.told
	b.told = key
	return changed
}

type verdictKey struct{ outcome, option, running, who, question string }

// rule applies a ruling to the question and says what became of it. It runs in
// the decision goroutine.
func (b *brain) rule(r mesh.Ruling) (result dancer.RulingResult, running string) {
	now := b.clock()
	before := b.question.Record()
	result = b.question.Rule(now, dancer.Ruling{Question: r.Escalation, Verdict: r.Verdict, Option: r.Option, By: r.By})
	running, _ = b.question.Effective(now)
	b.disagreement(&before, r, result)
	b.recorder.Ruling(rulingMessage(now, &r, result, running))
	b.emit(kindRuling, struct {
		mesh.Ruling
		Outcome string `json:"outcome"`
		Why     string `json:"why,omitempty"`
		Running string `json:"running"`
	}{r, result.Outcome, result.Why, running})
	return result, running
}
