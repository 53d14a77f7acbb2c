package brain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/mesh/gossip"
	"dancer/mesh/impedance"
	"dancer/partner"
	"dancer/runtime/config"
	"dancer/runtime/conflicts"
	"dancer/runtime/link"
	"dancer/runtime/record"
)

// Config of a brain.
type Config struct {
	Robot   *config.Robot
	Ends    *link.Ends // inherited from the spine
	DataDir string     // where records are kept; it exists
	Events  io.Writer  // one JSON object a line; nil: nobody reads them
	Version string     // of the binary
	Record  string     // recording to write from start to end; "": only the ring of the last minutes
	// Confine is called once everything is opened that only the user who started the
	// brain may open, and before anything in DataDir is, or a network spoken to. What
	// it gives away is gone. nil: nothing is.
	Confine func() error

	Rollouts int // forecast budget per option, cut short when the time is up; 0: dancer.DefaultRollouts
	Log      *slog.Logger
}

// brain is the running process. The fields above the line are set once; the
// decision goroutine owns those below it.
type brain struct {
	robot     *config.Robot
	manual    *dancer.Manual
	ends      *link.Ends
	opened    opened
	rooted    bool // it could not give root's user id away
	version   string
	rollouts  int
	seedBase  uint64
	log       *slog.Logger
	clock     func() time.Duration // the robot's monotonic clock, the one of the spine's time stamps
	wall      func() time.Time     // for displays and ids alone
	ids       *mesh.IDs
	hub       *hub
	archive   *archive
	mail      *mail
	cell      atomic.Pointer[gossip.Gossip] // nil: going on without the cell
	page      *page
	requests  *requests
	advice    *advice
	markers   *markers
	reactions *reactions
	recorder  *record.Recorder  // nil: nothing is recorded
	conflicts *conflicts.Keeper // nil: their log cannot be written

	coordinated *coordinated // nil: it takes no part in coordination
	meter       meter
	calls       chan func(*brain)
	outgoing    chan posting
	changed     chan struct{}
	last        atomic.Pointer[dancer.Decision]
	overruns    atomic.Uint64
	traces      [traceBatch]link.Trace // of the goroutine that takes the spine's events

	mailed        eventLimit // of events to the conductor
	reasons       reasons    // that wait for the broker
	mailedReasons eventLimit
	decided       atomic.Uint64 // for /metrics, like
	incomparable  atomic.Uint64

	partner  partner.Partner
	question *dancer.Question
	tracker  *dancer.Tracker

	calibrator   *dancer.Calibrator
	modelError   *dancer.ModelError
	modelFigures atomic.Pointer[[]dancer.ModelFigure] // for other goroutines
	figuresAt    time.Duration

	decisions uint64
	told      verdictKey
	slots     []float64     // of the last decision: signals, then outputs
	cutAt     time.Duration // when the forecast under way is cut short
}

// meter guards the impedance figures: the decision, the gossip and the mail
// goroutines all feed them.
type meter struct {
	mutex sync.Mutex
	impedance.Meter
}

// Run runs the brain until the context ends or a part of it fails that it cannot
// do without. Storage, network and the page are not such parts: without them it
// decides on and says what is missing.
func Run(ctx context.Context, c Config) error {
	b := &brain{
		clock: link.Now, wall: time.Now,
		robot: c.Robot, manual: c.Robot.Manual, ends: c.Ends, version: c.Version, rollouts: c.Rollouts,
		seedBase: seedOf(c.Robot.Manual.Hash), log: c.Log, ids: mesh.NewIDs(rand.Reader),
		calls: make(chan func(*brain)), outgoing: make(chan posting, outgoingQueue), changed: make(chan struct{}, 1),
	}
	b.hub = newHub(b.wall)
	b.requests = newRequests(c.Ends)
	b.reactions = newReactions(c.Ends.Segment, b.clock())
	b.tracker = dancer.NewTracker(b.manual)
	b.partner.Cut = b.late
	b.markers = newMarkers(b)
	recordPath := b.recordPath(c.Record)
	b.open(recordPath)
	if c.Confine != nil {
		if err := c.Confine(); err != nil {
			return errors.Join(err, b.opened.close())
		}
	}
	b.rooted = c.Confine != nil && os.Geteuid() == 0
	b.alive()
	archive, err := openArchive(c.DataDir, c.Log)
	if err != nil {
		return errors.Join(err, b.opened.close())
	}
	b.alive()
	b.archive = archive
	for _, id := range archive.newestIDs() {
		b.ids.After(id)
	}
	b.openConflicts(c.DataDir)
	b.question = b.restoreQuestion()
	b.calibrator, b.modelError = b.restoreCalibration(), dancer.NewModelError(b.manual)
	b.recorder = b.newRecorder(c.DataDir, recordPath)
	b.recorder.Start()
	err = b.run(ctx, c.Events)
	b.recorder.Close()
	if b.conflicts != nil {
		err = errors.Join(err, b.conflicts.Close())
	}
	return errors.Join(err, archive.store.Close())
}

// alive shows the spine's watchdog that the start goes on: each step of it may take
// a minute, a store that has to be restored on a slow card for one. From the first
// decision on only decisions count.
func (b *brain) alive() {
	if err := b.ends.ToSpine.Signal(); err != nil {
		b.log.Warn("wake the spine", "error", err)
	}
}

// run starts the parts and waits for all of them.
func (b *brain) run(ctx context.Context, events io.Writer) error {
	var err error
	if b.mail, err = b.newMail(); err != nil {
		return errors.Join(err, b.opened.close())
	}
	b.page = newPage(b)
	b.advice = newAdvice(b)
	if b.coordinated, err = b.newCoordinated(); err != nil {
		b.log.Error("going on without coordination", "error", err)
		b.coordinated = nil
	}
	b.joinCell()
	if err := b.withdrawOrphans(ctx); err != nil {
		b.log.Error("withdraw questions of the brain before", "error", err)
	}
	if err := b.listen(ctx); err != nil {
		return errors.Join(err, b.opened.close())
	}
	b.alive()
	g := newGroup(ctx)
	writer := b.writeEvents(events)
	g.run("decide", b.decide)
	g.run("events", b.drainEvents)
	g.run("post", b.post)
	g.run("publish", b.publish)
	g.run("markers", b.markers.run)
	g.run("wall clock", b.watchWallClock)
	if b.conflicts != nil {
		g.optional("the log of conflicts", b.conflicts.Run, b.log)
	}
	g.optional("page", b.page.run, b.log)
	g.optional("a smaller memory", b.giveBack, b.log)
	if b.coordinated != nil {
		g.optional("coordination", b.coordinated.run, b.log)
	}
	if b.mail.client != nil {
		g.optional("mqtt", b.mail.client.Run, b.log)
	}
	for _, t := range b.advice.brokers {
		g.optional("the signals of "+t.name, t.client.Run, b.log)
	}
	err = g.wait()
	b.leaveCell()
	b.hub.close()
	writer.Wait()
	return err
}

// writeEvents copies the events to the stream that the operator asked for.
func (b *brain) writeEvents(w io.Writer) *sync.WaitGroup {
	var done sync.WaitGroup
	if w == nil {
		return &done
	}
	reader, _ := b.hub.subscribe()
	done.Go(func() {
		if err := b.hub.copyTo(reader, w); err != nil {
			b.log.Error("write events: the rest is lost", "error", err)
		}
	})
	return &done
}

// emit records an event of the brain and tells it.
func (b *brain) emit(kind string, body any) {
	b.recorder.Event(kind, b.clock(), body)
	b.tell(kind, body)
}

// tell tells an event to the stream, the page and, where others want to know, the
// broker. It waits for none of them.
func (b *brain) tell(kind string, body any) {
	if err := b.hub.emit(kind, body); err != nil {
		b.log.Error("encode event", "kind", kind, "error", err)
		return
	}
	if b.page != nil {
		b.page.publish(kind, body)
	}
	if b.mail != nil && toldToConductor(kind) {
		b.mailEvent(kind, body)
	}
}

// toldToConductor keeps what is frequent or has a message of its own off the
// network.
func toldToConductor(kind string) bool {
	switch kind {
	case kindReflex, kindLatch, kindLease, kindMode, kindMarker, kindPort, kindBrain, kindSignal, kindModel, kindRestart, kindClock, kindConflict:
		return true
	}
	return false
}

// publish sends the state on change, at most every stateAtMost, and at least
// every stateAtLeast.
func (b *brain) publish(ctx context.Context) error {
	pause := time.NewTicker(stateAtMost)
	defer pause.Stop()
	var sent time.Time
	for {
		changed := false
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
			b.reactions.keep(b.clock())
			b.mailReasons(ctx)
		}
		select {
		case <-b.changed:
			changed = true
		default:
		}
		if !changed && time.Since(sent) < stateAtLeast {
			continue
		}
		sent = time.Now()
		s := b.state()
		b.page.apply(mesh.KindState, s)
		b.mail.tell(ctx, mesh.KindState, true, s)
	}
}

// newID gives a ULID. The system's source of randomness cannot fail; a clock
// before 1970 can, and gets the year 1970.
func (b *brain) newID() string {
	id, err := b.ids.Next(b.wall())
	if err != nil {
		id, err = b.ids.Next(time.UnixMilli(0))
	}
	if err != nil {
		panic(fmt.Sprintf("brain: make id: %v", err))
	}
	return id
}
