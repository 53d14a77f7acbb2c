//go:build interleave

package link

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// explorer runs a scenario in every order in which its threads can take their
// steps. A step is one access to a word of shared memory; all accesses are
// sequentially consistent, as the Go memory model has it of its atomics.
//
// It goes depth first over all choices and runs the scenario anew for each. Two
// orders that lead to the same state, which is what the memory holds and what each
// thread has read so far, have the same future, and that is gone through once; in
// how many orders the state is reached is counted all the same. That is exact: a
// thread does nothing that does not follow from what it read. One more thing is
// left out: an access to a word that no thread of the scenario ever writes is no
// step, because it does the same at any time. There is no bound on preemptions.
type explorer struct {
	setup   func(x *explorer) []*thread // one fresh run
	final   func(x *explorer)           // checks what is left when all threads are done
	mutant  *mutation
	threads []*thread
	current *thread

	base    map[*word]bool // words that are not zero
	hash    state          // of the memory
	ghosts  [16]uint64
	written map[*word]bool // by any thread in any run

	path    []choice
	seen    map[state]float64
	grew    bool // a word turned out to be written: the steps are other ones
	failure string
	deepest int
}

// choice lets a thread take its step, or kills it in front of it.
type choice struct {
	thread int
	kill   bool
}

// state is a hash of 128 bits: among the 10^7 states of a run two different ones
// agree with a probability of 10^-25.
type state [2]uint64

func (s *state) add(v uint64) {
	for i, by := range [2]uint64{0x9e3779b97f4a7c15, 0xd6e8feb86659fd93} {
		h := (s[i] ^ v) * by
		h ^= h >> 32
		h *= by
		s[i] = h ^ h>>29
	}
}

// thread is one side. It may be killed at any step; then its next life begins,
// which knows nothing but what the memory holds.
type thread struct {
	name    string
	lives   []func()
	mayDie  bool // also in its last life
	life    int
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	done    bool
	history state
	held    func() // of a mutant: a store that waits for the one after it
	last    map[*word]uint64
}

// killed ends a life.
type killed struct{}

// mutation makes one thread do something else than what is written in a line of
// the source.
type mutation struct {
	thread string
	action string // drop a store, delay it past the next one, or repeat what the last load of the word gave
	line   string // the function and the line
	hits   int
}

func (x *explorer) fail(format string, arguments ...any) {
	if x.failure == "" {
		x.failure = fmt.Sprintf(format, arguments...) + "\n" + x.order()
	}
}

// order tells the path, several steps of one thread in a row as one.
func (x *explorer) order() string {
	var b strings.Builder
	for i := 0; i < len(x.path); {
		j := i
		for j < len(x.path) && x.path[j] == x.path[i] {
			j++
		}
		verb := ""
		if x.path[i].kill {
			verb = " killed"
		}
		fmt.Fprintf(&b, "%s%s x%d, ", x.threads[x.path[i].thread].name, verb, j-i)
		i = j
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// explore gives in how many orders the scenario can run, and how many different
// states they go through.
func (x *explorer) explore() (orders float64, states int) {
	x.base = map[*word]bool{}
	x.written = map[*word]bool{}
	operate = x.operate
	defer func() { operate = nil }()
	for {
		x.seen, x.grew, x.path = map[state]float64{}, false, nil
		x.run()
		orders = x.visit()
		x.endRun()
		if !x.grew || x.failure != "" {
			return orders, len(x.seen)
		}
	}
}

func (x *explorer) visit() (orders float64) {
	if x.failure != "" || x.grew {
		return 0
	}
	key := x.key()
	if n, ok := x.seen[key]; ok {
		return n
	}
	x.deepest = max(x.deepest, len(x.path))
	options := x.options()
	if !x.allDone() {
		for i, o := range options {
			if i > 0 {
				x.run()
				for _, c := range x.path {
					x.take(c)
				}
			}
			x.path = append(x.path, o)
			x.take(o)
			orders += x.visit()
			x.path = x.path[:len(x.path)-1]
			if x.failure != "" || x.grew {
				return 0
			}
		}
	} else {
		orders = 1
		if x.final != nil {
			quiet := operate
			operate = x.quietly
			x.final(x)
			operate = quiet
		}
	}
	x.seen[key] = orders
	return orders
}

func (x *explorer) allDone() bool {
	for _, t := range x.threads {
		if !t.done {
			return false
		}
	}
	return true
}

func (x *explorer) options() (list []choice) {
	for i, t := range x.threads {
		if !t.done {
			list = append(list, choice{thread: i})
		}
	}
	for i, t := range x.threads {
		if !t.done && (t.life+1 < len(t.lives) || t.mayDie) {
			list = append(list, choice{thread: i, kill: true})
		}
	}
	return list
}

// key is the whole state: nothing that comes depends on anything else.
func (x *explorer) key() state {
	k := x.hash
	for _, g := range x.ghosts {
		k.add(g)
	}
	for _, t := range x.threads {
		k.add(t.history[0])
		k.add(t.history[1])
		k.add(uint64(t.life)<<1 | flag(t.done, 1))
	}
	return k
}

// run begins the scenario anew.
func (x *explorer) run() {
	x.endRun()
	x.hash, x.ghosts = state{}, [16]uint64{}
	quiet := operate
	operate = x.quietly
	x.threads = x.setup(x)
	operate = quiet
	x.hash = state{}
	for _, t := range x.threads {
		x.begin(t)
	}
}

// endRun ends all threads and takes back what they wrote.
func (x *explorer) endRun() {
	for _, t := range x.threads {
		t.stop()
	}
	x.threads = nil
	for w := range x.base {
		w.value.Store(0)
	}
	clear(x.base)
}

// begin starts a life and lets it come to its first step.
func (x *explorer) begin(t *thread) {
	body := t.lives[t.life]
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if v := recover(); v != nil {
				if _, ok := v.(killed); !ok {
					x.fail("%s: panic: %v", t.name, v)
				}
			}
		}()
		t.yield = yield
		body()
		if t.held != nil {
			t.held()
		}
	})
	if x.mutant != nil {
		t.last = map[*word]uint64{}
	}
	x.resume(t)
}

func (x *explorer) resume(t *thread) {
	before := x.current
	x.current = t
	if _, more := t.next(); !more {
		t.done = true
		t.history = state{uint64(t.life), 1}
	}
	x.current = before
}

// take does a choice.
func (x *explorer) take(c choice) {
	t := x.threads[c.thread]
	if !c.kill {
		x.resume(t)
		return
	}
	t.held = nil
	t.stop()
	t.life++
	t.history = state{uint64(t.life), 2}
	if t.life == len(t.lives) {
		t.done = true
		return
	}
	x.begin(t)
}

// step waits until it is this thread's turn.
func (x *explorer) step() {
	if !x.current.yield(struct{}{}) {
		panic(killed{})
	}
}

// pause is a step that does nothing.
func (x *explorer) pause() {
	x.step()
	x.current.history.add(3)
}

// forget says that of all that a thread has read only this still matters to it,
// beside where it stands: orders that differ in the rest have the same future.
func (x *explorer) forget(live ...uint64) {
	h := state{uint64(x.current.life), 4}
	for _, v := range live {
		h.add(v)
	}
	x.current.history = h
}

// get and set are what the checks know beside the memory: no thread of the real
// code sees it. They happen together with the step before them.
func (x *explorer) get(i int) uint64 {
	x.current.history.add(x.ghosts[i])
	return x.ghosts[i]
}

func (x *explorer) set(i int, v uint64) { x.ghosts[i] = v }

// operate is one access of a thread.
func (x *explorer) operate(w *word, op operation, operand uint64) uint64 {
	t := x.current
	m := x.mutated(t, op)
	switch {
	case m == "drop":
		return 0
	case m == "delay":
		if t.held != nil {
			t.held()
		}
		t.held = func() { x.step(); x.perform(t, w, op, operand) }
		return 0
	case m == "repeat" && op == opLoad:
		if v, ok := t.last[w]; ok {
			return v
		}
	}
	if op != opLoad && !x.written[w] {
		x.written[w] = true
		x.grew = true
	}
	if x.written[w] {
		x.step()
	}
	v := x.perform(t, w, op, operand)
	if held := t.held; held != nil && op != opLoad {
		t.held = nil
		held()
	}
	return v
}

// perform does the access in the memory and notes what the thread has learned.
func (x *explorer) perform(t *thread, w *word, op operation, operand uint64) uint64 {
	v := x.quietly(w, op, operand)
	if op == opLoad && x.mutant != nil {
		t.last[w] = v
	}
	t.history.add(uint64(op) + 4)
	t.history.add(v)
	return v
}

func (x *explorer) quietly(w *word, op operation, operand uint64) uint64 {
	old := w.value.Load()
	value, result := old, old
	switch op {
	case opStore:
		value = operand
	case opAdd:
		value, result = old+operand, old+operand
	case opOr:
		value = old | operand
	case opAnd:
		value = old & operand
	}
	if value != old {
		x.base[w] = true
		w.value.Store(value)
		x.rehash(w, old)
		x.rehash(w, value)
	}
	return result
}

// rehash takes the value of a word into the memory's hash, or out of it.
func (x *explorer) rehash(w *word, v uint64) {
	if v == 0 {
		return
	}
	var s state
	s.add(uint64(uintptr(unsafe.Pointer(w))))
	s.add(v)
	x.hash[0] ^= s[0]
	x.hash[1] ^= s[1]
}

// mutated says what to do differently here, "" nothing.
func (x *explorer) mutated(t *thread, op operation) string {
	m := x.mutant
	if m == nil || m.thread != t.name || (m.action == "repeat") != (op == opLoad) || m.line != callSite() {
		return ""
	}
	m.hits++
	return m.action
}

var sources = map[string][]string{}

// callSite is the function and line of the package's code that uses the word.
func callSite() string {
	var stack [1]uintptr
	runtime.Callers(5, stack[:]) // 1 callSite, 2 mutated, 3 operate, 4 the method of word
	frame, _ := runtime.CallersFrames(stack[:]).Next()
	lines, ok := sources[frame.File]
	if !ok {
		text, _ := os.ReadFile(frame.File)
		lines = strings.Split(string(text), "\n")
		sources[frame.File] = lines
	}
	name := frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
	return fmt.Sprintf("%s: %s", name, strings.TrimSpace(lines[frame.Line-1]))
}

// explore checks a scenario and says how much was gone through.
func explore(t *testing.T, x *explorer) {
	t.Helper()
	orders, states := x.explore()
	if x.failure != "" {
		t.Fatalf("%s", x.failure)
	}
	t.Logf("%.4g orders, %d states, at most %d steps", orders, states, x.deepest)
}
