package fleet

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/operator"
	"dancer/mesh/quorum"
)

// script waits until the fleet's time is over, orders its cascades on the way, and
// shows how far it is.
func (r *realFleet) script(ctx context.Context) error {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	last, left, next := -1, r.o.Cascades, r.o.First
	command, margin := uint64(0), false
	for second := time.Duration(0); ; {
		now := time.Since(r.begin)
		if now >= r.o.For {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		if now >= second {
			second = now.Truncate(time.Second) + time.Second
			r.census(ctx)
			r.show(now)
		}
		if left > 0 && now >= next {
			left--
			last++
			next += r.o.Every
			margin = false
			var err error
			if command, err = r.order(ctx, int32(last)); err != nil {
				return err
			}
		}
		if command != 0 && !margin {
			margin = r.margin(ctx, int32(last), command)
		}
	}
}

// desk runs f on the desk's goroutine, where the coordinators can be reached.
func (r *realFleet) desk(ctx context.Context, f func()) error {
	if err := r.console.Do(ctx, f); err != nil && ctx.Err() == nil {
		return fmt.Errorf("ask the nodes: %w", err)
	}
	return nil
}

// census tells the witness how many agents the orchestrator takes to be active.
func (r *realFleet) census(ctx context.Context) {
	_ = r.desk(ctx, func() { // a fleet that ends meanwhile is no fault
		r.console.With(operator.All, func(_ time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
			r.watch.active(c.Active())
		})
	})
}

// order gives one cascade of the script.
func (r *realFleet) order(ctx context.Context, number int32) (command uint64, err error) {
	members := int32(0)
	for i := range r.topology.Agents() {
		if r.topology.ClassOf(r.topology.Agent(i)).Counted() {
			members++
		}
	}
	err = r.desk(ctx, func() {
		r.predict()
		var at time.Duration
		r.console.With(operator.All, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
			ahead := r.ahead(c.Need())
			at = time.Since(r.begin) + ahead
			task := coordination.Task{Phases: r.o.Pattern.Phases(now + ahead), Confirm: r.o.Confirm, Priority: breaker.PriorityUrgent, Operator: true, Approved: true}
			command, _, _ = c.Coordinate(now, task, out) // a refusal is in the report
			r.watch.planned(number, command, at, members)
		})
		if at == 0 { // nobody leads
			r.watch.planned(number, 0, time.Since(r.begin)+r.ahead(0), members)
		}
	})
	return command, err
}

// ahead is how long before T a cascade begins, where --ahead does not say. On loopback
// there is hardly a way: everybody at once needs no more than the slowest agent and the
// time for the decision.
func (r *realFleet) ahead(need time.Duration) time.Duration {
	switch {
	case r.o.Ahead > 0:
		return r.o.Ahead
	case r.o.Pattern == run.Parallel && need > 0:
		return need + quorum.DefaultCancelLead + 150*time.Millisecond
	}
	return r.o.Pattern.Ahead()
}

// predict asks every lead what it expects of its agents.
func (r *realFleet) predict() {
	for cluster := range r.topology.Clusters() {
		first, _ := r.topology.Children(r.topology.Cluster(cluster))
		r.console.With(operator.Place{Level: operator.InCluster, Index: cluster}, func(_ time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
			for i := range c.Children() {
				r.watch.predict(first-r.topology.Agent(0)+int32(i), c.Predicted(i, 1000))
			}
		})
	}
}

// margin tells the witness when the agents are to be READY, once they are asked.
func (r *realFleet) margin(ctx context.Context, number int32, command uint64) (known bool) {
	_ = r.desk(ctx, func() {
		r.console.With(operator.All, func(_ time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
			if p, ok := c.Progress(command); ok && p.Tier == quorum.TierAgent && p.Margin > 0 {
				r.watch.margin(number, p.Margin)
				known = true
			}
		})
	})
	return known
}

// show is a line of how far it is, on a terminal.
func (r *realFleet) show(now time.Duration) {
	if !r.o.Live {
		return
	}
	r.watch.mutex.Lock()
	l, late := r.watch.recorder.Live(), r.lateness()
	r.watch.mutex.Unlock()
	mode := "starting"
	if l.ModeKnown {
		mode = l.Mode.String()
	}
	fmt.Fprintf(r.o.Errors, "\r\x1b[K%v of %v  %d of %d active  %s  cascades %d  machine %s", now.Truncate(time.Second), r.o.For, l.Active, l.Members, mode, l.Decided, late)
}

// lateness in words; the mutex is held.
func (r *realFleet) lateness() string {
	h := &r.watch.lateness
	if h.Count() == 0 {
		return "not measured"
	}
	p50, _ := h.Quantile(500, h.Count())
	p99, _ := h.Quantile(990, h.Count())
	return fmt.Sprintf("%v late at the median, %v at 99%%, %v at most", p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond), h.Max().Round(10*time.Microsecond))
}

// report writes what Run writes, and what this machine had to carry.
func (r *realFleet) report(stopped bool) error {
	took := time.Since(r.begin)
	r.watch.mutex.Lock()
	defer r.watch.mutex.Unlock()
	traffic, lost := r.traffic()
	full := r.watch.recorder.Report(fleet.Setup{Topology: r.topology, Conditions: r.o.Conditions, Seed: r.o.Seed}, took, traffic, fleet.Counters{Messages: traffic.Delivered, Works: uint64(r.watch.acts)})
	full.Conditions = fmt.Sprintf("real sockets on loopback and the wall clock of this machine, clocks off by %v and %d ppm", r.o.Conditions.Offset, r.o.Conditions.Drift)
	if r.o.Live {
		fmt.Fprint(r.o.Errors, "\r\x1b[K")
	}
	out := r.o.Out
	var text bytes.Buffer
	r.o.Out = &text
	if err := write(&r.o.Options, full); err != nil {
		return err
	}
	if _, err := out.Write(bytes.Replace(text.Bytes(), []byte(" simulated"), []byte(" of real time"), 1)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	r.o.Out = out
	if err := r.machine(took, lost); err != nil {
		return err
	}
	if stopped && took < r.o.For {
		return fmt.Errorf("%w at %v of %v", ErrInterrupted, took.Round(time.Millisecond), r.o.For)
	}
	return judge(full)
}

// losses are messages that this machine did not carry.
type losses struct{ kernel, busy, queue, refused uint64 }

func (r *realFleet) traffic() (t fleet.Traffic, lost losses) {
	for _, n := range r.nodes {
		if n == nil {
			continue
		}
		s, c := n.host.Network(), n.host.Counters()
		t.Sent, t.Delivered = t.Sent+s.Sent, t.Delivered+s.Received
		lost.kernel, lost.busy, lost.queue = lost.kernel+s.Lost, lost.busy+s.Busy+s.Unsent, lost.queue+c.Overrun
		lost.refused += c.Foreign + c.Unreachable + c.Unsent
	}
	t.Lost = lost.kernel + lost.queue
	return t, lost
}

// overload is how late a machine may be that its figures are the mesh's.
const overload = 20 * time.Millisecond

// machine says what the fleet asked of this machine; what is late here is late in
// every figure above.
func (r *realFleet) machine(took time.Duration, lost losses) error {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return fmt.Errorf("read what this process has used: %w", err)
	}
	busy := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	text := fmt.Sprintf("\nTHIS MACHINE\n%d nodes, each with a socket; %.0f%% of one processor, %d MB at most\nwho waited for a moment woke %s\n",
		len(r.nodes), 100*busy.Seconds()/max(took.Seconds(), 0.001), used.Maxrss>>10, r.lateness())
	text += fmt.Sprintf("lost: %d for a full socket, %d not sent, %d for a full queue; %d refused or for nobody\n", lost.kernel, lost.busy, lost.queue, lost.refused)
	if p99, ok := r.watch.lateness.Quantile(990, r.watch.lateness.Count()); ok && p99 > overload {
		text += fmt.Sprintf("It is OVERLOADED: wake-ups are over %v late; give fewer --agents, the figures above are this machine's and not the mesh's\n", overload)
	}
	_, err := r.o.Out.Write([]byte(text))
	return err
}
