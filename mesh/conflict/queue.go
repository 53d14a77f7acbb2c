package conflict

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// distinctAgents is how many different reporters of one conflict are told apart:
// more than WidelyAffected, which is what their number is for.
const distinctAgents = 128

// DefaultCapacity is the number of different conflicts that are open at a time.
// A task takes about 0.7 KB, most of it for its reporters, and memory is touched
// only as tasks come: 256 are 180 KB.
const DefaultCapacity = 256

// Report is one agent's word that something is in conflict.
type Report struct {
	Key   Key
	Agent uint32
	Detail
}

// Task is one conflict that is open, however often it was reported.
type Task struct {
	Key      Key
	Type     Type
	Priority Priority
	Number   uint64        // in the order of the first reports
	First    time.Duration // first report
	Last     time.Duration // newest report
	Due      time.Duration // when the priority rises; NoDeadline
	Count    uint64        // reports
	Agents   int           // different agents among them, exact up to 128
	Agent    uint32        // who reported first
	Told     Tiers         // who was told so far
}

// Effect is what the caller must do after a report or a tick.
type Effect struct {
	Task Task
	New  bool // the first report: give it an id, quarantine what was received
	// Log: write a record. That is the first report, each doubling of the count and
	// each rise of the priority: no number of equal reports fills a disk.
	Log      bool
	Raised   bool  // the priority rose
	Overdue  bool  // because the deadline ran out
	Escalate Tiers // who must be told now and was not before
}

// QueueCounters say what a queue did since it was made.
type QueueCounters struct {
	Reports  uint64
	Grouped  uint64 // reports of a conflict that was open already
	Evicted  uint64 // tasks that gave way to more urgent ones
	Full     uint64 // reports refused because the queue was full of what is as urgent
	Share    uint64 // reports refused because their agent had its share
	Overdue  uint64 // deadlines that ran out
	Resolved uint64
	Open     int
}

// Queue holds the open conflicts, the most urgent first, in bounded memory. It is
// not safe for concurrent use.
type Queue struct {
	tasks    []task // slab
	free     []int32
	byKey    map[Key]int32    // looked up, never walked
	byAgent  map[uint32]int32 // tasks that an agent opened
	share    int32
	heaps    [Critical + 1]heap
	next     uint64
	counters QueueCounters
}

type task struct {
	Task
	agents []uint32 // sorted
	at     int      // in its heap
}

// NewQueue makes a queue for capacity different conflicts; 0 is DefaultCapacity.
// One agent may open an eighth of them, and no fewer than one.
func NewQueue(capacity int) *Queue {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	q := &Queue{
		tasks: make([]task, capacity), free: make([]int32, capacity), share: max(1, int32(capacity/8)),
		byKey: make(map[Key]int32, capacity), byAgent: make(map[uint32]int32, capacity),
	}
	agents := make([]uint32, capacity*distinctAgents)
	for i := range q.tasks {
		q.tasks[i].agents = agents[i*distinctAgents : i*distinctAgents : (i+1)*distinctAgents]
		q.free[i] = int32(capacity - 1 - i)
	}
	return q
}

// Report takes one report. ErrFull and ErrShare say that no task was made of it;
// the report itself may still be logged. It does not allocate for a conflict that
// is open.
func (q *Queue) Report(now time.Duration, r Report) (Effect, error) {
	q.counters.Reports++
	if !r.Type.Valid() {
		return Effect{}, ErrInvalid
	}
	if i, open := q.byKey[r.Key]; open {
		return q.again(now, i, r), nil
	}
	return q.open(now, r, Classify(r.Detail))
}

// Restore puts back a conflict that was open before a restart, with the priority
// and the count that it had. Its deadline begins anew, and nobody is told again.
func (q *Queue) Restore(now time.Duration, r Report, p Priority, count uint64) error {
	if _, open := q.byKey[r.Key]; open || !r.Type.Valid() || !p.Valid() {
		return ErrInvalid
	}
	if _, err := q.open(now, r, p); err != nil {
		return err
	}
	q.tasks[q.byKey[r.Key]].Count = max(1, count)
	return nil
}

// open makes a task.
func (q *Queue) open(now time.Duration, r Report, priority Priority) (Effect, error) {
	if q.byAgent[r.Agent] >= q.share {
		q.counters.Share++
		return Effect{}, ErrShare
	}
	if len(q.free) == 0 && !q.evictBelow(priority) {
		q.counters.Full++
		return Effect{}, ErrFull
	}
	i := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	t := &q.tasks[i]
	q.next++
	t.Task = Task{Key: r.Key, Type: r.Type, Priority: priority, Number: q.next, First: now, Last: now, Due: due(now, priority),
		Count: 1, Agents: 1, Agent: r.Agent, Told: priority.Tells()}
	t.agents = append(t.agents[:0], r.Agent)
	q.byKey[r.Key] = i
	q.byAgent[r.Agent]++
	q.push(i)
	return Effect{Task: t.Task, New: true, Log: true, Escalate: t.Told}, nil
}

func due(now time.Duration, p Priority) time.Duration {
	return saturatedAdd(max(0, now), p.Deadline())
}

// again counts one more report of an open conflict.
func (q *Queue) again(now time.Duration, i int32, r Report) Effect {
	q.counters.Grouped++
	t := &q.tasks[i]
	t.Count++
	t.Last = max(t.Last, now)
	if at, known := slices.BinarySearch(t.agents, r.Agent); !known && len(t.agents) < distinctAgents {
		t.agents = slices.Insert(t.agents, at, r.Agent)
		t.Agents = len(t.agents)
	}
	r.Affected = max(r.Affected, t.Agents)
	e := q.raise(now, i, Classify(r.Detail))
	e.Log = e.Raised || t.Count&(t.Count-1) == 0
	return e
}

// raise gives a task a higher priority; a lower or equal one changes nothing.
func (q *Queue) raise(now time.Duration, i int32, p Priority) Effect {
	t := &q.tasks[i]
	if p <= t.Priority {
		return Effect{Task: t.Task}
	}
	q.remove(i)
	t.Priority, t.Due = p, min(t.Due, due(now, p))
	tell := p.Tells() &^ t.Told
	t.Told |= tell
	q.push(i)
	return Effect{Task: t.Task, Raised: true, Log: true, Escalate: tell}
}

// Tick raises one task whose deadline has run out; ok is false when none has.
// Call it until then, about once a second or at NextDue.
func (q *Queue) Tick(now time.Duration) (e Effect, ok bool) {
	for p := High; p >= Low; p-- {
		h := q.heaps[p]
		if len(h) == 0 || q.tasks[h[0]].Due > now {
			continue
		}
		q.counters.Overdue++
		i := h[0]
		q.tasks[i].Due = due(now, p+1)
		e = q.raise(now, i, p+1)
		e.Overdue = true
		return e, true
	}
	return Effect{}, false
}

// NextDue is the earliest deadline that Tick has to act on; NoDeadline if none.
func (q *Queue) NextDue() time.Duration {
	next := NoDeadline
	for p := Low; p <= High; p++ {
		if h := q.heaps[p]; len(h) > 0 {
			next = min(next, q.tasks[h[0]].Due)
		}
	}
	return next
}

// Next gives the most urgent task: the highest priority, then the earliest
// deadline, then the oldest. It stays until Resolve.
func (q *Queue) Next() (Task, bool) {
	for p := Critical; ; p-- {
		if h := q.heaps[p]; len(h) > 0 {
			return q.tasks[h[0]].Task, true
		}
		if p == Background {
			return Task{}, false
		}
	}
}

// Get gives one open task.
func (q *Queue) Get(k Key) (Task, bool) {
	i, open := q.byKey[k]
	if !open {
		return Task{}, false
	}
	return q.tasks[i].Task, true
}

// Tasks appends every open task, the most urgent first.
func (q *Queue) Tasks(to []Task) []Task {
	from := len(to)
	for _, h := range q.heaps {
		for _, i := range h {
			to = append(to, q.tasks[i].Task)
		}
	}
	slices.SortFunc(to[from:], func(a, b Task) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Due, b.Due), cmp.Compare(a.Number, b.Number))
	})
	return to
}

// Resolve takes a task out. The same conflict again is a new one.
func (q *Queue) Resolve(k Key) (Task, bool) {
	i, open := q.byKey[k]
	if !open {
		return Task{}, false
	}
	q.counters.Resolved++
	return q.drop(i), true
}

// Counters gives a snapshot.
func (q *Queue) Counters() QueueCounters {
	c := q.counters
	c.Open = len(q.byKey)
	return c
}

// evictBelow makes room by dropping one of the least urgent tasks, if it is less
// urgent than p.
func (q *Queue) evictBelow(p Priority) bool {
	for low := Background; low < p; low++ {
		if h := q.heaps[low]; len(h) > 0 {
			q.drop(h[len(h)-1])
			q.counters.Evicted++
			return true
		}
	}
	return false
}

func (q *Queue) drop(i int32) Task {
	q.remove(i)
	t := q.tasks[i].Task
	delete(q.byKey, t.Key)
	if q.byAgent[t.Agent]--; q.byAgent[t.Agent] <= 0 {
		delete(q.byAgent, t.Agent)
	}
	q.free = append(q.free, i)
	return t
}

// heap is a binary heap of places in the slab, the earliest deadline first.
type heap []int32

func (q *Queue) less(a, b int32) bool {
	x, y := &q.tasks[a].Task, &q.tasks[b].Task
	return x.Due < y.Due || x.Due == y.Due && x.Number < y.Number
}

func (q *Queue) push(i int32) {
	h := &q.heaps[q.tasks[i].Priority]
	*h = append(*h, i)
	q.tasks[i].at = len(*h) - 1
	q.up(*h, len(*h)-1)
}

func (q *Queue) remove(i int32) {
	h := &q.heaps[q.tasks[i].Priority]
	at, last := q.tasks[i].at, len(*h)-1
	q.swap(*h, at, last)
	*h = (*h)[:last]
	if at < last {
		q.up(*h, at)
		q.down(*h, at)
	}
}

func (q *Queue) up(h heap, at int) {
	for at > 0 {
		parent := (at - 1) / 2
		if !q.less(h[at], h[parent]) {
			return
		}
		q.swap(h, at, parent)
		at = parent
	}
}

func (q *Queue) down(h heap, at int) {
	for {
		child := 2*at + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && q.less(h[child+1], h[child]) {
			child++
		}
		if !q.less(h[child], h[at]) {
			return
		}
		q.swap(h, at, child)
		at = child
	}
}

func (q *Queue) swap(h heap, a, b int) {
	h[a], h[b] = h[b], h[a]
	q.tasks[h[a]].at, q.tasks[h[b]].at = a, b
}

// Refused says whether an error of Report means only that no task was made: the
// bounds hold, and the report may still be logged.
func Refused(err error) bool { return errors.Is(err, ErrFull) || errors.Is(err, ErrShare) }
