package runtime

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// stopSignals are those that end a robot in order. SIGHUP is a closed terminal.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// abortCode is the exit code of a second signal, as of a shell's Ctrl-C.
const abortCode = 130

// StopOnSignal gives a context that ends with the first signal. A second one
// ends the program at once: the spine has driven the outputs safe before
// anything else of its stop. end gives the signals back and joins the goroutine.
func StopOnSignal(parent context.Context, stderr io.Writer) (ctx context.Context, end func()) {
	// Writing to a closed pipe must be an error, not the end of a moving robot.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals...)
	ended := make(chan struct{})
	var join sync.WaitGroup
	join.Go(func() {
		if !await(signals, ended, stderr, "stopping; a second signal aborts") {
			return
		}
		cancel()
		if await(signals, ended, stderr, "aborted") {
			os.Exit(abortCode)
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(ended)
		join.Wait()
		cancel()
	}
}

// await waits for a signal and says so; false when the program ended first.
func await(signals <-chan os.Signal, ended <-chan struct{}, stderr io.Writer, what string) bool {
	select {
	case s := <-signals:
		fmt.Fprintf(stderr, "dancer: %s: %s\n", s, what) // a closed terminal cannot be told
		return true
	case <-ended:
		return false
	}
}
