package conflicts

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/conflict"
	"dancer/storage"
	"dancer/storage/bolt"
	"dancer/storage/segment"
)

// rig is a keeper on a real store, with clocks of its own.
type rig struct {
	t     *testing.T
	data  string
	store *bolt.Store
	k     *Keeper
	now   time.Duration
	wall  time.Time
	told  []conflict.Record
	log   *bytes.Buffer
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, data: t.TempDir(), wall: noon, log: &bytes.Buffer{}}
	r.open()
	t.Cleanup(func() {
		if r.k != nil {
			r.shut()
		}
	})
	return r
}

func (r *rig) open() { r.openWith(0) }

func (r *rig) openWith(most int64) {
	r.t.Helper()
	var err error
	if r.store, err = bolt.OpenWith(r.data, "robot", bolt.Options{LazyDelay: 50 * time.Millisecond}); err != nil {
		r.t.Fatal(err)
	}
	ids := mesh.NewIDs(rand.Reader)
	r.k, err = Open(Options{
		Data: r.data, Store: r.store, Owner: "bot-1", Cell: "hall", SegmentBytes: 4096, MaxBytes: most, Context: func() string { return "sha256:77" },
		NewID: func() string {
			id, err := ids.Next(r.wall)
			if err != nil {
				r.t.Error(err)
			}
			return id
		},
		Wall: func() time.Time { return r.wall }, Clock: func() time.Duration { return r.now },
		Told: func(c conflict.Record) { r.told = append(r.told, c) }, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) shut() {
	r.t.Helper()
	if err := r.k.finish(); err != nil {
		r.t.Error(err)
	}
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
	r.k = nil
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) { r.now, r.wall = r.now+d, r.wall.Add(d) }

func claim(t conflict.Type, agent, subject string) conflict.Claim {
	return conflict.Claim{Detail: conflict.Detail{Type: t}, Agent: agent, Subject: subject, Expected: "a", Received: "b"}
}

// check asks the same of the index and of the log, and gives the answer.
func (r *rig) check(q Query) []conflict.Record {
	r.t.Helper()
	if err := r.store.Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	quick, err := r.k.Query(q)
	slow, err2 := Read(r.data, q)
	if err != nil || err2 != nil {
		r.t.Fatal(err, err2)
	}
	if !reflect.DeepEqual(quick, slow) {
		r.t.Fatalf("%+v:\nindex %+v\nlog   %+v", q, quick, slow)
	}
	if strings.Contains(r.log.String(), "does not fit its log") {
		r.t.Fatal(r.log)
	}
	return quick.Conflicts
}

func TestKeeper(t *testing.T) {
	r := newRig(t)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "address"))
	r.pass(time.Second)
	r.k.take(claim(conflict.DataContradiction, "bot-3", "address"))
	r.pass(time.Second)
	damaged := claim(conflict.HashMismatch, "", "question")
	damaged.Source, damaged.Data, damaged.Message = "bot-9", []byte("what came"), "01JD8Z7M8R0000000000000000"
	r.k.take(damaged)
	r.pass(time.Second)
	ruling := conflict.OfRulings(mesh.Ruling{Verdict: mesh.RuleDeny, By: "Ada"}, mesh.Ruling{Escalation: "Q", Verdict: mesh.RuleApprove, By: "Bo"})
	r.k.take(ruling)

	all := r.check(Query{})
	if len(all) != 3 || all[0].Event != conflict.EventResolved || all[0].By != conflict.ByRule || all[0].Outcome != "keep-expected" ||
		all[2].Count != 2 || all[2].Agents != 2 || all[2].Event != conflict.EventAgain {
		t.Fatalf("%+v", all)
	}
	if critical := all[1]; critical.Agent != "bot-1" || critical.Context != "sha256:77" || critical.Quarantined == nil || string(critical.Quarantined.Data) != "what came" {
		t.Errorf("%+v", critical)
	}
	if len(r.told) != 1 || !slices.Equal(r.told[0].Escalated, []string{"sector", "orchestrator"}) {
		t.Errorf("told %+v", r.told)
	}
	for name, c := range map[string]struct {
		q    Query
		want int
	}{
		"agent":          {Query{Agent: "bot-2"}, 1},
		"source":         {Query{Agent: "bot-9"}, 1},
		"nobody":         {Query{Agent: "bot-4"}, 0},
		"type":           {Query{Type: conflict.DataContradiction}, 2},
		"priority":       {Query{Priority: conflict.High}, 1},
		"since":          {Query{Since: noon.Add(2 * time.Second)}, 2},
		"until":          {Query{Until: noon.Add(time.Second)}, 1},
		"between":        {Query{Since: noon.Add(time.Second), Until: noon.Add(2 * time.Second), Type: conflict.DataContradiction}, 1},
		"agent and type": {Query{Agent: "bot-9", Type: conflict.DataContradiction}, 0},
		"limit":          {Query{Limit: 2}, 2},
		"id":             {Query{ID: all[0].ID}, 1},
	} {
		if have := r.check(c.q); len(have) != c.want {
			t.Errorf("%s: %d conflicts, want %d: %+v", name, len(have), c.want, have)
		}
	}
	found, err := Read(r.data, Query{ID: all[0].ID})
	if err != nil || len(found.History) != 2 {
		t.Errorf("%v %+v", err, found)
	}
	if lines := strings.Join(Explain(found.History), "\n"); !strings.Contains(lines, "deny by Ada") || !strings.Contains(lines, "by rule") || !strings.Contains(lines, "PROVENANCE_TRACE") {
		t.Error(lines)
	}
	if problems := r.k.Problems(); len(problems) != 1 || !strings.Contains(problems[0], "HASH_MISMATCH") {
		t.Errorf("%q", problems)
	}
}

// TestRestart: what is open stays open, with its count and its quarantine; an index
// that is missing, behind, of another log or damaged is made anew.
func TestRestart(t *testing.T) {
	for name, harm := range map[string]func(r *rig){
		"nothing": func(*rig) {},
		"missing": func(r *rig) { r.without(func(string) bool { return true }) },
		"a key is missing": func(r *rig) {
			first := true
			r.without(func(key string) bool { was := first; first = false; return was })
		},
		"without its head": func(r *rig) { r.without(func(key string) bool { return key == headKey }) },
		"of another log": func(r *rig) {
			x := newIndex(r.store, slog.New(slog.DiscardHandler))
			x.keys = uint64(r.store.Len(storage.TableConflicts))
			change := x.headChange(segment.Head{Count: 2, Hash: segment.Hash{1}})
			if err := r.store.Write(context.Background(), change); err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for i := range 20 {
				r.k.take(claim(conflict.DataContradiction, "bot-2", fmt.Sprint("fact ", i)))
				r.pass(time.Second)
			}
			damaged := claim(conflict.HashMismatch, "bot-3", "message")
			damaged.Data = []byte("evidence")
			r.k.take(damaged)
			r.k.take(damaged)
			before := r.check(Query{})
			id := before[0].ID
			if err := r.store.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			harm(r)
			r.shut()
			r.told = nil
			r.open()
			if after := r.check(Query{}); !reflect.DeepEqual(after, before) {
				t.Fatalf("before %+v\nafter %+v", before, after)
			}
			if anew := strings.Contains(r.log.String(), "made anew"); anew != (name != "nothing") {
				t.Errorf("made anew: %v\n%s", anew, r.log)
			}
			if open := r.k.Open(); len(open) != 21 || open[0].ID != id || open[0].Count != 2 || open[0].Priority != conflict.Critical {
				t.Fatalf("%d open: %+v", len(open), open[0])
			}
			if c := r.k.Counters(); c.Quarantine.Items != 1 || len(r.told) != 0 {
				t.Errorf("%+v, told %+v", c.Quarantine, r.told)
			}
			r.k.take(damaged) // still the same conflict
			r.k.take(damaged)
			if again := r.check(Query{Type: conflict.HashMismatch}); len(again) != 1 || again[0].Count != 4 {
				t.Errorf("%+v", again)
			}
			if report, _, err := Verify(r.data, nil); err != nil || !report.Sound() {
				t.Errorf("%v %+v", err, report)
			}
		})
	}
}

// TestIndexBehind: what the store had not committed when the power went is made up
// for, without making all of it anew.
func TestIndexBehind(t *testing.T) {
	r := newRig(t)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "one"))
	index := r.k.index
	r.k.index = nil // from here on nothing of it reaches the store
	r.pass(time.Second)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "two"))
	r.k.index = index
	r.shut()
	r.open()
	if all := r.check(Query{Agent: "bot-2"}); len(all) != 2 || strings.Contains(r.log.String(), "made anew") {
		t.Errorf("%+v\n%s", all, r.log)
	}
}

// without deletes keys of the index.
func (r *rig) without(gone func(string) bool) {
	var changes []storage.Change
	err := r.store.Range(storage.TableConflicts, "", "", func(key string, _ []byte) error {
		if gone(key) {
			changes = append(changes, storage.Change{Table: storage.TableConflicts, Key: key, Delete: true})
		}
		return nil
	})
	if err == nil {
		err = r.store.Write(context.Background(), changes...)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestRolledBackLog: who cuts the log and its head is found at the next start, by
// the index, and the log says so for good.
func TestRolledBackLog(t *testing.T) {
	r := newRig(t)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "one"))
	r.shut()
	old := map[string][]byte{}
	for _, path := range []string{filepath.Join(FolderIn(r.data), "00000001.segment"), segment.HeadOf(FolderIn(r.data))} {
		var err error
		if old[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	r.open()
	r.k.take(claim(conflict.HashMismatch, "bot-2", "two"))
	r.shut()
	for path, data := range old {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if report, _, err := Verify(r.data, nil); err != nil || !report.Sound() {
		t.Fatalf("by itself the old log is sound: %v %+v", err, report)
	}
	r.open()
	report, _, err := Verify(r.data, nil)
	if err != nil || report.Sound() || len(report.Marks) != 1 || report.Marks[0].What != segment.MarkLost {
		t.Errorf("%v %+v", err, report)
	}
	if lines := strings.Join(Verdict("here", report), "\n"); !strings.Contains(lines, "cannot be read any more") {
		t.Error(lines)
	}
}

// TestStorm: equal claims cost some records, different ones a bounded number, and
// what is left out is counted.
func TestStorm(t *testing.T) {
	r := newRig(t)
	for i := range 30_000 {
		r.k.take(claim(conflict.DataContradiction, fmt.Sprintf("bot-%d", i%300), "one fact"))
	}
	if c := r.k.Counters(); c.Log.Appended != 16 || c.Open != 1 || c.Unlogged != 0 {
		t.Errorf("equal: %+v", c)
	}
	for i := range 30_000 {
		r.k.take(claim(conflict.HashMismatch, fmt.Sprintf("evil-%d", i%5000), fmt.Sprint("fact ", i)))
	}
	c := r.k.Counters()
	if c.Open > maxOpen || c.Log.Appended > 16+logBurst || c.Unlogged < 29_000 || len(r.k.names) > 4096 || len(r.k.open) > c.Open {
		t.Errorf("different: %+v, %d names, %d open", c, len(r.k.names), len(r.k.open))
	}
	r.pass(time.Minute)
	r.k.tick()
	if len(r.k.open) > maxOpen {
		t.Errorf("%d records of open conflicts are kept", len(r.k.open))
	}
}

func TestDeadlinesAndQuiet(t *testing.T) {
	r := newRig(t)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "fact"))
	r.pass(10 * time.Minute)
	r.k.tick()
	r.pass(time.Minute)
	r.k.tick()
	if len(r.told) != 2 || !slices.Equal(r.told[0].Escalated, []string{"sector"}) || !slices.Equal(r.told[1].Escalated, []string{"orchestrator"}) {
		t.Fatalf("%+v", r.told)
	}
	r.pass(25 * time.Hour)
	r.k.tick()
	if all := r.check(Query{}); len(all) != 1 || all[0].Event != conflict.EventResolved || all[0].Why != "nobody has reported it for 24 hours" || len(r.k.Open()) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestDecide(t *testing.T) {
	r := newRig(t)
	c := claim(conflict.HashMismatch, "bot-2", "message")
	c.Data = []byte("x")
	r.k.take(c)
	id := r.k.Open()[0].ID
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wait sync.WaitGroup
	k, store := r.k, r.store
	r.k = nil // Run closes it
	wait.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, bad := range []struct {
		id, decision, by string
		want             error
	}{{id, "forget", "Ada", conflict.ErrInvalid}, {id, DecideRelease, "", conflict.ErrNobody}, {"none", DecideRelease, "Ada", conflict.ErrUnknown}} {
		if err := k.Decide(ctx, bad.id, bad.decision, bad.by, ""); !errors.Is(err, bad.want) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := k.Decide(ctx, id, DecideRelease, "Ada", "it was right"); err != nil {
		t.Error(err)
	}
	if err := k.Decide(ctx, id, DecideDiscard, "Bo", ""); !errors.Is(err, conflict.ErrUnknown) {
		t.Errorf("decided twice: %v", err)
	}
	cancel()
	wait.Wait()
	if err := k.Decide(context.Background(), id, DecideDiscard, "Bo", ""); !errors.Is(err, segment.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if c := k.Counters().Quarantine; c.Released != 1 || c.Items != 0 {
		t.Errorf("%+v", c)
	}
	found, err := Read(r.data, Query{ID: id})
	if err != nil || found.Conflicts[0].Event != conflict.EventReleased || found.Conflicts[0].By != "Ada" {
		t.Errorf("%v %+v", err, found)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func TestFindAndVerify(t *testing.T) {
	r := newRig(t)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "fact"))
	for _, dir := range []string{r.data, FolderIn(r.data)} {
		if have, err := Find(dir); err != nil || have != FolderIn(r.data) {
			t.Errorf("%s: %s, %v", dir, have, err)
		}
	}
	robot := t.TempDir()
	if err := os.Rename(r.data, filepath.Join(robot, "brain")); err != nil {
		t.Fatal(err)
	}
	if have, err := Find(robot); err != nil || have != FolderIn(filepath.Join(robot, "brain")) {
		t.Errorf("a robot's folder: %s, %v", have, err)
	}
	if err := os.Rename(filepath.Join(robot, "brain"), r.data); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(t.TempDir()); !errors.Is(err, ErrNoLog) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Find(filepath.Join(robot, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	r.shut()
	if err := os.RemoveAll(FolderIn(r.data)); err != nil {
		t.Fatal(err)
	}
	if report, _, err := Verify(r.data, nil); err != nil || report.Sound() {
		t.Errorf("the whole log is gone: %v %+v", err, report)
	}
}

// TestRecordsAreForEveryClient: what is listed is JSON with the documented names.
func TestListedJSON(t *testing.T) {
	r := newRig(t)
	r.k.take(claim(conflict.DataContradiction, "bot-2", "fact"))
	raw, err := json.Marshal(r.check(Query{})[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"type":"DATA_CONTRADICTION"`, `"priority":2`, `"event":"opened"`, `"expected":{"text":"a"}`, `"count":1`, `"due_at":"2026-11-22T12:10:00Z"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s lacks %s", raw, want)
		}
	}
}

// TestPrunedIndex: the index does not outgrow a log that has reached its bound.
func TestPrunedIndex(t *testing.T) {
	r := newRig(t)
	r.shut()
	most := 0
	for range 3 {
		r.openWith(12 << 10)
		for i := range 100 {
			r.pass(time.Second)
			r.k.take(claim(conflict.DataContradiction, fmt.Sprint("bot-", i%40), fmt.Sprint(r.now)))
			if i%10 == 0 {
				if err := r.store.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			most = max(most, r.store.Len(storage.TableConflicts))
		}
		if r.k.records.First() == 0 || most > 4*50 {
			t.Fatalf("first record %d, up to %d keys", r.k.records.First(), most)
		}
		all := r.check(Query{Since: noon.Add(time.Second)})
		if len(all) < 10 || len(all) > 60 || r.check(Query{Limit: 1})[0].Subject != fmt.Sprint(r.now) {
			t.Errorf("%d conflicts", len(all))
		}
		r.shut()
		if strings.Contains(r.log.String(), "made anew") {
			t.Error(r.log)
		}
	}
	r.openWith(0)
}
