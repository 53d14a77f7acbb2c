package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dancer/mesh/impedance"
)

// member starts a member with a fast failure detector and ends it with the test.
func member(t *testing.T, cell, name string, change func(*Options)) *Gossip {
	t.Helper()
	o := Options{Name: name, Cell: cell, probe: 200 * time.Millisecond, Impedance: func() impedance.Record {
		return impedance.Record{Class: impedance.ClassLocal, ProcessingMS: 2, Reliability: 1, Operation: impedance.Active}
	}}
	if change != nil {
		change(&o)
	}
	g, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Leave(context.Background()) })
	return g
}

// uniqueCell keeps tests that run at the same time on one machine apart.
func uniqueCell(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("t%d", time.Now().UnixNano())
}

// until polls a condition to a deadline that only a broken program reaches.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func find(g *Gossip, name string) (Member, bool) {
	for _, m := range g.Members() {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

func alive(g *Gossip) (n int) {
	for _, m := range g.Members() {
		if m.Alive {
			n++
		}
	}
	return n
}

// withRecords counts the live members whose record is known.
func withRecords(g *Gossip) (n int) {
	for _, m := range g.Members() {
		if m.Alive && m.Record != nil && m.Record.Agent == m.Name && m.Record.Score > 0 {
			n++
		}
	}
	return n
}

// TestCell: five members find each other by the automatic range and know each
// other's impedance; a message reaches all of them once; one that says goodbye
// and one that dies without a word are noticed; a name comes back.
func TestCell(t *testing.T) {
	cell := uniqueCell(t)
	var mutex sync.Mutex
	heard := map[string]int{}
	gone := make(chan Member, 64)
	trips := make(chan string, 1)
	var all []*Gossip
	for i := range 5 {
		name := fmt.Sprintf("robot-%d", i)
		all = append(all, member(t, cell, name, func(o *Options) {
			o.OnMessage = func(from string, b []byte) {
				mutex.Lock()
				defer mutex.Unlock()
				heard[name+"<"+from+":"+string(b)]++
			}
			o.OnRoundTrip = func(peer string, _ time.Duration) {
				select {
				case trips <- peer:
				default:
				}
			}
			if i == 0 {
				o.OnChange = func(m Member) {
					if !m.Alive {
						gone <- m
					}
				}
			}
		}))
	}
	for _, g := range all {
		until(t, "five alive with records", func() bool { return withRecords(g) == 5 })
		if s := g.Status(); s.Conflict != "" || s.Oversized != 0 || s.Malformed != 0 {
			t.Errorf("status %+v", s)
		}
	}
	<-trips

	checkBroadcast(t, all[1], heard, &mutex)

	if err := all[4].Leave(context.Background()); err != nil {
		t.Error(err)
	}
	if m := <-gone; m.Name != "robot-4" || m.Alive {
		t.Errorf("after a goodbye: %+v", m)
	}
	crash(t, all[3])
	if m := <-gone; m.Name != "robot-3" || m.Alive {
		t.Errorf("after a crash: %+v", m)
	}
	for _, g := range all[:3] {
		until(t, "three alive", func() bool { return alive(g) == 3 })
		if m, ok := find(g, "robot-3"); !ok || m.Alive || m.Record == nil {
			t.Errorf("the dead one is remembered as %+v", m)
		}
	}
	again := member(t, cell, "robot-4", nil)
	until(t, "the one that left is back", func() bool { m, _ := find(all[0], "robot-4"); return m.Alive && alive(again) == 4 })
}

// checkBroadcast sends messages and waits until everybody else has each once.
func checkBroadcast(t *testing.T, from *Gossip, heard map[string]int, mutex *sync.Mutex) {
	t.Helper()
	const messages = 10
	all := func(burst int) bool {
		mutex.Lock()
		defer mutex.Unlock()
		n := 0
		for what := range heard {
			if strings.Contains(what, fmt.Sprintf(":%d.", burst)) {
				n++
			}
		}
		return n == messages*4
	}
	reached := false
	for burst := 0; burst < 5 && !reached; burst++ { // gossip says a message a few times and not for ever: starved, a member can miss it
		for i := range messages {
			if err := from.Broadcast(fmt.Appendf(nil, "%d.%d", burst, i)); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(15 * time.Second); !reached && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			reached = all(burst)
		}
	}
	if !reached {
		t.Error("of five bursts of ten messages none reached everybody whole")
	}
	mutex.Lock()
	defer mutex.Unlock()
	for what, n := range heard {
		if n != 1 || strings.HasPrefix(what, "robot-1<") {
			t.Errorf("%s %d times", what, n)
		}
	}
	if err := from.Broadcast(make([]byte, MaxMessageBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a message over the limit: %v", err)
	}
}

// crash stops a member without a goodbye.
func crash(t *testing.T, g *Gossip) {
	t.Helper()
	g.once.Do(func() {
		close(g.stop)
		g.joined.Wait()
		if err := g.list.Shutdown(); err != nil {
			t.Error(err)
		}
	})
}

// TestCellsNeverMerge: two cells on one machine stay apart, also when told to
// join each other.
func TestCellsNeverMerge(t *testing.T) {
	one, two := uniqueCell(t)+"a", uniqueCell(t)+"b"
	a1, a2 := member(t, one, "a1", nil), member(t, one, "a2", nil)
	b1, b2 := member(t, two, "b1", nil), member(t, two, "b2", nil)
	intruder := member(t, two, "b3", func(o *Options) { o.Join = []string{a1.Addr(), b1.Addr()} })
	for _, g := range []*Gossip{b1, b2, intruder} {
		until(t, "three of the second cell", func() bool { return alive(g) == 3 })
	}
	until(t, "two of the first cell", func() bool { return alive(a1) == 2 && alive(a2) == 2 })
	if _, err := intruder.list.Join([]string{a1.Addr()}); err == nil {
		t.Error("a join of the other cell succeeds")
	}
	if err := a1.Broadcast([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Gossip{a1, a2} {
		for _, m := range g.Members() {
			if m.Name[0] != 'a' {
				t.Errorf("the first cell knows %+v", m)
			}
		}
	}
	for _, g := range []*Gossip{b1, b2, intruder} {
		for _, m := range g.Members() {
			if m.Name[0] != 'b' {
				t.Errorf("the second cell knows %+v", m)
			}
		}
	}
}

// TestKey: with keys, only members with the same one meet.
func TestKey(t *testing.T) {
	cell := uniqueCell(t)
	keyed := func(b byte) func(*Options) {
		return func(o *Options) { o.Key = []byte(strings.Repeat(string(rune('a'+b)), 32)) }
	}
	a, b, other, none := member(t, cell, "a", keyed(1)), member(t, cell, "b", keyed(1)), member(t, cell, "other", keyed(2)), member(t, cell, "none", nil)
	until(t, "the two with one key meet", func() bool { return alive(a) == 2 && alive(b) == 2 })
	other.look()
	none.look()
	if alive(other) != 1 || alive(none) != 1 || alive(a) != 2 {
		t.Errorf("strangers: %v %v %v", other.Members(), none.Members(), a.Members())
	}
}

// TestConflict: two machines with one name are told so.
func TestConflict(t *testing.T) {
	cell := uniqueCell(t)
	var calls atomic.Int64
	called := func(o *Options) {
		o.OnConflict = func(name, first, second string) {
			if name == "bot" && first != second && strings.HasPrefix(first, "127.0.0.1:") && strings.HasPrefix(second, "127.0.0.1:") {
				calls.Add(1)
			}
		}
	}
	a := member(t, cell, "bot", called)
	b := member(t, cell, "bot", called)
	third := member(t, cell, "third", called)
	until(t, "somebody says so", func() bool {
		for _, g := range []*Gossip{a, b, third} {
			if c := g.Status().Conflict; strings.HasPrefix(c, "two members of cell "+cell+" are called bot, at 127.0.0.1:") && strings.HasSuffix(c, ": give one of them another name") {
				return true
			}
		}
		return false
	})
	until(t, "somebody is called", func() bool { return calls.Load() > 0 })
}

func TestStartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"name":    {Options{Name: "a/b", Cell: "c"}, "name: bad name"},
		"cell":    {Options{Name: "a", Cell: "_c"}, "cell: bad name"},
		"key":     {Options{Name: "a", Cell: "c", Key: make([]byte, 5)}, "key of 5 bytes: 16, 24 or 32 are allowed"},
		"exposed": {Options{Name: "a", Cell: "c", Bind: "0.0.0.0:0", Join: []string{"10.0.0.1:7946"}}, "other hosts can reach it: set mesh.key_file, or bind to 127.0.0.1"},
		"auto":    {Options{Name: "a", Cell: "c", Bind: "10.0.0.1:0", Key: make([]byte, 32)}, "join: auto looks on this machine only: list members under mesh.join"},
		"no port": {Options{Name: "a", Cell: "c", Bind: "127.0.0.1"}, "want address:port"},
		"host":    {Options{Name: "a", Cell: "c", Bind: "robot.local:0"}, "want the numeric address"},
		"port":    {Options{Name: "a", Cell: "c", Bind: "127.0.0.1:99999"}, "port"},
	} {
		g, err := Start(c.options)
		if err == nil {
			_ = g.Leave(context.Background())
			t.Errorf("%s: started", name)
		} else if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: have %v, want %q", name, err, c.want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if g, err := Start(Options{Name: "a", Cell: "c", Bind: l.Addr().String()}); err == nil {
		_ = g.Leave(context.Background())
		t.Error("started on a port that is taken")
	}
}

// TestOversizedRecord: a record that does not fit is left out and counted; the
// library would panic.
func TestOversizedRecord(t *testing.T) {
	g := member(t, uniqueCell(t), "bot", func(o *Options) {
		o.Impedance = func() impedance.Record {
			return impedance.Record{Operation: impedance.Active, Reliability: 1, Context: strings.Repeat("x", 600)}
		}
	})
	if s := g.Status(); s.Oversized == 0 {
		t.Errorf("status %+v", s)
	}
	if m, _ := find(g, "bot"); m.Record != nil {
		t.Errorf("have %+v", m)
	}
	if meta := (delegate{g}).NodeMeta(0); len(meta) != 0 {
		t.Errorf("%d bytes of meta", len(meta))
	}
}

// TestLeaveJoins: members that left leave no goroutine behind, and a second
// Leave is harmless.
func TestLeaveJoins(t *testing.T) {
	cell := uniqueCell(t)
	pair := func() {
		a, b := member(t, cell, "a", nil), member(t, cell, "b", nil)
		until(t, "two", func() bool { return alive(a) == 2 && alive(b) == 2 })
		for _, g := range []*Gossip{a, b, a} {
			if err := g.Leave(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	pair()
	before := runtime.NumGoroutine()
	for range 3 {
		pair()
	}
	until(t, fmt.Sprintf("back to about %d goroutines", before), func() bool { return runtime.NumGoroutine() <= before+4 })
}
