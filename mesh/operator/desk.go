package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
)

// Cores is how a desk reaches the coordinators of a mesh. All calls are on the
// goroutine that owns them.
type Cores interface {
	// Now is the mesh's own time: since it began, without steps. Effects and
	// operations are timed by it.
	Now() time.Duration
	// With calls with the coordinator that leads a place (all, a sector, a cluster),
	// at its own time, and sends what it says. False: nobody leads it, or nobody that
	// can be reached from here.
	With(p Place, call func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox)) bool
}

// Carrier is a Cores that takes what a command is about in words along with it. Carry
// is called within With, before anything of the command is sent.
type Carrier interface {
	Carry(command uint64, kind Kind, text string)
}

// Speaker is a Cores that knows an answer in words; without it, and where it says "",
// an answer is its digest.
type Speaker interface {
	Words(agent int32, command, value uint64) string
}

// Config of a desk. Zero values mean the defaults where one is named.
type Config struct {
	Shape  *Shape
	Cores  Cores
	Random *rand.Rand // who is in a sample
	// Refresh is how old what is shown may be: all coordinators are looked through for
	// it, 0.1 us an agent. Default a second.
	Refresh time.Duration
	// Acts says that Observe is given the Act effects of agents.
	Acts bool
}

// Bounds of a desk.
const (
	maxRunning = 16 // operations at a time
	maxKept    = 64 // that have ended
)

// Desk takes orders and carries them out: about 240 bytes an agent, 192 of them in
// the registry. It is not safe for use by several goroutines.
type Desk struct {
	config  Config
	shape   *Shape
	cores   Cores
	view    *view
	tally   tally
	running []*operation // in their order
	kept    []Operation  // the newest last
	next    uint64
}

// operation is an order under way.
type operation struct {
	Operation
	order   Order
	place   Place
	started time.Duration
	do      job
}

// job is what is done for a kind of order.
type job interface {
	// begin starts it. An error is a refusal: nothing has been done.
	begin(d *Desk, o *operation) error
	// effect takes what a coordinator said; it is called within its call.
	effect(d *Desk, o *operation, e *coordination.Effect)
	// tick goes on. It ends the operation by o.end.
	tick(d *Desk, o *operation, now time.Duration)
	// cancel ends it before its time.
	cancel(d *Desk, o *operation) error
}

// NewDesk makes a desk.
func NewDesk(config Config) (*Desk, error) {
	s := config.Shape
	if s == nil || s.Topology == nil || config.Cores == nil || config.Random == nil {
		return nil, fault(ErrInvalid, "", "make a desk: shape, cores and randomness are needed")
	}
	if err := s.Topology.Validate(); err != nil {
		return nil, fmt.Errorf("make a desk: %w", err)
	}
	if len(s.Capabilities) > impedance.MaxCapabilityKinds {
		return nil, fault(ErrInvalid, "", "make a desk: %d capabilities; %d are possible", len(s.Capabilities), impedance.MaxCapabilityKinds)
	}
	if config.Refresh <= 0 {
		config.Refresh = time.Second
	}
	d := &Desk{config: config, shape: s, cores: config.Cores, next: 1}
	var err error
	if d.view, err = newView(s); err != nil {
		return nil, fmt.Errorf("make a desk: %w", err)
	}
	return d, nil
}

// Start takes an order. A Fault says why it is not taken: then nothing has happened.
func (d *Desk) Start(order Order) (Operation, error) {
	if err := order.Validate(); err != nil {
		return Operation{}, err
	}
	place, err := d.shape.Find(order.Scope)
	if err != nil {
		return Operation{}, err
	}
	if order.Capability != "" {
		if _, err := d.shape.capability(order.Capability); err != nil {
			return Operation{}, err
		}
	}
	if len(d.running) >= maxRunning {
		return Operation{}, fault(ErrBusy, "wait for one, or cancel it", "%s: %d operations are under way", order.Kind, len(d.running))
	}
	o := &operation{order: order, place: place, started: d.cores.Now(), do: newJob(order.Kind)}
	o.Operation = Operation{Version: Version, ID: strconv.FormatUint(d.next, 10), Revision: 1, Kind: order.Kind,
		By: order.By, Scope: d.shape.NameOf(place), Text: order.Text, State: Running}
	d.running = append(d.running, o)
	if err := o.do.begin(d, o); err != nil {
		d.running = slices.DeleteFunc(d.running, func(r *operation) bool { return r == o })
		return Operation{}, err
	}
	d.next++
	d.Tick()
	return d.Operation(o.ID)
}

func newJob(k Kind) job {
	switch k {
	case Broadcast:
		return &broadcast{}
	case Ask:
		return &question{}
	case Delegate:
		return &delegation{}
	case Heal:
		return &healing{}
	}
	return &freezing{}
}

// Tick goes on with what is under way; call it each 20 ms or so while Busy.
func (d *Desk) Tick() {
	now := d.cores.Now()
	for _, o := range d.running {
		if !o.Ended() {
			o.do.tick(d, o, now)
			o.TookMS = ms(now - o.started)
		}
	}
	d.running = slices.DeleteFunc(d.running, func(o *operation) bool {
		if !o.Ended() {
			return false
		}
		d.keep(o.Operation.clone())
		return true
	})
}

func (d *Desk) keep(o Operation) {
	if len(d.kept) == maxKept {
		d.kept = slices.Delete(d.kept, 0, 1)
	}
	d.kept = append(d.kept, o)
}

// Busy says whether anything is under way.
func (d *Desk) Busy() bool { return len(d.running) > 0 }

// Operation gives one that is under way or ended lately.
func (d *Desk) Operation(id string) (Operation, error) {
	for _, o := range d.running {
		if o.ID == id {
			return o.clone(), nil
		}
	}
	for i := range d.kept {
		if d.kept[i].ID == id {
			return d.kept[i].clone(), nil
		}
	}
	return Operation{}, fault(ErrUnknown, "the last 64 are kept", "no operation %q", clip(id))
}

// Operations lists them, the newest first.
func (d *Desk) Operations() []Operation {
	list := []Operation{}
	for _, o := range slices.Backward(d.running) {
		list = append(list, o.clone())
	}
	for i := range slices.Backward(d.kept) {
		list = append(list, d.kept[i].clone())
	}
	return list
}

// Cancel ends an operation: a broadcast before T is called back from whoever has it,
// of questions and tasks no more are asked. What has ended stays as it is.
func (d *Desk) Cancel(id string) (Operation, error) {
	for _, o := range d.running {
		if o.ID == id && !o.Ended() {
			if err := o.do.cancel(d, o); err != nil {
				return Operation{}, err
			}
			d.Tick()
			break
		}
	}
	return d.Operation(id)
}

// Observe takes what the coordinator of a place says, and with Config.Acts the Act
// effects of agents too (place is then of no matter). It changes no coordinator.
func (d *Desk) Observe(e *coordination.Effect) {
	if e.Kind >= coordination.LeadingChanged {
		d.tally.observe(d.cores.Now(), e)
	}
	for _, o := range d.running {
		if !o.Ended() {
			o.do.effect(d, o, e)
		}
	}
}

// end ends an operation.
func (o *operation) end(state State, why, hint string) {
	o.State, o.Why, o.Hint = state, why, hint
	o.Revision++
}

// clone is a copy that shares nothing which changes.
func (o Operation) clone() Operation {
	if o.Broadcast != nil {
		b := *o.Broadcast
		b.Phases = slices.Clone(b.Phases)
		if b.Acted != nil {
			acted := *b.Acted
			b.Acted = &acted
		}
		o.Broadcast = &b
	}
	if o.Ask != nil {
		a := *o.Ask
		a.Groups = slices.Clone(a.Groups) // their names are made anew with each change
		o.Ask = &a
	}
	if o.Delegation != nil {
		r := *o.Delegation
		r.Asked = slices.Clone(r.Asked)
		o.Delegation = &r
	}
	if o.Heal != nil {
		h := *o.Heal
		o.Heal = &h
	}
	if o.Freeze != nil {
		f := *o.Freeze
		o.Freeze = &f
	}
	return o
}

// words is an answer as it is shown.
func (d *Desk) words(agent int32, command, value uint64) string {
	if s, ok := d.cores.(Speaker); ok {
		if words := s.Words(agent, command, value); words != "" {
			return words
		}
	}
	if value == 0 {
		return "done"
	}
	return fmt.Sprintf("%016x", value)
}

func (d *Desk) carry(command uint64, kind Kind, text string) {
	if c, ok := d.cores.(Carrier); ok {
		c.Carry(command, kind, text)
	}
}
