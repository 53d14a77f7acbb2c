//go:build interleave

package link

import "sync/atomic"

// operation is one kind of access to a word.
type operation uint8

const (
	opLoad operation = iota
	opStore
	opAdd
	opOr
	opAnd
)

// word hands every access to operate where a test has set one.
type word struct{ value atomic.Uint64 }

// operate does one access in place of the processor and gives what the access
// gives. It is set by one test at a time, which runs its threads one at a time.
var operate func(w *word, op operation, operand uint64) uint64

// With this tag a reader gives up sooner: each further look at a slot repeats the
// one before, and multiplies the orders that have to be gone through.
const (
	readTries = 2
	takeTries = 2
)

func (w *word) Load() uint64 {
	if operate != nil {
		return operate(w, opLoad, 0)
	}
	return w.value.Load()
}

func (w *word) Store(v uint64) {
	if operate != nil {
		operate(w, opStore, v)
		return
	}
	w.value.Store(v)
}

func (w *word) Add(v uint64) uint64 {
	if operate != nil {
		return operate(w, opAdd, v)
	}
	return w.value.Add(v)
}

func (w *word) Or(v uint64) uint64 {
	if operate != nil {
		return operate(w, opOr, v)
	}
	return w.value.Or(v)
}

func (w *word) And(v uint64) uint64 {
	if operate != nil {
		return operate(w, opAnd, v)
	}
	return w.value.And(v)
}
