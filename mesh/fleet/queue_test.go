package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestQueueOrder holds the order of the wheel against a list that is sorted anew
// after every change: by time, and by the order of the puts where it is the same.
func TestQueueOrder(t *testing.T) {
	type numbered struct{ at, number int64 }
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		q := newQueue[int64]()
		var list []numbered
		var now, number int64
		spans := []int64{0, 1, 100, 1 << 16, 1 << 20, int64(time.Second), int64(5 * time.Second), 1 << 33, 1<<33 + 1<<16, int64(time.Minute)}
		for range 4000 {
			if random.IntN(5) < 3 || len(list) == 0 {
				span := spans[random.IntN(len(spans))]
				at := now + span
				if random.IntN(2) == 0 {
					at = now + random.Int64N(span+1)
				}
				if random.IntN(4) == 0 { // many ties
					at = max(now, at&^(1<<20-1))
				}
				q.put(at, &number)
				list = append(list, numbered{at, number})
				number++
				continue
			}
			least := 0
			for i, w := range list {
				if w.at < list[least].at || w.at == list[least].at && w.number < list[least].number {
					least = i
				}
			}
			want := list[least]
			at, ok := q.peek()
			if !ok || at != want.at {
				t.Fatalf("seed %d: next at %d, %v; want %d", seed, at, ok, want.at)
			}
			if got := *q.pop(); got != want.number {
				t.Fatalf("seed %d: at %d got number %d, want %d", seed, at, got, want.number)
			}
			now = want.at
			list = append(list[:least], list[least+1:]...)
			if q.len() != len(list) {
				t.Fatalf("seed %d: %d wait, want %d", seed, q.len(), len(list))
			}
		}
	}
}

// TestQueuePeekThenPut: who looks ahead, over empty slots, may still put before
// what he saw.
func TestQueuePeekThenPut(t *testing.T) {
	q := newQueue[int64]()
	for i, at := range []int64{int64(3 * time.Second), int64(time.Second), int64(20 * time.Second)} {
		n := int64(i)
		q.put(at, &n)
		q.peek()
	}
	n := int64(3)
	q.put(5, &n)
	for _, want := range []int64{3, 1, 0, 2} {
		if _, ok := q.peek(); !ok {
			t.Fatal("empty")
		}
		if got := *q.pop(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	if _, ok := q.peek(); ok {
		t.Error("not empty")
	}
}

// benchItem is as large as an event of the mesh.
type benchItem [7]uint64

// BenchmarkQueue is the hold model: so many events wait, one is taken and put back,
// half of them as a message does (0.2 ms to 200 ms on), half as a heartbeat (5 s).
// The wheel is what the simulation uses; the heap is what it would cost otherwise.
func BenchmarkQueue(b *testing.B) {
	for _, pending := range []int{300, 30_000, 1_000_000} {
		b.Run(fmt.Sprintf("wheel/%d", pending), func(b *testing.B) {
			q := newQueue[benchItem]()
			var item benchItem
			for i := range pending {
				q.put(hold(uint64(i)), &item)
			}
			n := uint64(pending)
			// Warm: the first turn of the wheel allocates its chunks.
			for range 2 * pending {
				at, _ := q.peek()
				item = *q.pop()
				q.put(at+hold(n), &item)
				n++
			}
			b.ResetTimer()
			for b.Loop() {
				at, _ := q.peek()
				item = *q.pop()
				q.put(at+hold(n), &item)
				n++
			}
		})
		b.Run(fmt.Sprintf("heap/%d", pending), func(b *testing.B) {
			var q heap[benchItem]
			var item benchItem
			for i := range pending {
				q.put(hold(uint64(i)), &item)
			}
			n := uint64(pending)
			b.ResetTimer()
			for b.Loop() {
				at := q.pop(&item)
				q.put(at+hold(n), &item)
				n++
			}
		})
	}
}

func hold(n uint64) int64 {
	r := mix(n)
	if r&1 == 0 {
		return int64(200*time.Microsecond) + int64(Below(r, uint64(200*time.Millisecond)))
	}
	return int64(4500*time.Millisecond) + int64(Below(r, uint64(time.Second)))
}
