package conflicts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dancer/mesh/conflict"
	"dancer/storage"
	"dancer/storage/segment"
)

// folderName is the log's folder in a data folder.
const folderName = "conflicts"

// Bounds and rhythms.
const (
	claimQueue   = 256              // claims that wait for the keeper
	tickEvery    = time.Second      // deadlines
	appendWithin = 10 * time.Second // a disk that takes longer is as good as gone
	quietAfter   = 24 * time.Hour   // an open conflict that nobody reported for so long is over
	logBurst     = 128              // different conflicts that are logged at once,
	logPerSecond = 8                // and so many a second from then on
	maxOpen      = 256              // different conflicts that are open
	maxKept      = 8 << 10          // bytes of what was received that a record carries
	retryAfter   = 5 * time.Second  // a record that the disk refused is tried again
	maxRetries   = 1024             // records that wait for the disk
)

// Options of Open. NewID, Wall and Clock are needed.
type Options struct {
	Data  string               // data folder; the log is in its folder conflicts
	Store storage.Port         // has the index; nil: none, queries read the log
	NewID func() string        // ULIDs that increase
	Wall  func() time.Time     // for displays
	Clock func() time.Duration // monotonic
	Owner string               // name of the robot or conductor that keeps the log
	Cell  string
	// Context gives the hash of what the owner has loaded; may be nil.
	Context func() string
	// SegmentBytes and MaxBytes of the log; defaults of storage/segment.
	SegmentBytes, MaxBytes int64
	// Told is called with each record that the sector or the orchestrator must know
	// of, from the keeper's goroutine; may be nil.
	Told func(conflict.Record)
	Log  *slog.Logger
}

// Counters of a keeper since it was opened.
type Counters struct {
	conflict.QueueCounters
	Claims     uint64 // taken
	Dropped    uint64 // refused because the keeper was behind
	Unlogged   uint64 // left out of the log because there were too many different ones
	Failed     uint64 // writes that the disk refused, tried again later
	Lost       uint64 // records that the disk refused for too long
	Quarantine conflict.QuarantineCounters
	Log        segment.Counters
}

// Keeper keeps the conflicts of one process. Its methods are safe for use by
// several goroutines.
type Keeper struct {
	options Options
	log     *slog.Logger
	records *segment.Log
	index   *index // nil: none
	claims  chan conflict.Claim
	calls   chan func()
	done    chan struct{} // closed when Run has ended

	counters struct{ claims, dropped, unlogged, failed, lost atomic.Uint64 }
	mutex    sync.Mutex // guards what follows against readers; the keeper's goroutine alone writes
	queue    *conflict.Queue
	held     *conflict.Quarantine
	open     map[conflict.Key]*conflict.Record // newest record of each open conflict
	names    map[string]uint32
	waiting  []conflict.Record // for the disk

	tokens  float64
	tokenAt time.Duration
	retryAt time.Duration
	pruned  uint64 // segments, when the index was trimmed last
}

// Open opens the log in a data folder and takes up what was open. A log that is
// damaged is opened all the same, and Notes and the log itself say so; an error
// means that nothing can be written there.
func Open(o Options) (*Keeper, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Context == nil {
		o.Context = func() string { return "" }
	}
	k := &Keeper{
		options: o, log: o.Log, claims: make(chan conflict.Claim, claimQueue), calls: make(chan func()), done: make(chan struct{}),
		queue: conflict.NewQueue(maxOpen), held: conflict.NewQuarantine(conflict.QuarantineLimits{Items: maxOpen, ItemBytes: maxKept}),
		open: map[conflict.Key]*conflict.Record{}, names: map[string]uint32{}, tokens: logBurst, tokenAt: o.Clock(),
	}
	settings := segment.Options{SegmentBytes: o.SegmentBytes, MaxBytes: o.MaxBytes, Log: o.Log}
	if o.Store != nil {
		k.index = newIndex(o.Store, o.Log)
		settings.Known = k.index.head()
	}
	var err error
	if k.records, err = segment.Open(filepath.Join(o.Data, folderName), settings); err != nil {
		return nil, fmt.Errorf("open log of conflicts: %w", err)
	}
	if err := k.takeUp(); err != nil {
		return nil, errors.Join(err, k.closeLog())
	}
	return k, nil
}

// Report hands in a claim. It never waits: what the keeper cannot take is counted.
func (k *Keeper) Report(c conflict.Claim) {
	select {
	case k.claims <- c:
		k.counters.claims.Add(1)
	default:
		k.counters.dropped.Add(1)
	}
}

// Run works until the context ends, and then stores what has been handed in and
// closes the log.
func (k *Keeper) Run(ctx context.Context) error {
	defer close(k.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case c := <-k.claims:
			k.take(c)
		case call := <-k.calls:
			call()
		case <-tick.C:
			k.tick()
		case <-ctx.Done():
			return k.finish()
		}
	}
}

func (k *Keeper) finish() error {
	for {
		select {
		case c := <-k.claims:
			k.take(c)
			continue
		default:
		}
		k.retryAt = 0
		k.flush()
		if n := len(k.waiting); n > 0 {
			k.counters.lost.Add(uint64(n))
			k.log.Error("conflicts are lost: the disk does not take them", "records", n)
		}
		return k.closeLog()
	}
}

// Close closes the log of a keeper that was never run, or whose Run has ended.
func (k *Keeper) Close() error {
	if err := k.closeLog(); !errors.Is(err, segment.ErrClosed) {
		return err
	}
	return nil
}

func (k *Keeper) closeLog() error {
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	return k.records.Close(ctx)
}

// Notes says what opening had to repair, one sentence each.
func (k *Keeper) Notes() []string { return k.records.Notes() }

// Counters gives a snapshot.
func (k *Keeper) Counters() Counters {
	c := &k.counters
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return Counters{QueueCounters: k.queue.Counters(), Claims: c.claims.Load(), Dropped: c.dropped.Load(), Unlogged: c.unlogged.Load(),
		Failed: c.failed.Load(), Lost: c.lost.Load(), Quarantine: k.held.Counters(), Log: k.records.Counters()}
}

// Open gives the newest record of every open conflict, the most urgent first.
func (k *Keeper) Open() []conflict.Record {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var out []conflict.Record
	for _, t := range k.queue.Tasks(nil) {
		if r := k.open[t.Key]; r != nil {
			now := *r
			now.Count, now.Agents = t.Count, t.Agents
			out = append(out, now)
		}
	}
	return out
}

// Problems says in plain words which open conflicts the sector must know of, the
// most urgent first, at most five: for a page that people look at.
func (k *Keeper) Problems() []string {
	var out []string
	open := k.Open()
	for i := range open {
		if open[i].Priority.Tells() == 0 {
			break
		}
		if len(out) == 5 {
			out = append(out, "more conflicts are open: dancer conflicts lists them")
			break
		}
		out = append(out, Line(&open[i])+": dancer conflicts show "+open[i].ID)
	}
	if lost := k.counters.lost.Load() + k.counters.dropped.Load(); lost > 0 {
		out = append(out, fmt.Sprintf("%d conflicts could not be logged: look at the disk of the data folder", lost))
	}
	return out
}

// Line says a conflict in one line.
func Line(r *conflict.Record) string {
	line := fmt.Sprintf("%s (%s): %s: expected %s, received %s", r.Type, r.Priority, r.Subject, r.Expected.Text, r.Received.Text)
	if r.Source != "" && r.Source != r.Agent {
		line += " from " + r.Source
	}
	return line
}

// take works on one claim.
func (k *Keeper) take(c conflict.Claim) {
	now := k.options.Clock()
	if c.Agent == "" {
		c.Agent = k.options.Owner
	}
	key := c.Key()
	k.mutex.Lock()
	effect, err := k.queue.Report(now, conflict.Report{Key: key, Agent: k.nameOf(c.Agent), Detail: c.Detail})
	k.mutex.Unlock()
	switch {
	case err == nil && !effect.New && k.open[key] != nil:
		k.again(effect)
		return
	case err != nil && !conflict.Refused(err):
		k.counters.dropped.Add(1)
		k.log.Error("drop conflict", "error", err)
		return
	case !k.mayLog(now):
		k.counters.unlogged.Add(1)
		return
	}
	r := k.record(&c, key, effect.Task) // also of one that was left out when it was new
	if err != nil {
		r.Event, r.Count, r.Agents, r.Why = conflict.EventUnqueued, 1, 1, err.Error()
		r.Priority = conflict.Classify(c.Detail)
		k.store(r)
		return
	}
	r.Escalated = effect.Task.Told.Names()
	if c.Data != nil {
		r.Quarantined = k.quarantine(now, key, &c)
	}
	k.mutex.Lock()
	k.open[key] = &r
	k.mutex.Unlock()
	k.store(r)
	if c.Rule.Decided() {
		k.close(key, conflict.EventResolved, c.Rule.Outcome.String(), conflict.ByRule, c.Rule.Why)
	}
}

// record makes the first record of a conflict.
func (k *Keeper) record(c *conflict.Claim, key conflict.Key, t conflict.Task) conflict.Record {
	r := conflict.Record{
		Version: conflict.RecordVersion, ID: k.options.NewID(), Key: hex.EncodeToString(key[:]), Event: conflict.EventOpened, At: k.options.Wall().UTC(),
		Agent: c.Agent, Source: c.Source, Cell: k.options.Cell, Message: c.Message, Type: c.Type, Priority: t.Priority,
		Subject: conflict.ValueOf(c.Subject).Text, Expected: conflict.ValueOf(c.Expected), Received: conflict.ValueOf(c.Received), Context: k.options.Context(),
		Count: t.Count, Agents: t.Agents, Strategy: conflict.StrategyOf(c.Type).Method, DueAt: k.dueAt(t),
	}
	return r
}

func (k *Keeper) dueAt(t conflict.Task) time.Time {
	if t.Due == conflict.NoDeadline || t.Priority == conflict.Critical {
		return time.Time{}
	}
	return k.options.Wall().UTC().Add(t.Due - k.options.Clock())
}

// quarantine holds back what was received, and says so in the record. What fits
// is in the log too, so that a restart does not let it go.
func (k *Keeper) quarantine(now time.Duration, key conflict.Key, c *conflict.Claim) *conflict.Quarantined {
	source := c.Source
	if source == "" {
		source = c.Agent
	}
	k.mutex.Lock()
	h, err := k.held.Hold(now, key, k.nameOf(source), c.Data)
	k.mutex.Unlock()
	if err != nil {
		k.log.Warn("quarantine: only its hash is kept", "error", err)
		h = conflict.HashOnly(c.Data)
	}
	return &conflict.Quarantined{Bytes: h.Size, SHA256: hex.EncodeToString(h.Hash[:]), Data: h.Data}
}

// nameOf gives a name's index. Names come from peers; past the bound they share
// the last one, which bounds what one who makes up names can open.
func (k *Keeper) nameOf(name string) uint32 {
	const most = 4096
	if i, known := k.names[name]; known {
		return i
	}
	if len(k.names) >= most {
		return most
	}
	i := uint32(len(k.names))
	k.names[name] = i
	return i
}

// mayLog bounds how many different conflicts are logged a second.
func (k *Keeper) mayLog(now time.Duration) bool {
	k.tokens = min(logBurst, k.tokens+float64(logPerSecond*(now-k.tokenAt).Seconds()))
	k.tokenAt = now
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}

// again logs that an open conflict was reported more often, or is more urgent.
func (k *Keeper) again(e conflict.Effect) {
	last := k.open[e.Task.Key]
	if last == nil || !e.Log {
		return
	}
	r := *last
	r.Event, r.At, r.Count, r.Agents = conflict.EventAgain, k.options.Wall().UTC(), e.Task.Count, e.Task.Agents
	r.Quarantined, r.Escalated, r.Why = nil, e.Escalate.Names(), ""
	if e.Raised {
		r.Event, r.Priority, r.DueAt = conflict.EventRaised, e.Task.Priority, k.dueAt(e.Task)
		r.Why = fmt.Sprintf("%d agents", e.Task.Agents)
		if e.Overdue {
			r.Why = "nobody resolved it in time"
		}
	}
	k.mutex.Lock()
	k.open[e.Task.Key] = &r
	k.mutex.Unlock()
	k.store(r)
}

// close ends a conflict.
func (k *Keeper) close(key conflict.Key, event, outcome, by, why string) {
	k.mutex.Lock()
	t, _ := k.queue.Resolve(key)
	last := k.open[key]
	delete(k.open, key)
	if h, held := k.held.Of(key); held {
		if event == conflict.EventReleased {
			_, _ = k.held.Release(h.Number, by)
		} else {
			_, _ = k.held.Discard(h.Number, by)
		}
	}
	k.mutex.Unlock()
	if last == nil {
		return
	}
	r := *last
	r.Event, r.Outcome, r.By, r.Why = event, outcome, by, why
	r.At, r.Escalated, r.DueAt, r.Quarantined = k.options.Wall().UTC(), nil, time.Time{}, nil
	if t.Count > 0 {
		r.Count, r.Agents = t.Count, t.Agents
	}
	k.store(r)
}

// tick raises what is overdue, ends what nobody reports any more, and tries again
// what the disk refused.
func (k *Keeper) tick() {
	now := k.options.Clock()
	for {
		k.mutex.Lock()
		effect, ok := k.queue.Tick(now)
		k.mutex.Unlock()
		if !ok {
			break
		}
		k.again(effect)
	}
	k.forget(now)
	k.flush()
}

// forget ends open conflicts that are quiet, and drops those that gave way to more
// urgent ones in the queue.
func (k *Keeper) forget(now time.Duration) {
	k.mutex.Lock()
	tasks := k.queue.Tasks(nil)
	open := len(k.open)
	k.mutex.Unlock()
	for _, t := range tasks {
		if now-t.Last > quietAfter {
			k.close(t.Key, conflict.EventResolved, conflict.Explained.String(), conflict.ByRule, "nobody has reported it for 24 hours")
		}
	}
	if open <= len(tasks) {
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for key := range k.open {
		if _, queued := k.queue.Get(key); !queued {
			delete(k.open, key)
		}
	}
}

// store writes a record and tells who must know. The keeper goes on where the
// disk does not: the record waits, in bounded memory.
func (k *Keeper) store(r conflict.Record) {
	if len(r.Escalated) > 0 {
		k.log.Error("conflict", "id", r.ID, "event", r.Event, "what", Line(&r), "tell", strings.Join(r.Escalated, ", "))
		if k.options.Told != nil {
			k.options.Told(r)
		}
	} else {
		k.log.Warn("conflict", "id", r.ID, "event", r.Event, "what", Line(&r), "by", r.By, "why", r.Why)
	}
	if len(k.waiting) >= maxRetries {
		k.counters.lost.Add(1)
		return
	}
	k.waiting = append(k.waiting, r)
	k.flush()
}

// flush writes what waits, in order. After an error it pauses.
func (k *Keeper) flush() {
	for len(k.waiting) > 0 && k.options.Clock() >= k.retryAt {
		if err := k.write(&k.waiting[0]); err != nil {
			k.counters.failed.Add(1)
			k.retryAt = k.options.Clock() + retryAfter
			k.log.Error("log conflict: it is kept in memory and tried again", "error", err)
			return
		}
		k.waiting = append(k.waiting[:0], k.waiting[1:]...)
	}
}

func (k *Keeper) write(r *conflict.Record) error {
	payload, err := r.Encode()
	if err != nil {
		k.counters.lost.Add(1)
		k.log.Error("encode conflict: it is lost", "error", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	at, err := k.records.Append(ctx, payload)
	if err != nil {
		return err
	}
	if k.index == nil {
		return nil
	}
	k.index.add(at, r)
	if pruned := k.records.Counters().Pruned; pruned != k.pruned {
		k.pruned = pruned
		k.index.trim(k.records.First())
	}
	return nil
}
