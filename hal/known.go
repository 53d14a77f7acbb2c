package hal

import "strings"

// KnownField is one field that a framing gives by name.
type KnownField struct {
	Name string // as written in YAML, for example "GGA.latitude"
	Unit string // of the values; "" is dimensionless
}

// KnownFields lists the fields that a framing always has. It is nil for json, csv
// and lines, whose fields are the device's own. nmea and mavlink also know fields by
// a number or an instance, which are not listed: parts of sentences such as GGA.14,
// and DISTANCE_SENSOR.2.current_distance.
func KnownFields(c FramerConfig) []KnownField {
	switch c.Framing {
	case "nmea":
		return NMEAFields()
	case "mavlink":
		return mavlinkFields()
	case "ld06":
		return append(c.Sweep.fields(), KnownField{ld06Speed, "deg/s"})
	case "rplidar":
		return c.Sweep.fields()
	case "sbus":
		return sbusFields()
	}
	return nil
}

// unknownField is the error of a field that a framing with few fields does not have.
func unknownField(framing, field string, known []KnownField) error {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.Name
	}
	return framingError("%s has no field %q: the fields are %s", framing, field, strings.Join(names, ", "))
}

// Parity is the parity bit behind the eight of a byte.
type Parity uint8

// The parities.
const (
	NoParity Parity = iota
	EvenParity
	OddParity
)

// Line is how a serial line is set, and what the devices of a framing need besides.
// Bytes have eight bits.
type Line struct {
	Baud     int // bit/s; 0: the devices differ
	Parity   Parity
	TwoStops bool   // two stop bits, else one
	DropDTR  bool   // Data Terminal Ready must be off, or the device stands still
	Start    []byte // what a device has to be told before it sends; nil: it sends by itself
	Stop     []byte // what ends it
}

// LineOf gives the line of a framing.
func LineOf(framing string) Line {
	switch framing {
	case "ld06":
		return Line{Baud: 230400} // LD06 and LD19 development manuals, "Communication interface"
	case "rplidar":
		return rplidarLine
	case "sbus":
		return Line{Baud: 100000, Parity: EvenParity, TwoStops: true}
	}
	return Line{}
}
