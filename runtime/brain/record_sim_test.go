package brain

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/dancer"
	"dancer/hal"
	"dancer/mesh"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/runtime/record"
	"dancer/runtime/spine"
	"dancer/storage/recording"
)

// simulation is a robot on a clock of its own: the real spine's core, the real
// decision cycle and the real recorder, and a world that burns, loses sensors
// and has operators. The same seed gives the same recording, ids apart.
type simulation struct {
	t        testing.TB
	now      atomic.Int64 // nanoseconds on the simulated monotonic clock
	manual   *dancer.Manual
	spine    *spine.Stepped
	brain    *brain
	world    world
	requests uint64
	asked    time.Duration // since when a question is open, 0 none
	rulings  int
	stopped  func(time.Duration) bool // nil, or whether the brain is stopped then
	operator func(now time.Duration)  // nil, or who answers in place of answer
}

// world is what the sensors see.
type world struct {
	random                      *rand.Rand
	distance, smoke             float64
	people, bumper, estop, fire float64
	blind                       bool // the distance sensor says nothing
	nonsense                    bool // the people counter says not a number
	wheel                       float64
	torn                        bool // the wheel stands whatever it is told
}

const (
	simulatedStart = time.Hour
	tickLength     = 5 * time.Millisecond // five readings each: 1,000 a second
)

var simulatedWall = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func (s *simulation) clock() time.Duration { return time.Duration(s.now.Load()) }
func (s *simulation) wall() time.Time      { return simulatedWall.Add(s.clock() - simulatedStart) }

// simulate runs the museum's robot for a time and records it into path, and
// into a ring in the folder data, "" none.
func simulate(t testing.TB, length time.Duration, path, data string) *simulation {
	t.Helper()
	return simulateRobot(t, "../../examples/museum/robot-sim.yaml", length, path, data, nil)
}

// simulateRobot is simulate for another robot of the same signals, which is
// prepared first, and whose spine finds these latches of an earlier run.
func simulateRobot(t testing.TB, file string, length time.Duration, path, data string, prepare func(*simulation), latches ...int) *simulation {
	t.Helper()
	robot, problems := config.Load(file, config.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	s := &simulation{t: t, manual: robot.Manual}
	s.now.Store(int64(simulatedStart))
	s.world = world{random: rand.New(rand.NewPCG(1, 2)), distance: 7, people: 1}
	segment, err := link.Create(spine.Layout(robot))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { segment.Close() })
	if s.spine, err = spine.NewStepped(robot, segment, s.clock(), latches...); err != nil {
		t.Fatal(err)
	}
	s.spine.BrainStarted(1)
	s.brain = s.newBrain(robot, segment)
	s.brain.recorder = record.New(record.Config{
		Robot: robot, Path: path, Folder: data, Events: recordedEvents(), Clock: s.clock, Wall: s.wall, Log: s.brain.log,
		Header: recording.Header{
			Robot: robot.Name, Board: robot.BoardName, Binary: "simulation", Manual: robot.Manual.Hash,
			Boot: "simulated", Run: "simulated", Wall: s.wall(), Monotonic: s.clock(),
		},
	})
	if prepare != nil {
		prepare(s)
	}
	s.brain.recorder.Start()
	for end := s.clock() + length; s.clock() < end; {
		s.step()
	}
	s.brain.takeEvents()
	s.brain.recorder.Close()
	if lost := s.brain.recorder.Lost() + segment.TracesLost(); lost > 0 && s.stopped == nil {
		t.Errorf("%d messages were lost", lost)
	}
	if err := s.brain.archive.store.Close(); err != nil {
		t.Error(err)
	}
	return s
}

// newBrain is a brain without network and page, on the simulated clock.
func (s *simulation) newBrain(robot *config.Robot, segment *link.Segment) *brain {
	s.t.Helper()
	var files [2]*os.File
	for i, f := range segment.Files() {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		files[i] = os.NewFile(uintptr(fd), "copy")
	}
	attached, err := link.Attach(files, segment.Layout())
	if err != nil {
		s.t.Fatal(err)
	}
	wake, err := link.NewWake()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { attached.Close(); wake.Close() })
	log := slog.New(slog.DiscardHandler)
	archive, err := openArchive(s.t.TempDir(), log)
	if err != nil {
		s.t.Fatal(err)
	}
	b := &brain{
		clock: s.clock, wall: s.wall, log: log, archive: archive,
		robot: robot, manual: robot.Manual, ends: &link.Ends{Segment: attached, ToSpine: wake, ToBrain: wake},
		seedBase: seedOf(robot.Manual.Hash), ids: mesh.NewIDs(&entropy{}),
		calls: make(chan func(*brain)), outgoing: make(chan posting, outgoingQueue), changed: make(chan struct{}, 1),
	}
	b.hub = newHub(b.wall)
	b.requests = newRequests(b.ends)
	b.tracker = dancer.NewTracker(b.manual)
	b.markers = newMarkers(b)
	b.question = dancer.NewQuestion(b.manual, b.newID)
	b.calibrator, b.modelError = b.restoreCalibration(), dancer.NewModelError(b.manual)
	return b
}

// entropy is the same in every run.
type entropy struct{ n uint64 }

func (e *entropy) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += sha256.Size {
		e.n++
		sum := sha256.Sum256(fmt.Append(nil, e.n))
		copy(p[i:], sum[:])
	}
	return len(p), nil
}

// step is one tick of the world: sensors, spine, every twentieth a decision.
func (s *simulation) step() {
	now := s.clock() + tickLength
	s.now.Store(int64(now))
	tick := int64((now - simulatedStart) / tickLength)
	s.story(time.Duration(tick) * tickLength)
	s.world.move(s.spine.Output)
	s.spine.Pass(now)
	for i, value := range s.world.readings(s.manual.Signals) {
		if value != nil {
			s.spine.Reading(i, *value)
		}
	}
	s.spine.Frame()
	if s.stopped != nil && s.stopped(now-simulatedStart) {
		return
	}
	if tick%20 == 0 {
		s.brain.cycle()
		if s.operator == nil {
			s.operator = s.answer
		}
		s.operator(now)
		s.drain()
	}
	s.spine.Brain()
	if tick%4 == 0 {
		s.brain.takeEvents()
		for s.brain.recorder.Queued() > 100 { // the disk is slower than simulated time
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// story repeats itself every minute: a fire that the robot puts out, one that is
// too big, a hit, and sensors that fail.
func (s *simulation) story(at time.Duration) {
	w := &s.world
	second := (at % time.Minute).Seconds()
	w.fire = 0
	switch {
	case second >= 8 && second < 12:
		w.fire = 120 // ppm a second
	case second >= 30 && second < 34:
		w.fire = 180
	}
	w.bumper = bit(second >= 20 && second < 20.2)
	w.estop = bit(second >= 50 && second < 50.1)
	w.blind = second >= 24 && second < 25
	w.nonsense = second >= 42 && second < 43
	switch at % time.Minute {
	case time.Second, 22 * time.Second, 27 * time.Second, 53 * time.Second:
		s.request(link.RequestClear)
		s.request(link.RequestStart)
	}
}

func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (s *simulation) request(kind link.RequestKind) {
	s.requests++
	status, _ := s.brain.ends.Segment.LoadStatus()
	if !s.brain.ends.Segment.PostRequest(link.Request{Kind: kind, Index: -1, Sequence: s.requests, Epoch: status.Epoch, At: s.clock()}) {
		s.t.Fatal("the ring of requests is full")
	}
}

// answer is the operator, who takes a second and a half for a ruling.
func (s *simulation) answer(now time.Duration) {
	state, id := s.brain.question.State()
	if !state.Awaits() {
		s.asked = 0
		return
	}
	if s.asked == 0 {
		s.asked = now
	}
	if now-s.asked < 1500*time.Millisecond {
		return
	}
	verdicts := []string{dancer.RuleApprove, dancer.RuleDeny, dancer.RuleDefer, dancer.RuleEscalate}
	s.brain.rule(mesh.Ruling{Escalation: id, Verdict: verdicts[s.rulings%len(verdicts)], By: "operator"})
	s.rulings++
	s.asked = now
}

// drain takes what would go to the network.
func (s *simulation) drain() {
	for len(s.brain.outgoing) > 0 {
		<-s.brain.outgoing
	}
	for len(s.brain.markers.queue) > 0 {
		<-s.brain.markers.queue
	}
}

// move lets the world go on by one tick under the robot's outputs: drive, brake,
// extinguisher.
func (w *world) move(output func(int) float64) {
	dt := tickLength.Seconds()
	if w.wheel = output(0); w.torn {
		w.wheel = 0
	}
	w.distance -= 1.2 * output(0) * dt
	if w.distance < 0.25 {
		w.distance = 7 // it turns
	}
	w.smoke += w.fire * dt
	if output(2) > 0 {
		w.smoke *= 0.998
	}
	w.smoke = min(990, w.smoke*0.9995)
	w.people = 1 + bit(w.random.IntN(2000) == 0)
}

// readings gives a value for every signal, nil for one that says nothing.
func (w *world) readings(signals []hal.Signal) []*float64 {
	noise := w.random.NormFloat64() * 0.01
	values := make([]*float64, len(signals))
	for i := range signals {
		x := 0.0
		switch signals[i].Name {
		case "range":
			x = max(0, w.distance+noise)
			if w.blind {
				continue
			}
		case "smoke":
			x = max(0, w.smoke+noise)
		case "people":
			x = w.people
			if w.nonsense {
				x = math.NaN()
			}
		case "bumper":
			x = w.bumper
		case "estop":
			x = w.estop
		case "wheel":
			x = w.wheel
		default:
			continue // not from a sensor
		}
		values[i] = &x
	}
	return values
}

// simulatedRecording is a recording of the length that the environment asks for,
// 40 seconds without it, and stays where the environment says.
func simulatedRecording(t *testing.T) string {
	t.Helper()
	length := 40 * time.Second
	if os.Getenv("DANCER_SOAK") != "" {
		length = 10 * time.Minute
	}
	path := os.Getenv("DANCER_RECORDING")
	if path == "" {
		path = filepath.Join(t.TempDir(), "simulated.mcap")
	}
	s := simulate(t, length, path, "")
	if s.rulings == 0 {
		t.Fatal("nobody was asked anything")
	}
	return path
}
