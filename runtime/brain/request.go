package brain

import (
	"context"
	"fmt"
	"sync"
	"time"

	"dancer/mesh"
	"dancer/runtime/link"
)

// requestTimeout bounds the wait for the spine's answer. The spine answers
// within a cycle; a silent one is a fault worth saying.
const requestTimeout = 2 * time.Second

// requests pairs what operators ask through the brain with the spine's answers.
type requests struct {
	ends    *link.Ends
	mutex   sync.Mutex
	next    uint64
	waiting map[uint64]chan link.Event
}

func newRequests(ends *link.Ends) *requests {
	return &requests{ends: ends, next: uint64(link.Now()), waiting: map[uint64]chan link.Event{}}
}

// ask hands a request to the spine and gives its answer: nil when it is done.
func (r *requests) ask(ctx context.Context, kind link.RequestKind, rule int) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	sequence, answer := r.open()
	defer r.forget(sequence)
	status, ok := r.ends.Segment.LoadStatus()
	if !ok {
		return fmt.Errorf("%s: the spine does not say which brain this is: try again", kind)
	}
	if !r.ends.Segment.PostRequest(link.Request{Kind: kind, Index: int32(rule), Sequence: sequence, Epoch: status.Epoch, At: link.Now()}) {
		return fmt.Errorf("%s: the spine has %d requests unanswered: try again", kind, link.RequestCapacity)
	}
	if err := r.ends.ToSpine.Signal(); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	select {
	case e := <-answer:
		if e.Flags == 1 {
			return nil
		}
		return fmt.Errorf("%s refused: %s", kind, link.Reason(e.Cause))
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer from the spine within %s", kind, requestTimeout)
	}
}

func (r *requests) open() (uint64, chan link.Event) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.next++
	answer := make(chan link.Event, 1)
	r.waiting[r.next] = answer
	return r.next, answer
}

func (r *requests) forget(sequence uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.waiting, sequence)
}

// answer gives an answer to who asked. One that nobody waits for any more is
// from an earlier brain or came too late.
func (r *requests) answer(e *link.Event) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if answer, ok := r.waiting[e.Frame]; ok {
		delete(r.waiting, e.Frame)
		answer <- *e
	}
}

// request carries out a request that came from outside the process.
func (b *brain) request(ctx context.Context, req mesh.Request) error {
	switch req.Do {
	case "start":
		return b.requests.ask(ctx, link.RequestStart, -1)
	case "stop":
		return b.requests.ask(ctx, link.RequestStop, -1)
	case "clear":
		rule := -1
		if req.Latch != "" {
			if rule = b.ruleIndex(req.Latch); rule < 0 {
				return fmt.Errorf("clear refused: no reflex named %q in %s", req.Latch, b.robot.ManualPath)
			}
		}
		return b.requests.ask(ctx, link.RequestClear, rule)
	}
	return fmt.Errorf("unknown request %q: start, stop or clear", req.Do)
}

func (b *brain) ruleIndex(name string) int {
	for i := range b.manual.Rules {
		if b.manual.Rules[i].Name == name {
			return i
		}
	}
	return -1
}
