package brain

import (
	"context"
	"sync"

	"dancer/mesh"
	"dancer/runtime/web"
)

// isReason says whether an event tells why the robot stands as it does. These
// are rare. They have a limit of their own at the conductor, so that a contact
// that chatters does not push them out, and wait for the broker where it is away:
// why the brain before this one died comes from the spine before this one is
// connected.
func isReason(kind string) bool {
	switch kind {
	case kindLatch, kindLease, kindMode, kindPort, kindBrain:
		return true
	}
	return false
}

// keptReasons bounds those that wait for the broker; of more the oldest go.
const keptReasons = 64

// reasons waits for the broker.
type reasons struct {
	mutex sync.Mutex
	list  []web.Event
}

func (r *reasons) keep(e web.Event) (lost int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.list = append(r.list, e)
	if lost = len(r.list) - keptReasons; lost > 0 {
		r.list = append(r.list[:0], r.list[lost:]...)
		return lost
	}
	return 0
}

// send gives them to the broker in order, until one is not taken.
func (r *reasons) send(give func(web.Event) error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	sent := 0
	for sent < len(r.list) && give(r.list[sent]) == nil {
		sent++
	}
	r.list = append(r.list[:0], r.list[sent:]...)
}

// mailEvent tells the conductor of an event, at once or, where it is a reason,
// when the broker is there.
func (b *brain) mailEvent(kind string, body any) {
	e := web.Event{At: b.wall().UTC(), Kind: kind, Agent: b.robot.Name, Data: encode(body)}
	if !isReason(kind) {
		if b.mailed.allow(b.clock()) {
			b.mail.tell(context.Background(), mesh.KindEvent, false, e)
		}
		return
	}
	if !b.mailedReasons.allow(b.clock()) {
		return
	}
	b.mailedReasons.leftOut.Add(uint64(b.reasons.keep(e)))
	b.mailReasons(context.Background())
}

// mailReasons gives what waits to the broker.
func (b *brain) mailReasons(ctx context.Context) {
	if b.mail.connected() {
		b.reasons.send(func(e web.Event) error { return b.mail.try(ctx, mesh.KindEvent, false, e) })
	}
}

// leftOut is how many events the conductor was not told of.
func (b *brain) leftOut() uint64 { return b.mailed.leftOut.Load() + b.mailedReasons.leftOut.Load() }
