package arrival

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = time.Second

func held(n byte) ID { return ID{n} }

func TestHoldWaitsUntilT(t *testing.T) {
	h := NewHolds(4, DefaultLimits)
	if answer, late := h.Receive(1*second, held(1), 2*second); answer != Accepted || late != 0 {
		t.Fatal(answer, late)
	}
	if _, _, ok := h.Due(3 * second); ok {
		t.Fatal("acted on what is not processed")
	}
	h = NewHolds(4, DefaultLimits)
	h.Receive(1*second, held(1), 2*second)
	if stage, late := h.Processed(1500*time.Millisecond, held(1)); stage != Ready || late != 0 {
		t.Fatal(stage, late)
	}
	if at, ok := h.Next(); !ok || at != 2*second {
		t.Fatal(at, ok)
	}
	if _, _, ok := h.Due(2*second - 1); ok {
		t.Fatal("acted before T")
	}
	if id, late, ok := h.Due(2*second + 3*time.Millisecond); !ok || id != held(1) || late != 3*time.Millisecond {
		t.Fatal(id, late, ok)
	}
	if _, _, ok := h.Due(2*second + 4*time.Millisecond); ok || h.Stage(held(1)) != Acted {
		t.Fatal("acted twice")
	}
	if answer, _ := h.Receive(2*second+5*time.Millisecond, held(1), 2*second); answer != Duplicate {
		t.Fatal(answer)
	}
	if _, ok := h.Next(); ok {
		t.Fatal("something is left to do")
	}
}

// TestHoldRefuses goes through every reason, and that a refusal is counted.
func TestHoldRefuses(t *testing.T) {
	h := NewHolds(1, Limits{Future: 10 * second, Late: second})
	for i, c := range []struct {
		now  time.Duration
		id   byte
		at   time.Duration
		want Answer
		late time.Duration
	}{
		{0, 1, 11 * second, TooFar, 0},
		{0, 1, math.MaxInt64, TooFar, 0},
		{-1, 1, math.MaxInt64, TooFar, 0},
		{5 * second, 1, 4*second - 1, TooLate, second + 1},
		{5 * second, 1, math.MinInt64, TooLate, math.MaxInt64},
		{5 * second, 1, 4 * second, Accepted, second},
		{5 * second, 1, 4 * second, Duplicate, second},
		{5 * second, 1, 6 * second, Contradiction, 0},
		{5 * second, 2, 6 * second, Full, 0},
		{5*second + 1, 2, 6 * second, Accepted, 0}, // the first one's time is over
		{3 * second, 3, 4 * second, TooLate, 0},    // the clock went back: its copy may have acted
	} {
		if answer, late := h.Receive(c.now, held(c.id), c.at); answer != c.want || late != c.late {
			t.Errorf("%d: %v, %v late, want %v, %v", i, answer, late, c.want, c.late)
		}
	}
	if h.Refused != 8 {
		t.Errorf("%d refused", h.Refused)
	}
}

func TestHoldCancelAndFreeze(t *testing.T) {
	h := NewHolds(4, DefaultLimits)
	for n := range byte(3) {
		h.Receive(0, held(n+1), second)
		h.Processed(0, held(n+1))
	}
	if !h.Cancel(held(1)) || h.Cancel(held(1)) || h.Cancel(held(9)) {
		t.Error("cancel says something else than what it did")
	}
	if id, _, ok := h.Due(second); !ok || id != held(2) {
		t.Error("the cancelled one goes before the others")
	}
	if h.Cancel(held(2)) {
		t.Error("cancelled what has acted")
	}
	h.Freeze()
	if answer, _ := h.Receive(second, held(7), 2*second); answer != FrozenScope {
		t.Error(answer)
	}
	h.Thaw()
	if id, _, ok := h.Due(second); ok {
		t.Errorf("%v moved by itself after a thaw", id)
	}
	for n, want := range map[byte]Stage{1: Cancelled, 2: Acted, 3: Frozen, 7: Empty} {
		if have := h.Stage(held(n)); have != want {
			t.Errorf("%d is %v, want %v", n, have, want)
		}
	}
	if stage, _ := h.Processed(second, held(3)); stage != Frozen {
		t.Errorf("processing revived it: %v", stage)
	}
}

func TestHoldLate(t *testing.T) {
	h := NewHolds(2, Limits{Future: second, Late: 100 * time.Millisecond})
	h.Receive(second, held(1), second)
	h.Receive(second, held(2), second)
	if stage, late := h.Processed(second+30*time.Millisecond, held(1)); stage != Ready || late != 30*time.Millisecond {
		t.Error(stage, late)
	}
	if _, late, ok := h.Due(second + 40*time.Millisecond); !ok || late != 40*time.Millisecond {
		t.Error(late, ok)
	}
	if stage, late := h.Processed(second+101*time.Millisecond, held(2)); stage != Expired || late != 101*time.Millisecond {
		t.Error(stage, late)
	}
	if stage, _ := h.Processed(second, held(3)); stage != Empty {
		t.Error(stage)
	}
}

// TestHoldOrder: what is due together acts in the order of T, whatever the order
// of arrival.
func TestHoldOrder(t *testing.T) {
	h := NewHolds(3, DefaultLimits)
	for i, at := range []time.Duration{300, 100, 200} {
		h.Receive(0, held(byte(i+1)), at*ms)
		h.Processed(0, held(byte(i+1)))
	}
	for _, want := range []byte{2, 3, 1} {
		if id, _, ok := h.Due(400 * ms); !ok || id != held(want) {
			t.Errorf("%v, want %d", id, want)
		}
	}
}

// TestHoldProperties drives random messages, copies, clocks that are corrected in
// both directions, freezes and cancellations, against what an agent may never do.
func TestHoldProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Future: 50, Late: time.Duration(rapid.IntRange(0, 20).Draw(t, "late"))}
		h := NewHolds(rapid.IntRange(1, 4).Draw(t, "places"), limits)
		now, frozen := time.Duration(100), false
		acted, dead, due := map[ID]bool{}, map[ID]bool{}, map[ID]time.Duration{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			id := held(byte(rapid.IntRange(1, 12).Draw(t, "id")))
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0, 1:
				at, known := due[id]
				if !known { // every copy of a command has the same T
					at = now + time.Duration(rapid.IntRange(-30, 60).Draw(t, "at"))
					due[id] = at
				}
				answer, late := h.Receive(now, id, at)
				if late != max(now-at, 0) {
					t.Fatalf("T %v at %v is %v late", at, now, late)
				}
				if answer == Accepted && (frozen || at-now > limits.Future || now-at > limits.Late) {
					t.Fatalf("accepted T %v at %v, frozen %v", at, now, frozen)
				}
				if answer == Accepted && (acted[id] || dead[id]) {
					t.Fatalf("%v accepted again", id)
				}
			case 2, 3:
				h.Processed(now, id)
			case 4:
				if h.Cancel(id) {
					dead[id] = true
				}
			case 5:
				frozen = !frozen
				if !frozen {
					h.Thaw()
					break
				}
				for n := range byte(12) {
					if s := h.Stage(held(n + 1)); s == Received || s == Ready {
						dead[held(n+1)] = true
					}
				}
				h.Freeze()
			default:
				now += time.Duration(rapid.IntRange(-10, 30).Draw(t, "clock"))
			}
			for last := time.Duration(math.MinInt64); ; {
				id, late, ok := h.Due(now)
				if !ok {
					break
				}
				at := due[id]
				if acted[id] || dead[id] || frozen || now < at || late != now-at || late > limits.Late || at < last {
					t.Fatalf("%v acts at %v: T %v, late %v, acted %v, cancelled or frozen %v", id, now, at, late, acted[id], dead[id])
				}
				acted[id], last = true, at
			}
		}
	})
}

// TestHoldActs: the properties above hold for an agent that does nothing, too. In
// a calm world every command acts, at the first look after its T.
func TestHoldActs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHolds(8, DefaultLimits)
		ats := rapid.SliceOfN(rapid.IntRange(50, 2000), 1, 8).Draw(t, "T")
		for i, at := range ats {
			h.Receive(0, held(byte(i)), time.Duration(at)*time.Millisecond)
			h.Processed(10*time.Millisecond, held(byte(i)))
		}
		count := 0
		for now := time.Duration(0); now <= 3*second; now += 7 * time.Millisecond {
			for {
				_, late, ok := h.Due(now)
				if !ok {
					break
				}
				if count++; late >= 7*time.Millisecond {
					t.Fatalf("%v late", late)
				}
			}
		}
		if count != len(ats) || h.Refused != 0 {
			t.Fatalf("%d of %d acted, %d refused", count, len(ats), h.Refused)
		}
	})
}

func TestHoldAllocatesNothing(t *testing.T) {
	h, now := NewHolds(8, DefaultLimits), time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += second
		id := ID{byte(now / second), byte(now / second >> 8)}
		h.Receive(now, id, now+second/2)
		h.Processed(now, id)
		if _, _, ok := h.Due(now + second/2); !ok {
			t.Fatal("did not act")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHold(b *testing.B) {
	h, now := NewHolds(8, DefaultLimits), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += second
		id := ID{byte(now / second), byte(now / second >> 8)}
		h.Receive(now, id, now+second/2)
		h.Processed(now, id)
		h.Due(now + second/2)
	}
}
