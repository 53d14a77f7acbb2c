package brain

import (
	"context"
	"time"

	"dancer/runtime/memory"
)

// Rhythm of giving memory back: at leanAfter everything has run once that runs
// all the time, and the garbage of the start and the code that only the start runs
// through go; from then on the pages of the store, which grows into memory by
// some kilobytes with each decision.
const (
	leanAfter = 10 * time.Second
	leanEvery = time.Minute
)

// giveBack gives back what the brain does not use at the time. It takes a few
// milliseconds beside the decisions.
func (b *brain) giveBack(ctx context.Context) error {
	for wait := leanAfter; ; wait = leanEvery {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := memory.GiveBack(); err != nil {
			return err
		}
	}
}
