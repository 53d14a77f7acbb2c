package brain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/coordination"
	"dancer/mesh/datagram"
	"dancer/mesh/impedance"
	"dancer/mesh/packet"
	"dancer/mesh/quorum"
	"dancer/runtime/console"
	"dancer/runtime/host"
	"dancer/runtime/link"
	"dancer/runtime/web"
	"dancer/storage"
)

// conditionsEnvironment makes clock and network of a robot's coordination worse, for
// tests alone: see datagram.ParseConditions.
const conditionsEnvironment = "DANCER_TEST_TRANSPORT"

// Bounds and rhythms of coordination.
const (
	lookAtCell   = 500 * time.Millisecond // how often addresses, and what is shown, are brought up to date
	heldOrders   = 8                      // orders that are known until their T, more than an agent holds
	answersAhead = 16                     // answers on their way to the node
)

// coordinated is the robot as a member of its cell that coordinates. Its methods for
// the host are called by the goroutine that owns the node, which also owns held.
type coordinated struct {
	b       *brain
	book    *coordination.Book
	host    *host.Host
	given   *given
	answers chan answer
	events  chan cellEvent // that wait
	held    [heldOrders]heldOrder
	next    int
	known   atomic.Int64 // members whose address is known
	acts    atomic.Uint64
	dropped atomic.Uint64 // answers and events that found no place
	status  atomic.Pointer[host.Status]
	console *console.Console // an operator's desk, while this robot leads
}

// answer is what comes of a command.
type answer struct {
	command uint64
	outcome coordination.Outcome
	words   string
}

// heldOrder is an order that is READY.
type heldOrder struct {
	command uint64
	text    string
	set     map[int]float64
}

// newCoordinated makes the robot's node; nil where it is no member.
func (b *brain) newCoordinated() (*coordinated, error) {
	m := &b.robot.Mesh
	if m.Off || len(m.Members) == 0 {
		return nil, nil
	}
	if b.opened.meshErr != nil {
		return nil, b.opened.meshErr
	}
	c := &coordinated{b: b, given: newGiven(b), answers: make(chan answer, answersAhead), events: make(chan cellEvent, answersAhead)}
	var err error
	if c.book, err = coordination.NewBook(b.robot.Cell, m.Members, impedance.ClassLocal); err != nil {
		return nil, err
	}
	conditions, err := b.conditions()
	if err != nil {
		return nil, err
	}
	bound, _, err := net.SplitHostPort(m.Bind)
	if err != nil {
		return nil, fmt.Errorf("read mesh.bind: %w", err)
	}
	if bound == "localhost" {
		bound = "127.0.0.1"
	}
	if c.console, err = c.newConsole(); err != nil {
		return nil, err
	}
	self, _ := c.book.Node(b.robot.Name) // robot.yaml was checked for it
	c.host, err = host.New(host.Options{
		Book: c.book, Self: self, Cell: b.robot.Cell, Handler: c, Memory: seatMemory{b}, Secret: b.opened.gossipKey,
		Bind: net.JoinHostPort(bound, strconv.Itoa(m.Port)), Conditions: conditions, Health: c.health, OnReport: c.refused,
		Build: host.Cell(c.book, self, host.Member{Timing: host.CellTiming(), Class: impedance.ClassLocal, Context: impedance.ContextOf(b.manual.Hash)}),
	})
	return c, err
}

// conditions are those of a test; a robot at work has none.
func (b *brain) conditions() (datagram.Conditions, error) {
	text := os.Getenv(conditionsEnvironment)
	if text == "" {
		return datagram.Conditions{}, nil
	}
	conditions, err := datagram.ParseConditions(text)
	if err == nil {
		b.log.Warn("THIS IS A TEST: clock and network of the cell are made worse on purpose; unset "+conditionsEnvironment+" on a robot at work", "conditions", conditions.String())
	}
	return conditions, err
}

// port is what the cell is told.
func (c *coordinated) port() uint16 {
	if c == nil {
		return 0
	}
	return c.host.Addr().Port()
}

// run runs the node until the context ends.
func (c *coordinated) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { c.reply(ctx) })
	parts.Go(func() { c.look(ctx) })
	parts.Go(func() { c.given.run(ctx) })
	parts.Go(func() { c.runConsole(ctx) })
	c.b.log.Info("coordination", "address", c.host.Addr(), "members", c.book.Len())
	err := c.host.Run(ctx)
	cancel()
	parts.Wait()
	return err
}

// reply gives the node the answers.
func (c *coordinated) reply(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-c.answers:
			if err := c.host.Processed(ctx, a.command, a.outcome, a.words); err != nil && ctx.Err() == nil {
				c.b.log.Warn("answer a command of the cell", "error", err)
			}
		}
	}
}

// look follows the membership, and what is shown.
func (c *coordinated) look(ctx context.Context) {
	tick := time.NewTicker(lookAtCell)
	defer tick.Stop()
	peers := map[string]netip.AddrPort{}
	for {
		c.tellLater()
		c.find(ctx, peers)
		degraded := len(c.b.problems()) > 0
		_ = c.host.Do(ctx, func(_ time.Duration, node *coordination.Node, _ *coordination.Outbox) {
			node.Agent.SetDegraded(degraded)
		})
		if s, err := c.host.Status(ctx); err == nil {
			c.status.Store(&s)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// find tells the node where the members are. One that is gone is looked for where it
// was: it may only be slow.
func (c *coordinated) find(ctx context.Context, peers map[string]netip.AddrPort) {
	cell := c.b.cell.Load()
	if cell == nil {
		return
	}
	for _, m := range cell.Members() {
		if _, known := c.book.Node(m.Name); !known || m.Name == c.b.robot.Name || m.Record == nil || m.Record.Port == 0 {
			continue
		}
		at, err := netip.ParseAddrPort(m.Addr)
		if err != nil {
			continue
		}
		at = netip.AddrPortFrom(at.Addr().Unmap(), m.Record.Port)
		if peers[m.Name] == at {
			continue
		}
		if err := c.host.SetPeer(ctx, m.Name, at); err != nil {
			if ctx.Err() == nil {
				c.b.log.Warn("a member of the cell cannot be reached", "member", m.Name, "error", err)
			}
			continue
		}
		peers[m.Name] = at
	}
	c.known.Store(int64(len(peers)))
}

// health adds to a heartbeat what the robot knows of itself.
func (c *coordinated) health(h *packet.Health) {
	r := c.b.impedance()
	h.Delay = time.Duration(r.DelayMS * float64(time.Millisecond))
	h.Score, h.Reliability, h.Drift = impedance.Score(r), uint16(r.Reliability*1000), uint16(r.Drift*1000)
}

// refused logs datagrams that were not taken. Two robots with one name are a conflict.
func (c *coordinated) refused(r packet.Report) {
	c.b.log.Warn("messages of the cell were refused", "what", r.String())
	if r.Outcome == packet.Own {
		c.b.clonedName(c.b.robot.Name, c.host.Addr().String(), r.Origin.String())
	}
}

// seatMemory keeps what a member must not forget: a promise that it gave twice could
// make two leads.
type seatMemory struct{ b *brain }

const seatKey = "coordination"

// Load gives what was stored. A store that was restored from a copy is as good as none:
// the copy is older than the newest promise may be.
func (m seatMemory) Load() (s host.State, lost bool) {
	s, err := m.b.archive.seat.Get(seatKey)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return host.State{}, len(m.b.archive.store.Notes()) > 0
	case err != nil:
		m.b.log.Error("read what was promised to the cell: this robot promises nothing for a while", "error", err)
		return host.State{}, true
	}
	return s, len(m.b.archive.store.Notes()) > 0
}

// Save stores it durably.
func (m seatMemory) Save(s host.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return m.b.archive.note(m.b.archive.seat.Put(ctx, seatKey, s))
}

// Process judges a command and answers. The robot is READY for what its owner lets the
// cell say, while it may move and its own decisions keep their floors.
func (c *coordinated) Process(cmd host.Command) {
	a := answer{command: cmd.Number, outcome: coordination.Outcome{State: mesh.Ready}}
	o, err := parseOrder(string(cmd.Payload))
	if err == nil && o.about != "" {
		a.words, err = c.say(o.about)
		a.outcome.Value = impedance.ContextOf(a.words)
	} else if err == nil {
		err = c.prepare(cmd.Number, string(cmd.Payload), o)
	}
	if err != nil {
		a.words = err.Error()
		a.outcome = coordination.Outcome{State: mesh.Conflict, Value: impedance.ContextOf(a.words), Conflict: kindOfRefusal(err), Affected: 1}
	}
	select {
	case c.answers <- a:
	default:
		c.dropped.Add(1) // unanswered is TRANSIT: nobody takes it for a yes
	}
}

// unable is why a robot cannot do what is asked, whatever its state.
type unable string

func (u unable) Error() string { return string(u) }

func kindOfRefusal(err error) conflict.Type {
	if _, ok := err.(unable); ok {
		return conflict.CapabilityMismatch
	}
	return conflict.ContextDivergence
}

// prepare holds an order until its T, or says why the robot is not READY for it.
func (c *coordinated) prepare(command uint64, text string, o order) error {
	set := make(map[int]float64, len(o.set))
	for _, s := range o.set {
		i, ok := c.given.byName[s.name]
		if !ok {
			return unable(fmt.Sprintf("%s is no signal that is from: cell", clipped(s.name)))
		}
		if of := &c.b.manual.Signals[i]; s.value < of.Minimum || s.value > of.Maximum {
			return unable(fmt.Sprintf("%s is out of its range", s.name))
		}
		set[i] = s.value
	}
	if err := c.b.mayMove(); err != nil {
		return err
	}
	c.held[c.next] = heldOrder{command, text, set}
	c.next = (c.next + 1) % len(c.held)
	return nil
}

// mayMove says why a robot is not to be counted on for something that moves it.
func (b *brain) mayMove() error {
	status, ok := b.ends.Segment.LoadStatus()
	switch {
	case !ok:
		return errors.New("its spine does not answer")
	case status.Mode != link.ModeRunning:
		return fmt.Errorf("it is %s: dancer start lets it move", status.Mode)
	case status.DryRun:
		return errors.New("it makes a dry run and drives nothing")
	}
	for i := range b.manual.Rules {
		if active, latched := b.ends.Segment.LoadRule(i); active || latched {
			return fmt.Errorf("its reflex %s holds it", b.manual.Rules[i].Name)
		}
	}
	last := b.last.Load()
	switch {
	case last == nil:
		return errors.New("it has made no decision yet")
	case last.Verdict.Outcome == dancer.OutcomeUnderFloor:
		return errors.New("every option that it has breaks a floor")
	case last.Question != "":
		return errors.New("it waits for the answer to a question")
	}
	return nil
}

// say answers a question: about its mode, what runs, the manual, or a signal that its
// owner publishes.
func (c *coordinated) say(about string) (string, error) {
	s := c.b.state()
	switch about {
	case "mode":
		return s.Mode, nil
	case "running":
		return s.Running, nil
	case "manual":
		return s.ManualHash, nil
	case "latches":
		return strings.Join(s.Latches, " "), nil
	}
	for i := range c.b.manual.Signals {
		if of := &c.b.manual.Signals[i]; of.Name == about && of.Publish {
			value, _, validity := c.b.ends.Segment.LoadSignal(i)
			if validity != hal.Valid {
				return validity.String(), nil
			}
			return strconv.FormatFloat(value, 'g', 6, 64), nil
		}
	}
	return "", unable(fmt.Sprintf("it has nothing to say about %s: ask mode, running, manual, latches or a signal with publish: true", clipped(about)))
}

// cellEvent tells what the cell did, and when. Times are Unix nanoseconds.
type cellEvent struct {
	What    string `json:"what"`              // act | dropped | mode | frozen | thawed | leading | committed | degraded | failed | cancelled
	Command string `json:"command,omitempty"` // hexadecimal
	Text    string `json:"text,omitempty"`    // act: what was asked for
	Why     string `json:"why,omitempty"`
	Mode    string `json:"mode,omitempty"`
	Leading bool   `json:"leading,omitempty"`
	Term    uint32 `json:"term,omitempty"`
	Target  int64  `json:"t_ns,omitempty"`       // act: T, by the clock of the lead
	Clock   int64  `json:"clock_ns,omitempty"`   // act: now, by the clock that this robot coordinates with
	Machine int64  `json:"machine_ns,omitempty"` // act: now, by the machine's own
	Late    int64  `json:"late_ns,omitempty"`    // act: how long ago T was, as far as the robot knows
	Bound   int64  `json:"bound_ns,omitempty"`   // act: by how much that can be wrong
	Ready   int32  `json:"ready,omitempty"`
	Total   int32  `json:"total,omitempty"`
}

// Act acts on an order: T has come, and the signals say what the cell says.
func (c *coordinated) Act(a host.Action) {
	for i := range c.held {
		o := &c.held[i]
		if o.command != a.Number || o.set == nil {
			continue
		}
		machine := c.b.wall().UnixNano()
		err := c.given.set(o.set)
		c.acts.Add(1)
		e := cellEvent{What: "act", Command: hexadecimal(a.Number), Text: o.text, Target: int64(a.At), Clock: int64(a.Now), Machine: machine, Late: int64(a.Late), Bound: int64(a.Bound)}
		if err != nil {
			e.Why = err.Error()
		}
		*o = heldOrder{}
		c.later(e)
		return
	}
}

// later tells an event when the acting is over, at the next look at the cell: at T a
// whole cell acts, and on a machine that several robots share nobody's words are to go
// before another's act.
func (c *coordinated) later(e cellEvent) {
	select {
	case c.events <- e:
	default:
		c.dropped.Add(1)
	}
}

// tellLater tells what later was given.
func (c *coordinated) tellLater() {
	for {
		select {
		case e := <-c.events:
			c.b.tell(kindCell, e)
			c.b.stateChanged()
		default:
			return
		}
	}
}

func hexadecimal(command uint64) string { return strconv.FormatUint(command, 16) }

// Told tells what else the core says.
func (c *coordinated) Told(e coordination.Effect) {
	c.console.Tell(e)
	t := cellEvent{Command: hexadecimal(e.Command)}
	switch e.Kind {
	case coordination.Dropped:
		t.What, t.Why = "dropped", e.Reason.String()
	case coordination.ModeChanged:
		t = cellEvent{What: "mode", Mode: e.Mode.String()}
	case coordination.Froze:
		t = cellEvent{What: "frozen"}
		c.given.end()
	case coordination.Thawed:
		t = cellEvent{What: "thawed"}
	case coordination.LeadingChanged:
		t = cellEvent{What: "leading", Leading: e.Leading, Term: e.Term}
	case coordination.Committed, coordination.Degraded, coordination.Failed, coordination.Cancelled:
		t.What = map[coordination.EffectKind]string{coordination.Committed: "committed", coordination.Degraded: "degraded", coordination.Failed: "failed", coordination.Cancelled: "cancelled"}[e.Kind]
		t.Ready, t.Total, t.Why = e.Verdict.Counts.Ready, e.Verdict.Counts.Total, e.Verdict.Reason.String()
	case coordination.Conflicting:
		c.conflict(&e)
		return
	default:
		return
	}
	c.b.tell(kindCell, t)
	c.b.stateChanged()
}

// conflict hands on what a member could not take part in.
func (c *coordinated) conflict(e *coordination.Effect) {
	words := c.host.Words(e.Reporter, e.Command)
	if words == "" {
		words = e.Reason.String()
	}
	name := c.book.Name(e.Reporter)
	c.b.conflict(conflict.Claim{Detail: e.Conflict.Detail, Agent: c.b.robot.Name, Source: name, Subject: "command " + hexadecimal(e.Command) + " of the cell",
		Expected: "READY", Received: words})
}

// shown is how the robot stands in its cell; nil: it takes no part.
func (c *coordinated) shown() *web.Coordination {
	if c == nil {
		return nil
	}
	s := c.status.Load()
	if s == nil {
		return &web.Coordination{Mode: breaker.Emergency.String(), Members: int32(c.book.Len())}
	}
	w := &web.Coordination{Mode: s.Mode.String(), Following: s.Following, Leading: s.Leading, Lead: s.Lead, Term: s.Term, Frozen: s.Frozen, Members: int32(c.book.Len()),
		Known: int(c.known.Load()) + 1, Active: s.Active, OffsetMS: milliseconds(s.Offset), BoundMS: milliseconds(s.Bound), Measured: s.Measured, Acts: c.acts.Load()}
	if s.Unstored {
		w.Problem = "what it promises to the cell cannot be stored, and it says nothing: look at the disk of the data folder"
	}
	return w
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Coordinate gives a command to the cell.
func (p *page) Coordinate(ctx context.Context, command web.CellCommand) (web.CellReceipt, error) {
	c := p.b.coordinated
	if c == nil {
		return web.CellReceipt{}, cellProblem("command the cell: "+p.b.robot.Name+" takes no part in coordination", "name its robots under mesh.members in robot.yaml")
	}
	if o, err := parseOrder(command.Text); err != nil || o.about != "" {
		return web.CellReceipt{}, cellProblem(fmt.Sprintf("command the cell: text is %q", clipped(command.Text)), "write name=number of signals that are from: cell")
	}
	if need, err := c.need(ctx); err != nil {
		return web.CellReceipt{}, fmt.Errorf("command the cell: %w", err)
	} else if command.In <= need {
		return web.CellReceipt{}, cellProblem(fmt.Sprintf("command the cell: T in %s is too soon for its slowest robot and a decision", command.In), fmt.Sprintf("give in: %s or more", (need+50*time.Millisecond).Round(10*time.Millisecond)))
	}
	priority := uint8(breaker.PriorityUrgent)
	if command.Critical {
		priority = breaker.PriorityCritical
	}
	given, err := c.host.Coordinate(ctx, 0, command.In, func(at time.Duration) coordination.Task {
		return coordination.Task{Phases: quorum.Parallel(at), Priority: priority, Confirm: command.Confirm, Operator: true, Approved: command.Approved}
	}, []byte(command.Text))
	switch {
	case errors.Is(err, coordination.ErrNotLeading):
		return web.CellReceipt{}, cellProblem("command the cell: "+p.b.robot.Name+" does not lead it", c.whoLeads())
	case errors.Is(err, coordination.ErrRuling), errors.Is(err, coordination.ErrBusy), errors.Is(err, coordination.ErrTask):
		return web.CellReceipt{}, cellProblem("command the cell: "+err.Error(), "GET /api/v1/status says in what mode it is")
	case err != nil:
		return web.CellReceipt{}, fmt.Errorf("command the cell: %w", err)
	}
	p.b.log.Info("a command was given to the cell", "by", command.By, "command", hexadecimal(given.Command), "text", command.Text)
	return web.CellReceipt{Command: hexadecimal(given.Command), At: time.Unix(0, int64(given.At)).UTC()}, nil
}

// need is how long before T the cell must have a command: what the slowest member
// needs, and the time for a decision that can still be called back.
func (c *coordinated) need(ctx context.Context) (need time.Duration, err error) {
	err = c.host.Do(ctx, func(_ time.Duration, node *coordination.Node, _ *coordination.Outbox) {
		need = node.Coordinators[0].Need() + quorum.DefaultCancelLead
	})
	return need, err
}

func (c *coordinated) whoLeads() string {
	if s := c.status.Load(); s != nil && s.Lead != "" {
		return "ask " + s.Lead
	}
	return "nobody does now: try again in half a minute"
}

func cellProblem(detail, hint string) web.Problem {
	return web.Problem{Type: "urn:dancer:problem:coordination", Title: http.StatusText(http.StatusConflict), Status: http.StatusConflict, Detail: detail, Hint: hint}
}
