package mesh

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"
)

// TestIDsAfter: a program that starts when the wall clock has been set back makes
// ids that sort behind those that it has stored.
func TestIDsAfter(t *testing.T) {
	before := NewIDs(rand.Reader)
	stored, err := before.Next(noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{noon.Add(-time.Hour), noon, noon.Add(time.Hour)} {
		ids := NewIDs(rand.Reader)
		ids.After(stored)
		ids.After("")
		ids.After("not an id")
		last := stored
		for range 100 {
			id, err := ids.Next(at)
			if err != nil || id <= last {
				t.Fatalf("at %v: %s after %s: %v", at, id, last, err)
			}
			last = id
		}
	}
}

// TestIDsAfterTheLast: an id of the last millisecond that there is, as a damaged
// or hostile record may have it, does not stop the source.
func TestIDsAfterTheLast(t *testing.T) {
	ids := NewIDs(bytes.NewReader(make([]byte, 1<<10)))
	ids.After("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
	if _, err := ids.Next(noon); err != nil {
		t.Error(err)
	}
}
