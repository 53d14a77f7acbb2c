package link

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRestore writes garbage over the whole segment, as a brain could, and lets
// the next brain attach: what the spine says arrives, in order, and nothing that
// the garbage asked for is done.
func TestRestore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		s := newSegment(t)
		for i := range uint64(random.IntN(2 * EventCapacity)) { // some are taken, perhaps some lost
			s.PutEvent(&Event{Kind: EventPort, Frame: i, At: time.Second})
		}
		for i := range s.words {
			s.words[i].Store(random.Uint64())
		}
		s.Restore()
		brain := attach(t, s)
		var e Event
		for brain.TakeEvent(&e) { // what is left of before
		}
		for i := range uint64(3) {
			if !s.PutEvent(&Event{Kind: EventBrain, Frame: 1000 + i}) {
				t.Fatal("the ring takes no event")
			}
		}
		for i := range uint64(3) {
			if !brain.TakeEvent(&e) || e.Kind != EventBrain || e.Frame != 1000+i {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
		var r Request
		if s.TakeRequest(&r) {
			t.Fatalf("garbage asks for %+v", r)
		}
		c := Command{Values: make([]float64, s.layout.Outputs), Hold: make([]float64, s.layout.Outputs)}
		if took := s.TakeCommand(&c); took != TookNothing {
			t.Fatalf("garbage commands: %v", took)
		}
		if !brain.PostRequest(Request{Kind: RequestStop, Sequence: 7}) || !s.TakeRequest(&r) || r.Sequence != 7 {
			t.Fatalf("the next brain's request is %+v", r)
		}
		c.Decision = 1
		if err := brain.PostCommand(&c); err != nil {
			t.Fatal(err)
		}
		if took := s.TakeCommand(&c); took != TookCommand {
			t.Fatalf("the next brain's command: %v", took)
		}
	}
}

// TestRingHeals: garbage in the shared ends of a ring costs events, and not the
// ring, though both sides are alive and nothing is restored.
func TestRingHeals(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		s := newSegment(t)
		brain := attach(t, s)
		s.events.words[ringHead].Store(random.Uint64())
		s.events.words[ringTail].Store(random.Uint64())
		var e Event
		for range 4 { // whoever looks first
			s.PutEvent(&Event{Kind: EventLost})
			brain.TakeEvent(&e)
		}
		if !s.PutEvent(&Event{Kind: EventBrain, Frame: 5}) {
			t.Fatal("the ring takes no event any more")
		}
		for e.Kind != EventBrain {
			if !brain.TakeEvent(&e) {
				t.Fatal("the event does not arrive")
			}
		}
	}
}
