package brain

import (
	"context"
	"time"

	"dancer/runtime/memory"
)

// leanAfter is when the brain has done everything once that it does all the
// time: decided, stored, told, recorded, written to the disk and collected.
const leanAfter = 10 * time.Second

// giveBack gives back, once, what only the start needed: the garbage of reading the
// robot's files, and the pages of the program that start-up runs through. It
// takes a few milliseconds beside the decisions.
func (b *brain) giveBack(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(leanAfter):
	}
	return memory.GiveBack()
}
