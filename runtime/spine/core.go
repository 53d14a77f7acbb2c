package spine

import (
	"fmt"
	"math"
	"time"

	"dancer/hal"
	"dancer/reflex"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// maximumPasses bounds how often one event goes through the rules because
// outputs that rules set are read by other rules.
const maximumPasses = 8

// driver takes decided values to the hardware. It is called on the loop's
// thread and must not block or allocate.
type driver interface {
	write(output int, value float64) (driven bool)
	commit() // after the last write of one event
}

// notebook takes what shall be logged or stored outside the loop.
type notebook interface {
	note(e *link.Event, by []byte)
	latched(rule int, on bool)
}

// core is what the spine knows and decides. It does no input or output of its
// own, calls no clock but the one it was given, and is used by one goroutine.
type core struct {
	signals []hal.Signal // the measured ones, then the derived ones
	outputs []hal.Output
	rules   []reflex.Rule
	lease   config.Lease

	slots   []float64        // signals, then outputs as they are about to be written
	table   *hal.SignalTable // of the measured signals
	windows *reflex.Windows
	derived []derived // per window
	reflex  *reflex.Table
	segment *link.Segment
	driver  driver
	notes   notebook
	clock   func() time.Duration

	want     []target // decided by the last settle
	written  []target // on the wire
	command  link.Command
	incoming link.Command // scratch for the mailbox
	usable   []bool       // of the command: the value or hold of the output has met no reflex or latch

	changed   []int  // slots with a new reading in this event
	marked    []bool // the same, per slot
	touched   []int  // output slots changed in one pass
	undriven  []bool // outputs that the last write did not reach
	disputed  []bool // outputs changed in any pass of one settle
	one       [1]int // scratch of windowsSee
	pending   []link.Event
	moves     []reflex.Transition
	onExpired func(int)
	now       time.Duration // of the settle in hand
	readBacks []config.ReadBack
	suspended []bool        // signals that stay awaited
	advisory  []bool        // signals that the brain may give readings of
	slews     []slew        // per output
	slewDue   time.Duration // the next step of any of them
	leaseStop leaseStop
	// driveAgain is when what could not be driven is tried again.
	driveAgain time.Duration

	status       link.Status
	leaseUntil   time.Duration
	lastDecision uint64
	generation   uint64 // of the brain, upper half of the epoch
	gone         bool   // that brain ended, and no other was started
	changes      uint64 // of the mode, lower half
	leaseStopped bool   // safe because the lease was lost, until the next start or stop
	autostart    bool   // still waived
	unseen       int    // signals that are waited for
	dirty        bool   // outputs must be settled though no rule moved
	stopping     bool
	put          bool          // an event was put into the ring since the last wake-up
	eventAt      time.Duration // time stamp of the input in hand
	eventFrame   uint64        // and the frame counter of its port
	missed       uint64        // events that found the ring full
	missedTold   uint64        // of them the brain knows
	fired        uint64
	latencies    latencies
	read         bool // a reading came in the event in hand
}

// target is a value for an output and what it comes from.
type target struct {
	value float64
	who   link.Who
	rule  int32 // for reflex and latch, else -1
}

// newCore makes a core in which nothing has been seen and everything is safe.
func newCore(r *config.Robot, segment *link.Segment, d driver, n notebook, clock func() time.Duration) (*core, error) {
	m := r.Manual
	lay := m.Layout()
	slots := lay.Signals + lay.Outputs
	table, err := reflex.NewTable(m.Rules, m.Outputs, lay.Signals)
	if err != nil {
		return nil, fmt.Errorf("build reflex table: %w", err)
	}
	windows, err := reflex.NewWindows(m.Windows, slots)
	if err != nil {
		return nil, fmt.Errorf("build windows: %w", err)
	}
	c := &core{
		signals: m.Signals, outputs: m.Outputs, rules: m.Rules, lease: r.Lease,
		slots: make([]float64, slots), reflex: table, windows: windows, derived: make([]derived, windows.Len()), segment: segment, driver: d, notes: n, clock: clock,
		want: make([]target, lay.Outputs), written: make([]target, lay.Outputs),
		command: newCommand(lay.Outputs), incoming: newCommand(lay.Outputs),
		usable:  make([]bool, lay.Outputs),
		changed: make([]int, 0, slots), marked: make([]bool, slots), touched: make([]int, 0, lay.Outputs), disputed: make([]bool, lay.Outputs), undriven: make([]bool, lay.Outputs), driveAgain: never,
		pending:   make([]link.Event, 0, 4*len(m.Rules)+16),
		moves:     make([]reflex.Transition, 4*len(m.Rules)+16),
		autostart: r.Autostart, leaseStop: newLeaseStop(r),
		readBacks: r.ReadBacks, suspended: make([]bool, lay.Signals), advisory: advisory(r),
	}
	c.newSlews()
	c.table = hal.NewSignalTableOver(c.slots, m.Measured())
	for i := c.table.Len(); i < lay.Signals; i++ {
		c.slots[i] = math.NaN()
	}
	c.onExpired = c.expired
	for i := range c.outputs {
		c.want[i] = c.safe(i, link.WhoSafe)
		c.written[i] = target{value: math.NaN(), rule: -1}
		c.slots[lay.Signals+i] = c.outputs[i].Safe
	}
	c.latencies.reset()
	return c, nil
}

func newCommand(outputs int) link.Command {
	return link.Command{Values: make([]float64, outputs), Hold: make([]float64, outputs)}
}

// start counts ages from now, takes the latches of the last run back, and
// decides the outputs for the first time: safe.
func (c *core) start(now time.Duration, latches []int) {
	c.status.SpineStart = now
	c.table.Start(now)
	c.trace(link.TraceStart, now, len(c.outputs), 0, 0)
	for i := range c.signals {
		c.reflex.Await(i, true)
	}
	c.unseen = len(c.signals)
	c.suspendReadBacks()
	for _, rule := range latches {
		c.reflex.Restore(rule)
		c.trace(link.TraceRestore, now, rule, 0, 0)
		c.segment.StoreRule(rule, c.reflex.Active(rule), true)
	}
	c.reflex.Evaluate(now, c.slots)
	c.trace(link.TraceEvaluate, now, 0, 0, 0)
	c.eventAt, c.eventFrame = now, 0
	c.takeMoves()
	c.settle(now)
	c.windows.Start(now, c.slots) // the rules see them in the first frame, like readings, and not before
	c.showWindows(^uint64(0), now)
	c.flush()
}

// seen ends the wait for a signal, because it came or because its time is over.
// That of a derived one ends with those of the signals that it looks back at, and
// where it is a rate with the second reading.
func (c *core) seen(signal int) {
	if !c.suspended[signal] {
		c.reflex.Await(signal, false)
		c.trace(link.TraceSeen, c.eventAt, signal, 0, 0)
	}
	if c.unseen--; c.unseen == 0 {
		c.dirty = true // outputs are not waiting any more
	}
}

// reading takes one value of a signal. The rules see it at the next frame.
func (c *core) reading(signal int, value float64, at time.Duration) {
	before := c.table.Validity(signal)
	if c.marked[signal] && at >= c.table.At(signal) {
		c.traceReading(link.TraceOvertook, at, signal, 0)
	}
	if !c.table.Set(hal.Reading{Signal: signal, Value: value, At: at}) && c.table.At(signal) != at {
		return // older than what is there
	}
	c.read = true
	c.publish(signal, before, at)
}

// invalidate says that the source of a signal is gone.
func (c *core) invalidate(signal int, now time.Duration) {
	before := c.table.Validity(signal)
	if c.table.Invalidate(signal, hal.Stale) {
		c.publish(signal, before, now)
	}
}

// giveUp ends the wait for a signal that nothing can bring: it is invalid until there
// is a reading.
func (c *core) giveUp(signal int, now time.Duration) {
	before := c.table.Validity(signal)
	c.table.Set(hal.Reading{Signal: signal, Value: math.NaN(), At: now})
	c.table.Invalidate(signal, hal.Stale)
	c.publish(signal, before, now)
}

// expired is called by tick for a signal that became stale or stuck.
func (c *core) expired(signal int) {
	before := hal.Valid
	if !c.table.Seen(signal) {
		before = hal.NeverSeen
	}
	c.publish(signal, before, c.eventAt)
}

// publish tells the brain of a signal and marks it for the rules.
func (c *core) publish(signal int, before hal.Validity, at time.Duration) {
	v := c.table.Validity(signal)
	c.segment.StoreSignal(signal, c.table.Raw(signal), c.table.At(signal), v)
	if v != before {
		c.tell(&link.Event{Kind: link.EventSignal, Index: int32(signal), Flags: uint8(v), Value: c.table.Raw(signal), At: at, Cause: -1})
		if before == hal.NeverSeen {
			c.seen(signal)
		}
	}
	c.mark(signal)
}

// mark leaves a slot for the rules that read it.
func (c *core) mark(slot int) {
	if !c.marked[slot] {
		c.marked[slot] = true
		c.changed = append(c.changed, slot)
	}
}

// frame ends one atomic update: the rules that read what changed are evaluated
// and the outputs written. at is the time stamp of the input, number the frame
// counter of its port.
func (c *core) frame(now, at time.Duration, number uint64) {
	if len(c.changed) == 0 && len(c.pending) == 0 && !c.dirty {
		return
	}
	c.eventAt, c.eventFrame = at, number
	c.status.Cycles++
	c.showWindows(c.windows.Update(at, c.changed, c.slots), at)
	for i, slot := range c.changed {
		if c.validity(slot).TimedOut() {
			c.reflex.Lost(now, slot, c.slots)
		} else {
			c.reflex.Changed(now, slot, c.slots)
		}
		c.traceReading(link.TraceReading, now, slot, last(i, c.changed))
	}
	if c.takeMoves() || c.dirty {
		c.settle(now)
	}
	for _, slot := range c.changed {
		c.marked[slot] = false
	}
	c.changed = c.changed[:0]
	c.flush()
	c.read = false
}

// tick does what is due by time alone: staleness, debounce, the lease.
func (c *core) tick(now time.Duration) {
	c.eventAt, c.eventFrame = now, 0
	c.table.Expire(now, c.onExpired)
	if due, ok := c.windows.NextDeadline(); ok && due <= now {
		c.showWindows(c.windows.Tick(now, c.slots), now)
	}
	if due, ok := c.reflex.NextDeadline(); ok && due <= now {
		c.reflex.Tick(now)
		c.trace(link.TraceTick, now, 0, 0, 0)
		c.takeMoves()
		c.dirty = true // the controlled part of a stop ends without a move
	}
	c.expireLease(now)
	c.leaseStopOn(now)
	c.dirty = c.dirty || now >= c.slewDue || now >= c.driveAgain
	c.frame(now, now, 0)
}

// deadline is when tick is worth calling next.
func (c *core) deadline() time.Duration {
	due := never
	if at, ok := c.table.NextExpiry(); ok {
		due = at
	}
	if at, ok := c.reflex.NextDeadline(); ok {
		due = min(due, at)
	}
	if at, ok := c.windows.NextDeadline(); ok {
		due = min(due, at)
	}
	if len(c.changed) > 0 { // windows that look back at what was just written
		due = min(due, c.status.Now)
	}
	if c.status.Lease == link.LeaseLive {
		due = min(due, c.leaseUntil)
	}
	return min(due, c.slewDue, c.leaseStop.step, c.driveAgain)
}

// takeMoves collects what the rules did, for flush to tell with its latency,
// and says whether they did anything.
func (c *core) takeMoves() (moved bool) {
	for {
		n := c.reflex.TakeTransitions(c.moves)
		for i := range c.moves[:n] {
			c.move(&c.moves[i])
		}
		moved = moved || n > 0
		if n < len(c.moves) {
			return moved
		}
	}
}

func (c *core) move(m *reflex.Transition) {
	e := link.Event{Index: int32(m.Rule), At: c.eventAt, Frame: c.eventFrame, Cause: c.cause(m.Rule)}
	switch m.Kind {
	case reflex.Fired:
		e.Kind, e.Flags = link.EventReflex, 1
		c.fired++
	case reflex.Ended:
		e.Kind = link.EventReflex
	case reflex.Latched:
		e.Kind, e.Flags = link.EventLatch, 1
		c.notes.latched(m.Rule, true)
	case reflex.Cleared:
		e.Kind = link.EventLatch
		c.notes.latched(m.Rule, false)
	}
	c.trace(link.TraceMove, c.eventAt, m.Rule, 0, uint8(m.Kind))
	c.segment.StoreRule(m.Rule, c.reflex.Active(m.Rule), c.reflex.Latched(m.Rule))
	c.tell(&e)
}

// tell keeps an event until the outputs are written, so that it can carry the
// latency.
func (c *core) tell(e *link.Event) {
	if len(c.pending) == cap(c.pending) {
		c.emit(e)
		return
	}
	c.pending = append(c.pending, *e)
}

// cause is the first slot with a new value that the rule reads, -1 if time
// alone moved it.
func (c *core) cause(rule int) int32 {
	r := &c.rules[rule]
	for _, slot := range r.When.Reads() {
		if c.marked[slot] {
			return int32(slot)
		}
	}
	if r.Until != nil {
		for _, slot := range r.Until.Reads() {
			if c.marked[slot] {
				return int32(slot)
			}
		}
	}
	return -1
}

// emit puts an event into the ring. Where the ring was full, the brain finds how
// many events it has missed as soon as there is room again.
func (c *core) emit(e *link.Event) {
	c.put = true
	if !c.segment.PutEvent(e) {
		c.missed++
		return
	}
	if c.missed != c.missedTold && c.segment.PutEvent(&link.Event{Kind: link.EventLost, Frame: c.missed, At: e.At, Cause: -1}) {
		c.missedTold = c.missed
	}
}
