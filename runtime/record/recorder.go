package record

import (
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dancer/dancer"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/storage/recording"
)

// queueLength bounds what waits for the disk: about ten seconds of a busy robot.
const queueLength = 512

// traceLength is how much of that traces may take: in a flood of readings the rest
// stays for what happened, without which nobody would know of the flood.
const traceLength = queueLength - queueLength/8

// eventLength is how much of it events may take that need not be on the disk soon:
// a flood is told by one event of its port and by a signal's thousands of others.
// The rest stays for why the robot stands as it does, and for what it decides.
const eventLength = queueLength - queueLength/16

// Rhythms of the writer.
const (
	beat       = time.Second      // how often it looks at the clock
	syncEvery  = 4 * time.Second  // so that a power cut loses five seconds at most
	syncAtOnce = time.Second      // least pause between two writes for the sake of a seal or of an event that is wanted soon
	tryAgain   = 30 * time.Second // after the disk failed
	roomAgain  = 2 * time.Second  // after it was full: to look costs nothing
)

// Folders in the robot's data folder.
const (
	recentName = "recordings"
	sealedName = "sealed"
)

// Names of the attachments.
const (
	RobotFile  = "robot.yaml"
	ManualFile = "manual.yaml"
	yaml       = "application/yaml"
)

// Where a gap is from.
const (
	reasonSpine = "spine"
	reasonQueue = "queue"
	reasonDisk  = "disk"

	reasonLength = "length"
)

// Config of a recorder.
type Config struct {
	Robot  *config.Robot
	Header recording.Header // Part is filled in
	Path   string           // of the recording that the operator asked for; "": none
	File   *os.File         // made for it (recording.Make) while it could be; nil: Path is made now
	Folder string           // of the robot's data, for the ring
	Events []Event          // kinds that Event may be called with
	Clock  func() time.Duration
	Wall   func() time.Time
	Log    *slog.Logger
}

// Recorder takes what is to be recorded. A nil one takes and does nothing. The
// methods whose comment says so belong to one goroutine each; none of them
// waits.
type Recorder struct {
	config Config
	names  names
	topics []recording.Topic
	index  map[string]int
	queue  chan entry
	stop   chan struct{}
	done   sync.WaitGroup
	lost   atomic.Uint64

	written atomic.Uint64
	sealed  atomic.Uint64
	stopped atomic.Int64 // sinks that write nothing now

	traced uint64 // of the goroutine that hands over traces
	flow   uint64 // of the goroutine that decides

	// The writer's own.
	sinks      []*sink
	tracesSeen uint64
	flowSeen   uint64
	eventsLost atomic.Uint64
	eventsTold uint64
	sealLate   atomic.Pointer[entry] // a seal that found the queue full
	sealIn     int                   // entries that are written before it
	synced     time.Duration
	syncWanted bool
	buffer     []byte
}

// entry is one thing for the writer.
type entry struct {
	topic    int
	at       time.Duration
	data     []byte           // encoded, or
	decision *dancer.Decision // with
	before   *dancer.QuestionRecord
	traces   []link.Trace
	number   uint64 // place among the traces, or in the flow of the question
	inFlow   bool
	seal     string
	soon     bool // on the disk within a second
}

// New opens what a recorder writes to. It gives nil when nothing is to be
// recorded. What cannot be opened is said in the log and left out: a robot
// without a recording is better than none.
func New(c Config) *Recorder {
	r := &Recorder{config: c, names: namesOf(c.Robot.Manual), topics: topics(c.Events), queue: make(chan entry, queueLength), stop: make(chan struct{})}
	r.index = map[string]int{}
	for i := range r.topics {
		r.index[r.topics[i].Name] = i
	}
	now := c.Clock()
	if c.Path != "" {
		r.sinks = append(r.sinks, r.newFile(c.Path, c.File))
	}
	if c.Folder != "" && c.Robot.Recording.Keep > 0 {
		r.sinks = append(r.sinks, r.newRing(now))
	}
	if len(r.sinks) == 0 {
		return nil
	}
	r.synced = now - syncAtOnce // what the brain before this one died of is written at once
	r.watch()
	return r
}

// attachments are what a replay needs beside the messages.
func (r *Recorder) attachments() []recording.Attachment {
	return append([]recording.Attachment{
		{Name: RobotFile, Media: yaml, Data: r.config.Robot.Bytes},
		{Name: ManualFile, Media: yaml, Data: r.config.Robot.ManualBytes},
	}, attachedDatabases(r.config.Robot)...)
}

// Start starts the writer.
func (r *Recorder) Start() {
	if r != nil {
		r.done.Go(r.run)
	}
}

// Close writes what is left and ends the recordings. What is handed over later is
// not recorded.
func (r *Recorder) Close() {
	if r == nil {
		return
	}
	close(r.stop)
	r.done.Wait()
}

// Lost is how many traces, decisions and events are not in the recordings
// because the disk did not keep up, was full or broken.
func (r *Recorder) Lost() uint64 {
	if r == nil {
		return 0
	}
	return r.lost.Load()
}

// Queued is how many entries wait to be written.
func (r *Recorder) Queued() int { return len(r.queue) }

// Figures are how the recording goes, for the status and the metrics. Counts are
// since the recorder began.
type Figures struct {
	Messages uint64 // written, to the operator's file and to the ring
	Lost     uint64 // see Lost
	Sealed   uint64 // times that the last minutes were kept; causes within a minute share a folder
	Queued   int    // entries that wait to be written, 512 at most
	Stopped  bool   // the operator's file or the ring is not written now: its disk is full or broken
}

// Figures of a recorder; false for a nil one, which records nothing. It is safe
// for concurrent use.
func (r *Recorder) Figures() (Figures, bool) {
	if r == nil {
		return Figures{}, false
	}
	return Figures{
		Messages: r.written.Load(), Lost: r.lost.Load(), Sealed: r.sealed.Load(),
		Queued: len(r.queue), Stopped: r.stopped.Load() > 0,
	}, true
}

// watch counts the sinks that write nothing.
func (r *Recorder) watch() {
	var stopped int64
	for _, s := range r.sinks {
		if s.file == nil {
			stopped++
		}
	}
	r.stopped.Store(stopped)
}

// offer hands an entry over, or counts what is lost with it.
func (r *Recorder) offer(e entry, weight uint64) bool {
	select {
	case r.queue <- e:
		return true
	default:
		r.lost.Add(weight)
		return false
	}
}

// Traces records what entered the reflex table and what it did (one goroutine).
// The list is the recorder's from now on.
func (r *Recorder) Traces(list []link.Trace) {
	if r == nil || len(list) == 0 {
		return
	}
	e := entry{traces: list, number: r.traced, at: list[0].Now}
	r.traced += uint64(len(list))
	if len(r.queue) >= traceLength {
		r.lost.Add(uint64(len(list)))
		return
	}
	r.offer(e, uint64(len(list)))
}

// Decision records a decision, with the question as it stood before it (the
// deciding goroutine, like Change and Ruling). The decision must not change any
// more.
func (r *Recorder) Decision(d *dancer.Decision, before dancer.QuestionRecord) {
	if r != nil {
		r.inFlow(entry{topic: r.index[TopicDecision], at: d.Monotonic, decision: d, before: &before})
	}
}

func (r *Recorder) inFlow(e entry) {
	e.inFlow, e.number = true, r.flow
	r.flow++
	r.offer(e, 1)
}

// Change records what the question told, and seals the ring when it was raised.
func (r *Recorder) Change(now time.Duration, c *dancer.Change) {
	if r == nil {
		return
	}
	r.inFlow(entry{topic: r.index[TopicQuestion], at: now, data: r.encoded(Question{Monotonic: now, Change: ChangeOf(c)})})
	if c.Revision == 1 && c.State == dancer.QuestionOpen {
		r.Seal(now, "escalation")
	}
}

// Ruling records what the question was told and what became of it.
func (r *Recorder) Ruling(m Ruling) {
	if r != nil {
		r.inFlow(entry{topic: r.index[TopicRuling], at: m.Monotonic, data: r.encoded(m)})
	}
}

// Outcome records what followed a decision.
func (r *Recorder) Outcome(now time.Duration, o *dancer.Outcome) {
	if r != nil {
		r.event(entry{topic: r.index[TopicOutcome], at: now, data: r.encoded(Outcome{now, *o})})
	}
}

// Event records an event of one of the configured kinds; others are not
// recorded. body encodes as a JSON object.
func (r *Recorder) Event(kind string, at time.Duration, body any) {
	if r == nil {
		return
	}
	topic, ok := r.index["/"+kind]
	if !ok || topic < len(r.topics)-len(r.config.Events) {
		return
	}
	data, err := eventMessage(at, body)
	if err != nil {
		r.config.Log.Error("record event", "kind", kind, "error", err)
		return
	}
	r.event(entry{topic: topic, at: at, data: data, soon: r.config.Events[topic-len(r.topics)+len(r.config.Events)].Soon})
}

func (r *Recorder) event(e entry) {
	if !e.soon && len(r.queue) >= eventLength {
		r.lost.Add(1)
		r.eventsLost.Add(1)
		return
	}
	if !r.offer(e, 1) {
		r.eventsLost.Add(1)
	}
}

// Seal keeps the ring's files for good, even when the queue is full: the last
// cause then waits in a place of its own.
func (r *Recorder) Seal(now time.Duration, cause string) {
	if r == nil {
		return
	}
	e := entry{at: now, seal: cause}
	select {
	case r.queue <- e:
	default:
		r.sealLate.Store(&e)
	}
}

// sealLater does what Seal found no place for in the queue, as soon as what came
// before it is written.
func (r *Recorder) sealLater() {
	if r.sealIn > 0 {
		r.sealIn--
	} else if r.sealLate.Load() != nil {
		r.sealIn = queueLength
	}
	if r.sealIn > 0 && len(r.queue) > 0 {
		return
	}
	r.sealIn = 0
	if e := r.sealLate.Swap(nil); e != nil {
		r.seal(e)
	}
}

func (r *Recorder) encoded(body any) []byte {
	b, err := json.Marshal(body)
	if err != nil {
		r.config.Log.Error("encode for the recording", "error", err)
		return []byte("{}")
	}
	return b
}

// run writes until it is told to stop, and then what is left.
func (r *Recorder) run() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case e := <-r.queue:
			r.take(&e)
			r.sealLater()
		case <-tick.C:
		case <-r.stop:
			for len(r.queue) > 0 {
				e := <-r.queue
				r.take(&e)
			}
			r.sealLater()
			r.end()
			return
		}
		r.keepUp()
	}
}

// keepUp does what is due by time.
func (r *Recorder) keepUp() {
	now := r.config.Clock()
	for _, s := range r.sinks {
		s.tryAgain(now)
	}
	due := now - r.synced
	caughtUp := len(r.queue) == 0 || due >= 2*syncAtOnce // what comes together is written together
	if due >= syncEvery || r.syncWanted && due >= syncAtOnce && caughtUp {
		r.synced, r.syncWanted = now, false
		pulse := r.encoded(Pulse{now, r.lost.Load(), len(r.queue)})
		for _, s := range r.sinks {
			s.sync(now, r.index[TopicRecorder], pulse)
		}
	}
	r.watch()
}

// take writes one entry.
func (r *Recorder) take(e *entry) {
	if lost := r.eventsLost.Load(); lost != r.eventsTold {
		r.gap(e.at, GapEvents, lost-r.eventsTold, reasonQueue)
		r.eventsTold = lost
	}
	switch {
	case e.seal != "":
		r.seal(e)
	case e.traces != nil:
		if e.number != r.tracesSeen {
			r.gap(e.at, GapReadings, e.number-r.tracesSeen, reasonQueue)
		}
		r.tracesSeen = e.number + uint64(len(e.traces))
		for i := range e.traces {
			r.trace(&e.traces[i])
		}
	case e.inFlow:
		r.takeFlow(e)
	default:
		r.put(e.topic, e.at, e.data)
		r.syncWanted = r.syncWanted || e.soon
	}
}

func (r *Recorder) trace(t *link.Trace) {
	if t.Kind == link.TraceGap {
		r.gap(t.Now, GapReadings, uint64(max(0, t.Index)), reasonSpine)
		return
	}
	var reading bool
	r.buffer, reading = r.names.appendTrace(r.buffer[:0], t)
	topic := r.index[TopicTrace]
	if reading {
		topic = r.index[TopicReading]
	}
	r.put(topic, t.Now, r.buffer)
}

// takeFlow writes what concerns the question. A new file, and one in which
// something is missing, is first told where the question stands.
func (r *Recorder) takeFlow(e *entry) {
	if e.number != r.flowSeen {
		r.gap(e.at, GapDecisions, e.number-r.flowSeen, reasonQueue)
		for _, s := range r.sinks {
			s.told = false
		}
	}
	r.flowSeen = e.number + 1
	if e.decision == nil {
		r.put(e.topic, e.at, e.data)
		return
	}
	data := r.encoded(e.decision)
	for _, s := range r.sinks {
		s.turn(e.at)
		if !s.told {
			s.told = true
			s.put(r.index[TopicQuestion], e.at, r.encoded(Question{Monotonic: e.at, Snapshot: e.before}))
		}
		s.put(e.topic, e.at, data)
	}
}

func (r *Recorder) gap(now time.Duration, what string, count uint64, where string) {
	r.put(r.index[TopicGap], now, r.encoded(Gap{now, what, count, where}))
}

func (r *Recorder) put(topic int, at time.Duration, data []byte) {
	for _, s := range r.sinks {
		s.put(topic, at, data)
	}
}

func (r *Recorder) seal(e *entry) {
	r.syncWanted = true
	for _, s := range r.sinks {
		s.seal(e.at, e.seal)
	}
}

// end closes the files.
func (r *Recorder) end() {
	now := r.config.Clock()
	if lost := r.eventsLost.Load(); lost != r.eventsTold {
		r.gap(now, GapEvents, lost-r.eventsTold, reasonQueue)
	}
	if r.traced != r.tracesSeen {
		r.gap(now, GapReadings, r.traced-r.tracesSeen, reasonQueue)
	}
	if r.flow != r.flowSeen {
		r.gap(now, GapDecisions, r.flow-r.flowSeen, reasonQueue)
	}
	for _, s := range slices.Backward(r.sinks) {
		s.close(now)
	}
}
