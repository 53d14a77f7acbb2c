package impedance

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of an encoded record. The membership layer panics over 512 bytes of
// meta data and the packet it travels in carries other things too.
const (
	MaxRecordBytes     = 480
	MaxNameBytes       = 63 // agent, region, cell
	MaxContextBytes    = 16
	MaxCapabilities    = 8
	MaxCapabilityBytes = 16
)

// version of the encoding; a reader refuses any other.
const version = 1

// Errors of Encode and Decode.
var (
	// ErrRecord: a field is out of its range or too long.
	ErrRecord = errors.New("bad impedance record")
	// ErrVersion: the record has an encoding that this version does not know.
	ErrVersion = errors.New("unknown impedance encoding")
)

// Class groups agents with like impedance. The zero value is unknown.
type Class uint8

// The classes of mesh-30k 2.2, with the typical delay of each.
const (
	ClassUnknown    Class = iota
	ClassEdge             // A: edge functions, 5-20 ms, limited processing
	ClassServerless       // B: 50-150 ms
	ClassPersistent       // C: long-running servers, 100-300 ms
	ClassGPU              // D: Jetson and GPU machines, 200-500 ms, very high processing
	ClassLocal            // E: Raspberry Pi and other local hardware, variable
	ClassHuman            // F: people, seconds to hours; addressed, never counted in a window
)

// String gives the letter of the class, "?" when unknown.
func (c Class) String() string {
	if c == ClassUnknown || c > ClassHuman {
		return "?"
	}
	return string(rune('A' + c - ClassEdge))
}

// Operation is the operational state of an agent. The zero value is Offline, so
// that an agent nobody has heard of is never taken for a working one.
type Operation uint8

// The operational states. An agent says Active or Degraded of itself; Offline
// and Quarantined are said by others about it.
const (
	Offline     Operation = iota // not heard of, or its lease ran out
	Active                       // works as it should
	Degraded                     // works with a fault: report-only brain, broker lost, storage full
	Quarantined                  // kept out of coordination until it is looked at
)

// String names the state as it appears in JSON.
func (o Operation) String() string {
	switch o {
	case Offline:
		return "offline"
	case Active:
		return "active"
	case Degraded:
		return "degraded"
	case Quarantined:
		return "quarantined"
	}
	return "invalid"
}

// MarshalText writes the name.
func (o Operation) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MarshalText writes the letter.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Record is the impedance of one agent, as it says itself (mesh-30k 2.3).
type Record struct {
	Agent        string    `json:"agent"`
	Class        Class     `json:"class"`
	Region       string    `json:"region,omitempty"`
	Cell         string    `json:"cell"`
	RoundTripMS  float64   `json:"round_trip_ms"`      // mean of the window, to the peers of the cell; 0: not measured yet
	DelayMS      float64   `json:"delay_ms,omitempty"` // mean of the window, one way; 0: not measured
	ProcessingMS float64   `json:"processing_ms"`      // for a payload of weight 1, see Meter.Base; 0: not measured
	QueueDepth   uint32    `json:"queue_depth"`        // operations that wait
	Heartbeat    int64     `json:"heartbeat"`          // wall clock of the agent, Unix milliseconds; display only
	Score        uint16    `json:"score"`              // 0-1000, see Score; higher is harder
	Reliability  float64   `json:"reliability"`        // share of operations that succeeded in the last hour, 0-1
	Drift        float64   `json:"drift"`              // standard deviation over mean of delay + processing, 0-10
	Operation    Operation `json:"operation"`
	Context      string    `json:"context,omitempty"` // first 16 characters of the manual's hash
	Capabilities []string  `json:"capabilities,omitempty"`
	Port         uint16    `json:"port,omitempty"` // UDP, of its messages of coordination, at the address of its membership; 0: it takes none
}

// wire is the CBOR form: integer keys, millisecond quantities in microseconds,
// shares in thousandths. Keys are never reused.
type wire struct {
	Version      uint8    `cbor:"0,keyasint"`
	Agent        string   `cbor:"1,keyasint"`
	Class        Class    `cbor:"2,keyasint,omitempty"`
	Region       string   `cbor:"3,keyasint,omitempty"`
	Cell         string   `cbor:"4,keyasint"`
	RoundTripUS  uint32   `cbor:"5,keyasint,omitempty"`
	ProcessingUS uint32   `cbor:"6,keyasint,omitempty"`
	QueueDepth   uint32   `cbor:"7,keyasint,omitempty"`
	Heartbeat    int64    `cbor:"8,keyasint,omitempty"`
	Score        uint16   `cbor:"9,keyasint,omitempty"`
	Reliability  uint16   `cbor:"10,keyasint,omitempty"` // thousandths
	Drift        uint16   `cbor:"11,keyasint,omitempty"` // thousandths
	Operation    uint8    `cbor:"12,keyasint,omitempty"`
	Context      string   `cbor:"13,keyasint,omitempty"`
	Capabilities []string `cbor:"14,keyasint,omitempty"`
	DelayUS      uint32   `cbor:"15,keyasint,omitempty"`
	Port         uint16   `cbor:"16,keyasint,omitempty"`
}

// encoder writes the one canonical form; decoder refuses duplicates, indefinite
// lengths and anything deeper or longer than a record.
var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 32, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode())
)

// must panics on options that the CBOR module refuses: they are constants.
func must[T any](mode T, err error) T {
	if err != nil {
		panic("impedance: CBOR options: " + err.Error())
	}
	return mode
}

// Encode gives the compact form, at most MaxRecordBytes long. Quantities are
// rounded to a microsecond and a thousandth, and clamped to their ranges.
func (r Record) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	data, err := encoder.Marshal(wire{
		Version: version, Agent: r.Agent, Class: r.Class, Region: r.Region, Cell: r.Cell,
		RoundTripUS: scaled(r.RoundTripMS), DelayUS: scaled(r.DelayMS), ProcessingUS: scaled(r.ProcessingMS), QueueDepth: r.QueueDepth,
		Heartbeat: r.Heartbeat, Score: r.Score, Reliability: uint16(scaled(min(r.Reliability, 1))),
		Drift: uint16(scaled(min(r.Drift, MaxDrift))), Operation: uint8(r.Operation), Context: r.Context, Capabilities: r.Capabilities, Port: r.Port,
	})
	if err != nil {
		return nil, fmt.Errorf("encode impedance record: %w", err)
	}
	if len(data) > MaxRecordBytes {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d: shorten names or capabilities", ErrRecord, len(data), MaxRecordBytes)
	}
	return data, nil
}

// Decode reads what Encode wrote, and checks it: it comes from a peer.
func Decode(data []byte) (Record, error) {
	if len(data) > MaxRecordBytes {
		return Record{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrRecord, len(data), MaxRecordBytes)
	}
	var w wire
	if err := decoder.Unmarshal(data, &w); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if w.Version != version {
		return Record{}, fmt.Errorf("%w: %d, this version reads %d", ErrVersion, w.Version, version)
	}
	r := Record{
		Agent: w.Agent, Class: w.Class, Region: w.Region, Cell: w.Cell,
		RoundTripMS: float64(w.RoundTripUS) / 1000, DelayMS: float64(w.DelayUS) / 1000, ProcessingMS: float64(w.ProcessingUS) / 1000,
		QueueDepth: w.QueueDepth, Heartbeat: w.Heartbeat, Score: w.Score,
		Reliability: float64(w.Reliability) / 1000, Drift: float64(w.Drift) / 1000,
		Operation: Operation(w.Operation), Context: w.Context, Capabilities: w.Capabilities, Port: w.Port,
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	return r, nil
}

func (r Record) check() error {
	switch {
	case r.Agent == "" || r.Cell == "":
		return fmt.Errorf("%w: no agent or no cell", ErrRecord)
	case r.Class > ClassHuman:
		return fmt.Errorf("%w: class %d", ErrRecord, r.Class)
	case r.Operation > Quarantined:
		return fmt.Errorf("%w: operation %d", ErrRecord, r.Operation)
	case r.Score > MaxScore:
		return fmt.Errorf("%w: score %d, the limit is %d", ErrRecord, r.Score, MaxScore)
	case !share(r.Reliability, 1) || !share(r.Drift, MaxDrift):
		return fmt.Errorf("%w: reliability %v or drift %v out of range", ErrRecord, r.Reliability, r.Drift)
	case !(r.RoundTripMS >= 0) || !(r.DelayMS >= 0) || !(r.ProcessingMS >= 0):
		return fmt.Errorf("%w: negative delay", ErrRecord)
	case len(r.Capabilities) > MaxCapabilities:
		return fmt.Errorf("%w: %d capabilities, the limit is %d", ErrRecord, len(r.Capabilities), MaxCapabilities)
	}
	for _, c := range r.Capabilities {
		if !text(c, MaxCapabilityBytes) {
			return fmt.Errorf("%w: a capability over %d bytes", ErrRecord, MaxCapabilityBytes)
		}
	}
	if !text(r.Agent, MaxNameBytes) || !text(r.Cell, MaxNameBytes) || !text(r.Region, MaxNameBytes) || !text(r.Context, MaxContextBytes) {
		return fmt.Errorf("%w: a name over %d bytes or a context over %d", ErrRecord, MaxNameBytes, MaxContextBytes)
	}
	return nil
}

func share(v, limit float64) bool { return v >= 0 && v <= limit }

func text(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }

// scaled turns milliseconds into microseconds, or a share into thousandths.
func scaled(v float64) uint32 {
	return uint32(math.Round(min(v*1000, math.MaxUint32)))
}
