package config

import (
	"math"
	"time"

	"dancer/boards"
	"dancer/dancer"
	"dancer/hal"
	"dancer/reflex"
)

// Framing is how values are read from a port.
type Framing string

// The framings.
const (
	FramingJSON  Framing = "json"  // one flat JSON object a line; nested names by dots
	FramingCSV   Framing = "csv"   // one row a line, columns by name
	FramingNMEA  Framing = "nmea"  // NMEA 0183 sentences, fields such as GGA.latitude
	FramingLines Framing = "lines" // text lines that match a pattern such as dist={value}

	FramingMAVLink Framing = "mavlink" // MAVLink 1 and 2, fields such as ATTITUDE.roll
	FramingLD06    Framing = "ld06"    // LD06 and LD19 laser scanners, fields such as sector.0
	FramingRPLIDAR Framing = "rplidar" // RPLIDAR A1 laser scanner, the same fields
	FramingSBUS    Framing = "sbus"    // radio-control receiver, fields such as channel.1
)

// Pull is the bias of an input line.
type Pull string

// The biases; the zero value leaves the line as it is.
const (
	PullNone Pull = ""
	PullUp   Pull = "up"
	PullDown Pull = "down"
	PullOff  Pull = "off"
)

// Port is one serial line (or, on board sim, a name without a device).
type Port struct {
	Name      string
	Device    string // "" only on board sim
	Baud      int    // 300 to 4,000,000; default 115200, or what the framing's devices have
	Parity    string // "none", "even" or "odd"
	StopBits  int    // 1 or 2
	Framing   Framing
	Pattern   string   // lines: what a line looks like, e.g. dist={value}; may be overridden per signal
	Columns   []string // csv: names of the columns in order; empty: the first row names them
	Delimiter string   // csv: one character, default ","
	System    int      // mavlink: the only system that is heard; 0 all
	Sweep     hal.Sweep
}

// FramerConfig is how the port's framer is made for the wanted fields.
func (p *Port) FramerConfig(fields []string) hal.FramerConfig {
	c := hal.FramerConfig{
		Framing: string(p.Framing), Fields: fields, Columns: p.Columns, Pattern: p.Pattern, System: p.System, Sweep: p.Sweep,
	}
	if p.Delimiter != "" {
		c.Delimiter = p.Delimiter[0]
	}
	return c
}

// Line is how the port's serial line is set, and what its device has to be told.
func (p *Port) Line() hal.Line {
	line := hal.LineOf(string(p.Framing))
	line.Baud, line.TwoStops = p.Baud, p.StopBits == 2
	line.Parity = map[string]hal.Parity{"even": hal.EvenParity, "odd": hal.OddParity}[p.Parity]
	return line
}

// Binary says whether the port carries packets of bytes, not lines of text.
func (p *Port) Binary() bool {
	switch p.Framing {
	case FramingMAVLink, FramingLD06, FramingRPLIDAR, FramingSBUS:
		return true
	}
	return false
}

// Input says where a signal comes from. It is parallel to Manual.Measured().
type Input struct {
	Port       int    // index into Robot.Ports, or -1
	Field      string // of the port's frames; default the signal's name
	HasPin     bool
	Pin        boards.Line
	Chip       *Chip // of an I2C device; nil: none
	Pull       Pull
	ActiveHigh bool          // default true: a high line reads as 1
	Control    *Control      // of a joystick; nil: none
	CAN        *CANValue     // of a CAN bus; nil: none
	Topic      *Topic        // of an MQTT broker; nil: none
	Post       bool          // other programs give it, by the post socket or by HTTP
	Cell       bool          // a coordinated command gives it, at T, and
	Lasts      time.Duration // so long, 100 ms to 1 h; default 10 s
	Idle       float64       // its value otherwise; default the smallest
	Start      float64       // board sim: value at the start of the scenario; NaN: none
}

// Joystick is one device of the kernel's input layer. Its dead-man has to be held for its
// axes to say anything but 0, and to be pressed anew when the device was silent.
type Joystick struct {
	Name       string
	Device     string // device file; or
	DeviceName string // what the kernel calls it
	DeadMan    uint16 // code of the button
	HasDeadMan bool
	StaleAfter time.Duration // 50 ms to 60 s; default 2 s: no event for so long, and its signals are invalid
	Grab       bool          // nothing else gets its events
}

// Control is an axis or a button of a joystick.
type Control struct {
	Joystick int    // index into Robot.Joysticks
	Axis     bool   // else a button
	Code     uint16 // of linux/input-event-codes.h
	Invert   bool
	Minimum  bool    // an axis that rests at its minimum: 0 to 1; else -1 to 1
	DeadZone float64 // 0 to 0.9; default 0.1
}

// Broker is an MQTT broker that signals come from.
type Broker struct {
	Name string
	ConductorLink
}

// Topic is a value in the messages of an MQTT topic.
type Topic struct {
	Broker int    // index into Robot.Brokers
	Name   string // without wildcards
	Path   []PathStep
	On     string // payload or text that is 1, in any case of letters; default ON
	Off    string // that is 0; default OFF
}

// Advisory says that the brain may give the signal's readings: it comes from the network,
// from a post or from the cell. A brain that fails, or lies, can make it say anything in its range.
func (in *Input) Advisory() bool { return in.Topic != nil || in.Post || in.Cell }

// Drive says where an output goes. It is parallel to Manual.Outputs.
type Drive struct {
	HasPin     bool
	Pin        boards.Line
	ActiveHigh bool           // default true: value 1 is a high line
	PWM        float64        // Hz; 0: the line is only on or off
	PWMChip    boards.PWMChip // on a real board: the controller that makes the pulses on Pin
	Servo      Servo
	Port       int    // index into Robot.Ports, or -1
	Format     string // what is written to the port; {value} is replaced
}

// DrivesThrough says whether an output goes through a port.
func (r *Robot) DrivesThrough(port int) bool {
	for i := range r.Drives {
		if d := &r.Drives[i]; !d.HasPin && d.Port == port {
			return true
		}
	}
	return false
}

// Lease is how long a command of the brain is good for.
type Lease struct {
	ExpiresAfter time.Duration       // default three steps of the model; 10 ms to 60 s
	Stop         reflex.StopCategory // default Stop1: what the spine performs when it runs out
	HasRamp      bool                // Ramp was given
	Ramp         time.Duration       // of stops 1 and 2: how long outputs take to their safe values; 0 to 5 s, so that a shutdown ends before the service manager loses patience
}

// RampOf gives how long an output takes to its safe value in the lease stop, in a
// straight line; 0 is at once. Outputs that are on or off, and stop category 0,
// take no time. Where robot.yaml names no ramp, an output with a rate takes what it
// needs from the end of its range that is farther from safe, and at most
// reflex.DefaultControlled; any other is at once.
func (l *Lease) RampOf(o *hal.Output) time.Duration {
	switch {
	case l.Stop == reflex.Stop0 || o.Switch:
		return 0
	case l.HasRamp:
		return l.Ramp
	case o.Rate == 0:
		return 0
	}
	farthest := math.Max(o.Maximum-o.Safe, o.Safe-o.Minimum)
	seconds := min(farthest/o.Rate, reflex.DefaultControlled.Seconds())
	return time.Duration(math.Ceil(seconds * 1e9))
}

// ReadBack is a signal that must follow an output. It stands for a reflex that
// latches: see Manual.Rules.
type ReadBack struct {
	Output    int           // index into Manual.Outputs
	Signal    int           // index into Manual.Signals
	Rule      int           // index into Manual.Rules
	Within    time.Duration // 10 ms to 60 s; default 500 ms
	Tolerance float64       // in the output's unit; default a twentieth of its range
}

// ConductorLink is how a robot reaches its conductor.
type ConductorLink struct {
	Broker       string // "auto" (mqtt://127.0.0.1:1883, the default), "off", or an MQTT URL; another host needs mqtts
	Username     string
	PasswordFile string // path, made absolute; read by the user of this value
	CAFile       string // PEM, for mqtts
	Fingerprint  string // sha256:<64 hex digits> of the broker's certificate, for mqtts
}

// Mesh is how the members of a cell find each other.
type Mesh struct {
	Join    []string // addresses to join; nil: auto, the loopback range 7946-7977
	Bind    string   // host:port; default 127.0.0.1:0, the first free of that range
	KeyFile string   // path to the cell's gossip key; needed beyond loopback
	Members []string // names of all robots of the cell that coordinate; nil: this one does not
	Port    int      // UDP, of the messages of coordination; default 0: any
	Off     bool
}

// Recording is the recording of the last minutes.
type Recording struct {
	Keep   time.Duration // default 10 min; 0: nothing is recorded
	Bytes  int64         // bound of what is kept; default 256,000,000
	Sealed int           // sealed situations that are kept; default 20

	SealedBytes int64 // bound of all of them together; default 1,000,000,000
}

// Watchdog is the hardware watchdog that the spine feeds. The zero value is none.
type Watchdog struct {
	Device     string        // /dev/watchdog0; "": none
	Timeout    time.Duration // 2 s to 10 min; default 10 s: unfed for so long, the machine resets
	Pretimeout time.Duration // the kernel is told so long before the reset; default 0: as the driver has it
}

// Plant is the simulated board's own physics, when it shall differ from the
// manual's model.
type Plant struct {
	Step time.Duration // default the model's step
	Next []dancer.Next // over the slots of signals and outputs; dt is a constant
}

// Robot is a robot.yaml with its manual, checked.
type Robot struct {
	Path        string // of robot.yaml, as given
	Bytes       []byte // of robot.yaml
	Name        string
	Cell        string // default "default"
	BoardName   string // resolved: never "auto"
	Board       boards.Profile
	ManualPath  string
	ManualBytes []byte
	Manual      *dancer.Manual
	Ports       []Port
	Buses       []Bus // I2C
	Joysticks   []Joystick
	CANBuses    []CANBus
	Brokers     []Broker // of signals; the conductor has its own
	Inputs      []Input  // parallel to Manual.Measured()
	Drives      []Drive  // parallel to Manual.Outputs
	ReadBacks   []ReadBack
	Lease       Lease
	Recording   Recording
	Watchdog    Watchdog
	Conductor   ConductorLink
	Mesh        Mesh
	Listen      string // default 127.0.0.1:8421; "off": no local HTTP server
	TokenFile   string // bearer token; needed to listen beyond loopback
	Certificate string // PEM; needed to listen beyond loopback
	Key         string // PEM; needed to listen beyond loopback
	Autostart   bool   // waives the operator's start for boot alone
	Scenario    string // board sim: path of the scenario file; "" none
	Plant       *Plant // board sim: nil: the manual's model moves the world
}
