package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/datagram"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// member is a node under test and what it was told.
type member struct {
	*Host
	t       testing.TB
	mutex   sync.Mutex
	asked   []Command
	acts    []Action
	effects []coordination.Effect
	done    chan struct{}
	stop    context.CancelFunc
	outcome coordination.Outcome
	says    string
	tasks   sync.WaitGroup
}

func (m *member) Process(c Command) {
	m.mutex.Lock()
	m.asked = append(m.asked, c)
	o := m.outcome
	m.mutex.Unlock()
	m.tasks.Go(func() {
		if err := m.Processed(context.Background(), c.Number, o, m.says); err != nil && !errors.Is(err, ErrStopped) {
			m.t.Errorf("processed: %v", err)
		}
	})
}

func (m *member) Act(a Action) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.acts = append(m.acts, a)
}

func (m *member) Told(e coordination.Effect) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.effects = append(m.effects, e)
}

func (m *member) acted() []Action {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.acts)
}

// actedOn is what it did on one command.
func (m *member) actedOn(command uint64) (a Action, did bool) {
	for _, a := range m.acted() {
		if a.Number == command {
			return a, true
		}
	}
	return a, false
}

// remember is a Memory that a test can look into, and that can fail.
type remember struct {
	mutex sync.Mutex
	state State
	saved []State
	lost  bool
	fails bool
}

func (r *remember) Load() (State, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return State{Start: r.state.Start, Terms: slices.Clone(r.state.Terms)}, r.lost
}

func (r *remember) Save(s State) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.fails {
		return errors.New("no space left on device")
	}
	r.state = State{Start: s.Start, Terms: slices.Clone(s.Terms)}
	r.saved = append(r.saved, r.state)
	return nil
}

// quick is a cell's timing ten times as fast.
func quick() coordination.Timing {
	return coordination.Timing{Heartbeat: 500 * time.Millisecond, MaxDrift: 150, Sweep: 100 * time.Millisecond}.WithDefaults()
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("robot-%02d", i))
	}
	return all
}

// start makes and runs one member of a cell.
func start(t testing.TB, all []string, name string, change func(*Options)) *member {
	t.Helper()
	book, err := coordination.NewBook("gallery", all, impedance.ClassLocal)
	if err != nil {
		t.Fatal(err)
	}
	self, _ := book.Node(name)
	m := &member{t: t, done: make(chan struct{}), outcome: coordination.Outcome{State: mesh.Ready}}
	o := Options{Book: book, Self: self, Cell: "gallery", Build: Cell(book, self, Member{Timing: quick(), Class: impedance.ClassLocal}), Handler: m}
	if change != nil {
		change(&o)
	}
	if m.Host, err = New(o); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	go func() {
		defer close(m.done)
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(m.end)
	return m
}

func (m *member) end() {
	m.stop()
	<-m.done
	m.tasks.Wait()
}

// meet tells everybody where everybody is.
func meet(t testing.TB, all []*member) {
	t.Helper()
	for _, m := range all {
		for _, other := range all {
			if other != m {
				if err := m.SetPeer(t.Context(), other.name(), other.Addr()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func (m *member) name() string { return m.options.Book.Name(m.options.Self) }

func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func status(t testing.TB, m *member) Status {
	t.Helper()
	s, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lead waits until all follow one of them.
func lead(t testing.TB, all []*member) (holder *member) {
	t.Helper()
	await(t, "lead whom all follow", func() bool {
		holder = nil
		for _, m := range all {
			s := status(t, m)
			if !s.Following || s.Mode != breaker.Full || !s.Measured {
				return false
			}
			if s.Leading {
				holder = m
			}
		}
		return holder != nil
	})
	return holder
}

// someTask asks everybody.
func someTask(at time.Duration) coordination.Task {
	return coordination.Task{Phases: quorum.Parallel(at), Priority: breaker.PriorityUrgent}
}

// together gives commands until everybody has acted on one: a machine that others keep
// busy may be late for some.
func together(t testing.TB, members []*member, payload string) (holder *member, order Order) {
	t.Helper()
	for range 10 {
		holder = lead(t, members)
		var err error
		if order, err = holder.Coordinate(t.Context(), 0, time.Second, someTask, []byte(payload)); err != nil {
			t.Logf("refused: %v", err)
			continue
		}
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			if !slices.ContainsFunc(members, func(m *member) bool { _, did := m.actedOn(order.Command); return !did }) {
				return holder, order
			}
		}
	}
	t.Fatal("of ten commands none on which everybody acted")
	return nil, order
}

// TestCell: members with clocks that are wrong, on a network that is slow and loses,
// find their lead and act together on what it was asked.
func TestCell(t *testing.T) {
	all := names(5)
	var members []*member
	for i, name := range all {
		members = append(members, start(t, all, name, func(o *Options) {
			o.Secret, o.Seed = []byte("0123456789abcdef"), uint64(i+1)
			o.Conditions = datagram.Conditions{Offset: time.Duration(i-2) * 200 * time.Millisecond, Drift: float64(i-2) * 25,
				Out: time.Duration(i) * time.Millisecond, In: time.Duration(4-i) * time.Millisecond, Jitter: time.Millisecond, Loss: 0.02, Seed: uint64(i)}
		}))
	}
	meet(t, members)
	holder, order := together(t, members, "bow")
	for _, m := range members {
		a, _ := m.actedOn(order.Command)
		if a.At != order.At || string(a.Payload) != "bow" {
			t.Errorf("%s acted on %x at %s with %q", m.name(), a.Number, a.At, a.Payload)
		}
		if a.Late < 0 || a.Bound <= 0 && m != holder {
			t.Errorf("%s acted %s from T, give or take %s", m.name(), a.Late, a.Bound)
		}
		t.Logf("%s: %s late, bound %s", m.name(), a.Late, a.Bound)
	}
	if _, err := members[0].Coordinate(t.Context(), 1, time.Second, someTask, nil); !errors.Is(err, coordination.ErrNotLeading) {
		t.Errorf("a seat that is not there: %v", err)
	}
}

// TestNextInLine: when the lead dies another one takes the seat, in a term that was
// stored before anybody heard of it.
func TestNextInLine(t *testing.T) {
	all := names(3)
	var members []*member
	memories := map[string]*remember{}
	for _, name := range all {
		memories[name] = &remember{}
		members = append(members, start(t, all, name, func(o *Options) { o.Memory = memories[name] }))
	}
	meet(t, members)
	first := lead(t, members)
	term := status(t, first).Term
	first.end()
	rest := slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m == first })
	var second *member
	await(t, "next lead", func() bool {
		for _, m := range rest {
			if s := status(t, m); s.Leading && s.Term > term {
				second = m
				return true
			}
		}
		return false
	})
	memory := memories[second.name()]
	memory.mutex.Lock()
	defer memory.mutex.Unlock()
	if stored, leads := memory.state.Term(second.options.Book.Digest()), status(t, second).Term; stored != leads {
		t.Errorf("leads in term %d, %d is stored", leads, stored)
	}
}

// TestStoresBeforeItSends: a member whose disk fails says nothing in a new term, and
// goes on when the disk does.
func TestStoresBeforeItSends(t *testing.T) {
	all := names(3)
	memory := &remember{}
	alone := start(t, all, "robot-01", func(o *Options) { o.Memory = memory })
	memory.mutex.Lock()
	memory.fails = true
	memory.mutex.Unlock()
	other := start(t, all, "robot-02", nil) // and the first in line never comes
	meet(t, []*member{alone, other})
	await(t, "term that cannot be stored", func() bool { return status(t, alone).Unstored })
	if c := alone.Counters(); c.Unstored == 0 {
		t.Errorf("counters %+v", c)
	}
	sent := alone.Network().Sent
	await(t, "message that is withheld", func() bool { return alone.Counters().Withheld > 2 })
	if now := alone.Network().Sent; now != sent {
		t.Errorf("%d datagrams were sent meanwhile", now-sent)
	}
	memory.mutex.Lock()
	memory.fails = false
	memory.mutex.Unlock()
	await(t, "datagram", func() bool { return alone.Network().Sent > sent })
}

// TestStart: each start has a number over all before, whatever the clock says and
// whether the memory is there.
func TestStart(t *testing.T) {
	future := uint32(time.Now().Unix()) + 1_000_000
	for name, c := range map[string]struct {
		memory *remember
		least  uint32
	}{
		"first": {&remember{}, uint32(time.Now().Unix())}, "clock set back": {&remember{state: State{Start: future}}, future + 1},
		"memory lost": {&remember{lost: true}, uint32(time.Now().Unix())},
	} {
		var boot Boot
		m := start(t, names(2), "robot-00", func(o *Options) {
			o.Memory = c.memory
			build := o.Build
			o.Build = func(b Boot) (*coordination.Node, error) { boot = b; return build(b) }
		})
		if s := status(t, m); s.Start < c.least || boot.Start != s.Start || boot.Quiet != c.memory.lost || boot.First>>8 != uint64(s.Start) {
			t.Errorf("%s: start %d, at least %d; boot %+v", name, s.Start, c.least, boot)
		}
		if c.memory.state.Start != boot.Start {
			t.Errorf("%s: start %d is stored", name, c.memory.state.Start)
		}
	}
	if _, err := New(Options{}); !errors.Is(err, ErrOptions) {
		t.Errorf("no options: %v", err)
	}
}

// TestConflictAnswer: a member whose own decision contradicts is not READY, does not
// act, and its word comes to the lead.
func TestConflictAnswer(t *testing.T) {
	all := names(2)
	var members []*member
	for _, name := range all {
		members = append(members, start(t, all, name, nil))
	}
	meet(t, members)
	holder := lead(t, members)
	other := members[0]
	if other == holder {
		other = members[1]
	}
	other.mutex.Lock()
	other.outcome = coordination.Outcome{State: mesh.Conflict, Value: 77}
	other.says = "the brake is on"
	other.mutex.Unlock()
	if _, err := holder.Coordinate(t.Context(), 0, time.Second, someTask, []byte("bow")); err != nil {
		t.Fatal(err)
	}
	has := func(m *member, kind coordination.EffectKind) bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return slices.ContainsFunc(m.effects, func(e coordination.Effect) bool { return e.Kind == kind })
	}
	await(t, "conflict at the lead", func() bool { return has(holder, coordination.Conflicting) })
	await(t, "failure", func() bool { return has(holder, coordination.Failed) })
	words := ""
	if err := holder.Do(t.Context(), func(_ time.Duration, node *coordination.Node, _ *coordination.Outbox) {
		holder.mutex.Lock()
		defer holder.mutex.Unlock()
		for _, e := range holder.effects {
			if e.Kind == coordination.Conflicting {
				words = holder.Words(e.Reporter, e.Command)
			}
		}
	}); err != nil || words != "the brake is on" {
		t.Errorf("the words %q, %v", words, err)
	}
	time.Sleep(time.Second) // T is over
	if len(other.acted())+len(holder.acted()) != 0 {
		t.Errorf("acts of %d and %d", len(other.acted()), len(holder.acted()))
	}
}

// TestForeign: what comes from nobody in the book, or has no payload's right, is
// counted and changes nothing.
func TestForeign(t *testing.T) {
	m := start(t, names(2), "robot-00", func(o *Options) { o.Secret = []byte("0123456789abcdef") })
	s := start(t, []string{"robot-00", "robot-07"}, "robot-07", func(o *Options) { o.Secret = []byte("0123456789abcdef") })
	if err := s.SetPeer(t.Context(), "robot-00", m.Addr()); err != nil {
		t.Fatal(err)
	}
	await(t, "stranger", func() bool { return m.Counters().Foreign > 0 })
	if err := m.SetPeer(t.Context(), "robot-09", netip.AddrPort{}); !errors.Is(err, ErrOptions) {
		t.Errorf("a peer who is no member: %v", err)
	}
	if st := status(t, m); st.Following || st.Leading || st.Mode != breaker.Emergency {
		t.Errorf("alone of two: %+v", st)
	}
	m.end()
	if _, err := m.Status(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("after its end: %v", err)
	}
}
