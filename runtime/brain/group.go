package brain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// group owns the goroutines of the brain: the first that fails ends all, and
// wait joins them.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	mutex  sync.Mutex
	errs   []error
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// run starts a part that the brain cannot do without.
func (g *group) run(name string, part func(context.Context) error) {
	g.done.Go(func() {
		defer g.cancel()
		if err := part(g.ctx); err != nil && !errors.Is(err, context.Canceled) {
			g.mutex.Lock()
			g.errs = append(g.errs, fmt.Errorf("%s: %w", name, err))
			g.mutex.Unlock()
		}
	})
}

// optional starts a part that the brain goes on without: its error is said once.
func (g *group) optional(name string, part func(context.Context) error, log *slog.Logger) {
	g.done.Go(func() {
		if err := part(g.ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Error("going on without "+name, "error", err)
		}
	})
}

func (g *group) wait() error {
	g.done.Wait()
	g.cancel()
	return errors.Join(g.errs...)
}
