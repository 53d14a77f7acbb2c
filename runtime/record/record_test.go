package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/reflex"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/storage/recording"
)

func testRobot(t testing.TB) *config.Robot {
	t.Helper()
	robot, problems := config.Load("../../examples/museum/robot-sim.yaml", config.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return robot
}

// lockedLog is a log that two goroutines look at.
type lockedLog struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

type testEvent struct {
	State string `json:"state"`
}

func newRecorder(t testing.TB, path, folder string) (*Recorder, *lockedLog) {
	t.Helper()
	log := &lockedLog{}
	start := time.Now()
	return New(Config{
		Robot: testRobot(t), Path: path, Folder: folder, Events: []Event{{Kind: "signal", Body: testEvent{}}, {Kind: "mode", Body: testEvent{}, Soon: true}},
		Header: recording.Header{Robot: "one", Run: "r", Wall: start, Monotonic: time.Hour},
		Clock:  func() time.Duration { return time.Hour + time.Since(start) }, Wall: time.Now,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}), log
}

// contents gives the messages of a recording by topic.
func contents(t *testing.T, path string) map[string][]string {
	t.Helper()
	r, done, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	all := map[string][]string{}
	if err := r.NewReader().Each(func(m *recording.Message) error {
		name := r.Topics[m.Topic].Name
		all[name] = append(all[name], string(m.Data))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func readings(from, n int) []link.Trace {
	list := make([]link.Trace, n)
	for i := range list {
		list[i] = link.Trace{Kind: link.TraceReading, Flags: uint8(hal.Valid) | link.TraceEnd, Value: float64(from + i), At: time.Hour, Now: time.Hour}
	}
	return list
}

// TestTraceEncoding: the quick encoding is what encoding/json makes of the
// documented types.
func TestTraceEncoding(t *testing.T) {
	robot := testRobot(t)
	n := namesOf(robot.Manual)
	half, tiny := 0.5, 1e-300
	for _, c := range []struct {
		trace link.Trace
		want  any
	}{
		{link.Trace{Kind: link.TraceReading, Index: 0, Value: 0.5, Flags: uint8(hal.Valid) | link.TraceEnd, At: 7, Now: 8},
			Reading{Monotonic: 8, At: 7, Name: "range", Value: &half, Validity: "valid", End: true}},
		{link.Trace{Kind: link.TraceOvertook, Index: 1, Value: math.NaN(), Flags: uint8(hal.NotANumber), At: 7, Now: 8},
			Reading{Monotonic: 8, At: 7, Name: "smoke", Validity: hal.NotANumber.String(), Kind: "overtook"}},
		{link.Trace{Kind: link.TraceReading, Index: 99, Value: math.Inf(1), At: -1, Now: -2},
			Reading{Monotonic: -2, At: -1, Validity: hal.NeverSeen.String()}},
		{link.Trace{Kind: link.TraceOutput, Index: 0, Value: tiny, Flags: link.TraceEnd, Now: 3},
			Trace{Monotonic: 3, Kind: "output", Name: "drive", Value: &tiny, End: true}},
		{link.Trace{Kind: link.TraceMove, Index: 1, Flags: uint8(reflex.Latched), Now: 3},
			Trace{Monotonic: 3, Kind: "move", Name: "bump", Move: "latched"}},
		{link.Trace{Kind: link.TraceSeen, Index: 2, Now: 3}, Trace{Monotonic: 3, Kind: "seen", Name: "people"}},
		{link.Trace{Kind: link.TraceClear, Index: 2, Now: 3}, Trace{Monotonic: 3, Kind: "clear", Name: "estop"}},
		{link.Trace{Kind: link.TraceTick, Now: 3}, Trace{Monotonic: 3, Kind: "tick"}},
	} {
		got, _ := n.appendTrace(nil, &c.trace)
		want, err := json.Marshal(c.want)
		if err != nil {
			t.Fatal(err)
		}
		// Both ways: the same object, though a number may be spelled otherwise.
		var a, b any
		if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal(want, &b)); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if !bytes.Equal(x, y) {
			t.Errorf("%s is encoded, want %s", got, want)
		}
	}
}

func TestRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	r, log := newRecorder(t, path, "")
	r.Start()
	r.Traces(readings(0, 3))
	r.Event("mode", time.Hour, testEvent{"running"})
	r.Event("decision", time.Hour, testEvent{"has a topic of its own"})
	r.Event("unknown", time.Hour, testEvent{"x"})
	r.Decision(&dancer.Decision{Version: 1, ID: "d1", Monotonic: time.Hour}, dancer.QuestionRecord{State: "none"})
	r.Change(time.Hour, &dancer.Change{ID: "q", Revision: 1, State: dancer.QuestionOpen})
	r.Ruling(Ruling{Monotonic: time.Hour, Question: "q", By: "me"})
	r.Outcome(time.Hour, &dancer.Outcome{Decision: "d1"})
	r.Close()
	r.Event("mode", time.Hour, testEvent{"too late: no panic"})
	all := contents(t, path)
	for topic, want := range map[string]int{TopicReading: 3, "/mode": 1, TopicDecision: 1, TopicQuestion: 2, TopicRuling: 1, TopicOutcome: 1, TopicGap: 0} {
		if len(all[topic]) != want {
			t.Errorf("%s has %d messages, want %d: %v", topic, len(all[topic]), want, all[topic])
		}
	}
	if got := all["/mode"]; len(got) == 1 && got[0] != `{"monotonic":3600000000000,"state":"running"}` {
		t.Errorf("event %s", got)
	}
	if r.Lost() != 0 || log.String() != "" {
		t.Errorf("%d lost; %s", r.Lost(), log)
	}
	if f, ok := r.Figures(); !ok || f != (Figures{Messages: 9, Queued: 1}) { // the one that came too late
		t.Errorf("figures %+v %v, want 9 messages written and nothing lost", f, ok)
	}
}

// fill takes all room in the queue: traces what they may have, then what happens
// often, reasons the rest.
func fill(r *Recorder) {
	for i := range traceLength {
		r.Traces(readings(i, 1))
	}
	for range eventLength - traceLength {
		r.Event("signal", time.Hour, testEvent{"waits"})
	}
	for range queueLength - eventLength {
		r.Event("mode", time.Hour, testEvent{"waits"})
	}
}

// TestFloodLeavesRoomForReasons: what happens thousands of times does not push out
// what says why.
func TestFloodLeavesRoomForReasons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	r, _ := newRecorder(t, path, "")
	for range 10 * queueLength {
		r.Traces(readings(0, 1))
		r.Event("signal", time.Hour, testEvent{"flood"})
	}
	r.Event("mode", time.Hour, testEvent{"the reason"})
	r.Decision(&dancer.Decision{ID: "kept", Monotonic: time.Hour}, dancer.QuestionRecord{State: "none", Revision: 7})
	r.Start()
	r.Close()
	all := contents(t, path)
	if len(all["/mode"]) != 1 || len(all[TopicDecision]) != 1 || len(all[TopicReading])+len(all["/signal"]) != eventLength {
		t.Errorf("%d reasons, %d decisions, %d readings, %d signals", len(all["/mode"]), len(all[TopicDecision]), len(all[TopicReading]), len(all["/signal"]))
	}
}

// TestQueueIsBounded: who records never waits, and where something is missing
// there is a gap with its number.
func TestQueueIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	r, _ := newRecorder(t, path, "")
	fill(r) // nobody writes yet
	r.Traces(readings(0, 10))
	r.Decision(&dancer.Decision{ID: "lost", Monotonic: time.Hour}, dancer.QuestionRecord{})
	r.Event("mode", time.Hour, testEvent{"lost"})
	if r.Lost() != 12 {
		t.Errorf("%d are counted as lost, want 12", r.Lost())
	}
	r.Start()
	for r.Queued() > 0 {
		time.Sleep(time.Millisecond)
	}
	r.Traces(readings(0, 1))
	r.Decision(&dancer.Decision{ID: "kept", Monotonic: time.Hour}, dancer.QuestionRecord{State: "none", Revision: 7})
	r.Close()
	all := contents(t, path)
	if len(all[TopicReading]) != traceLength+1 || len(all[TopicDecision]) != 1 {
		t.Errorf("%d readings, %d decisions", len(all[TopicReading]), len(all[TopicDecision]))
	}
	missing := map[string]uint64{}
	for _, text := range all[TopicGap] {
		var g Gap
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			t.Fatal(err)
		}
		missing[g.What] += g.Count
	}
	if missing[GapReadings] != 10 || missing[GapDecisions] != 1 || missing[GapEvents] != 1 {
		t.Errorf("gaps %v", missing)
	}
	if q := all[TopicQuestion]; len(q) != 1 || !strings.Contains(q[0], `"snapshot"`) || !strings.Contains(q[0], `"revision":7`) {
		t.Errorf("after the gap nothing says where the question stands: %v", q)
	}
}

// TestGapOfTheSpine: what the spine's ring lost is told too.
func TestGapOfTheSpine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	r, _ := newRecorder(t, path, "")
	r.Start()
	r.Traces([]link.Trace{{Kind: link.TraceGap, Index: 42, Now: time.Hour}})
	r.Close()
	if got := contents(t, path)[TopicGap]; len(got) != 1 || !strings.Contains(got[0], `"count":42,"where":"spine"`) {
		t.Errorf("gaps %v", got)
	}
}

func TestNothingToRecord(t *testing.T) {
	r, _ := newRecorder(t, "", "")
	if r != nil {
		t.Error("a recorder of nothing")
	}
	r.Start()
	r.Traces(readings(0, 1))
	r.Event("mode", 0, testEvent{})
	r.Decision(&dancer.Decision{}, dancer.QuestionRecord{})
	r.Change(0, &dancer.Change{})
	r.Ruling(Ruling{})
	r.Outcome(0, &dancer.Outcome{})
	r.Seal(0, "x")
	r.Close()
	if r.Lost() != 0 {
		t.Error("nothing was lost")
	}
	if f, ok := r.Figures(); ok {
		t.Errorf("figures of nothing: %+v", f)
	}
}

// TestBrokenDisk: a recording that cannot be written is said once and harms
// nothing else.
func TestBrokenDisk(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, recentName), nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	taken := filepath.Join(t.TempDir(), "taken.mcap")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, log := newRecorder(t, taken, folder)
	r.Start()
	for range 100 {
		r.Traces(readings(0, 10))
	}
	r.Seal(time.Hour, "latch-bump")
	if f, _ := r.Figures(); !f.Stopped {
		t.Error("the figures do not say that nothing is recorded")
	}
	r.Close()
	if b, err := os.ReadFile(taken); err != nil || string(b) != "precious" {
		t.Errorf("a file that was there was overwritten: %q, %v", b, err)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
		t.Errorf("said %d times, want once for each:\n%s", n, log)
	}
}

// TestDiskComesBack: a ring stops when its disk fails, says so once, and goes on
// with a gap and the question's state when it is back.
func TestDiskComesBack(t *testing.T) {
	r, log := newRecorder(t, "", t.TempDir())
	s := r.sinks[0]
	now := time.Hour
	for range 3 {
		s.fail(now, fs.ErrInvalid)
		s.put(0, now, []byte("{}"))
	}
	s.tryAgain(now + tryAgain - 1)
	if s.file != nil {
		t.Error("it is tried again at once")
	}
	r.watch()
	if f, _ := r.Figures(); !f.Stopped {
		t.Error("the figures do not say that it has stopped")
	}
	s.tryAgain(now + tryAgain)
	r.watch()
	if f, _ := r.Figures(); f.Stopped {
		t.Error("the figures do not say that it goes on")
	}
	if s.file == nil || s.told || s.missed != 0 {
		t.Errorf("%+v", s)
	}
	path := s.file.Path()
	r.Start()
	r.Close()
	if got := contents(t, path)[TopicGap]; len(got) != 1 || !strings.Contains(got[0], `"what":"all","count":3`) {
		t.Errorf("gaps %v", got)
	}
	if text := log.String(); strings.Count(text, "recording stops") != 1 || strings.Count(text, "recording goes on") != 1 {
		t.Errorf("said:\n%s", text)
	}
}

// BenchmarkTraces is what one reading costs the recorder, from hand-over to the
// packed chunk.
func BenchmarkTraces(b *testing.B) {
	r, _ := newRecorder(b, filepath.Join(b.TempDir(), "one.mcap"), "")
	list := readings(0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		e := entry{traces: list, number: r.tracesSeen}
		r.take(&e)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/reading")
}

// TestSealOfAFullQueue: a reflex that latches while the disk does not keep up is
// sealed all the same, after what was recorded before it.
func TestSealOfAFullQueue(t *testing.T) {
	folder := t.TempDir()
	r, _ := newRecorder(t, "", folder)
	fill(r) // nobody writes yet
	r.Seal(time.Hour, "latch-bump")
	if r.Lost() != 0 {
		t.Errorf("%d are lost", r.Lost())
	}
	r.Start()
	r.Close()
	found, err := filepath.Glob(filepath.Join(folder, sealedName, "*-latch-bump", "*.mcap"))
	if err != nil || len(found) != 1 {
		t.Fatalf("sealed is %v, %v", found, err)
	}
	if n := len(contents(t, found[0])[TopicReading]); n != traceLength {
		t.Errorf("%d readings of before the latch are sealed, want %d", n, traceLength)
	}
}

// TestFolderRemoved: a ring whose folders are deleted under it, or could not be
// opened at first, goes on when it can.
func TestFolderRemoved(t *testing.T) {
	folder := t.TempDir()
	r, log := newRecorder(t, "", folder)
	s, now := r.sinks[0], time.Hour
	for _, name := range []string{recentName, sealedName} {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.sync(now, r.index[TopicRecorder], []byte("{}"))
	if s.file != nil {
		t.Error("it writes to a file without a name")
	}
	s.tryAgain(now + tryAgain)
	if s.file == nil {
		t.Fatalf("it does not go on:\n%s", log)
	}
	s.seal(now+tryAgain, "latch-bump")
	if strings.Contains(log.String(), "seal recording") {
		t.Errorf("it does not seal:\n%s", log)
	}
	s.close(now + tryAgain)

	folder = t.TempDir()
	inTheWay := filepath.Join(folder, recentName)
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, log = newRecorder(t, "", folder)
	s = r.sinks[0]
	s.put(0, now, []byte("{}"))
	s.tryAgain(now + tryAgain)
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	s.tryAgain(now + 2*tryAgain)
	if s.file == nil || strings.Count(log.String(), "level=ERROR") != 1 || r.Lost() != 1 {
		t.Errorf("%d lost, said:\n%s", r.Lost(), log)
	}
	s.close(now + 2*tryAgain)
}

// TestStopsInOrder: a recording that stops because the disk gets full is ended,
// and can be replayed as it is.
func TestStopsInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	r, _ := newRecorder(t, path, t.TempDir())
	r.put(0, time.Hour, []byte(`{"x":1}`))
	paths := []string{path, r.sinks[1].file.Path()}
	for _, s := range r.sinks {
		s.fail(time.Hour, recording.ErrDiskFull)
	}
	for _, path := range paths {
		if n := len(contents(t, path)[TopicReading]); n != 1 {
			t.Errorf("%s has %d messages", path, n)
		}
	}
}

// TestMessageTooLong: a message that no reader would take leaves a gap of its
// kind, and the question is told anew.
func TestMessageTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	r, _ := newRecorder(t, path, "")
	s := r.sinks[0]
	s.told = true
	long := append(append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 2<<20)...), `"}`...)
	s.put(r.index[TopicDecision], time.Hour, long)
	if s.told || r.Lost() != 1 {
		t.Errorf("told %v, %d lost", s.told, r.Lost())
	}
	s.close(time.Hour)
	if got := contents(t, path)[TopicGap]; len(got) != 1 || !strings.Contains(got[0], `"what":"decisions","count":1,"where":"length"`) {
		t.Errorf("gaps %v", got)
	}
}
