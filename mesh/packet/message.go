package packet

import (
	"bytes"
	"time"

	"dancer/mesh"
	"dancer/mesh/impedance"
)

// Bounds of a message.
const (
	// MaxDatagramBytes bounds a sealed message: RFC 9000 section 14 takes 1200 bytes
	// of UDP payload for what every path carries in one piece, and so do we.
	MaxDatagramBytes = 1200
	// MaxPayloadBytes is what is left of it beside the longest names, eight
	// capabilities, the protocol, a signature and a MAC. More goes over MQTT.
	MaxPayloadBytes = 512
	// MaxTTL bounds the time to live: how long a source must be remembered so that
	// nothing it said is taken twice.
	MaxTTL = 60 * time.Second
	// MaxSpan bounds lead times and processing times.
	MaxSpan = 24 * time.Hour
	// Bounds of texts, in bytes.
	MaxReasonBytes = 200
	MaxByBytes     = 80
	MaxPathBytes   = 128
	MaxValueBytes  = 64 // of a conflict
)

// Message is one datagram, read. Slices alias the bytes it was read from: Clone
// what is kept. Fields that the kind does not have are zero.
type Message struct {
	// Envelope. Seal fills in From, Epoch, Seq and At.
	ID    ID     // key for de-duplication: a copy that is sent again keeps it
	Kind  Kind   //
	From  Name   //
	To    Name   // whose copy this is; zero: everybody in the scope
	Epoch uint64 // milliseconds since 1970 when the sender started, by its clock
	Seq   uint64 // datagrams of this epoch, from 1: one that is sent again has a new one
	At    Wall   // sender's clock when it was sealed: t3 of an exchange, t1 of the next

	// Of every kind.
	Correlation ID            // groups messages: the cascade or question; CANCEL and CONFIRM must have it
	Causation   ID            // the message that caused this one; ACK must have it
	TTL         time.Duration // from At on, whole milliseconds, 1 ms to MaxTTL
	Priority    Priority      //
	Signed      bool          // carries an Ed25519 signature beside the MAC

	// Payload of a COORDINATE, or an ACK's answer, at most MaxPayloadBytes. Its
	// SHA-256 travels with it, whole: answers are grouped by it, and half of it
	// would let an agent make two answers that count as one.
	Payload []byte
	Hash    [32]byte

	Health Health // HEARTBEAT
	Plan   Plan   // COORDINATE
	Result Result // ACK
	Order  Order  // CIRCUIT, FREEZE, THAW, CANCEL, PROBE
	Echo   Echo   // HEARTBEAT, ACK

	Protocol Protocol // of every kind; none where it has no seat
}

// Health is what a HEARTBEAT says of its sender. Spans are in whole microseconds
// on the wire.
type Health struct {
	Class        impedance.Class     // A to F
	Operation    impedance.Operation // as the sender sees itself
	Mode         uint8               // operational mode, 1 (full) to 5 (emergency); 0: not said
	Delay        time.Duration       // one-way delay, median of the window; 0: not measured yet
	Processing   time.Duration       // median of the window, for a payload of weight 1
	Queue        uint32              // operations that wait
	Score        uint16              // 0 to 1000, higher is harder
	Reliability  uint16              // thousandths, 0 to 1000
	Drift        uint16              // thousandths, 0 to 10,000: deviation over mean
	Context      uint64              // first 8 bytes of the manual's hash
	Capabilities Capabilities        //
}

// Plan is what a COORDINATE asks of one receiver.
type Plan struct {
	Target      Wall          // T, when to be ready and act, by the sender's clock
	Routing     Routing       //
	Verb        Verb          //
	Lead        time.Duration // how long before T this copy was sent, to this receiver
	Processing  time.Duration // how long the receiver is expected to take
	Confidence  uint16        // in the two, thousandths, 0 to 1000
	Weight      uint32        // of the payload, thousandths of a standard one
	Expectation mesh.Trinary  // what the sender expects to come of it
	Requires    Capabilities  // what a receiver must be able to do
}

// Result is what an ACK says of the message that Causation names. The receiver
// was ready at Echo.Received + Queued + Processing.
type Result struct {
	State      mesh.Trinary  // Ready; Transit: received, not through; Conflict
	Queued     time.Duration // waited before it was processed
	Processing time.Duration //
	Queue      uint32        // operations that wait now
	Conflict   Conflict      // for the state Conflict
}

// Conflict says why a message cannot be integrated. It is information.
type Conflict struct {
	Type     ConflictType //
	Expected []byte       // UTF-8, at most MaxValueBytes
	Received []byte       // the same
	Context  uint64       // first 8 bytes of the hash of the agent's context
	Agents   uint32       // how many are affected, as far as the agent knows
	Depth    uint16       // how many steps back the worlds still agree
}

// Order is what CIRCUIT, FREEZE, THAW, CANCEL and PROBE say.
type Order struct {
	Action     Action        // CIRCUIT
	Scope      Scope         // all but CANCEL, whose Correlation says what it is about
	Target     Name          // what of the scope; none for Global
	Sequence   uint64        // CIRCUIT, FREEZE, THAW: raised by who gave the order, kept by who passes it on; of two the higher holds
	RetryAfter time.Duration // CIRCUIT: when the breaker will probe, whole milliseconds
	By         []byte        // FREEZE, THAW, CANCEL: who, UTF-8, at most MaxByBytes; needed
	Reason     []byte        // UTF-8, at most MaxReasonBytes
	PreserveTo []byte        // FREEZE: where to keep state, UTF-8, at most MaxPathBytes
}

// Echo gives back when a peer's last message was sealed and when it came: with
// At and the moment this message comes in, the four timestamps that a clock offset
// is computed from. An ACK echoes the message that it acknowledges, so Received is
// also that one's actual arrival.
type Echo struct {
	Sent     Wall // t1, the peer's clock: At of its message
	Received Wall // t2, this sender's clock; zero: nothing to echo
}

// Exchange is the four timestamps of RFC 5905 section 8.
type Exchange struct {
	Sent     Wall // t1, the receiver's clock: its own message left
	Received Wall // t2, the sender's clock: and came there
	Answered Wall // t3, the sender's clock: the answer left
	Returned Wall // t4, the receiver's clock: and came
}

// Exchange gives the timestamps that a message which came at received (by this
// agent's clock) completes; false if it echoes nothing.
func (m *Message) Exchange(received Wall) (Exchange, bool) {
	return Exchange{m.Echo.Sent, m.Echo.Received, m.At, received}, m.Echo.Received != 0
}

// Clone copies the message with all that it refers to.
func (m *Message) Clone() *Message {
	c := *m
	for _, s := range []*[]byte{&c.Payload, &c.Result.Conflict.Expected, &c.Result.Conflict.Received, &c.Order.By, &c.Order.Reason, &c.Order.PreserveTo} {
		*s = bytes.Clone(*s)
	}
	return &c
}
