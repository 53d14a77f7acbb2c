package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/impedance"
	"dancer/mesh/operator"
	"dancer/mesh/quorum"
	"dancer/runtime/web"
)

// warmUp is how much time of its own a fleet has before anybody is let in: everybody
// has been heard, measured and counted, and has been told the mode.
const warmUp = time.Minute

// slice is how much simulated time is run before orders are looked at.
const slice = 20 * time.Millisecond

// ServeOptions of Serve.
type ServeOptions struct {
	Options
	Speed  float64 // simulated seconds in one of the wall clock; default 1
	Server web.ServerOptions
	Ready  func(url string) // called once the API answers
}

// serving is a fleet that runs by the wall clock, with a desk on it. One goroutine
// owns both.
type serving struct {
	o     *ServeOptions
	fleet *run.Fleet
	desk  *operator.Desk
	calls chan func()
	ended chan struct{}
	lag   time.Duration     // by how much the fleet is behind
	asked map[uint64]uint64 // digests of the questions under way, by command
}

// Serve runs a fleet at the speed of the wall clock, or so many times faster, and
// serves the operator's API on it until the context is done. Then the report is
// written, as Run does. Options.For is how long at most, 0: without an end.
func Serve(ctx context.Context, o ServeOptions) error {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if !(o.Speed >= 0.01 && o.Speed <= 1000) {
		return fmt.Errorf("%w: a speed of %g; 0.01 to 1000 are possible", ErrInput, o.Speed)
	}
	endless := o.For == 0
	if endless {
		o.For = fleet.MaxDuration
	}
	s := &serving{o: &o, calls: make(chan func()), ended: make(chan struct{}), asked: map[uint64]uint64{}}
	o.Effects, o.Answer = s.told, func(command uint64) uint64 { return s.asked[command] }
	var err error
	if s.fleet, err = prepare(&o.Options); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := s.open(); err != nil {
		return err
	}
	o.Server.Mesh = web.NewMesh(web.MeshOptions{Desk: s.desk, Do: s.do, Speed: o.Speed, Show: s.show})
	server, err := web.Listen(o.Server)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	fmt.Fprintf(o.Errors, "warming up: %v of %d agents\n", warmUp, o.Agents)
	if err := s.warm(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx); cancel() }()
	if o.Ready != nil {
		o.Ready(server.URL())
	}
	err = s.run(ctx)
	cancel()
	close(s.ended)
	if err := errors.Join(err, <-served); err != nil {
		return err
	}
	if o.Cascades == 0 {
		return nil
	}
	r := s.fleet.Report()
	return errors.Join(write(&o.Options, r), judge(r))
}

// open makes the desk.
func (s *serving) open() (err error) {
	t := s.fleet.Topology()
	s.desk, err = operator.NewDesk(operator.Config{
		Shape: &operator.Shape{Name: fmt.Sprintf("fleet of %d, seed %d", t.Agents(), s.o.Seed), Simulated: true, Topology: &t.Topology, Root: quorum.TierSector,
			Capabilities: run.Capabilities},
		Cores: s, Random: rand.New(rand.NewPCG(uint64(s.o.Seed), 1)), Acts: true,
		// All agents are looked through at most a tenth of the time.
		Refresh: max(time.Second, time.Duration(float64(t.Agents())*float64(5*time.Microsecond)*s.o.Speed)),
	})
	return err
}

// Now implements operator.Cores.
func (s *serving) Now() time.Duration { return s.fleet.Now() }

// With implements operator.Cores.
func (s *serving) With(p operator.Place, call func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox)) bool {
	t, seat := s.fleet.Topology(), fleet.Orchestrator
	switch p.Level {
	case operator.InSector:
		seat = t.Sector(p.Index)
	case operator.InCluster:
		seat = t.Cluster(p.Index)
	}
	return s.fleet.Do(seat, call) == nil
}

// Carry implements operator.Carrier: simulated agents understand no text, but give the
// same answer to the same question.
func (s *serving) Carry(command uint64, kind operator.Kind, text string) {
	if kind == operator.Ask {
		s.asked[command] = impedance.ContextOf(text)
	}
}

// told hands on what coordinators say, and who acts.
func (s *serving) told(e *run.Told) {
	if s.desk == nil {
		return
	}
	if e.Effect.Kind == coordination.Act {
		if !s.desk.Busy() || s.fleet.Topology().ClassOf(e.Node) == impedance.ClassHuman {
			return
		}
	} else if e.Effect.Kind < coordination.LeadingChanged {
		return
	}
	s.desk.Observe(e.Effect)
}

// show adds what the desk does not know.
func (s *serving) show(st *operator.Status) {
	st.Speed, st.LagMS = s.o.Speed, float64(s.lag.Round(time.Millisecond))/float64(time.Millisecond)
}

// do runs f where the fleet is owned.
func (s *serving) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case s.calls <- func() { f(); close(done) }:
		<-done // it does not wait for anything
		return nil
	case <-s.ended:
		return errors.New("the fleet has ended")
	case <-ctx.Done():
		return fmt.Errorf("the fleet is too slow for this machine: %w", ctx.Err())
	}
}

func (s *serving) warm(ctx context.Context) error {
	for s.fleet.Now() < min(warmUp, s.o.For) {
		if ctx.Err() != nil {
			return fmt.Errorf("%w while warming up", ErrInterrupted)
		}
		if err := s.fleet.Run(s.fleet.Now() + step); err != nil {
			return err
		}
	}
	return nil
}

// run keeps the fleet beside the wall clock.
func (s *serving) run(ctx context.Context) error {
	began, from := time.Now(), s.fleet.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		goal := min(from+time.Duration(float64(time.Since(began))*s.o.Speed), s.o.For)
		ahead := time.Duration(float64(slice) * max(s.o.Speed, 1))
		if err := s.fleet.Run(min(goal, s.fleet.Now()+ahead)); err != nil {
			return err
		}
		s.lag = max(goal-s.fleet.Now(), 0)
		if s.desk.Tick(); !s.desk.Busy() {
			clear(s.asked)
		}
		if s.fleet.Now() >= s.o.For {
			return nil
		}
		wait := time.Duration(0) // behind: only who waits already is let in
		if s.lag == 0 {
			wait = slice / 2
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case call := <-s.calls:
			call()
		case <-timer.C:
		}
	}
}
