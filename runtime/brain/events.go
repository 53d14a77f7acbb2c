package brain

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"dancer/hal"
	"dancer/runtime/link"
)

// Bodies of the events that come from the spine, one struct a kind.
type (
	signalEvent struct {
		Name  string   `json:"name"`
		State string   `json:"state"`
		Value *float64 `json:"value,omitempty"` // when valid
	}
	reflexEvent struct {
		Rule      string             `json:"rule"`
		Active    bool               `json:"active"`
		Cause     string             `json:"cause"`
		Set       map[string]float64 `json:"set,omitempty"`
		Frame     uint64             `json:"frame,omitempty"`
		LatencyNS int64              `json:"latency_ns"`
	}
	latchEvent struct {
		Rule  string `json:"rule"`
		State string `json:"state"` // latched | cleared
	}
	outputEvent struct {
		Name  string  `json:"name"`
		Value float64 `json:"value"`
		Who   string  `json:"who"`
		Rule  string  `json:"rule,omitempty"`
	}
	leaseEvent struct {
		State string `json:"state"`
		Why   string `json:"why,omitempty"`
	}
	modeEvent struct {
		Mode string `json:"mode"`
		Why  string `json:"why,omitempty"`
	}
	overrunEvent struct {
		Where     string `json:"where"` // spine | tier-2 | tier-3 | events
		LateNS    int64  `json:"late_ns,omitempty"`
		Count     uint64 `json:"count"`
		BudgetNS  int64  `json:"budget_ns,omitempty"`
		ElapsedNS int64  `json:"elapsed_ns,omitempty"`
	}
	portEvent struct {
		Name  string `json:"name"`
		State string `json:"state"` // gone | back | flooded
	}
	restartEvent struct {
		Why string `json:"why"` // why the spine was started, where the one before did not end in order
	}
	brainEvent struct {
		State  string `json:"state"` // started | died
		Starts int32  `json:"starts"`
		Exit   int    `json:"exit,omitempty"` // exit code; negative: the signal that ended it
		Why    string `json:"why,omitempty"`  // of a death
	}
)

// drainEvents takes the spine's events off the ring until the context ends, and
// once more after that, so that the last words of a stopping robot are told.
func (b *brain) drainEvents(ctx context.Context) error {
	for {
		b.takeEvents()
		if _, err := b.ends.ToBrain.Wait(ctx, eventPoll); err != nil {
			b.takeEvents()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// eventPoll bounds how long an event without a wake-up stays in the ring.
const eventPoll = 100 * time.Millisecond

func (b *brain) takeEvents() {
	var e link.Event
	for b.ends.Segment.TakeEvent(&e) {
		b.event(&e)
	}
	b.takeTraces()
}

// event tells one event of the spine to the readers, and wakes whoever waits for
// the state to change.
func (b *brain) event(e *link.Event) {
	if e.Kind == link.EventAnswer {
		b.requests.answer(e)
		return
	}
	kind, body := b.eventBody(e)
	if body == nil {
		return
	}
	b.recordEvent(kind, e, body)
	b.tell(kind, body)
	if e.Kind != link.EventOverrun && e.Kind != link.EventLost && e.Kind != link.EventEdges {
		b.stateChanged()
	}
}

// mailedEvents is how many events a second go to the conductor: a contact that
// chatters must not push the robot's state out of the queue. The stream and the
// recording have them all.
const mailedEvents = 50

// eventLimit lets so many events a second through and counts the others.
type eventLimit struct {
	mutex   sync.Mutex
	began   time.Duration
	sent    int
	leftOut atomic.Uint64
}

func (l *eventLimit) allow(now time.Duration) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if now-l.began >= time.Second {
		l.began, l.sent = now, 0
	}
	if l.sent++; l.sent > mailedEvents {
		l.leftOut.Add(1)
		return false
	}
	return true
}

func (b *brain) eventBody(e *link.Event) (string, any) {
	i := int(e.Index)
	switch e.Kind {
	case link.EventSignal:
		return kindSignal, b.signalBody(i, e)
	case link.EventReflex:
		return kindReflex, b.reflexBody(i, e)
	case link.EventLatch:
		return kindLatch, latchEvent{Rule: b.ruleName(i), State: word(e.Flags, "cleared", "latched")}
	case link.EventOutput:
		return kindOutput, outputEvent{Name: b.outputName(i), Value: e.Value, Who: link.Who(e.Flags).String(), Rule: b.ruleName(int(e.Cause))}
	case link.EventLease:
		return kindLease, leaseEvent{State: link.LeaseState(e.Flags).String(), Why: link.Reason(e.Cause).String()}
	case link.EventMode:
		return kindMode, modeEvent{Mode: link.Mode(e.Flags).String(), Why: link.Reason(e.Cause).String()}
	case link.EventOverrun:
		return kindOverrun, overrunEvent{Where: "spine", LateNS: int64(e.Latency), Count: e.Frame}
	case link.EventLost:
		return kindOverrun, overrunEvent{Where: "events", Count: e.Frame}
	case link.EventEdges:
		return kindOverrun, overrunEvent{Where: "edges of " + b.slotName(i), Count: e.Frame}
	case link.EventPort:
		return kindPort, portEvent{Name: b.portName(i), State: link.PortState(e.Flags).String()}
	case link.EventRestart:
		return kindRestart, restartEvent{Why: link.Restart(e.Flags).String()}
	case link.EventBrain:
		body := brainEvent{State: word(e.Flags, "died", "started"), Starts: e.Index, Exit: int(e.Value)}
		if e.Flags == 0 {
			body.Why = link.Reason(e.Cause).String()
		}
		return kindBrain, body
	}
	return "", nil
}

func (b *brain) signalBody(i int, e *link.Event) any {
	body := signalEvent{Name: b.slotName(i), State: hal.Validity(e.Flags).String()}
	if hal.Validity(e.Flags) == hal.Valid {
		body.Value = &e.Value
	}
	return body
}

func (b *brain) reflexBody(i int, e *link.Event) any {
	body := reflexEvent{
		Rule: b.ruleName(i), Active: e.Flags == 1, Cause: b.slotName(int(e.Cause)),
		Frame: e.Frame, LatencyNS: int64(e.Latency),
	}
	if e.Cause < 0 {
		body.Cause = "time"
	}
	if body.Active && i >= 0 && i < len(b.manual.Rules) {
		body.Set = map[string]float64{}
		for _, s := range b.manual.Rules[i].Set {
			body.Set[b.outputName(s.Output)] = s.Value
		}
	}
	return body
}

func word(flag uint8, off, on string) string {
	if flag == 1 {
		return on
	}
	return off
}

// The names below come from indices that crossed a process boundary: an index
// outside the manual gives "", never a panic.

func (b *brain) ruleName(i int) string {
	if i < 0 || i >= len(b.manual.Rules) {
		return ""
	}
	return b.manual.Rules[i].Name
}

func (b *brain) outputName(i int) string {
	if i < 0 || i >= len(b.manual.Outputs) {
		return ""
	}
	return b.manual.Outputs[i].Name
}

func (b *brain) portName(i int) string {
	sources := b.robot.Sources()
	if i < 0 || i >= len(sources) {
		return ""
	}
	return sources[i]
}

// slotName names a signal or an output by its slot.
func (b *brain) slotName(i int) string {
	if i >= 0 && i < len(b.manual.Signals) {
		return b.manual.Signals[i].Name
	}
	return b.outputName(i - len(b.manual.Signals))
}
