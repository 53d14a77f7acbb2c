package spine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"dancer/runtime/brain"
	"dancer/runtime/link"
)

// giveBrainEnds puts the brain's ends where link.Inherit looks for them. Nothing
// else may be there: command has reserved the descriptors.
func giveBrainEnds(files []*os.File) error {
	for i, f := range files {
		if err := unix.Dup2(int(f.Fd()), link.MemoryFD+i); err != nil {
			return fmt.Errorf("give the brain its ends: %w", err)
		}
	}
	return nil
}

// runTogether runs loop and brain in this process, each as it is: the loop on a
// locked thread, the brain in goroutines. They share the segment and the wake-ups,
// so that they do the same work as two processes. The command must have been
// started with descriptors 3 to 5 taken.
func runTogether(ctx context.Context, cfg Config, pipes *pipeStream) (report Report, decisions uint64, err error) {
	cfg.Log = slog.New(slog.DiscardHandler)
	r, err := open(&cfg)
	if err != nil {
		return report, 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := giveBrainEnds(r.ends.Files()); err != nil {
		return report, 0, err
	}
	ends, err := link.Inherit(Layout(cfg.Robot))
	if err != nil {
		return report, 0, err
	}
	pipes.wakeUps = &r.loop.core.latencies.kinds[link.LatencyWakeUp]
	inner, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- brain.Run(inner, brain.Config{Robot: cfg.Robot, Ends: ends, DataDir: cfg.DataDir, Version: "measured", Log: cfg.Log})
	}()
	report, err = r.run(ctx)
	decisions = r.loop.core.lastDecision
	stop()
	return report, decisions, errors.Join(err, <-ended, ends.Close())
}
