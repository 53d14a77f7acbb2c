package host

import (
	entropy "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/datagram"
	"dancer/mesh/packet"
)

// Errors by cause.
var (
	// ErrOptions: New was given something that cannot work. Correct what it names.
	ErrOptions = errors.New("bad options of a node")
	// ErrStopped: the node does not run, or has ended. Ask another one.
	ErrStopped = errors.New("the node does not run")
)

// Command is one coordinated command, as its members get it.
type Command struct {
	Number  uint64
	Weight  uint32        // thousandths of a standard one
	At      time.Duration // T, by the clock of the coordinator; 0: at once
	Payload []byte        // what is asked for; nil: it came without, or is forgotten
}

// Action is a command whose T has come.
type Action struct {
	Command
	Value uint64        // digest that Processed gave
	Now   time.Duration // this node's clock
	Late  time.Duration // how long ago T was by the coordinator's clock, as this node knows it
	Bound time.Duration // by how much that can be wrong
}

// Handler is who carries out commands. All methods are called by the goroutine that
// owns the node, one at a time: they must not block, nor call the Host and wait for it.
type Handler interface {
	// Process begins with a command. Host.Processed says what came of it.
	Process(c Command)
	// Act acts on it: T has come.
	Act(a Action)
	// Told is everything else that the core tells: see coordination.EffectKind.
	Told(e coordination.Effect)
}

// SeatTerm is the newest term of a seat that a node has been in.
type SeatTerm struct {
	Seat uint32 `json:"seat"`
	Term uint32 `json:"term"`
}

// State is what outlives the process.
type State struct {
	Start uint32     `json:"start"` // raised by each start
	Terms []SeatTerm `json:"terms"` // in order of their seats
}

// Term of a seat; 0: none is known.
func (s *State) Term(seat uint32) uint32 {
	for _, t := range s.Terms {
		if t.Seat == seat {
			return t.Term
		}
	}
	return 0
}

func (s *State) set(seat, term uint32) {
	at, known := slices.BinarySearchFunc(s.Terms, seat, func(t SeatTerm, seat uint32) int { return int(int64(t.Seat) - int64(seat)) })
	if known {
		s.Terms[at].Term = term
		return
	}
	s.Terms = slices.Insert(s.Terms, at, SeatTerm{seat, term})
}

// Memory keeps the State. Save returns when a loss of power cannot take it any more:
// until then the node sends nothing. It is called at each start and when the seat goes
// to another term, by the goroutine that owns the node.
type Memory interface {
	// Load gives what was saved last. lost: there was something that cannot be read any
	// more; the node then promises nothing until what it may have promised is over.
	Load() (s State, lost bool)
	Save(s State) error
}

// Forgetful is a Memory that keeps nothing: for nodes that never start twice.
type Forgetful struct{}

// Load gives nothing.
func (Forgetful) Load() (s State, lost bool) { return State{}, false }

// Save does nothing.
func (Forgetful) Save(State) error { return nil }

// Boot is what a node's parts are made from at a start.
type Boot struct {
	Now    time.Duration // of the clock that the node gets
	Start  uint32        // Place.Epoch, CoordinatorConfig.Epoch
	First  uint64        // CoordinatorConfig.First
	Quiet  bool          // Place.Quiet
	State  *State        // terms
	Random *rand.Rand    // of the goroutine that owns the node
}

// Options of New. Zero values mean the defaults.
type Options struct {
	Book *coordination.Book // of all nodes that this one speaks with; needed
	Self uint32             // this node
	Cell string             // scope of the datagrams' key; needed
	// Build makes the node; needed. Cell gives one for the member of a cell.
	Build   func(Boot) (*coordination.Node, error)
	Handler Handler // needed
	Memory  Memory  // default Forgetful
	Bind    string  // see datagram.Options
	Secret  []byte  // the cell's key; needed beyond loopback
	// Conditions make clock and network worse, for tests.
	Conditions datagram.Conditions
	// Health adds to a heartbeat what the core does not know. It must not block.
	Health func(*packet.Health)
	// OnReport is told of datagrams that were refused, see datagram.Options.
	OnReport func(packet.Report)
	// Seed of all that is random; needed to be another for each node. Default: chance.
	Seed uint64
	// Queue bounds the messages that have come and wait; default 256.
	Queue int
	// ReceiveBuffer bounds the kernel's queue in bytes; default 256 KiB.
	ReceiveBuffer int
}

func (o Options) withDefaults() (Options, error) {
	if o.Memory == nil {
		o.Memory = Forgetful{}
	}
	if o.Queue == 0 {
		o.Queue = 256
	}
	if o.ReceiveBuffer == 0 {
		o.ReceiveBuffer = 256 << 10
	}
	if o.Seed == 0 {
		var chance [8]byte
		_, _ = entropy.Read(chance[:]) // never fails
		o.Seed = binary.LittleEndian.Uint64(chance[:])
	}
	switch {
	case o.Book == nil || int(o.Self) >= o.Book.Len():
		return o, fmt.Errorf("%w: node %d is not in its book", ErrOptions, o.Self)
	case o.Build == nil || o.Handler == nil:
		return o, fmt.Errorf("%w: nothing makes the node, or nobody carries out what it says", ErrOptions)
	case o.Queue < 1 || o.ReceiveBuffer < 0:
		return o, fmt.Errorf("%w: a queue of %d messages, a buffer of %d bytes", ErrOptions, o.Queue, o.ReceiveBuffer)
	}
	return o, nil
}
