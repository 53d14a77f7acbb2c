package hal

import (
	"math"
	"strings"
)

// mavlinkKind is how a field lies in the payload, lowest byte first.
type mavlinkKind uint8

const (
	mavU8 mavlinkKind = iota
	mavI8
	mavU16
	mavI16
	mavU32
	mavI32
	mavFloat
	mavArmed // one bit of HEARTBEAT's base_mode
)

// mavlinkField is one field of a message.
type mavlinkField struct {
	name    string
	at      int // offset in the payload, after MAVLink's reordering by size
	kind    mavlinkKind
	per     float64 // the field counts so many of them to the unit
	unit    string
	unknown float64 // raw value that the definition calls unknown; NaN: none
}

// mavlinkMessage is a message of the definition.
type mavlinkMessage struct {
	name         string
	number       int
	extra        byte // CRC_EXTRA
	length, full int  // of the payload without and with extensions, in bytes
	instance     int  // offset of the byte that tells senders apart; 0: none
	fields       []mavlinkField
	// void says that a field has no value for another reason, may be nil.
	void func(payload []byte, f *mavlinkField) bool
}

// mavArmedBit is MAV_MODE_FLAG_SAFETY_ARMED.
const mavArmedBit = 0x80

// none is the raw value of a field that is never unknown.
var none = math.NaN()

// mavlinkMessages are from the definition in common.xml and standard.xml of
// github.com/mavlink/mavlink (message_definitions/v1.0).
var mavlinkMessages = [...]mavlinkMessage{
	{name: "HEARTBEAT", number: 0, extra: 50, length: 9, full: 9, fields: []mavlinkField{
		{"custom_mode", 0, mavU32, 1, "", none},
		{"type", 4, mavU8, 1, "", none},
		{"autopilot", 5, mavU8, 1, "", none},
		{"base_mode", 6, mavU8, 1, "", none},
		{"system_status", 7, mavU8, 1, "", none},
		{"armed", 6, mavArmed, 1, "", none},
	}},
	{name: "SYS_STATUS", number: 1, extra: 124, length: 31, full: 43, fields: []mavlinkField{
		{"sensors_present", 0, mavU32, 1, "", none},
		{"sensors_enabled", 4, mavU32, 1, "", none},
		{"sensors_health", 8, mavU32, 1, "", none},
		{"load", 12, mavU16, 10, "%", none},
		{"voltage_battery", 14, mavU16, 1000, "V", math.MaxUint16},
		{"current_battery", 16, mavI16, 100, "A", -1},
		{"drop_rate_comm", 18, mavU16, 100, "%", none},
		{"errors_comm", 20, mavU16, 1, "", none},
		{"battery_remaining", 30, mavI8, 1, "%", -1},
	}},
	{name: "ATTITUDE", number: 30, extra: 39, length: 28, full: 28, fields: []mavlinkField{
		{"time_boot", 0, mavU32, 1000, "s", none},
		{"roll", 4, mavFloat, 1, "rad", none},
		{"pitch", 8, mavFloat, 1, "rad", none},
		{"yaw", 12, mavFloat, 1, "rad", none},
		{"rollspeed", 16, mavFloat, 1, "rad/s", none},
		{"pitchspeed", 20, mavFloat, 1, "rad/s", none},
		{"yawspeed", 24, mavFloat, 1, "rad/s", none},
	}},
	{name: "GLOBAL_POSITION_INT", number: 33, extra: 104, length: 28, full: 28, void: noPosition, fields: []mavlinkField{
		{"time_boot", 0, mavU32, 1000, "s", none},
		{"lat", mavLatitude, mavI32, 1e7, "deg", none},
		{"lon", mavLongitude, mavI32, 1e7, "deg", none},
		{"alt", 12, mavI32, 1000, "m", none},
		{"relative_alt", 16, mavI32, 1000, "m", none},
		{"vx", 20, mavI16, 100, "m/s", none},
		{"vy", 22, mavI16, 100, "m/s", none},
		{"vz", 24, mavI16, 100, "m/s", none},
		{"hdg", 26, mavU16, 100, "deg", math.MaxUint16},
	}},
	{name: "DISTANCE_SENSOR", number: 132, extra: 85, length: 14, full: 39, instance: 11, void: badSignal, fields: []mavlinkField{
		{"time_boot", 0, mavU32, 1000, "s", none},
		{"min_distance", 4, mavU16, 100, "m", none},
		{"max_distance", 6, mavU16, 100, "m", none},
		{"current_distance", mavDistance, mavU16, 100, "m", none},
		{"type", 10, mavU8, 1, "", none},
		{"id", 11, mavU8, 1, "", none},
		{"orientation", 12, mavU8, 1, "", none},
		{"covariance", 13, mavU8, 10000, "m^2", math.MaxUint8},
		{"horizontal_fov", 14, mavFloat, 1, "rad", 0},
		{"vertical_fov", 18, mavFloat, 1, "rad", 0},
		{"signal_quality", mavQuality, mavU8, 1, "%", 0},
	}},
}

// Offsets that void functions look at.
const (
	mavLatitude  = 4
	mavLongitude = 8
	mavDistance  = 8
	mavQuality   = 38
)

// noPosition: without a fix autopilots send 0, 0.
func noPosition(payload []byte, f *mavlinkField) bool {
	return (f.at == mavLatitude || f.at == mavLongitude) &&
		littleEndian32(payload[mavLatitude:]) == 0 && littleEndian32(payload[mavLongitude:]) == 0
}

// badSignal: a quality of 1 stands for a signal that is invalid.
func badSignal(payload []byte, f *mavlinkField) bool {
	return f.at == mavDistance && payload[mavQuality] == 1
}

// read gives the field's value in its unit.
func (f *mavlinkField) read(payload []byte) float64 {
	b := payload[f.at:]
	var raw float64
	switch f.kind {
	case mavU8:
		raw = float64(b[0])
	case mavI8:
		raw = float64(int8(b[0]))
	case mavU16:
		raw = float64(littleEndian16(b))
	case mavI16:
		raw = float64(int16(littleEndian16(b)))
	case mavU32:
		raw = float64(littleEndian32(b))
	case mavI32:
		raw = float64(int32(littleEndian32(b)))
	case mavFloat:
		raw = float64(math.Float32frombits(littleEndian32(b)))
	case mavArmed:
		raw = bit(b[0], mavArmedBit)
	}
	if raw == f.unknown {
		return math.NaN()
	}
	return raw / f.per
}

func (m *mavlinkMessage) field(name string) *mavlinkField {
	for i := range m.fields {
		if m.fields[i].name == name {
			return &m.fields[i]
		}
	}
	return nil
}

func (m *mavlinkMessage) fieldNames() string {
	names := make([]string, len(m.fields))
	for i := range m.fields {
		names[i] = m.fields[i].name
	}
	return strings.Join(names, ", ")
}

func mavlinkByNumber(number int) *mavlinkMessage {
	for i := range mavlinkMessages {
		if mavlinkMessages[i].number == number {
			return &mavlinkMessages[i]
		}
	}
	return nil
}

func mavlinkByName(name string) *mavlinkMessage {
	for i := range mavlinkMessages {
		if mavlinkMessages[i].name == name {
			return &mavlinkMessages[i]
		}
	}
	return nil
}

func mavlinkNames() string {
	names := make([]string, len(mavlinkMessages))
	for i := range mavlinkMessages {
		names[i] = mavlinkMessages[i].name
	}
	return strings.Join(names, ", ")
}

// mavlinkFields lists every field, in the order of the messages.
func mavlinkFields() []KnownField {
	var list []KnownField
	for i := range mavlinkMessages {
		m := &mavlinkMessages[i]
		for j := range m.fields {
			list = append(list, KnownField{m.name + "." + m.fields[j].name, m.fields[j].unit})
		}
	}
	return list
}
