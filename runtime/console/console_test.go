package console

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
	"dancer/mesh/operator"
	"dancer/mesh/quorum"
	"dancer/runtime/host"
)

// robot is the one member of a cell; it answers every command.
type robot struct {
	host    *host.Host
	console *Console
	works   sync.WaitGroup
}

func (r *robot) Process(c host.Command) {
	r.works.Go(func() {
		_ = r.host.Processed(context.Background(), c.Number, coordination.Outcome{State: mesh.Ready, Value: 7}, "well: "+string(c.Payload))
	})
}

func (r *robot) Act(a host.Action) {
	r.console.Tell(coordination.Effect{Kind: coordination.Act, Command: a.Number, Late: a.Late, Bound: a.Bound})
}

func (r *robot) Told(e coordination.Effect) { r.console.Tell(e) }

func shape() *operator.Shape {
	return &operator.Shape{Name: "cell x", Root: quorum.TierAgent, Agents: []string{"solo"},
		Topology: &quorum.Topology{Sectors: 1, ClusterSector: []int32{0}, AgentCluster: []int32{0}, AgentClass: []uint8{quorum.ClassLocal}}}
}

// newRobot runs a cell of one with its console, until the test ends.
func newRobot(t *testing.T) *robot {
	t.Helper()
	book, err := coordination.NewBook("x", []string{"solo"}, impedance.ClassLocal)
	if err != nil {
		t.Fatal(err)
	}
	r := &robot{}
	if r.console, err = New(Options{Shape: shape(), Acts: true, Seat: func(operator.Place) (Seat, bool) { return Seat{Host: r.host}, true }, Node: func(agent int32) uint32 { return uint32(agent) }}); err != nil {
		t.Fatal(err)
	}
	timing := coordination.Timing{Heartbeat: 200 * time.Millisecond, Sweep: 50 * time.Millisecond}.WithDefaults()
	if r.host, err = host.New(host.Options{Book: book, Cell: "x", Handler: r, Build: host.Cell(book, 0, host.Member{Timing: timing, Class: impedance.ClassLocal})}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = r.host.Run(ctx) })
	parts.Go(func() { _ = r.console.Run(ctx) })
	t.Cleanup(func() { cancel(); parts.Wait(); r.works.Wait() })
	return r
}

// until waits for what the cell does by itself.
func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestConsole: what an operator orders goes to a real node and comes back in words.
func TestConsole(t *testing.T) {
	r := newRobot(t)
	m := r.console.Mesh()
	until(t, "the cell is well", func() bool {
		s, err := m.Status(t.Context())
		return err == nil && s.Led && s.Mode == "FULL" && s.Agents.Active == 1
	})
	finish := func(o operator.Order) operator.Operation {
		t.Helper()
		o.By = "kim"
		op, err := m.Start(t.Context(), o, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		until(t, string(o.Kind)+" ends", func() bool {
			op, err = m.Operation(t.Context(), op.ID)
			return err == nil && op.Ended()
		})
		return op
	}
	if op := finish(operator.Order{Kind: operator.Ask, Text: "how are you"}); op.State != operator.Done || op.Ask.Groups[0].Answer != "well: how are you" || op.Ask.Groups[0].Named[0] != "solo" {
		t.Errorf("%+v", op.Ask)
	}
	if op := finish(operator.Order{Kind: operator.Broadcast, Text: "go"}); op.State != operator.Done || op.Broadcast.Acted.Agents != 1 {
		t.Errorf("%+v %+v", op.Broadcast, op.Broadcast.Acted)
	}
	// Many at once, while the desk works: run with -race.
	var many sync.WaitGroup
	for range 8 {
		many.Go(func() {
			for range 20 {
				if _, err := m.Status(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := m.Agents(t.Context(), operator.Filter{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	finish(operator.Order{Kind: operator.Delegate, Text: "fetch"})
	many.Wait()
}

// TestConsoleWithoutNodes: nobody leads, nothing waits for ever, and what finds no room
// is counted.
func TestConsoleWithoutNodes(t *testing.T) {
	c, err := New(Options{Shape: shape(), Queue: 2, Seat: func(operator.Place) (Seat, bool) { return Seat{}, false }})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c.Tell(coordination.Effect{Kind: coordination.Committed})
	}
	c.Tell(coordination.Effect{Kind: coordination.Process}) // an agent's own: not for a desk
	if c.Dropped() != 3 {
		t.Errorf("%d dropped", c.Dropped())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	s, err := c.Mesh().Status(t.Context())
	if err != nil || s.Led || s.Agents.Unknown != 1 || s.Mode != "EMERGENCY" {
		t.Errorf("%v %+v", err, s)
	}
	if _, err := c.Mesh().Start(t.Context(), operator.Order{Kind: operator.Freeze, By: "kim"}, time.Time{}); !errors.Is(err, operator.ErrNotLed) {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := c.Do(t.Context(), func() {}); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}

// TestStuckNode: a node that does not answer is as good as not there, and what was
// meant for it never happens later.
func TestStuckNode(t *testing.T) {
	r := newRobot(t)
	until(t, "it leads", func() bool { s, err := r.host.Status(t.Context()); return err == nil && s.Leading })
	release := make(chan struct{})
	go func() {
		_ = r.host.Do(context.Background(), func(time.Duration, *coordination.Node, *coordination.Outbox) { <-release })
	}()
	time.Sleep(50 * time.Millisecond)
	called := false
	reached := true
	if err := r.console.Do(t.Context(), func() {
		reached = r.console.With(operator.All, func(time.Duration, *coordination.Coordinator, *coordination.Outbox) { called = true })
	}); err != nil {
		t.Fatal(err)
	}
	close(release)
	until(t, "it answers again", func() bool { _, err := r.host.Status(t.Context()); return err == nil })
	if reached || called {
		t.Errorf("reached %v, called %v", reached, called)
	}
}
