package coordination

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// Below is what is below a child that is a coordinator, itself not counted. It is
// fixed: what dies stays a member, so that no quorum comes from a minority.
type Below struct {
	Clusters int32
	Agents   [impedance.ClassHuman + 1]int32 // by class
}

// Child is one member of a coordinator's seat.
type Child struct {
	Node         uint32
	Class        impedance.Class // of an agent
	Capabilities uint64          // of an agent, one bit each
	Below        Below           // of a coordinator
}

// CoordinatorConfig says what a coordinator is. Zero values mean the defaults where
// one is named.
type CoordinatorConfig struct {
	Timing   Timing
	Random   *rand.Rand
	Seat     *Seat  // that it holds when it leads
	Node     uint32 // this node
	Epoch    uint32 // raised by each start
	Term     uint32 // of Seat, as Stand asks; 0: members will tell
	First    uint64 // the first number of its commands: over all that this node used before; default 1
	Parent   *Place // where it is a member; nil: nobody is above it
	Children []Child
	// Tier of the children: TierAgent for the lead of a cell, TierCluster for a
	// sector coordinator, TierSector for an orchestrator.
	Tier quorum.Tier
	// Estimator of the lead times, one target for each child; default
	// arrival.NewAdaptive(children, a second). The cheap ones are for fleets.
	Estimator arrival.Estimator
	// Operations is how many commands may be under way at a time; default 4.
	Operations int
	Breakers   *breaker.Config     // default breaker.DefaultConfig
	Failures   *breaker.Table      // default breaker.DefaultTable
	Modes      *breaker.ModeConfig // default breaker.DefaultModeConfig
	// Conflicts takes what is reported; nil: effects alone tell. A queue may be
	// shared by all coordinators of one owner.
	Conflicts *conflict.Queue
	// Context that the children should have, as a digest; 0: any.
	Context uint64
	// Requests is how many single requests may be under way; default 0. Hedge is the
	// share of them that may be sent a second time; default quorum.HedgeShare.
	Requests int
	Hedge    quorum.Share
}

// child is what a coordinator knows of one member: 408 bytes, most of them its clock.
type child struct {
	heard      time.Duration
	lease      time.Duration // its promise, by this node's clock
	echoed     time.Duration // the newest echo that was measured
	orderDue   time.Duration // when its freezes are told again
	order      freezeOrder   // of its own scope, given from here
	knows      uint64        // the highest freeze sequence that it knows
	processing time.Duration // agents: of a payload of weight 1; coordinators: what they need for all below
	usualDelay uint32        // us, smoothed: of a message to it
	usualWork  uint32        // us, smoothed: of an agent with a payload of weight 1; 0: never seen
	node       uint32
	epoch      uint32
	term       uint32 // of its own seat, of a coordinator
	queue      uint32
	failures   uint32 // that it has told of
	active     int32
	orderTries uint8
	beats      uint8
	degraded   bool
	known      bool // heard since this coordinator started
	clock      impedance.Clock
}

// Coordinator is a node with children as a state machine. It is not safe for use by
// several goroutines.
type Coordinator struct {
	config     *CoordinatorConfig
	children   []child
	detector   *breaker.Detector
	guard      breaker.Guard
	deadline   time.Duration
	tellAt     time.Duration // freezes that are to be told again
	leaseUntil time.Duration
	sweepAt    time.Duration
	term       uint32
	seen       uint32 // the highest term that a member is in
	failures   uint32
	leading    bool
	started    bool // modes
	parentMode breaker.Mode
	toldMode   breaker.Mode
	freezes    orders
	ops        []operation
	requests   requests
	estimator  arrival.Estimator
	targets    []arrival.Target
	leases     []time.Duration // scratch
	sizes      []int32         // the same
	exempt     []int32
	refusals   [reasons]uint64
	freezeTurn uint64 // sequence of the guard's own freezes
	cancelled  cancelled
	found      []breaker.Finding
	events     []breaker.Event
	first      uint64
	since      time.Duration // its start
	ledSince   time.Duration
	roundAt    time.Duration
	need       time.Duration // before T, for the slowest child
	active     int32
	members    int32 // agents below, people not counted
	machines   int32 // children that heartbeat
	link       link  // to the parent
}

func (c *CoordinatorConfig) defaults() {
	c.Timing = c.Timing.WithDefaults()
	if c.Operations == 0 {
		c.Operations = 4
	}
	if c.Hedge == 0 {
		c.Hedge = quorum.HedgeShare
	}
	c.First = max(c.First, 1)
	if c.Breakers == nil {
		config := breaker.DefaultConfig()
		c.Breakers = &config
	}
	if c.Failures == nil {
		table := breaker.DefaultTable()
		c.Failures = &table
	}
	if c.Modes == nil {
		modes := breaker.DefaultModeConfig()
		c.Modes = &modes
	}
	if c.Estimator == nil {
		c.Estimator = arrival.NewAdaptive(len(c.Children), 0)
	}
}

// maxChildren bounds a seat: mesh-30k 2.1 has 100, a cell 50.
const maxChildren = 4096

func (c *CoordinatorConfig) validate() error {
	if err := (Place{Seat: c.Seat, Node: c.Node}).validate(); err != nil {
		return err
	}
	if c.Parent != nil {
		if err := c.Parent.validate(); err != nil {
			return err
		}
	}
	switch {
	case c.Random == nil:
		return fmt.Errorf("%w: randomness is needed", ErrConfig)
	case len(c.Children) == 0 || len(c.Children) > maxChildren:
		return fmt.Errorf("%w: %d children; 1 to %d are possible", ErrConfig, len(c.Children), maxChildren)
	case c.Tier == quorum.TierNone || c.Tier > quorum.TierAgent:
		return fmt.Errorf("%w: the children are of no tier", ErrConfig)
	case c.Operations < 1 || c.Operations > 64 || c.Requests < 0:
		return fmt.Errorf("%w: %d commands and %d requests under way", ErrConfig, c.Operations, c.Requests)
	}
	return c.Timing.Validate()
}

// NewCoordinator makes a coordinator that starts now. It leads as soon as a strict
// majority of its members promises to follow.
func NewCoordinator(now time.Duration, config CoordinatorConfig) (*Coordinator, error) {
	config.defaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{config: &config, estimator: config.Estimator, term: max(config.Term, 1), first: config.First, since: now, leaseUntil: now}
	c.children = make([]child, len(config.Children))
	c.targets, c.leases = make([]arrival.Target, len(c.children)), make([]time.Duration, 0, len(c.children))
	for i := range c.children {
		c.children[i].node, c.children[i].clock = config.Children[i].Node, impedance.NewClock(config.Timing.MaxDrift)
		c.children[i].lease, c.children[i].orderDue = now, never
		c.members += c.size(i, quorum.TierAgent, 0)
		if config.Tier != quorum.TierAgent || config.Children[i].Class.Counted() {
			c.machines++
		}
	}
	c.ops = make([]operation, config.Operations)
	for i := range c.ops {
		c.ops[i].legs = make([]leg, len(c.children))
	}
	if err := c.protect(); err != nil {
		return nil, err
	}
	if config.Parent != nil {
		c.link = newLink(now, *config.Parent, &config.Timing, config.Random)
	}
	c.sweepAt = now + time.Duration(config.Random.Int64N(int64(config.Timing.Sweep)))
	c.roundAt, c.tellAt = now+config.Timing.Heartbeat, never
	c.parentMode = breaker.Full
	c.schedule(now)
	return c, nil
}

// protect makes what guards: each child that is a coordinator has a breaker, agents
// have one together; children of an orchestrator are sectors.
func (c *Coordinator) protect() (err error) {
	n, limits := len(c.children), *c.config.Breakers
	clusterOf, sectorOf, sectors := make([]int32, n), []int32{0}, int32(1)
	switch c.config.Tier {
	case quorum.TierCluster:
		sectorOf = make([]int32, n)
	case quorum.TierSector:
		sectorOf, sectors = make([]int32, n), int32(n)
		for i := range sectorOf {
			sectorOf[i] = int32(i)
		}
		limits.Cluster = limits.Sector
	}
	if len(sectorOf) == n && c.config.Tier != quorum.TierAgent {
		for i := range clusterOf {
			clusterOf[i] = int32(i)
		}
	}
	if c.detector, err = breaker.NewDetector(clusterOf, sectorOf, sectors, *c.config.Failures); err != nil {
		return err
	}
	if c.guard.Breakers, err = breaker.New(sectorOf, sectors, limits, c.config.Random); err != nil {
		return err
	}
	if c.guard.Freezes, err = breaker.NewFreezes(sectorOf, sectors); err != nil {
		return err
	}
	if _, err = breaker.NewModes(*c.config.Modes); err != nil {
		return err
	}
	c.guard.Modes = c.modes()
	return c.requests.init(c.config)
}

// modes are those of a coordinator that knows of nobody: EMERGENCY until census has
// heard whoever is there. The configuration is known to be good.
func (c *Coordinator) modes() *breaker.Modes {
	m, _ := breaker.NewModes(*c.config.Modes)
	return m
}

// part is the child's number for the guard.
func (c *Coordinator) part(i int) int32 {
	if c.config.Tier == quorum.TierAgent {
		return 0
	}
	return int32(i)
}

// size is how many nodes of a tier a child stands for: itself, or what is below it.
func (c *Coordinator) size(i int, tier quorum.Tier, classes uint8) int32 {
	of := &c.config.Children[i]
	switch {
	case tier == quorum.TierAgent && c.config.Tier == quorum.TierAgent:
		if selects(classes, of.Class) && of.Class.Counted() {
			return 1
		}
		return 0
	case tier == c.config.Tier:
		return 1
	case tier < c.config.Tier:
		return 0
	case tier == quorum.TierCluster:
		return of.Below.Clusters
	}
	sum := int32(0)
	for class, n := range of.Below.Agents {
		if selects(classes, impedance.Class(class)) && impedance.Class(class).Counted() {
			sum += n
		}
	}
	return sum
}

func selects(classes uint8, class impedance.Class) bool { return classes == 0 || classes>>class&1 != 0 }

// Leading says whether the node holds its seat at now: a strict majority of its
// members has promised not to follow anybody else yet.
func (c *Coordinator) Leading(now time.Duration) bool { return now < c.leaseUntil }

// Term is the term of its seat.
func (c *Coordinator) Term() uint32 { return c.term }

// Mode is the mode of what is below it, or of all above where that is worse.
func (c *Coordinator) Mode() breaker.Mode { return min(c.guard.Modes.Mode(), c.parentMode) }

// Guard is what it asks before everything; for displays and for an operator's word
// (Modes.Acknowledge, Breakers.Hasten).
func (c *Coordinator) Guard() breaker.Guard { return c.guard }

// Detector is what it knows of failures; for displays, quarantine and release.
func (c *Coordinator) Detector() *breaker.Detector { return c.detector }

// Refused is how many answers of children to commands had this reason; of ReasonNone,
// how many had none.
func (c *Coordinator) Refused(why Reason) uint64 { return c.refusals[min(why, reasons-1)] }

// Active is how many agents below are active, of how many members.
func (c *Coordinator) Active() (active, members int32) { return c.active, c.members }

// Need is how long before T the coordinator must have a command.
func (c *Coordinator) Need() time.Duration { return c.need }

// Frozen says whether its scope is frozen.
func (c *Coordinator) Frozen() bool { return c.freezes.frozen() }

// Deadline is when Tick has something to do: ask for it after every call.
func (c *Coordinator) Deadline() time.Duration { return c.deadline }

// Receive takes one message: of a child, or of the parent.
func (c *Coordinator) Receive(now time.Duration, m *Message, out *Outbox) {
	up, said := m.Flags&FlagUp != 0, len(out.Effects)
	if up && m.Kind == Heartbeat && m.To == c.config.Node && m.Seat == c.config.Seat.ID && int(m.Child) < len(c.children) {
		// Nearly all that comes. Where it has changed nothing that has a deadline, nothing
		// is looked for.
		failures, tell, lease := c.failures, c.tellAt, c.leaseUntil
		c.heartbeat(now, m, out)
		if now < c.deadline && m.Flags&FlagFollows != 0 && m.Term == c.term && said == len(out.Effects) && failures == c.failures && tell == c.tellAt && lease == c.leaseUntil {
			return
		}
		c.run(now, out)
		c.sign(out, said)
		return
	}
	switch {
	case m.To != c.config.Node:
	case up && m.Seat == c.config.Seat.ID && int(m.Child) < len(c.children):
		c.reported(now, m, out)
	case c.config.Parent == nil || m.Seat != c.link.seat.ID:
	case up && m.Kind == Heartbeat:
		c.link.asked(now, m, out)
	case !up:
		c.instructed(now, m, out)
	}
	c.run(now, out)
	c.sign(out, said)
}

// Tick does what is due.
func (c *Coordinator) Tick(now time.Duration, out *Outbox) {
	said := len(out.Effects)
	c.run(now, out)
	c.sign(out, said)
}

// sign says of which seat the effects are that it has given: a node may hold several.
func (c *Coordinator) sign(out *Outbox, from int) {
	for i := from; i < len(out.Effects); i++ {
		if e := &out.Effects[i]; e.Seat == 0 {
			e.Seat = c.config.Seat.ID
		}
	}
}

// reported takes a message of a member.
func (c *Coordinator) reported(now time.Duration, m *Message, out *Outbox) {
	if m.Kind == Heartbeat {
		c.heartbeat(now, m, out)
		return
	}
	x := &c.children[m.Child]
	if m.From != x.node || m.Epoch != x.epoch || !x.known {
		return // of another start of the child, or of who was it before
	}
	x.heard = now
	c.detector.Heard(now, int32(m.Child))
	switch {
	case m.Kind == Freeze || m.Kind == Thaw:
		c.learnFreeze(now, m, out)
	case m.Kind != Ack || m.Term != c.term:
	case m.Of == Freeze || m.Of == Thaw:
		x.knows = max(x.knows, m.Value)
		if m.Value >= c.expects(int(m.Child)) {
			x.orderDue = never
		}
	case m.Of == Probe:
		if m.State == 1 {
			c.note(c.guard.Breakers.Probed(now, breaker.ScopeCluster, c.part(int(m.Child)), true, c.events[:0]), out)
			if c.config.Tier == quorum.TierSector {
				c.note(c.guard.Breakers.Probed(now, breaker.ScopeSector, int32(m.Child), true, c.events[:0]), out)
			}
		}
	default:
		c.acknowledged(now, m, out)
	}
}

// heartbeat takes how a member is and what it promises, and answers.
func (c *Coordinator) heartbeat(now time.Duration, m *Message, out *Outbox) {
	i := int(m.Child)
	x := &c.children[i]
	if !c.identify(now, x, i, m) {
		return
	}
	if m.Term > c.term && !c.Leading(now) && c.config.Seat.Holder(m.Term) == c.config.Node {
		c.adopt(m.Term)
	}
	if m.Term < c.term+jump {
		c.seen = max(c.seen, m.Term)
	}
	if m.Flags&FlagFollows == 0 || m.Term != c.term {
		c.dropped(i)
	}
	x.known, x.heard, x.degraded = true, now, m.Flags&FlagDegraded != 0
	c.detector.Heard(now, int32(i))
	if m.Sent != 0 && m.Numbers[NumberPeerEpoch] == c.config.Epoch && m.Sent <= now {
		c.measure(now, i, m, out)
		if m.Term == c.term && c.config.Seat.Holder(c.term) == c.config.Node {
			x.lease = max(x.lease, m.Sent+c.config.Timing.held(m.Numbers[NumberGrant]))
		}
	}
	x.knows = m.Command
	c.describe(now, i, m, out)
	if !c.Leading(now) {
		c.count(now, out)
	}
	// A promise of which less than half is left is renewed at each heartbeat: an answer
	// that is lost must not cost the seat where few are answered.
	low := x.lease-now < c.config.Timing.Follow/2
	if x.beats++; x.beats >= c.config.Timing.Echo || low || !c.Leading(now) || m.Term != c.term || m.Sent == 0 {
		x.beats = 0
		c.echo(now, m, out)
	}
	if m.Command < c.expects(i) {
		c.tellFreezes(now, i, out)
	}
}

// identify says whether a heartbeat is of the member as it is now. A child that is a
// coordinator may be another node after a takeover: its seat's later term says so.
func (c *Coordinator) identify(now time.Duration, x *child, i int, m *Message) bool {
	other, term := m.From != x.node, m.Numbers[NumberTerm]
	// Where every member of that seat has been replaced since, its terms begin anew: what
	// was before is over with the promise that it gave.
	lower := x.known && now < x.lease && term < x.term
	if other && (c.config.Tier == quorum.TierAgent || lower || x.known && term == x.term) {
		return false
	}
	if !other && x.known && (m.Epoch < x.epoch || c.config.Tier != quorum.TierAgent && lower) {
		return false // a message of before its restart, or before it was replaced
	}
	if c.config.Tier != quorum.TierAgent {
		x.term = term
	}
	if other || m.Epoch != x.epoch {
		x.clock, x.echoed, x.failures = impedance.NewClock(c.config.Timing.MaxDrift), 0, 0
		x.usualDelay, x.usualWork = 0, 0
		x.node, x.epoch = m.From, m.Epoch
		c.forget(i)
	}
	return true
}

// measure takes the exchange that a heartbeat completes.
func (c *Coordinator) measure(now time.Duration, i int, m *Message, out *Outbox) {
	x := &c.children[i]
	if m.Received == x.echoed {
		return // the same echo again: the exchange is only longer
	}
	_, _ = x.clock.Observe(impedance.Exchange{Sent: m.Sent, Received: m.Received, Answered: m.At, Returned: now})
	x.echoed = m.Received
	delay, _, known := x.clock.There(m.Sent, m.Received)
	if !known {
		return
	}
	smooth(&x.usualDelay, delay)
	total := delay
	if c.config.Tier == quorum.TierAgent {
		total += span(m.Numbers[NumberProcessing])
	}
	c.estimator.Observe(i, max(total, time.Microsecond))
	c.found = c.detector.Impedance(now, int32(i), total*time.Duration(1+m.Numbers[NumberQueue]*uint32(boolean(c.config.Tier == quorum.TierAgent))), c.found[:0])
	c.findings(now, out)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// describe takes the rest of a heartbeat.
func (c *Coordinator) describe(now time.Duration, i int, m *Message, out *Outbox) {
	x := &c.children[i]
	if c.config.Tier == quorum.TierAgent {
		x.processing, x.queue = span(m.Numbers[NumberProcessing]), m.Numbers[NumberQueue]
		if c.config.Context != 0 && m.Value != 0 {
			c.found = c.detector.Context(now, int32(i), m.Value, c.config.Context, c.found[:0])
			c.findings(now, out)
		}
		return
	}
	x.processing, x.active = span(m.Numbers[NumberNeed]), int32(m.Numbers[NumberActive])
	told := m.Numbers[NumberFailures]
	for range min(told-x.failures, 16) {
		c.failed(now, i, out)
	}
	x.failures = told
}

// echo answers a heartbeat.
func (c *Coordinator) echo(now time.Duration, m *Message, out *Outbox) {
	r := out.next()
	c.head(now, r, Ack, int(m.Child))
	r.Of, r.Sent, r.Received, r.Command = Heartbeat, m.At, now, c.expects(int(m.Child))
	if c.Leading(now) {
		r.Flags |= FlagLeading
	}
	r.Numbers[NumberMode], r.Numbers[NumberEpoch], r.Numbers[NumberSeen] = uint32(c.Mode()), m.Epoch, max(c.seen, c.term)
}

// head writes what every message down has.
func (c *Coordinator) head(now time.Duration, m *Message, kind Kind, i int) {
	m.Kind, m.From, m.To, m.Seat, m.Term = kind, c.config.Node, c.children[i].node, c.config.Seat.ID, c.term
	m.Epoch, m.Child, m.At = c.config.Epoch, uint32(i), now
}

// adopt goes over to a later term of the seat, whose candidate this node is. It need
// not be stored: members have stored what they promised, and to which start of whom.
func (c *Coordinator) adopt(term uint32) {
	c.term = term
	for i := range c.children {
		c.children[i].lease = 0
	}
}

// count finds until when a strict majority has promised to follow.
func (c *Coordinator) count(now time.Duration, out *Outbox) {
	c.leases = c.leases[:0]
	for i := range c.children {
		if c.config.Tier != quorum.TierAgent || c.config.Children[i].Class.Counted() {
			c.leases = append(c.leases, c.children[i].lease)
		}
	}
	if len(c.leases) > 0 {
		slices.Sort(c.leases)
		// The promise that is the last of a strict majority, from the longest on.
		c.leaseUntil = max(c.leases[(len(c.leases)-1)/2], c.since)
	}
	if leading := c.Leading(now); leading != c.leading {
		c.leading, c.ledSince = leading, now
		e := out.say(LeadingChanged)
		e.Leading, e.Term, e.Seat = leading, c.term, c.config.Seat.ID
		if leading {
			c.watch(now)
		}
		switch {
		case !leading:
			c.resign(now, out)
			c.started, *c.guard.Modes = false, *c.modes()
		case c.config.Parent != nil:
			// Who leads in the first term is the first holder of its seat: to lead in a later
			// one takes a majority that has left this one, and terms are not gone back to but
			// on the proof that somebody still leads there. So nobody else has promised
			// anything, and a mesh that starts need not wait for each tier.
			c.link.rejoin(now, c.term > 1, &c.config.Timing, c.config.Random)
		}
	}
}
