package hal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"
)

// Packets of other programs, as they are printed in public repositories.
const (
	// pymavlink 2.4.50, common dialect, system 7.
	pymavHeartbeat2 = "fd090000000701000000030000000203890403c3cf"
	pymavSysStatus2 = "fd1f0000000701010000010000000100000001000000f401105910fa0000000000000000000043000c8dcd"
	pymavAttitude2  = "fd1000000007011e000040e20100c2b8323d35fa8ebdc34bcb3fd318" // 12 zeros are cut off
	pymavPosition2  = "fd1c00000007012100006ce20100f3220e11582a052ed41804004ccc00005e0188ffe7ff8c23c4cd"
	pymavPosition1  = "fe1c00070121d0e20100404e08ec20eb265ae8030000f4010000000000000000ffff90d9"
	pymavHeartbeat1 = "fe090007010000000405020c800403d1a8"
	pymavVFR2       = "fd1300000007014a0000000048410000304100408643cdccccbe5b0037612c" // VFR_HUD: not ours
	// A Pixhawk 6C on USB, by od(1).
	pixhawkHeartbeat2 = "fd 09 00 00 ef 01 01 00 00 00 00 00 00 00 02 03 51 03 03 73 89"
	// An ArduPilot's, taken apart byte by byte in the tutorial "MAVLink for Dummies".
	ardupilotHeartbeat1 = "FE 09 4E 01 01 00 00 00 00 00 02 03 51 04 03 1C 7F"
)

func mavlinkFrame(t *testing.T, fields []string, packet []byte) []string {
	t.Helper()
	return feed(t, mustFramer(t, FramerConfig{Framing: "mavlink", Fields: fields}), packet, 4096)
}

func TestMAVLinkPackets(t *testing.T) {
	for _, test := range []struct{ packet, field, want string }{
		{pymavHeartbeat2, "HEARTBEAT.custom_mode", "3"},
		{pymavHeartbeat2, "HEARTBEAT.type", "2"},
		{pymavHeartbeat2, "HEARTBEAT.autopilot", "3"},
		{pymavHeartbeat2, "HEARTBEAT.base_mode", "137"},
		{pymavHeartbeat2, "HEARTBEAT.armed", "1"},
		{pymavHeartbeat2, "HEARTBEAT.system_status", "4"},
		{pixhawkHeartbeat2, "HEARTBEAT.armed", "0"},
		{pixhawkHeartbeat2, "HEARTBEAT.system_status", "3"},
		{ardupilotHeartbeat1, "HEARTBEAT.base_mode", "81"},
		{pymavHeartbeat1, "HEARTBEAT.custom_mode", "8.4148224e+07"},
		{pymavHeartbeat1, "HEARTBEAT.armed", "1"},
		{pymavSysStatus2, "SYS_STATUS.sensors_health", "1"},
		{pymavSysStatus2, "SYS_STATUS.load", "50"},
		{pymavSysStatus2, "SYS_STATUS.voltage_battery", "22.8"},
		{pymavSysStatus2, "SYS_STATUS.current_battery", "-15.2"},
		{pymavSysStatus2, "SYS_STATUS.battery_remaining", "12"},
		{pymavAttitude2, "ATTITUDE.time_boot", "123.456"},
		{pymavAttitude2, "ATTITUDE.pitch", "-0.06981316953897476"},
		{pymavAttitude2, "ATTITUDE.yaw", "1.5882495641708374"},
		{pymavAttitude2, "ATTITUDE.yawspeed", "0"},
		{pymavPosition2, "GLOBAL_POSITION_INT.lat", "28.6139123"},
		{pymavPosition2, "GLOBAL_POSITION_INT.lon", "77.2090456"},
		{pymavPosition2, "GLOBAL_POSITION_INT.alt", "268.5"},
		{pymavPosition2, "GLOBAL_POSITION_INT.relative_alt", "52.3"},
		{pymavPosition2, "GLOBAL_POSITION_INT.vx", "3.5"},
		{pymavPosition2, "GLOBAL_POSITION_INT.vy", "-1.2"},
		{pymavPosition2, "GLOBAL_POSITION_INT.vz", "-0.25"},
		{pymavPosition2, "GLOBAL_POSITION_INT.hdg", "91"},
		{pymavPosition1, "GLOBAL_POSITION_INT.lat", "-33.5"},
		{pymavPosition1, "GLOBAL_POSITION_INT.lon", "151.25"},
		{pymavPosition1, "GLOBAL_POSITION_INT.hdg", "NaN"},
	} {
		got := mavlinkFrame(t, []string{test.field}, unhex(t, test.packet))
		checkFrame(t, test.field+" of "+test.packet, got, "0="+test.want)
	}
}

// mavlinkDefinition is common.xml's order and types, and where its extensions begin.
// The byte that a checksum takes in besides is made of them, so that a wrong table
// shows here without a packet of that message.
var mavlinkDefinition = map[string]struct{ base, extensions string }{
	"HEARTBEAT":           {"uint8_t type,uint8_t autopilot,uint8_t base_mode,uint32_t custom_mode,uint8_t system_status,uint8_t mavlink_version", ""},
	"SYS_STATUS":          {"uint32_t onboard_control_sensors_present,uint32_t onboard_control_sensors_enabled,uint32_t onboard_control_sensors_health,uint16_t load,uint16_t voltage_battery,int16_t current_battery,int8_t battery_remaining,uint16_t drop_rate_comm,uint16_t errors_comm,uint16_t errors_count1,uint16_t errors_count2,uint16_t errors_count3,uint16_t errors_count4", "uint32_t,uint32_t,uint32_t"},
	"ATTITUDE":            {"uint32_t time_boot_ms,float roll,float pitch,float yaw,float rollspeed,float pitchspeed,float yawspeed", ""},
	"GLOBAL_POSITION_INT": {"uint32_t time_boot_ms,int32_t lat,int32_t lon,int32_t alt,int32_t relative_alt,int16_t vx,int16_t vy,int16_t vz,uint16_t hdg", ""},
	"DISTANCE_SENSOR":     {"uint32_t time_boot_ms,uint16_t min_distance,uint16_t max_distance,uint16_t current_distance,uint8_t type,uint8_t id,uint8_t orientation,uint8_t covariance", "float,float,float,float,float,float,uint8_t"},
}

var mavlinkSize = map[string]int{"uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2, "uint32_t": 4, "int32_t": 4, "float": 4}

// otherNames are fields that have a shorter name here.
var otherNames = map[string]string{
	"onboard_control_sensors_present": "sensors_present", "onboard_control_sensors_enabled": "sensors_enabled",
	"onboard_control_sensors_health": "sensors_health", "time_boot_ms": "time_boot",
}

func TestMAVLinkTable(t *testing.T) {
	if len(mavlinkDefinition) != len(mavlinkMessages) {
		t.Fatalf("%d definitions for %d messages", len(mavlinkDefinition), len(mavlinkMessages))
	}
	for i := range mavlinkMessages {
		m := &mavlinkMessages[i]
		d := mavlinkDefinition[m.name]
		fields := strings.Split(d.base, ",")
		sort.SliceStable(fields, func(i, j int) bool { return sizeOf(fields[i]) > sizeOf(fields[j]) })
		crc := bitwiseCRC(0xffff, []byte(m.name+" "))
		at := 0
		for _, f := range fields {
			kind, name, _ := strings.Cut(f, " ")
			crc = bitwiseCRC(crc, []byte(kind+" "+name+" "))
			if other := otherNames[name]; other != "" {
				name = other
			}
			if own := m.field(name); own != nil && own.at != at {
				t.Errorf("%s.%s is at %d, want %d", m.name, name, own.at, at)
			}
			at += sizeOf(f)
		}
		if extra := byte(crc) ^ byte(crc>>8); extra != m.extra || at != m.length {
			t.Errorf("%s has CRC_EXTRA %d and %d bytes, want %d and %d", m.name, m.extra, m.length, extra, at)
		}
		for _, kind := range strings.Split(d.extensions, ",") {
			at += mavlinkSize[kind]
		}
		if at != m.full {
			t.Errorf("%s has %d bytes with extensions, want %d", m.name, m.full, at)
		}
	}
}

func sizeOf(field string) int {
	kind, _, _ := strings.Cut(field, " ")
	return mavlinkSize[kind]
}

// bitwiseCRC is a dumb second version of mavlinkCRC.
func bitwiseCRC(crc uint16, b []byte) uint16 {
	for _, c := range b {
		for i := range 8 {
			low := crc&1 ^ uint16(c>>i&1)
			if crc >>= 1; low != 0 {
				crc ^= 0x8408
			}
		}
	}
	return crc
}

// mavlinkPacket makes one, its length the payload's.
func mavlinkPacket(version int, flags byte, system byte, message int, extra byte, payload []byte) []byte {
	b := []byte{mavlinkBegin1, byte(len(payload)), 9, system, 1, byte(message)}
	if version == 2 {
		b = []byte{mavlinkBegin2, byte(len(payload)), flags, 0, 9, system, 1, byte(message), byte(message >> 8), byte(message >> 16)}
	}
	b = append(b, payload...)
	b = binary.LittleEndian.AppendUint16(b, bitwiseCRC(bitwiseCRC(0xffff, b[1:]), []byte{extra}))
	if flags&mavlinkSigned != 0 {
		b = append(b, bytes.Repeat([]byte{0xfd}, mavlinkSign)...) // the worst that a signature can be
	}
	return b
}

func TestMAVLinkCRC(t *testing.T) {
	if got := mavlinkCRC([]byte("12345678"), '9'); got != 0x6f91 { // the catalogue's check value of CRC-16/MCRF4XX
		t.Errorf("%#x", got)
	}
}

func TestMAVLinkDistanceSensors(t *testing.T) {
	payload := func(id, quality byte, distance uint16) []byte {
		b := make([]byte, 39)
		binary.LittleEndian.PutUint16(b[4:], 20)
		binary.LittleEndian.PutUint16(b[6:], 700)
		binary.LittleEndian.PutUint16(b[8:], distance)
		b[11], b[12], b[13] = id, 25, 255
		binary.LittleEndian.PutUint32(b[14:], math.Float32bits(0.5))
		b[38] = quality
		return b
	}
	fields := []string{"DISTANCE_SENSOR.current_distance", "DISTANCE_SENSOR.2.current_distance", "DISTANCE_SENSOR.2.max_distance", "DISTANCE_SENSOR.orientation", "DISTANCE_SENSOR.covariance", "DISTANCE_SENSOR.horizontal_fov", "DISTANCE_SENSOR.signal_quality"}
	for _, test := range []struct {
		name   string
		packet []byte
		want   string
	}{
		{"version 1", mavlinkPacket(1, 0, 1, 132, 85, payload(1, 0, 123)[:14]), "0=1.23 3=25 4=NaN 5=NaN 6=NaN"},
		{"another sensor", mavlinkPacket(1, 0, 1, 132, 85, payload(2, 0, 123)[:14]), "0=1.23 1=1.23 2=7 3=25 4=NaN 5=NaN 6=NaN"},
		{"extensions", mavlinkPacket(2, 0, 1, 132, 85, payload(2, 80, 123)), "0=1.23 1=1.23 2=7 3=25 4=NaN 5=0.5 6=80"},
		{"no signal", mavlinkPacket(2, 0, 1, 132, 85, payload(2, 1, 123)), "0=NaN 1=NaN 2=7 3=25 4=NaN 5=0.5 6=1"},
		{"cut", mavlinkPacket(2, 0, 1, 132, 85, payload(1, 0, 123)[:9]), "0=1.23 3=0 4=0 5=NaN 6=NaN"},
		{"signed", mavlinkPacket(2, mavlinkSigned, 1, 132, 85, payload(1, 0, 123)[:14]), "0=1.23 3=25 4=NaN 5=NaN 6=NaN"},
		{"too short for version 1", mavlinkPacket(1, 0, 1, 132, 85, payload(1, 0, 123)[:13]), "refused"},
		{"too long", mavlinkPacket(2, 0, 1, 132, 85, append(payload(1, 0, 123), 1)), "refused"},
		{"another definition", mavlinkPacket(2, 0, 1, 132, 86, payload(1, 0, 123)), "refused"},
		{"a flag that must be understood", mavlinkPacket(2, 2, 1, 132, 85, payload(1, 0, 123)), "refused"},
		{"another message", mavlinkPacket(2, 0, 1, 132+1<<16, 85, payload(1, 0, 123)), "refused"},
	} {
		checkFrame(t, test.name, mavlinkFrame(t, fields, test.packet), test.want)
	}
}

func TestMAVLinkWithoutAFix(t *testing.T) {
	payload := make([]byte, 28)
	fields := []string{"GLOBAL_POSITION_INT.lat", "GLOBAL_POSITION_INT.lon", "GLOBAL_POSITION_INT.alt"}
	checkFrame(t, "no fix", mavlinkFrame(t, fields, mavlinkPacket(1, 0, 1, 33, 104, payload)), "0=NaN 1=NaN 2=0")
	payload[8] = 1
	checkFrame(t, "on the equator", mavlinkFrame(t, fields, mavlinkPacket(1, 0, 1, 33, 104, payload)), "0=0 1=1e-07 2=0")
}

// TestMAVLinkOtherMessages: a message that nobody knows is passed over whole where the
// stream is in step, even if a packet hides in it, and costs nothing where it is not.
func TestMAVLinkOtherMessages(t *testing.T) {
	good := unhex(t, pymavHeartbeat2)
	log := mavlinkPacket(2, 0, 1, 120, 0, append([]byte{1, 2, 3}, unhex(t, ardupilotHeartbeat1)...))
	f := mustFramer(t, FramerConfig{Framing: "mavlink", Fields: []string{"HEARTBEAT.base_mode"}})
	got := feed(t, f, bytes.Join([][]byte{good, log, log, good}, nil), 11)
	if fmt.Sprint(got) != "[0=137 0=137]" || f.Counters().Errors != 0 {
		t.Errorf("in step: %q, %+v", got, f.Counters())
	}
	claim := []byte{mavlinkBegin2, 200, 0, 0, 0, 1, 1, 120, 0, 0} // says that 200 bytes follow
	got = feed(t, f, append(append(claim, good...), bytes.Repeat(good, 12)...), 11)
	if len(got) != 1+8 && len(got) < 4 || got[0] != "0=137" { // what the claim covers comes as one frame, its newest
		t.Errorf("a wrong length: %q", got)
	}
	if f.Counters().Errors != 1 {
		t.Errorf("%+v", f.Counters())
	}
	f.Reset()
	if got = feed(t, f, append(claim, good...), 11); fmt.Sprint(got) != "[0=137]" {
		t.Errorf("out of step: %q", got)
	}
}

func TestMAVLinkSystem(t *testing.T) {
	f := mustFramer(t, FramerConfig{Framing: "mavlink", Fields: []string{"HEARTBEAT.base_mode"}, System: 7})
	if got := feed(t, f, unhex(t, pixhawkHeartbeat2+pymavHeartbeat2+ardupilotHeartbeat1), 99); fmt.Sprintf("%q", got) != `["" "0=137" ""]` {
		t.Errorf("%q", got)
	}
}

func TestMAVLinkErrors(t *testing.T) {
	for field, want := range map[string]string{
		"roll":                       `no field "roll": write MESSAGE.name, the messages are HEARTBEAT, SYS_STATUS, ATTITUDE, GLOBAL_POSITION_INT, DISTANCE_SENSOR`,
		"ATTITUDE.rol":               `message ATTITUDE has no field "rol": the fields are time_boot, roll, pitch`,
		"ATTITUDE.1.roll":            "only DISTANCE_SENSOR takes a number",
		"DISTANCE_SENSOR.256.id":     "its id from 0 to 255",
		"DISTANCE_SENSOR.+1.id":      "its id from 0 to 255",
		"DISTANCE_SENSOR.1.distance": `has no field "distance"`,
		"":                           "the messages are",
	} {
		if _, err := NewMAVLinkFramer([]string{field}, 0); !errors.Is(err, ErrFraming) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", field, err, want)
		}
	}
	for _, system := range []int{-1, 256} {
		if _, err := NewMAVLinkFramer(nil, system); !errors.Is(err, ErrFraming) {
			t.Errorf("system %d: %v", system, err)
		}
	}
}
