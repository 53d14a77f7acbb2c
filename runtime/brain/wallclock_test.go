package brain

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/mesh"
)

func TestWallClockLook(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var w wallClock
	wall := start
	for i, step := range []struct {
		monotonic, apart time.Duration // since the last look, and that the reading took
		wall             time.Duration // what the wall clock went on by
		jump             time.Duration
		ok               bool
	}{
		{0, 0, 0, 0, true},
		{time.Second, 0, time.Second, 0, true},
		{time.Second, 10 * time.Millisecond, time.Second + 5*time.Millisecond, 0, true},
		{time.Second, 0, time.Second - time.Hour, -time.Hour, true},
		{time.Second, 0, time.Second, 0, true},
		{time.Second, 0, time.Second + 365*24*time.Hour, 365 * 24 * time.Hour, true},
		{time.Second, 0, time.Second + 90*time.Millisecond, 0, true}, // too little to tell
		{time.Second, 0, time.Second + 90*time.Millisecond, 0, true}, // and it does not add up: clocks are steered
		{time.Second, time.Second, time.Second + time.Hour, 0, false},
		{time.Second, 0, time.Second, time.Hour, true}, // told by the next exact reading
	} {
		wall = wall.Add(step.wall)
		before := time.Duration(i) * step.monotonic
		jump, ok := w.look(before-step.apart/2, wall, before+step.apart/2)
		if (jump-step.jump).Abs() > 10*time.Millisecond || ok != step.ok {
			t.Errorf("look %d: jump %v %v, want %v %v", i, jump, ok, step.jump, step.ok)
		}
	}
}

// watched is a brain with clocks of the test's own and nothing but a store.
type watched struct {
	*brain
	offset atomic.Int64 // of the wall clock
	events <-chan []byte
}

func newWatched(t *testing.T, folder string) *watched {
	t.Helper()
	w := &watched{}
	began := time.Now()
	log := slog.New(slog.DiscardHandler)
	archive, err := openArchive(folder, log)
	if err != nil {
		t.Fatal(err)
	}
	w.brain = &brain{
		clock:   func() time.Duration { return time.Since(began) + time.Hour },
		wall:    func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) },
		archive: archive, log: log,
	}
	w.hub = newHub(w.wall)
	events, end := w.hub.subscribe()
	t.Cleanup(end)
	w.events = events
	return w
}

// watch runs the watch until do has returned, then closes the store.
func (w *watched) watch(t *testing.T, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.watchWallClock(ctx) }()
	do()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := w.archive.store.Close(); err != nil {
		t.Error(err)
	}
}

// told waits for the next jump that is told.
func (w *watched) told(t *testing.T) (e clockEvent) {
	t.Helper()
	select {
	case line := <-w.events:
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
	}
	return e
}

func near(a, b time.Duration) bool { return (a - b).Abs() < time.Minute }

// TestWallClockIsWatched: jumps are told while the brain runs, and by the next one
// if there was none.
func TestWallClockIsWatched(t *testing.T) {
	if bootID() == "" {
		t.Skip("the kernel does not say which boot this is, so nothing is kept from one brain to the next")
	}
	folder := t.TempDir()
	w := newWatched(t, folder)
	w.watch(t, func() {
		for stored := false; !stored; time.Sleep(time.Millisecond) { // the first look
			_, err := w.archive.wallClock.Get(wallClockKey)
			stored = err == nil
		}
		w.offset.Store(int64(-time.Hour))
		e := w.told(t)
		if by := time.Duration(e.JumpNS); !near(by, -time.Hour) || !near(e.Is.Sub(e.Was), -time.Hour) || !near(time.Since(e.Is), time.Hour) {
			t.Errorf("told %+v", e)
		}
	})
	again := newWatched(t, folder)
	again.clock = w.clock // the machine has not been started anew
	again.offset.Store(int64(365 * 24 * time.Hour))
	again.watch(t, func() {
		if e := again.told(t); !near(time.Duration(e.JumpNS), 366*24*time.Hour-23*time.Hour) {
			t.Errorf("the next brain told %v", time.Duration(e.JumpNS))
		}
	})
	if len(again.events) != 0 || len(w.events) != 0 {
		t.Error("a jump is told twice")
	}
}

// TestArchiveNewestIDs: what a brain makes after the clock was set back is the
// newest all the same.
func TestArchiveNewestIDs(t *testing.T) {
	w := newWatched(t, t.TempDir())
	defer w.archive.store.Close()
	const decision, question = "01ZZZZZZZZZZZZZZZZZZZZZZZ1", "01ZZZZZZZZZZZZZZZZZZZZZZZ2"
	w.archive.decision(&dancer.Decision{ID: decision})
	change, err := w.archive.questions.Change(question, mesh.Escalation{ID: question})
	if err == nil {
		err = w.archive.store.Write(t.Context(), change)
	}
	if err != nil {
		t.Fatal(err)
	}
	if ids := w.archive.newestIDs(); len(ids) != 2 || ids[0] != decision || ids[1] != question {
		t.Errorf("newest ids %v", ids)
	}
}
