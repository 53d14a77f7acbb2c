package packet

import (
	"math"
	"time"

	"dancer/mesh"
	"dancer/mesh/impedance"
)

// Keys of the envelope. Those of the design's envelope come first in their order;
// the two that prove where the message is from come last, because each proves the
// bytes before it.
const (
	keyID    = 0
	keyKind  = 1
	keyFrom  = 2
	keyTo    = 3
	keyEpoch = 4
	keySeq   = 5
	keyAt    = 6
	keyBody  = 7
	keySig   = 8
	keyMAC   = 9
)

// Keys of every body.
const (
	keyCorrelation = 0
	keyCausation   = 1
	keyTTL         = 2
	keyPriority    = 3
	keyHash        = 4
	keyPayload     = 5 // 6 is keyProtocol
)

// firstOwn is the first of the keys whose meaning depends on the kind.
const firstOwn = 8

// The largest values of what is counted in small numbers.
const (
	thousand   = 1000
	maxDrift   = 10 * thousand
	maxEpoch   = uint64(math.MaxInt64) / uint64(time.Millisecond)
	maxMode    = 5
	maxKindKey = uint64(lastKind)
)

// envelope walks over all fields up to the body; sig and mac are the seal's. The
// map is left open.
func (c *coder) envelope(m *Message) {
	c.open()
	c.need(keyID, c.id(keyID, &m.ID))
	m.Kind = Kind(c.must(keyKind, uint64(m.Kind), maxKindKey))
	c.need(keyFrom, c.name(keyFrom, &m.From))
	c.name(keyTo, &m.To)
	m.Epoch = c.must(keyEpoch, m.Epoch, maxEpoch)
	m.Seq = c.must(keySeq, m.Seq, math.MaxUint64)
	m.At = c.wall(keyAt, m.At)
	c.need(keyAt, m.At != 0)
	if c.fault.what == "" && m.At < Wall(m.Epoch)*Wall(time.Millisecond) {
		c.fail("is before the epoch: sealed before its sender started")
	}
	c.body(m)
}

// body is the map of what depends on the kind.
func (c *coder) body(m *Message) {
	if c.writing {
		c.put(keyBody)
	} else if !c.has(keyBody) {
		c.need(keyBody, false)
		return
	}
	outer := c.open()
	c.every(m)
	switch m.Kind {
	case Heartbeat:
		c.health(&m.Health)
		c.echo(&m.Echo)
	case Coordinate:
		c.plan(&m.Plan)
	case Ack:
		c.result(&m.Result)
		c.echo(&m.Echo)
	case Confirm: // of what, the correlation says
	default:
		c.order(m.Kind, &m.Order)
	}
	c.shut(outer)
	if !c.writing {
		c.done()
	}
}

// every body has these.
func (c *coder) every(m *Message) {
	correlated, caused := c.id(keyCorrelation, &m.Correlation), c.id(keyCausation, &m.Causation)
	if m.Kind == Cancel || m.Kind == Confirm {
		c.need(keyCorrelation, correlated)
	}
	if m.Kind == Ack {
		c.need(keyCausation, caused)
	}
	m.TTL = c.span(keyTTL, m.TTL, time.Millisecond, MaxTTL)
	c.need(keyTTL, m.TTL != 0)
	m.Priority = Priority(c.uint(keyPriority, uint64(m.Priority), uint64(Critical)))
	if m.Kind.carriesPayload() {
		hashed := c.fixed(keyHash, m.Hash[:])
		m.Payload = c.string(keyPayload, majorBytes, m.Payload, MaxPayloadBytes)
		if hashed != (len(m.Payload) > 0) {
			c.fail("comes without a hash, or a hash without its payload")
		}
	}
	c.protocol(&m.Protocol)
}

func (c *coder) health(h *Health) {
	h.Class = impedance.Class(c.must(firstOwn, uint64(h.Class), uint64(impedance.ClassHuman)))
	h.Operation = impedance.Operation(c.uint(firstOwn+1, uint64(h.Operation), uint64(impedance.Quarantined)))
	h.Mode = uint8(c.uint(firstOwn+2, uint64(h.Mode), maxMode))
	h.Delay = c.span(firstOwn+3, h.Delay, time.Microsecond, MaxSpan)
	h.Processing = c.span(firstOwn+4, h.Processing, time.Microsecond, MaxSpan)
	h.Queue = uint32(c.uint(firstOwn+5, uint64(h.Queue), math.MaxUint32))
	h.Score = uint16(c.uint(firstOwn+6, uint64(h.Score), thousand))
	h.Reliability = uint16(c.uint(firstOwn+7, uint64(h.Reliability), thousand))
	h.Drift = uint16(c.uint(firstOwn+8, uint64(h.Drift), maxDrift))
	h.Context = c.uint(firstOwn+9, h.Context, math.MaxUint64)
	c.capabilities(firstOwn+10, &h.Capabilities)
}

// echo has the same keys in both kinds: the last two.
func (c *coder) echo(e *Echo) {
	e.Sent = c.wall(firstOwn+13, e.Sent)
	e.Received = c.wall(firstOwn+14, e.Received)
	if (e.Sent == 0) != (e.Received == 0) {
		c.fail("is half of an echo")
	}
}

func (c *coder) plan(p *Plan) {
	p.Target = c.wall(firstOwn, p.Target)
	c.need(firstOwn, p.Target != 0)
	p.Routing = Routing(c.must(firstOwn+1, uint64(p.Routing), uint64(Pipeline)))
	p.Verb = Verb(c.must(firstOwn+2, uint64(p.Verb), uint64(Sync)))
	p.Lead = c.span(firstOwn+3, p.Lead, time.Microsecond, MaxSpan)
	p.Processing = c.span(firstOwn+4, p.Processing, time.Microsecond, MaxSpan)
	p.Confidence = uint16(c.uint(firstOwn+5, uint64(p.Confidence), thousand))
	p.Weight = uint32(c.uint(firstOwn+6, uint64(p.Weight), math.MaxUint32))
	p.Expectation = c.trinary(firstOwn+7, p.Expectation)
	c.capabilities(firstOwn+8, &p.Requires)
}

func (c *coder) result(r *Result) {
	r.State = c.trinary(firstOwn, r.State)
	r.Queued = c.span(firstOwn+1, r.Queued, time.Microsecond, MaxSpan)
	r.Processing = c.span(firstOwn+2, r.Processing, time.Microsecond, MaxSpan)
	r.Queue = uint32(c.uint(firstOwn+3, uint64(r.Queue), math.MaxUint32))
	c.conflict(firstOwn+4, r.State == mesh.Conflict, &r.Conflict)
}

// conflict is a map of its own, there exactly when the state is Conflict.
func (c *coder) conflict(key int, due bool, x *Conflict) {
	switch {
	case c.writing && !due && x.Type != 0:
		c.key = key
		c.fail("is a conflict whose state is another")
		return
	case c.writing && due:
		c.put(key)
	case c.writing:
		return
	case c.has(key) != due:
		c.key = key
		c.fail("is a conflict without the state, or the state without a conflict")
		return
	case !due:
		return
	}
	outer := c.open()
	x.Type = ConflictType(c.must(0, uint64(x.Type), uint64(HashMismatch)))
	x.Expected = c.string(1, majorText, x.Expected, MaxValueBytes)
	x.Received = c.string(2, majorText, x.Received, MaxValueBytes)
	x.Context = c.uint(3, x.Context, math.MaxUint64)
	x.Agents = uint32(c.uint(4, uint64(x.Agents), math.MaxUint32))
	x.Depth = uint16(c.uint(5, uint64(x.Depth), math.MaxUint16))
	c.shut(outer)
	if !c.writing {
		c.done()
	}
}

// order is the body of the five kinds that order. A field that is not the kind's
// own is not written, and refused where it is read.
func (c *coder) order(k Kind, o *Order) {
	if k == Circuit {
		o.Action = Action(c.must(firstOwn, uint64(o.Action), uint64(Close)))
	}
	if k != Cancel {
		o.Scope = Scope(c.must(firstOwn+1, uint64(o.Scope), uint64(Global)))
		named := c.name(firstOwn+2, &o.Target)
		if named == (o.Scope == Global) {
			c.fail("needs a target for a cluster or a sector, and none for global")
		}
	}
	if k == Circuit {
		o.RetryAfter = c.span(firstOwn+3, o.RetryAfter, time.Millisecond, MaxSpan)
	}
	if k == Freeze || k == Thaw || k == Cancel {
		o.By = c.string(firstOwn+4, majorText, o.By, MaxByBytes)
		c.need(firstOwn+4, len(o.By) > 0)
	}
	if k != Probe {
		o.Reason = c.string(firstOwn+5, majorText, o.Reason, MaxReasonBytes)
	}
	if k == Freeze {
		o.PreserveTo = c.string(firstOwn+6, majorText, o.PreserveTo, MaxPathBytes)
	}
	if k == Circuit || k == Freeze || k == Thaw {
		o.Sequence = c.must(firstOwn+7, o.Sequence, math.MaxUint64)
	}
}
