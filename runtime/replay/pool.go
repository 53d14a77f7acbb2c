package replay

import (
	"context"
	"sync"
)

// ordered makes jobs on several workers and takes their results in order. No
// more than two results a worker wait, so that memory is bounded. It ends with
// the first error of take or with the context.
func ordered[T any](ctx context.Context, workers, jobs int, worker func() func(job int) T, take func(T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	type order struct {
		job    int
		result chan T
	}
	todo := make(chan order)
	waiting := make(chan chan T, 2*workers)
	for range workers {
		running.Go(func() {
			do := worker()
			for o := range todo {
				o.result <- do(o.job)
			}
		})
	}
	running.Go(func() {
		defer close(waiting)
		defer close(todo)
		for job := range jobs {
			result := make(chan T, 1)
			select {
			case waiting <- result:
			case <-ctx.Done():
				return
			}
			select {
			case todo <- order{job, result}:
			case <-ctx.Done():
				return
			}
		}
	})
	for range jobs {
		select {
		case result := <-waiting:
			select {
			case r := <-result:
				if err := take(r); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
