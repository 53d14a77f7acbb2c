package conflict_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"dancer/mesh/conflict"
)

func TestQuarantine(t *testing.T) {
	q := conflict.NewQuarantine(conflict.QuarantineLimits{Items: 16, Bytes: 10, ItemBytes: 6})
	data := []byte("abcde")
	first, err := q.Hold(5, key(1), 7, data)
	if err != nil || string(first.Data) != "abcde" || first.Hash != sha256.Sum256(data) || first.At != 5 || first.Source != 7 {
		t.Fatalf("%+v, %v", first, err)
	}
	data[0] = 'X'
	if h, ok := q.Of(key(1)); !ok || string(h.Data) != "abcde" {
		t.Errorf("the caller's buffer is in quarantine: %q", h.Data)
	}
	if again, err := q.Hold(9, key(1), 8, []byte("other")); err != nil || again.Number != first.Number || q.Counters().Items != 1 {
		t.Errorf("the same conflict again: %+v, %v", again, err)
	}
	if h, err := q.Hold(6, key(2), 8, []byte("too long for one")); err != nil || h.Data != nil || h.Size != 16 {
		t.Errorf("too large: %+v, %v", h, err)
	}
	if h, err := q.Hold(6, key(3), 7, []byte("sixsix")); err != nil || h.Data != nil {
		t.Errorf("no room for all: %+v, %v", h, err)
	}
	if _, err := q.Hold(6, key(4), 7, nil); !errors.Is(err, conflict.ErrShare) {
		t.Errorf("a third of one source: %v", err)
	}
	for _, by := range []string{"", "  "} {
		if _, err := q.Release(first.Number, by); !errors.Is(err, conflict.ErrNobody) {
			t.Errorf("released by nobody: %v", err)
		}
	}
	if h, err := q.Release(first.Number, "Ada"); err != nil || string(h.Data) != "abcde" {
		t.Errorf("released %+v, %v", h, err)
	}
	if _, err := q.Discard(first.Number, "Ada"); !errors.Is(err, conflict.ErrUnknown) {
		t.Errorf("decided twice: %v", err)
	}
	second, _ := q.Of(key(2))
	if _, err := q.Discard(second.Number, "Bo"); err != nil {
		t.Error(err)
	}
	want := conflict.QuarantineCounters{Held: 3, HashOnly: 2, Share: 1, Released: 1, Discarded: 1, Items: 1}
	if c := q.Counters(); c != want {
		t.Errorf("%+v", c)
	}
	for n := uint64(10); n < 25; n++ {
		if _, err := q.Hold(6, key(n), uint32(n), nil); err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := q.Hold(6, key(99), 99, nil); !errors.Is(err, conflict.ErrFull) {
		t.Errorf("full: %v", err)
	}
}
