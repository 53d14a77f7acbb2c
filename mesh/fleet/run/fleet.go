package run

import (
	"errors"
	"fmt"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/quorum"
)

// ErrNobody says that a seat has no holder at present. Wait, or look at what failed.
var ErrNobody = errors.New("nobody holds the seat")

// Fleet is a fleet under way. It is not safe for use by several goroutines.
type Fleet struct {
	config   Config
	whole    *whole
	crews    []*crew
	sim      *fleet.Group[coordination.Message]
	recorder *fleet.Recorder
	setup    fleet.Setup
	next     time.Duration // of the script
	left     int
	sequence uint64 // of freezes
}

// New makes a fleet at time 0, with every node started. fleet.ErrFleet and
// fleet.ErrFault say what cannot be.
func New(config Config) (*Fleet, error) {
	config.defaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	topology, err := fleet.NewTopology(config.Agents)
	if err != nil {
		return nil, err
	}
	f := &Fleet{config: config, next: config.First, left: config.Cascades}
	f.setup = fleet.Setup{Topology: topology, Conditions: config.Conditions, Faults: config.Faults, Seed: config.Seed}
	f.whole, f.recorder = newWhole(topology, &f.config), fleet.NewRecorder(topology)
	f.sim, err = fleet.NewGroup(f.setup, f.config.Shares, func(int) fleet.Protocol[coordination.Message] {
		f.crews = append(f.crews, newCrew(f.whole))
		return f.crews[len(f.crews)-1]
	}, f.recorder)
	if err != nil {
		return nil, err
	}
	f.sim.Each = config.Each
	if err := f.wrong(); err != nil {
		return nil, err
	}
	f.sim.Start()
	return f, f.wrong()
}

// wrong is a configuration that this package should not have made.
func (f *Fleet) wrong() error {
	for _, c := range f.crews {
		if c.wrong != nil {
			return c.wrong
		}
	}
	return nil
}

func (f *Fleet) crew(node int32) *crew { return f.crews[f.sim.ShareOf(node)] }

// Run goes on until a true time, and orders the cascades of the script on the way.
func (f *Fleet) Run(until time.Duration) error {
	for f.left > 0 && f.next <= until {
		f.sim.Run(f.next)
		f.left--
		f.next += f.config.Every
		_, _ = f.Coordinate(f.cascade) // a refusal is in the report
	}
	f.sim.Run(until)
	return f.wrong()
}

// cascade is the task of the script. An operator has asked for it.
func (f *Fleet) cascade(now time.Duration) coordination.Task {
	return coordination.Task{
		Phases: f.config.Pattern.phases(now + f.config.Ahead), Confirm: f.config.Confirm,
		Priority: breaker.PriorityUrgent, Operator: true, Approved: true,
	}
}

// Now is the true time that the fleet has come to.
func (f *Fleet) Now() time.Duration { return f.sim.Now() }

// Topology of the fleet.
func (f *Fleet) Topology() *fleet.Topology { return f.setup.Topology }

// Live is what a display shows.
func (f *Fleet) Live() fleet.Live { return f.recorder.Live() }

// Progress is how far the run has come.
func (f *Fleet) Progress(until time.Duration) fleet.Progress {
	c := f.sim.Counters()
	return fleet.Progress{Now: f.sim.Now(), Until: until, Events: c.Events, Waiting: c.Waiting, Up: f.sim.AgentsUp(), Agents: f.setup.Topology.Agents()}
}

// Report is what the run has shown until now. The run may go on.
func (f *Fleet) Report() *fleet.Report {
	f.recorder.Up(f.sim.Now(), f.sim.AgentsUp())
	return f.recorder.Report(f.setup, f.sim.Now(), f.sim.Traffic(), f.sim.Counters())
}

// Holder gives the coordinator that holds the seat of a node (see fleet.Topology) at
// present, and on which node: that node itself, unless another has taken over.
func (f *Fleet) Holder(seat int32) (c *coordination.Coordinator, node int32, err error) {
	if seat < 0 || seat >= f.setup.Topology.Agent(0) {
		return nil, fleet.NoNode, fmt.Errorf("%w: %d has none", ErrNobody, seat)
	}
	for _, candidate := range f.whole.seats[seat].Line {
		n := int32(candidate)
		p := f.crew(n).post(n)
		if p == nil || !f.sim.Up(n) {
			continue
		}
		for i, c := range p.Coordinators {
			if p.seats[i] == seat && c.Leading(f.sim.Local(n, f.sim.Now())) {
				return c, n, nil
			}
		}
	}
	return nil, fleet.NoNode, ErrNobody
}

// Orchestrator gives who holds the seat at the top.
func (f *Fleet) Orchestrator() (c *coordination.Coordinator, node int32, err error) {
	return f.Holder(fleet.Orchestrator)
}

// Agent gives one agent, to be looked at.
func (f *Fleet) Agent(i int32) *coordination.Agent { return &f.whole.agents[i] }

// Up says whether a node has not crashed.
func (f *Fleet) Up(node int32) bool { return f.sim.Up(node) }

// Local is what a node's clock says now.
func (f *Fleet) Local(node int32) time.Duration { return f.sim.Local(node, f.sim.Now()) }

// Do calls the coordinator that holds a seat, at its own time, and sends what it says.
func (f *Fleet) Do(seat int32, call func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox)) error {
	c, node, err := f.Holder(seat)
	if err != nil {
		return err
	}
	f.sim.Act(node, func(n *fleet.Node[coordination.Message]) {
		w := f.crew(node)
		w.source.node = node
		call(n.Now(), c, &w.out)
		w.drain(n)
	})
	return nil
}

// Coordinate orders a cascade at the orchestrator; task makes it, given that node's
// time. It is in the report, also when it is refused.
func (f *Fleet) Coordinate(task func(now time.Duration) coordination.Task) (command uint64, err error) {
	number := f.whole.cascades
	f.whole.cascades++
	refused := f.Do(fleet.Orchestrator, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		t := task(now)
		command, err = f.begin(number, now, c, t, out)
	})
	if err = errors.Join(refused, err); err != nil {
		o := fleet.Observation{Now: f.sim.Now(), Node: fleet.Orchestrator}
		if refused != nil {
			o.Note, o.At = fleet.Note{Kind: fleet.Planned, Operation: number, Value: f.members()}, o.Now
			f.recorder.Observe(&o)
		}
		o.Note = fleet.Note{Kind: fleet.Decided, Operation: number, Value: int32(quorum.Retry)}
		f.recorder.Observe(&o)
	}
	return command, err
}

// begin orders and tells the recorder, before anything is sent.
func (f *Fleet) begin(number int32, now time.Duration, c *coordination.Coordinator, t coordination.Task, out *coordination.Outbox) (command uint64, err error) {
	at := now
	for _, p := range t.Phases {
		at = max(at, p.At)
	}
	f.recorder.Observe(&fleet.Observation{
		Note: fleet.Note{Kind: fleet.Planned, Operation: number, Value: f.members()}, Node: fleet.Orchestrator,
		Now: f.sim.Now(), At: f.sim.Now() + at - now,
	})
	command, _, err = c.Coordinate(now, t, out)
	if err == nil {
		f.whole.running[number%int32(len(f.whole.running))] = running{command: command, number: number}
	}
	return command, err
}

// members are who counts: agents that are machines.
func (f *Fleet) members() (n int32) {
	for i := range f.setup.Topology.Agents() {
		if f.whole.machine(f.setup.Topology.Agent(i)) {
			n++
		}
	}
	return n
}

// Cancel calls a command back; it reports whether there was anything to call back.
func (f *Fleet) Cancel(command uint64) (done bool, err error) {
	err = f.Do(fleet.Orchestrator, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		done = c.Cancel(now, command, out)
	})
	return done, err
}

// Request asks for one operation by the agent of a cluster that does it best.
func (f *Fleet) Request(cluster int32, q coordination.Request) (command uint64, ruling breaker.Ruling, err error) {
	if cluster < 0 || cluster >= f.setup.Topology.Clusters() {
		return 0, ruling, fmt.Errorf("%w: no cluster %d; there are %d", fleet.ErrFleet, cluster, f.setup.Topology.Clusters())
	}
	refused := f.Do(f.setup.Topology.Cluster(cluster), func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		command, ruling, err = c.Request(now, q, out)
	})
	return command, ruling, errors.Join(refused, err)
}

// Freeze freezes what is below the seat of a node, or thaws it.
func (f *Fleet) Freeze(seat int32, frozen bool) error {
	f.sequence++
	return f.Do(seat, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		c.Freeze(now, f.sequence, frozen, out)
	})
}
