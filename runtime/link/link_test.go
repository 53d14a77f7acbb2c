package link

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
)

// attach maps the segment a second time, as the other process does.
func attach(t testing.TB, s *Segment) *Segment {
	t.Helper()
	other, err := Attach(copiesOf(t, s), s.Layout())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return other
}

func copiesOf(t testing.TB, s *Segment) (copies [2]*os.File) {
	t.Helper()
	for i, f := range s.Files() {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		copies[i] = os.NewFile(uintptr(fd), "copy")
	}
	return copies
}

func TestAttachRefusesAnotherRobot(t *testing.T) {
	s := newSegment(t)
	for _, c := range []struct {
		name   string
		change func(l *Layout)
	}{
		{"hash", func(l *Layout) { l.Hash = Hash("ab") }},
		{"signals", func(l *Layout) { l.Signals++ }},
		{"outputs", func(l *Layout) { l.Outputs-- }},
		{"swapped counts", func(l *Layout) { l.Signals, l.Outputs = l.Outputs, l.Signals }},
		{"rules", func(l *Layout) { l.Rules++ }},
		{"ports", func(l *Layout) { l.Ports = 0 }},
	} {
		l := testLayout()
		c.change(&l)
		files := copiesOf(t, s)
		if other, err := Attach(files, l); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: error %v, want ErrLayout", c.name, err)
			if other != nil {
				other.Close()
			}
		}
		files[0].Close()
		files[1].Close()
	}
}

func TestSegmentIsSealed(t *testing.T) {
	s := newSegment(t)
	for i, f := range s.Files() {
		if err := f.Truncate(0); err == nil {
			t.Errorf("half %d could be cut short: a bus error for the other side", i)
		}
		if err := f.Truncate(1 << 20); err == nil {
			t.Errorf("half %d could be made longer", i)
		}
	}

	loose, err := os.CreateTemp(t.TempDir(), "loose")
	if err != nil {
		t.Fatal(err)
	}
	defer loose.Close()
	for i, memory := range [][]byte{s.mail.memory, s.spine.memory} {
		loose.Truncate(int64(len(memory)))
		loose.WriteAt(memory, 0)
		files := copiesOf(t, s)
		files[i].Close()
		files[i] = loose
		if _, err := Attach(files, testLayout()); !errors.Is(err, ErrLayout) {
			t.Errorf("half %d is a file that is not sealed: %v", i, err)
		}
		files[1-i].Close()
	}
}

func TestLayoutIsBounded(t *testing.T) {
	for _, l := range []Layout{{Signals: -1}, {Outputs: MaxOutputs + 1}, {Rules: MaxRules + 1}, {Ports: MaxPorts + 1}, {Signals: MaxSignals + 1}} {
		if s, err := Create(l); err == nil {
			s.Close()
			t.Errorf("layout %+v is accepted", l)
		}
	}
}

func TestHashTellsPartsApart(t *testing.T) {
	if Hash("ab", "c") == Hash("a", "bc") {
		t.Error("the ends of parts do not count")
	}
}

func newCommandOf(n int) Command {
	return Command{Values: make([]float64, n), Hold: make([]float64, n)}
}

func TestMailbox(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	c := newCommandOf(2)
	if got := s.TakeCommand(&c); got != TookNothing {
		t.Fatalf("took %v from an empty mailbox", got)
	}
	posted := Command{Decision: 3, Epoch: 9, Values: []float64{1, 2}, HoldMask: 2, Hold: []float64{0, 7}}
	if err := brain.PostCommand(&posted); err != nil {
		t.Fatal(err)
	}
	if got := s.TakeCommand(&c); got != TookCommand || c.Decision != 3 || c.Epoch != 9 || c.Values[1] != 2 || c.HoldMask != 2 || c.Hold[1] != 7 {
		t.Errorf("took %v %+v", got, c)
	}
	if got := s.TakeCommand(&c); got != TookNothing {
		t.Errorf("took it twice: %v", got)
	}
	posted.Decision = 4
	brain.PostCommand(&posted)
	posted.Decision = 5
	brain.PostCommand(&posted)
	if got := s.TakeCommand(&c); got != TookCommand || c.Decision != 5 {
		t.Errorf("took %v, decision %d, want the newest", got, c.Decision)
	}
}

func TestPostCommandRefuses(t *testing.T) {
	brain := newSegment(t)
	nan, inf := math.NaN(), math.Inf(-1)
	for _, c := range []Command{
		{Values: []float64{1}},
		{Values: []float64{1, 2, 3}},
		{Values: []float64{1, nan}},
		{Values: []float64{inf, 1}},
		{Values: []float64{1, 1}, HoldMask: 1},
		{Values: []float64{1, 1}, HoldMask: 4, Hold: []float64{1, 1}},
		{Values: []float64{1, 1}, HoldMask: 1, Hold: []float64{nan, 1}},
	} {
		if err := brain.PostCommand(&c); !errors.Is(err, ErrCommand) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := brain.PostCommand(&Command{Values: []float64{1, 1}, HoldMask: 1, Hold: []float64{1, nan}}); err != nil {
		t.Errorf("a value that no hold uses: %v", err)
	}
}

// TestTornMailbox stops a writer after each of its stores: the spine must never
// take a command that was not wholly written, and the next writer must heal it.
func TestTornMailbox(t *testing.T) {
	for stop := range 10 {
		s := newSegment(t)
		brain := attach(t, s)
		brain.PostCommand(&Command{Decision: 1, Values: []float64{1, 1}})
		w, seq := brain.mailbox(), brain.mailbox()[0].Load()|1
		stores := []func(){
			func() { w[0].Store(seq) },
			func() { w[1].Store(2) }, func() { w[2].Store(2) }, func() { w[3].Store(3) },
			func() { w[4].Store(math.Float64bits(2)) }, func() { w[5].Store(math.Float64bits(2)) },
			func() { w[6].Store(math.Float64bits(2)) }, func() { w[7].Store(math.Float64bits(2)) },
			func() { w[8].Store(2) },
			func() { w[0].Store(seq + 1) },
		}
		for _, store := range stores[:stop] {
			store()
		}
		c := newCommandOf(2)
		got := s.TakeCommand(&c)
		switch {
		case stop == 0 && (got != TookCommand || c.Decision != 1):
			t.Errorf("before the write: %v %+v", got, c)
		case stop > 0 && got != TookTorn:
			t.Errorf("after %d stores: %v", stop, got)
		}
		brain.PostCommand(&Command{Decision: 7, Values: []float64{7, 7}}) // the next brain
		if got := s.TakeCommand(&c); got != TookCommand || c.Decision != 7 || c.Values[1] != 7 {
			t.Errorf("healed after %d stores: %v %+v", stop, got, c)
		}
	}
}

func TestUnusableCommandIsNotTaken(t *testing.T) {
	s := newSegment(t)
	c := newCommandOf(2)
	for _, spoil := range []func(w []uint64){
		func(w []uint64) { w[4] = math.Float64bits(math.NaN()) },
		func(w []uint64) { w[5] = math.Float64bits(math.Inf(1)) },
		func(w []uint64) { w[3] = 1 << 63 },
		func(w []uint64) { w[3], w[6] = 1, math.Float64bits(math.NaN()) },
	} {
		posted := Command{Decision: 1, Values: []float64{1, 1}}
		s.PostCommand(&posted)
		w := s.mailbox()
		raw := make([]uint64, len(w))
		spoil(raw)
		for i, v := range raw {
			if v != 0 {
				w[i].Store(v)
			}
		}
		spoiled := Command{
			Decision: 1, HoldMask: w[3].Load(),
			Values: []float64{math.Float64frombits(w[4].Load()), math.Float64frombits(w[5].Load())},
			Hold:   []float64{math.Float64frombits(w[6].Load()), math.Float64frombits(w[7].Load())},
		}
		w[8].Store(spoiled.check()) // the check is no secret
		if got := s.TakeCommand(&c); got != TookUnusable {
			t.Errorf("took %v %+v", got, c)
		}
	}
}

// TestConcurrentReadersSeeWholeRecords lets a writer and a reader of every part
// run against each other: each record carries one number in all its fields.
func TestConcurrentReadersSeeWholeRecords(t *testing.T) {
	const rounds = 20_000
	s := newSegment(t)
	brain := attach(t, s)
	var group sync.WaitGroup
	done := make(chan struct{})
	group.Go(func() {
		defer close(done)
		for i := range uint64(rounds) {
			f := float64(i)
			s.StoreSignal(0, f, time.Duration(i), hal.Valid)
			s.StorePort(0, Port{Frames: i, Bytes: i, Errors: i, Dropped: i, Line: hal.LineErrors{Framing: uint32(i), Overruns: uint32(i)}})
			s.StoreStatus(&Status{Epoch: i, BrainStarts: i, Cycles: i, Overruns: i, Discarded: i})
			brain.PostCommand(&Command{Decision: i, Epoch: i, Values: []float64{f, f}, HoldMask: 3, Hold: []float64{f, f}})
		}
	})
	group.Go(func() {
		c := newCommandOf(2)
		for {
			select {
			case <-done:
				return
			default:
			}
			if v, at, ok := brain.LoadSignal(0); ok == hal.Valid && v != float64(at) {
				t.Errorf("torn signal %v %d", v, at)
			}
			if p, ok := brain.LoadPort(0); ok && (p.Frames != p.Dropped || p.Bytes != p.Errors || p.Frames != p.Bytes || p.Line.Framing != uint32(p.Frames) || p.Line.Overruns != uint32(p.Frames)) {
				t.Errorf("torn port %+v", p)
			}
			if st, ok := brain.LoadStatus(); ok && (st.Epoch != st.Discarded || st.Cycles != st.BrainStarts || st.Epoch != st.Cycles) {
				t.Errorf("torn status %+v", st)
			}
			if s.TakeCommand(&c) == TookCommand && (c.Decision != c.Epoch || c.Values[0] != float64(c.Epoch) || c.Hold[1] != c.Values[0] || c.Values[1] != c.Hold[0]) {
				t.Errorf("torn command %+v", c)
			}
		}
	})
	group.Wait()
}

func TestEventsInOrderAndLossCounted(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	const extra = 10
	for i := range EventCapacity + extra {
		if got, want := s.PutEvent(&Event{Kind: EventPort, Index: int32(i), Cause: -1}), i < EventCapacity; got != want {
			t.Fatalf("event %d: put %v", i, got)
		}
	}
	if brain.EventsLost() != extra {
		t.Errorf("%d lost, want %d", brain.EventsLost(), extra)
	}
	var e Event
	for i := range EventCapacity {
		if !brain.TakeEvent(&e) || e.Index != int32(i) || e.Cause != -1 {
			t.Fatalf("event %d: %+v", i, e)
		}
	}
	if brain.TakeEvent(&e) {
		t.Errorf("one more: %+v", e)
	}
	want := Event{EventOutput, 4, -3, -7, math.Pi, 1<<40 + 1, 77, 1 << 60}
	s.PutEvent(&want)
	if !brain.TakeEvent(&e) || e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
}

// TestFloodLeavesRoomForReasons: however many frequent events come, what says why
// finds a place, after those before it.
// TestEveryKindOfEventArrives: none is taken for nonsense, and what no version knows is.
func TestEveryKindOfEventArrives(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	for kind := EventNone; kind <= eventKinds; kind++ {
		s.PutEvent(&Event{Kind: kind, Cause: -1})
	}
	for kind := EventSignal; kind < eventKinds; kind++ {
		var e Event
		if !brain.TakeEvent(&e) || e.Kind != kind || kind.String() == "unknown" {
			t.Errorf("an event of kind %d (%v) was put, %+v came", kind, kind, e)
		}
	}
	if e := (Event{}); brain.TakeEvent(&e) {
		t.Errorf("%+v came", e)
	}
}

func TestFloodLeavesRoomForReasons(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	for i := range 2 * EventCapacity {
		kind := []EventKind{EventSignal, EventReflex, EventOutput, EventOverrun, EventLost}[i%5]
		if got, want := s.PutEvent(&Event{Kind: kind}), i < EventCapacity-EventCapacity/eventReserve; got != want {
			t.Fatalf("%v %d: put %v", kind, i, got)
		}
	}
	for i := range EventCapacity / eventReserve {
		kind := []EventKind{EventLatch, EventLease, EventMode, EventPort, EventBrain, EventAnswer, EventRestart}[i%7]
		if !s.PutEvent(&Event{Kind: kind, Index: int32(i)}) {
			t.Fatalf("%v %d finds no place", kind, i)
		}
	}
	var e Event
	for range EventCapacity {
		if !brain.TakeEvent(&e) {
			t.Fatal("fewer events than the ring has places")
		}
	}
	if e.Index != EventCapacity/eventReserve-1 {
		t.Errorf("the last one is %+v", e)
	}
}

func TestNextBrainContinuesTheRings(t *testing.T) {
	s := newSegment(t)
	first := attach(t, s)
	for i := range 5 {
		s.PutEvent(&Event{Kind: EventSignal, Index: int32(i)})
	}
	var e Event
	first.TakeEvent(&e)
	first.TakeEvent(&e)
	first.PostRequest(Request{Kind: RequestStart, Sequence: 1})

	next := attach(t, s)
	next.PostRequest(Request{Kind: RequestStop, Index: -1, Sequence: 2, Epoch: 3, At: 4})
	for want := 2; want < 5; want++ {
		if !next.TakeEvent(&e) || int(e.Index) != want {
			t.Fatalf("event %+v, want %d", e, want)
		}
	}
	var r Request
	for _, want := range []Request{{Kind: RequestStart, Sequence: 1}, {RequestStop, -1, 2, 3, 4}} {
		if !s.TakeRequest(&r) || r != want {
			t.Fatalf("request %+v, want %+v", r, want)
		}
	}
	if s.TakeRequest(&r) {
		t.Errorf("and then %+v", r)
	}
}

// TestHostileBrain writes random words over everything that the spine reads and
// a good deal more: every call must return, and what it returns must be usable.
func TestHostileBrain(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := newSegment(t)
	c := newCommandOf(2)
	var r Request
	for range 20_000 {
		s.brainWords[random.IntN(len(s.brainWords))].Store(random.Uint64() >> random.IntN(64))
		if s.TakeCommand(&c) == TookCommand && (!finite(c.Values[0]) || !finite(c.Values[1]) || c.HoldMask > 3) {
			t.Fatalf("took %+v", c)
		}
		for n := 0; s.TakeRequest(&r); n++ {
			if n > RequestCapacity {
				t.Fatal("the request ring never ends")
			}
		}
		s.PutEvent(&Event{Kind: EventSignal})
	}
}

// TestBell: between the processes a signal is seen once, several before one look
// are one, and the one who waits cannot get at what is signalled.
func TestBell(t *testing.T) {
	e, err := NewEnds(testLayout())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 2 { // two brains, one after another
		fd, err := unix.FcntlInt(e.Files()[1].Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		brain, err := answerBell(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer brain.Close()
		_, _ = brain.Wait(t.Context(), time.Millisecond) // of before
		for range 3 {
			if woken, err := brain.Wait(t.Context(), time.Millisecond); woken || err != nil {
				t.Errorf("nobody signalled: %v %v", woken, err)
			}
			e.ToBrain.Signal()
			e.ToBrain.Signal()
			if woken, err := brain.Wait(t.Context(), time.Minute); !woken || err != nil {
				t.Errorf("signalled: %v %v", woken, err)
			}
		}
		late := time.AfterFunc(10*time.Millisecond, func() { e.ToBrain.Signal() })
		if woken, err := brain.Wait(t.Context(), time.Minute); !woken || err != nil {
			t.Errorf("signalled while it waited: %v %v", woken, err)
		}
		late.Stop()
		if _, err := unix.Write(fd, one); err == nil {
			t.Error("the brain could write")
		}
	}
}

func TestWake(t *testing.T) {
	w, err := NewPolledWake()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx := t.Context()
	if woken, err := w.Wait(ctx, time.Millisecond); woken || err != nil {
		t.Errorf("nobody signalled: %v %v", woken, err)
	}
	w.Signal()
	w.Signal()
	if woken, err := w.Wait(ctx, time.Minute); !woken || err != nil {
		t.Errorf("signalled: %v %v", woken, err)
	}
	if woken, _ := w.Wait(ctx, time.Millisecond); woken {
		t.Error("two signals before one look are one wake-up")
	}
}

const envPeer = "DANCER_LINK_PEER"

// TestMain is the other process of TestTwoProcesses and TestHostileProcess as well.
func TestMain(m *testing.M) {
	if os.Getenv(envPeer) != "" {
		os.Exit(peer())
	}
	if os.Getenv(envAttack) != "" {
		os.Exit(attack())
	}
	os.Exit(m.Run())
}

// peer posts commands until it has seen a thousand events.
func peer() int {
	e, err := Inherit(testLayout())
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	var event Event
	for seen, decision := 0, uint64(1); seen < 1000; decision++ {
		f := float64(decision)
		if e.Segment.PostCommand(&Command{Decision: decision, Epoch: decision, Values: []float64{f, f}}) != nil || e.ToSpine.Signal() != nil {
			return 1
		}
		for e.Segment.TakeEvent(&event) {
			if int(event.Index) != seen {
				return 2
			}
			seen++
		}
	}
	return 0
}

func TestTwoProcesses(t *testing.T) {
	e, err := NewEnds(testLayout())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envPeer+"=1")
	cmd.ExtraFiles, cmd.Stderr = e.Files(), os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	c, put, last := newCommandOf(2), int32(0), uint64(0)
	for {
		if put < 1000 && uint64(put) <= 10*last && e.Segment.PutEvent(&Event{Kind: EventSignal, Index: put}) {
			put++
		}
		if e.Segment.TakeCommand(&c) == TookCommand {
			if c.Decision <= last || c.Epoch != c.Decision || c.Values[0] != float64(c.Decision) || c.Values[1] != c.Values[0] {
				t.Errorf("command %+v after %d", c, last)
			}
			last = c.Decision
		}
		select {
		case err := <-ended:
			if err != nil || last == 0 {
				t.Errorf("peer: %v, last decision %d", err, last)
			}
			return
		default:
		}
	}
}

func TestInheritWithoutASpine(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envPeer+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the brain is started by dancer run, not by hand") {
		t.Errorf("%v: %s", err, out)
	}
}
