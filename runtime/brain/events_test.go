package brain

import (
	"testing"
	"time"
)

// TestEventLimit: a contact that chatters does not fill the queue to the
// conductor, and what is left out is counted.
func TestEventLimit(t *testing.T) {
	var l eventLimit
	let := 0
	for i := range 1000 { // in one second
		if l.allow(time.Hour + time.Duration(i)*time.Millisecond) {
			let++
		}
	}
	if let != mailedEvents || l.leftOut.Load() != 1000-mailedEvents {
		t.Errorf("%d of 1000 events in a second went through, %d are counted as left out", let, l.leftOut.Load())
	}
	if !l.allow(time.Hour + time.Second) {
		t.Error("nothing goes through in the next second")
	}
}
