package coordination

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/impedance"
)

// AgentConfig is what the agents of one process may share. It is never changed.
type AgentConfig struct {
	Timing Timing
	Places int        // commands held at a time; default 4
	Random *rand.Rand // of all who share the configuration
}

// maxPlaces bounds the commands of one agent: they are looked through one by one.
const maxPlaces = 64

// NewAgentConfig fills in defaults and checks.
func NewAgentConfig(c AgentConfig) (*AgentConfig, error) {
	c.Timing = c.Timing.WithDefaults()
	if c.Places == 0 {
		c.Places = 4
	}
	if c.Places < 1 || c.Places > maxPlaces || c.Random == nil {
		return nil, fmt.Errorf("%w: %d commands held, 1 to %d are possible; and randomness is needed", ErrConfig, c.Places, maxPlaces)
	}
	if err := c.Timing.Validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

// work is a command that an agent has, beside its Hold: 80 bytes.
type work struct {
	command   uint64
	value     uint64 // digest of the answer
	target    time.Duration
	sent      time.Duration // echo of the copy that came first
	came      time.Duration // own clock
	started   time.Duration
	queued    uint32 // us
	served    uint32 // us
	weight    uint32
	bound     uint32
	conflict  uint32 // Numbers of the Ack
	affected  uint32
	phase     uint8
	state     mesh.Trinary
	reason    Reason
	idle      bool // nothing to act on: to process it once is all
	unsure    bool // needs a Confirm that has not come
	processed bool
}

// cancelled are the last commands that were cancelled before they came.
type cancelled struct {
	commands [4]uint64
	next     uint8
}

func (s *cancelled) add(command uint64) {
	if !s.has(command) {
		s.commands[s.next] = command
		s.next = (s.next + 1) % uint8(len(s.commands))
	}
}

func (s *cancelled) has(command uint64) bool {
	return command != 0 && slices.Contains(s.commands[:], command)
}

// Agent is one agent as a state machine. 1.2 kB with four places. It is not
// safe for use by several goroutines.
type Agent struct {
	deadline     time.Duration
	config       *AgentConfig
	waiting      uint8 // in queue; the first is being served
	class        impedance.Class
	frozen       bool
	mode         breaker.Mode
	degraded     bool
	capabilities uint64
	context      uint64
	freezes      orders
	sketch       impedance.Sketch
	holds        arrival.Holds
	link         link
	works        []work // one for each place
	queue        []uint8
	cancelled    cancelled
	next         due
}

// due is the next T, by the agent's own clock: 24 bytes that save most of what the
// clocks cost.
type due struct {
	at       time.Duration // T, by the coordinator's clock
	local    time.Duration // never: not known
	measured uint32        // of the link, when it was computed
}

// Described is what an agent is, beside its place.
type Described struct {
	Class        impedance.Class
	Capabilities uint64 // one bit each
	Context      uint64 // digest of what it has loaded
}

// NewAgent makes an agent that starts now and knows nothing of what it held before.
func NewAgent(now time.Duration, config *AgentConfig, place Place, is Described) (*Agent, error) {
	a := &Agent{}
	return a, a.Init(now, config, place, is)
}

// Init makes an agent in place, for callers that keep a million of them in one
// slice.
func (a *Agent) Init(now time.Duration, config *AgentConfig, place Place, is Described) error {
	if err := place.validate(); err != nil {
		return err
	}
	*a = Agent{config: config, link: newLink(now, place, &config.Timing, config.Random), class: is.Class,
		capabilities: is.Capabilities, context: is.Context, works: make([]work, config.Places), queue: make([]uint8, config.Places)}
	a.holds = *arrival.NewHolds(config.Places, config.Timing.Limits)
	a.schedule(now)
	return nil
}

// Deadline is when Tick has something to do: ask for it after every call.
func (a *Agent) Deadline() time.Duration { return a.deadline }

// Term is what the agent takes for the present term of its seat, Following whether
// it hears its coordinator.
func (a *Agent) Term() uint32 { return a.link.term }

// Following says whether the agent follows a coordinator.
func (a *Agent) Following() bool { return a.link.following }

// Frozen says whether the agent's scope is frozen.
func (a *Agent) Frozen() bool { return a.frozen }

// Mode is the mode that its coordinator has told.
func (a *Agent) Mode() breaker.Mode { return a.mode }

// Corrected is the clock of its coordinator as the agent knows it, and how wrong
// that can be.
func (a *Agent) Corrected(now time.Duration) (at, bound time.Duration, known bool) {
	return a.link.corrected(now)
}

// SetDegraded says whether the agent works with a fault; its heartbeats tell.
func (a *Agent) SetDegraded(degraded bool) { a.degraded = degraded }

// SetContext changes the digest of what the agent has loaded.
func (a *Agent) SetContext(context uint64) { a.context = context }

// Receive takes one message.
func (a *Agent) Receive(now time.Duration, m *Message, out *Outbox) {
	switch {
	case m.Seat != a.link.seat.ID || m.To != a.link.node:
	case m.Kind == Heartbeat && m.Flags&FlagUp != 0:
		a.link.asked(now, m, out)
	case m.Flags&FlagUp != 0:
	case m.Kind == Ack && m.Of == Heartbeat:
		a.heard(now, m, out)
	default:
		a.ordered(now, m, out)
	}
	a.run(now, out)
}

// Tick does what is due. Calls that come early or twice change nothing.
func (a *Agent) Tick(now time.Duration, out *Outbox) { a.run(now, out) }

// run does what is due now and sets the deadline.
func (a *Agent) run(now time.Duration, out *Outbox) {
	if now >= a.link.deadline() {
		term := a.link.term
		beat := a.link.tick(now, &a.config.Timing, a.config.Random)
		if a.link.term != term {
			a.abandon(out)
			a.tell(breaker.Emergency, out) // until somebody who leads says otherwise
		}
		if beat {
			a.heartbeat(now, out)
		}
	}
	a.act(now, out)
	a.schedule(now)
}

func (a *Agent) schedule(now time.Duration) {
	a.deadline = a.link.deadline()
	if at, ok := a.holds.Next(); ok {
		if local := a.when(at); local != never {
			// Rounding may make the corrected clock a little less than T at that moment.
			a.deadline = min(a.deadline, max(local, now+time.Microsecond))
		}
	}
}

// when is the moment of T by this agent's clock.
func (a *Agent) when(at time.Duration) time.Duration {
	if a.next.at != at || a.next.measured != a.link.measured {
		local, _, known := a.link.local(at)
		if !known {
			local = never
		}
		a.next = due{at, local, a.link.measured}
	}
	return a.next.local
}

// hears notes a term that others are in.
func (a *Agent) hears(now time.Duration, term uint32) {
	a.link.hears(now, term)
	a.deadline = min(a.deadline, a.link.deadline())
}

// heartbeat tells how the agent is.
func (a *Agent) heartbeat(now time.Duration, out *Outbox) {
	m := out.next()
	a.link.beat(now, m, &a.config.Timing, out)
	m.Command, m.Value = a.freezes.highest(), a.context
	if a.degraded {
		m.Flags |= FlagDegraded
	}
	a.sketch.Queue(int(a.waiting))
	// The processing that is not exceeded in 95 of 100 cases, so that a lead which
	// was measured by heartbeats alone is long enough.
	processing := max(a.sketch.ProcessingTimes().P95, a.sketch.Base(a.class))
	m.Numbers[NumberProcessing] = micros(time.Duration(float64(processing) * impedance.WeightFactor(1)))
	m.Numbers[NumberQueue] = uint32(a.waiting)
}

// heard takes the answer to a heartbeat.
func (a *Agent) heard(now time.Duration, m *Message, out *Outbox) {
	if a.link.answered(now, m, &a.config.Timing) {
		a.abandon(out)
	}
	if !a.link.trusts(m) {
		return
	}
	a.tell(min(breaker.Mode(m.Numbers[NumberMode]), breaker.Full), out)
	if a.freezes.highest() > m.Command {
		a.freezes.tell(now, &a.link, out) // the coordinator is new and has not heard
	}
}

// tell notes the mode that holds.
func (a *Agent) tell(mode breaker.Mode, out *Outbox) {
	if mode != a.mode {
		a.mode = mode
		out.say(ModeChanged).Mode = mode
	}
}

// abandon drops all commands: what an old coordinator said counts no more, and its
// T is in a clock that is not known any more.
func (a *Agent) abandon(out *Outbox) {
	for i := range a.works {
		w := &a.works[i]
		if w.command != 0 && pending(a.holds.Stage(a.hold(w))) {
			out.drop(w.command, ReasonFenced)
		}
		*w = work{}
	}
	a.waiting = 0
	a.holds = *arrival.NewHolds(a.config.Places, a.config.Timing.Limits)
	if a.frozen {
		a.holds.Freeze()
	}
}

func pending(s arrival.Stage) bool { return s == arrival.Received || s == arrival.Ready }

func (o *Outbox) drop(command uint64, why Reason) {
	e := o.say(Dropped)
	e.Command, e.Reason = command, why
}

// hold is the id under which a command is held. Terms do not share any.
func (a *Agent) hold(w *work) arrival.ID { return holdID(w.command) }

func holdID(command uint64) (id arrival.ID) {
	for i := range 8 {
		id[i] = byte(command >> (56 - 8*i))
	}
	return id
}

func (a *Agent) find(command uint64) *work {
	for i := range a.works {
		if a.works[i].command == command {
			return &a.works[i]
		}
	}
	return nil
}

// act acts on what is due by the corrected clock.
func (a *Agent) act(now time.Duration, out *Outbox) {
	at, ok := a.holds.Next()
	if !ok || now < a.when(at) {
		return
	}
	corrected, bound, known := a.link.corrected(now)
	if !known || corrected < at {
		return
	}
	for {
		id, late, due := a.holds.Due(corrected)
		if !due {
			return
		}
		w := a.find(commandOf(id))
		e := out.say(Act)
		e.Command, e.Value, e.Late, e.At, e.Bound = w.command, w.value, late, w.target, bound+span(w.bound)
	}
}

func commandOf(id arrival.ID) (command uint64) {
	for i := range 8 {
		command = command<<8 | uint64(id[i])
	}
	return command
}
