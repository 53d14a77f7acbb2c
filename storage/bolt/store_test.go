package bolt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/storage"
)

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := OpenWith(dir, "robot.db", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// closeStore ends a store and checks the file that it leaves.
func closeStore(t *testing.T, s *Store) {
	t.Helper()
	err := s.Close()
	if errors.Is(err, storage.ErrClosed) {
		return
	}
	if err != nil {
		t.Error(err)
	}
	db, err := tryOpen(s.path, 0)
	if err != nil {
		t.Errorf("the file is not sound after the test: %v", err)
		return
	}
	_ = db.Close()
}

var background = context.Background()

func put(t *testing.T, s *Store, table, key, value string) {
	t.Helper()
	if err := s.Write(background, storage.Change{Table: table, Key: key, Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, s *Store, table, from, to string) (out []string) {
	t.Helper()
	if err := s.Range(table, from, to, func(key string, _ []byte) error {
		out = append(out, key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReadWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for i := range 300 { // more than one read transaction
		put(t, s, storage.TableState, fmt.Sprintf("k%03d", i), fmt.Sprint(i))
	}
	if v, err := s.Get(storage.TableState, "k007"); err != nil || string(v) != "7" {
		t.Errorf("get: %q %v", v, err)
	}
	if _, err := s.Get(storage.TableState, "none"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("get a missing key: %v", err)
	}
	if have := keys(t, s, storage.TableState, "k010", "k013"); fmt.Sprint(have) != "[k010 k011 k012]" {
		t.Errorf("range: %v", have)
	}
	if n := len(keys(t, s, storage.TableState, "", "")); n != 300 || s.Len(storage.TableState) != 300 {
		t.Errorf("%d keys, Len %d", n, s.Len(storage.TableState))
	}
	var newest []string
	if err := s.Newest(storage.TableState, 200, func(key string, _ []byte) error {
		newest = append(newest, key)
		return nil
	}); err != nil || len(newest) != 200 || newest[0] != "k299" || newest[199] != "k100" {
		t.Errorf("newest: %d from %s to %s, %v", len(newest), newest[0], newest[len(newest)-1], err)
	}
	put(t, s, storage.TableState, "k000", "again")
	if err := s.Write(background, storage.Change{Table: storage.TableState, Key: "k001", Delete: true}, storage.Change{Table: storage.TableState, Key: "none", Delete: true}); err != nil {
		t.Fatal(err)
	}
	if n := s.Len(storage.TableState); n != 299 {
		t.Errorf("Len %d after one removal, want 299", n)
	}
	closeStore(t, s)
	s = open(t, dir, Options{})
	if v, err := s.Get(storage.TableState, "k000"); err != nil || string(v) != "again" || s.Len(storage.TableState) != 299 {
		t.Errorf("after opening again: %q %v, %d keys", v, err, s.Len(storage.TableState))
	}
	if len(s.Notes()) != 0 {
		t.Errorf("notes of a sound file: %v", s.Notes())
	}
}

// TestRangeMayWrite: fn may change the table that it walks.
func TestRangeMayWrite(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for i := range 200 {
		put(t, s, storage.TableOutbox, fmt.Sprintf("%03d", i), "x")
	}
	err := s.Range(storage.TableOutbox, "", "", func(key string, _ []byte) error {
		return s.Write(background, storage.Change{Table: storage.TableOutbox, Key: key, Delete: true})
	})
	if err != nil || s.Len(storage.TableOutbox) != 0 {
		t.Errorf("%v, %d left", err, s.Len(storage.TableOutbox))
	}
}

func TestRefusesBadChanges(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, c := range []storage.Change{{Table: "nope", Key: "k"}, {Table: storage.TableState}, {Table: storage.TableState, Key: string(make([]byte, 513))},
		{Table: storage.TableState, Key: "k", Value: make([]byte, storage.MaxRecordBytes+1)}} {
		good := storage.Change{Table: storage.TableState, Key: "good", Value: []byte("x")}
		if err := s.Write(background, good, c); err == nil {
			t.Errorf("table %q, key of %d, value of %d bytes: stored", c.Table, len(c.Key), len(c.Value))
		}
		if _, err := s.Get(storage.TableState, "good"); err == nil {
			t.Error("half of a refused write is stored")
		}
	}
}

// TestWriteOnce: of many concurrent attempts with one id exactly one has its
// effect, also over a restart.
func TestWriteOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	var wins, duplicates int
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			err := s.WriteOnce(background, "id", storage.Change{Table: storage.TableRulings, Key: fmt.Sprint(i), Value: []byte("x")})
			mutex.Lock()
			defer mutex.Unlock()
			switch {
			case err == nil:
				wins++
			case errors.Is(err, storage.ErrDuplicate):
				duplicates++
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if wins != 1 || duplicates != 49 || s.Len(storage.TableRulings) != 1 {
		t.Errorf("%d wins, %d duplicates, %d effects", wins, duplicates, s.Len(storage.TableRulings))
	}
	closeStore(t, s)
	s = open(t, dir, Options{})
	if err := s.WriteOnce(background, "id"); !errors.Is(err, storage.ErrDuplicate) || !s.Handled("id") || s.Handled("other") {
		t.Errorf("after opening again: %v", err)
	}
}

// TestEnqueue: order is kept with durable writes, Flush and Close make it
// durable, and a full queue refuses and counts.
func TestEnqueue(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{QueueRequests: 4, LazyDelay: time.Hour})
	enqueue := func(value string) error {
		return s.Enqueue(storage.Change{Table: storage.TableState, Key: "k", Value: []byte(value)})
	}
	if err := enqueue("first"); err != nil {
		t.Fatal(err)
	}
	put(t, s, storage.TableState, "k", "second")
	if v, _ := s.Get(storage.TableState, "k"); string(v) != "second" {
		t.Errorf("have %q: an older write came later", v)
	}
	if err := enqueue("third"); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(background); err != nil {
		t.Fatal(err)
	}
	if v, _ := s.Get(storage.TableState, "k"); string(v) != "third" {
		t.Errorf("have %q after a flush", v)
	}
	if err := enqueue("fourth"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := enqueue("late"); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Write(background); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	s = open(t, dir, Options{})
	if v, _ := s.Get(storage.TableState, "k"); string(v) != "fourth" {
		t.Errorf("have %q after Close", v)
	}
}

func TestEnqueueRefusesWhenFull(t *testing.T) {
	s := open(t, t.TempDir(), Options{QueueRequests: 8, LazyDelay: time.Hour})
	tx, err := s.db.Begin(true) // holds the writer up
	if err != nil {
		t.Fatal(err)
	}
	blocked := s.Put(storage.TableState, "blocked", []byte("x"))
	refused, taken := 0, 0
	for i := range 100 {
		switch err := s.Enqueue(storage.Change{Table: storage.TableState, Key: fmt.Sprint(i), Value: []byte("x")}); {
		case err == nil:
			taken++
		case errors.Is(err, storage.ErrQueueFull):
			refused++
		default:
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(background, time.Millisecond)
	defer cancel()
	if err := s.Write(ctx, storage.Change{Table: storage.TableState, Key: "late", Value: []byte("x")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write into a full queue: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-blocked; err != nil {
		t.Error(err)
	}
	if err := s.Flush(background); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(storage.TableState, "late"); err == nil {
		taken++ // it entered the queue, and its context ended while it waited there
	}
	if n := s.Len(storage.TableState); n != taken+1 || s.Counters().Refused != uint64(refused) || refused == 0 {
		t.Errorf("%d taken, %d refused, %d stored, counters %+v", taken, refused, n, s.Counters())
	}
	if n := s.Counters().Waiting; n != 0 {
		t.Errorf("%d wait in an idle store", n)
	}
}

func TestRetention(t *testing.T) {
	s := open(t, t.TempDir(), Options{Limits: map[string]Limit{
		storage.TableDecisions: {Records: 100}, storage.TableOutcomes: {Bytes: 1000},
	}})
	for i := range 500 {
		key := fmt.Sprintf("%06d", i)
		if err := s.Enqueue(storage.Change{Table: storage.TableDecisions, Key: key, Value: []byte("x")},
			storage.Change{Table: storage.TableOutcomes, Key: key, Value: make([]byte, 100)},
			storage.Change{Table: storage.TableMarkers, Key: key, Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if err := s.Flush(background); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Flush(background); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string][2]string{storage.TableDecisions: {"000400", "100"}, storage.TableOutcomes: {"000490", "10"}, storage.TableMarkers: {"000000", "500"}} {
		have := keys(t, s, table, "", "")
		if have[0] != want[0] || fmt.Sprint(len(have)) != want[1] || s.Len(table) != len(have) {
			t.Errorf("%s: %d keys (Len %d) from %s, want %s from %s", table, len(have), s.Len(table), have[0], want[1], want[0])
		}
	}
}

func TestOutbox(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	o := s.Outbox()
	item := func(id string) mesh.Item { return mesh.Item{ID: id, Topic: "t", Payload: []byte("p-" + id)} }
	for _, id := range []string{"c", "a", "b", "a"} {
		if err := o.Put(background, item(id), storage.Change{Table: storage.TableEscalations, Key: id, Value: []byte("q")}); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(o.IDs()) != "[a b c]" || o.Len() != 3 || s.Len(storage.TableEscalations) != 3 {
		t.Errorf("ids %v, %d questions", o.IDs(), s.Len(storage.TableEscalations))
	}
	for range 2 { // twice is no error
		if err := o.Remove("b"); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	s = open(t, dir, Options{})
	o = s.Outbox()
	pending := o.Pending()
	if len(pending) != 2 || pending[0].ID != "a" || string(pending[1].Payload) != "p-c" {
		t.Errorf("after opening again: %+v", pending)
	}
	if _, err := o.Get("b"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a removed item: %v", err)
	}
	for i := range OutboxItems - 2 {
		o.ids = append(o.ids, fmt.Sprintf("x%05d", i))
	}
	err := o.Put(background, item("z"))
	if want := "outbox full: 2000 messages wait for their acknowledgement: check the broker and the conductor"; !errors.Is(err, ErrOutboxFull) || err.Error() != want {
		t.Errorf("have %v, want %s", err, want)
	}
}

func TestCopyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	deadline := time.Now().Add(time.Minute)
	for s.Counters().CopiedAt.IsZero() {
		if time.Now().After(deadline) {
			t.Fatal("no copy was made")
		}
		time.Sleep(time.Millisecond)
	}
	closeStore(t, s)
	db, err := tryOpen(filepath.Join(dir, "robot.db.copy"), 0)
	if err != nil {
		t.Fatalf("the copy is not sound: %v", err)
	}
	_ = db.Close()
	s = open(t, dir, Options{})
	if !s.Counters().CopiedAt.IsZero() {
		t.Error("a fresh copy was made again")
	}
}

func BenchmarkWrite(b *testing.B) {
	s, err := Open(b.TempDir(), "robot.db")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	value := make([]byte, 2000)
	for i := 0; b.Loop(); i++ {
		if err := s.Write(background, storage.Change{Table: storage.TableState, Key: fmt.Sprintf("%09d", i), Value: value}); err != nil {
			b.Fatal(err)
		}
	}
}
