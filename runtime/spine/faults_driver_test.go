package spine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// answerWithin is how long one edge waits for its answer.
const answerWithin = time.Second

// edgeDriver is a real-time thread at the other end of a robot's pipes: it sends an
// edge every few milliseconds through everything that happens, and stamps every
// answer and every value of the commanded output.
type edgeDriver struct {
	edges, answers int
	cpu            int // that it stays on
	machine        *machine
	random         *rand.Rand
	clock          clock
	fifo           bool

	end    atomic.Bool
	judged atomic.Bool // edges count as slow from now on: a start is no fault
	raise  atomic.Bool // above the other threads of this process
	ended  chan struct{}
	action atomic.Pointer[action] // done right after the next edge

	// What the thread tells. It waits for nobody: a lock whose holder is not running
	// would make it late.
	values   []commandedValue // as many as there is room for
	valued   atomic.Int64     // of them are there
	mutex    sync.Mutex
	told     tally // copy of the thread's own
	toldSlow []slowAnswer
	err      atomic.Pointer[error]

	// The thread's own.
	tally   tally
	slow    []slowAnswer // at most slowKept
	high    bool
	sent    time.Duration    // the edge in hand, 0 none: before its write
	written time.Duration    // after it
	acted   time.Duration    // how long it was busy otherwise after that
	before  time.Duration    // what the machine had kept for itself when it was sent
	waited  [2]time.Duration // run-queue delay of the loop's thread and of this one then
	partial []byte
	chunk   [4096]byte
}

// tally is what the driver counts.
type tally struct {
	Asked, Answered int
	Lost            int           // without an answer for a second
	Raw             time.Duration // worst
	Slow            int           // raw, more than reflexWithin
}

// commandedValue is one value of the commanded output.
type commandedValue struct {
	at      time.Duration // when the driver had it
	value   float64
	lease   time.Duration // how long the lease was valid then, by the spine's clock
	machine time.Duration // what the machine kept for itself just before
}

// slowAnswer is an edge whose answer took too long: what is known of it, and the
// run-queue delay of the driver's own thread meanwhile, ns.
type slowAnswer struct {
	edge
	driverWaited int64
}

// slowKept bounds the list of them. More fail the test.
const slowKept = 1 << 14

// action is something that the thread does right after an edge.
type action struct {
	do         func()
	began, did time.Duration
	done       chan struct{}
}

// Rhythm of the edges, and how long one may take.
const (
	edgePeriod   = 4 * time.Millisecond
	reflexWithin = time.Millisecond
)

func newDriver(edges, answers, cpu int, m *machine, seed uint64) *edgeDriver {
	return &edgeDriver{
		edges: edges, answers: answers, cpu: cpu, machine: m, random: rand.New(rand.NewPCG(seed, 0)), clock: newClock(),
		ended: make(chan struct{}), partial: make([]byte, 0, 8192),
		values: make([]commandedValue, 1<<16), slow: make([]slowAnswer, 0, slowKept), toldSlow: make([]slowAnswer, 0, slowKept),
	}
}

// run is the thread. Its waits are raw system calls: one that Go knows of could
// have to wait for a processor of Go's on the way back.
func (d *edgeDriver) run() {
	defer close(d.ended)
	defer func() { d.told, d.toldSlow = d.tally, d.slow }() // before it says that it has ended
	runtime.LockOSThread()                                  // never unlocked: a real-time thread is not given back
	d.fifo = madeRealTime(slog.New(slog.DiscardHandler))
	d.machine.watchSelf()
	if err := stayOn(d.cpu); err != nil {
		d.fail(err)
		return
	}
	next := d.clock.now()
	for !d.end.Load() {
		if d.raise.CompareAndSwap(true, false) {
			a := realTimeAttributes()
			a.Priority++
			_ = unix.SchedSetAttr(0, a, 0) // where that is refused, it has none at all
		}
		now := d.clock.now()
		if d.sent != 0 && now-d.sent > answerWithin {
			d.lost()
		}
		if d.sent == 0 && now >= next {
			if err := d.edge(); err != nil {
				d.fail(err)
				return
			}
			next = d.clock.now() + edgePeriod/2 + time.Duration(d.random.Int64N(int64(edgePeriod)))
		}
		until := next
		if d.sent != 0 {
			until = d.sent + answerWithin
		}
		d.publish()
		if !d.wait(until) {
			continue
		}
		if err := d.take(); err != nil {
			d.fail(err)
			return
		}
	}
}

func (d *edgeDriver) fail(err error) { d.err.Store(&err) }

// publish copies what the thread counts, if nobody reads it now.
func (d *edgeDriver) publish() {
	if d.mutex.TryLock() {
		d.told, d.toldSlow = d.tally, append(d.toldSlow[:0], d.slow...)
		d.mutex.Unlock()
	}
}

// edge sends the next edge and does what was left to do with one. Go may want the
// thread to give way: now, when nothing is awaited.
func (d *edgeDriver) edge() error {
	runtime.Gosched()
	line := edgeLines[0]
	if d.high {
		line = edgeLines[1]
	}
	d.high = !d.high
	d.before, d.waited = d.machine.kept()
	d.sent = d.clock.now()
	if _, err := unix.Write(d.edges, line); err != nil {
		return fmt.Errorf("write edge: %w", err)
	}
	d.written, d.acted = d.clock.now(), 0
	if a := d.action.Swap(nil); a != nil {
		a.began = d.clock.now()
		a.do()
		a.did = d.clock.now()
		d.acted = a.did - a.began
		close(a.done)
	}
	d.tally.Asked++
	return nil
}

func (d *edgeDriver) lost() {
	d.tally.Lost++
	d.sent = 0
}

// wait waits for an answer until a time; false when there is none.
func (d *edgeDriver) wait(until time.Duration) bool {
	set := unix.PollFd{Fd: int32(d.answers), Events: unix.POLLIN}
	left := max(until-d.clock.now(), 0)
	ts := unix.NsecToTimespec(int64(left))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&set)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	return errno == 0 && n > 0
}

func (d *edgeDriver) take() error {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(d.answers), uintptr(unsafe.Pointer(&d.chunk[0])), uintptr(len(d.chunk)))
	now := d.clock.now()
	switch {
	case errno == unix.EINTR || errno == unix.EAGAIN:
		return nil
	case errno != 0:
		return fmt.Errorf("read answer: %w", errno)
	case n == 0:
		return fmt.Errorf("read answer: the robot has ended")
	}
	rest := append(d.partial, d.chunk[:n]...)
	for {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		d.line(line, now)
		rest = after
	}
	d.partial = append(d.partial[:0], rest...)
	return nil
}

func (d *edgeDriver) line(line []byte, now time.Duration) {
	fields := bytes.Fields(line)
	if len(fields) < 5 { // written before the loop ran
		return
	}
	var numbers [4]float64 // value, lease, read and write: exact below 104 days of nanoseconds
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseFloat(string(fields[i+1]), 64); err != nil {
			return
		}
	}
	value, lease := numbers[0], time.Duration(numbers[1])
	switch string(fields[0]) {
	case "O":
		if d.sent != 0 && (value == 1) == d.high {
			d.answered(now, time.Duration(numbers[2]), time.Duration(numbers[3]))
		}
	case "D":
		kept, _ := d.machine.kept()
		v := commandedValue{at: now, value: value, lease: lease, machine: kept - d.before}
		if n := d.valued.Load(); n < int64(len(d.values)) {
			d.values[n] = v
			d.valued.Store(n + 1)
		}
	}
}

func (d *edgeDriver) answered(now, read, wrote time.Duration) {
	if done := d.written + d.acted; d.acted > 0 && done > wrote { // it could not take the answer before
		now -= done - max(wrote, d.written)
	}
	took, sent := now-d.sent, d.sent
	d.sent = 0
	t := &d.tally
	t.Answered++
	t.Raw = max(t.Raw, took)
	if took <= reflexWithin || !d.judged.Load() {
		return
	}
	t.Slow++
	if len(d.slow) < slowKept {
		_, waited := d.machine.kept()
		d.slow = append(d.slow, slowAnswer{
			edge{
				Begin: int64(sent), Sent: int64(d.written), Read: int64(read), Written: int64(wrote), End: int64(now),
				Waited: int64(waited[0] - d.waited[0]),
			},
			int64(waited[1] - d.waited[1]),
		})
	}
}

// with does something on the thread right after the next edge, and gives the
// time of it.
func (d *edgeDriver) with(do func()) (began, did time.Duration, err error) {
	a := &action{do: do, done: make(chan struct{})}
	d.action.Store(a)
	select {
	case <-a.done:
		return a.began, a.did, nil
	case <-d.ended:
		return 0, 0, fmt.Errorf("the driver has ended: %w", d.error())
	}
}

func (d *edgeDriver) error() error {
	if err := d.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *edgeDriver) count() (tally, []slowAnswer) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.told, d.toldSlow
}

// last is the newest value of the commanded output.
func (d *edgeDriver) last() commandedValue {
	if n := d.valued.Load(); n > 0 {
		return d.values[n-1]
	}
	return commandedValue{}
}

// since gives the values of the commanded output from a time on.
func (d *edgeDriver) since(at time.Duration) []commandedValue {
	all := d.values[:d.valued.Load()]
	for i := len(all); i > 0; i-- {
		if all[i-1].at < at {
			return all[i:]
		}
	}
	return all
}

// machine reads what the machine keeps from the two real-time threads: the time
// that they could run and another ran (the hypervisor's share of all processors
// included).
type machine struct {
	threads [2]int // schedstat of the loop's thread and of the driver's, -1 none
	stat    int
	buffer  [2048]byte
}

// tick of /proc/stat.
const tick = 10 * time.Millisecond

// newMachine watches the loop's thread of a spine, and keeps it on one processor.
func newMachine(pid, cpu int) (*machine, error) {
	m := &machine{threads: [2]int{-1, -1}, stat: -1}
	if tid := loopThread(pid); tid != 0 {
		if err := errors.Join(m.watch(0, pid, tid), stayThere(tid, cpu)); err != nil {
			return nil, err
		}
	}
	stat, err := unix.Open("/proc/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	m.stat = stat
	return m, err
}

// loopThread finds the loop's thread, 0 without real-time priority. All threads of
// the spine have the loop's; it alone refuses Go's signals of preemption.
func loopThread(pid int) int {
	tasks, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
		_, after, _ := strings.Cut(string(status), "SigBlk:")
		blocked, _, _ := strings.Cut(after, "\n")
		mask, err := strconv.ParseUint(strings.TrimSpace(blocked), 16, 64)
		a, refused := unix.SchedGetAttr(tid, 0)
		if err == nil && refused == nil && a.Policy == unix.SCHED_FIFO && mask>>(unix.SIGURG-1)&1 == 1 {
			return tid
		}
	}
	return 0
}

func stayOn(cpu int) error { return stayThere(0, cpu) }

// stayThere keeps a thread on one processor: only then is it known what that
// processor kept from it.
func stayThere(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(tid, &set))
}

func (m *machine) watch(i, pid, tid int) (err error) {
	m.threads[i], err = unix.Open(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

// watchSelf watches the calling thread too.
func (m *machine) watchSelf() { _ = m.watch(1, os.Getpid(), unix.Gettid()) } // without it less is taken off

// kept is what the machine has kept for itself so far, and of that the run-queue
// delay of each thread.
func (m *machine) kept() (total time.Duration, delays [2]time.Duration) {
	for i, fd := range m.threads {
		if delay, ok := m.number(fd, 1); ok {
			delays[i] = time.Duration(delay)
			total += delays[i]
		}
	}
	// cpu user nice system idle iowait irq softirq steal
	if ticks, ok := m.number(m.stat, 8); ok {
		total += time.Duration(ticks) * tick
	}
	return total, delays
}

// number reads the n-th field of a file, without an allocation.
func (m *machine) number(fd, n int) (value uint64, ok bool) {
	if fd < 0 {
		return 0, false
	}
	size, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&m.buffer[0])), uintptr(len(m.buffer)), 0, 0, 0)
	if errno != 0 {
		return 0, false
	}
	in := false
	for _, c := range m.buffer[:size] {
		if c <= ' ' {
			if in && n == 0 {
				return value, ok
			}
			if in {
				n--
			}
			in = false
			continue
		}
		in = true
		if n == 0 {
			value, ok = value*10+uint64(c-'0'), true
		}
	}
	return value, ok
}

func (m *machine) close() {
	for _, fd := range append(m.threads[:], m.stat) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
