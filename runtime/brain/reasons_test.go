package brain

import (
	"errors"
	"strconv"
	"testing"

	"dancer/runtime/web"
)

// TestReasonsWait: what was told before the broker was there arrives later, in
// order; what is not taken waits on; of too many the oldest go and are counted.
func TestReasonsWait(t *testing.T) {
	var r reasons
	lost := 0
	for i := range keptReasons + 10 {
		lost += r.keep(web.Event{Kind: strconv.Itoa(i)})
	}
	if lost != 10 {
		t.Errorf("%d are counted as lost, want 10", lost)
	}
	var got []string
	refuse := errors.New("no room")
	r.send(func(e web.Event) error {
		if len(got) == 5 {
			return refuse
		}
		got = append(got, e.Kind)
		return nil
	})
	r.send(func(e web.Event) error { got = append(got, e.Kind); return nil })
	if len(got) != keptReasons {
		t.Fatalf("%d arrived, want %d", len(got), keptReasons)
	}
	for i, kind := range got {
		if kind != strconv.Itoa(i+10) {
			t.Fatalf("event %d is %s", i, kind)
		}
	}
	r.send(func(web.Event) error { t.Error("one arrives twice"); return nil })
}

// TestReasonsHaveTheirOwnLimit: a reflex that chatters does not keep the conductor
// from hearing why the robot stands.
func TestReasonsHaveTheirOwnLimit(t *testing.T) {
	for kind, want := range map[string]bool{
		kindLease: true, kindMode: true, kindBrain: true, kindPort: true, kindLatch: true,
		kindReflex: false, kindSignal: false, kindOutput: false, kindDecision: false,
	} {
		if isReason(kind) != want {
			t.Errorf("%s is a reason: %v", kind, !want)
		}
		if want && !toldToConductor(kind) {
			t.Errorf("%s is a reason and the conductor is not told", kind)
		}
	}
}
