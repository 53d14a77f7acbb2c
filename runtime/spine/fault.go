package spine

import (
	"runtime/debug"
	"sync"
)

// fault is the first panic, or the first error that ends the run, of any
// goroutine beside the loop.
type fault struct {
	once  sync.Once
	mutex sync.Mutex
	first error
	told  chan struct{}
}

// happened is closed after the first panic.
func (f *fault) happened() <-chan struct{} {
	f.once.Do(func() { f.told = make(chan struct{}) })
	return f.told
}

// guard runs work and turns a panic into the fault, after safe was called.
func (f *fault) guard(safe func(), work func()) {
	defer func() {
		value := recover()
		if value != nil {
			f.report(safe, &panicError{value, debug.Stack()})
		}
	}()
	work()
}

// report makes an error the fault, after safe was called.
func (f *fault) report(safe func(), err error) {
	safe()
	f.happened()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.first == nil {
		f.first = err
		close(f.told)
	}
}

func (f *fault) err() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.first
}
