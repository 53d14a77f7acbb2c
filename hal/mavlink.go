package hal

import (
	"math"
	"strings"
)

// MAVLink packets, as the guide at mavlink.io/en/guide/serialization.html has them.
// Everything behind the marker, the signature excepted, is covered by a CRC-16/MCRF4XX
// that also takes in a byte of the message's definition (CRC_EXTRA): a packet of
// another definition fails it.
const (
	mavlinkBegin1   = 0xfe
	mavlinkHeader1  = 6 // marker, length, sequence, system, component, message
	mavlinkBegin2   = 0xfd
	mavlinkHeader2  = 10 // marker, length, incompatible and compatible flags, sequence, system, component, 3 of message
	mavlinkChecksum = 2
	mavlinkSigned   = 1 << 0 // incompatible flag
	mavlinkSign     = 13
	mavlinkPayload  = 255
	// mavlinkOthers is how many messages in a row are passed over unchecked: some
	// seconds of a full line, and every system sends HEARTBEAT once a second.
	mavlinkOthers = 1000
)

// NewMAVLinkFramer reads MAVLink 1 and 2. Every packet of a message that it knows,
// with the right checksum, is a frame; other messages are passed over by their
// length. A field is MESSAGE.name, of those that KnownFields lists, in SI units and
// degrees whatever the message uses; what the definition calls unknown is NaN, and so
// is a position of exactly 0, 0, which autopilots send without a fix.
// DISTANCE_SENSOR.2.name is of the sensor with the id 2 alone.
//
// system is the only one that is heard, 0 all: a radio link also carries the ground
// station's own HEARTBEAT. Signatures are not checked: they have to be by whoever is
// at the end of an open link.
func NewMAVLinkFramer(fields []string, system int) (Framer, error) {
	if system < 0 || system > 255 {
		return nil, framingError("mavlink system %d: systems are numbered from 1 to 255", system)
	}
	p := &mavlinkParser{wanted: make([]mavlinkWanted, len(fields)), system: system}
	for i, f := range fields {
		w, err := parseMAVLinkField(f)
		if err != nil {
			return nil, err
		}
		p.wanted[i] = w
	}
	return newPacketFramer(p, len(fields)), nil
}

// mavlinkWanted is one wanted field.
type mavlinkWanted struct {
	message  *mavlinkMessage
	field    *mavlinkField
	instance int // of a message that has one; -1 any
}

// parseMAVLinkField reads MESSAGE.name or MESSAGE.instance.name.
func parseMAVLinkField(text string) (mavlinkWanted, error) {
	name, field, _ := strings.Cut(text, ".")
	m := mavlinkByName(name)
	if m == nil {
		return mavlinkWanted{}, framingError("mavlink has no field %q: write MESSAGE.name, the messages are %s", text, mavlinkNames())
	}
	w := mavlinkWanted{message: m, instance: -1}
	if number, rest, found := strings.Cut(field, "."); found {
		if w.instance = cutNumber(number, ""); m.instance == 0 || w.instance < 0 || w.instance > 255 {
			return w, framingError("mavlink field %q: only DISTANCE_SENSOR takes a number, its id from 0 to 255", text)
		}
		field = rest
	}
	if w.field = m.field(field); w.field == nil {
		return w, framingError("mavlink message %s has no field %q: the fields are %s", m.name, field, m.fieldNames())
	}
	return w, nil
}

type mavlinkParser struct {
	wanted []mavlinkWanted
	system int
	inStep bool // the packet before ended where this one begins
	others int  // messages passed over in a row
	// payload has the zeros that MAVLink 2 leaves out at the end.
	payload [mavlinkPayload]byte
}

func (p *mavlinkParser) reset() { p.inStep, p.others = false, 0 }

func (p *mavlinkParser) longest() int {
	return mavlinkHeader2 + mavlinkPayload + mavlinkChecksum + mavlinkSign + 1
}

// mavlinkHead is a packet's header.
type mavlinkHead struct {
	header, length, total int // bytes
	message               int
	system                int
	version2, understood  bool
}

func isMAVLinkBegin(b byte) bool { return b == mavlinkBegin1 || b == mavlinkBegin2 }

func (p *mavlinkParser) scan(held []byte, out *fields) (int, packetVerdict) {
	header := mavlinkHeader1
	switch held[0] {
	case mavlinkBegin1:
	case mavlinkBegin2:
		header = mavlinkHeader2
	default:
		p.inStep = false
		return until(held, isMAVLinkBegin), noise
	}
	if len(held) < header {
		return header, needsMore
	}
	h := readMAVLinkHead(held)
	m := mavlinkByNumber(h.message)
	if m == nil || !h.understood {
		return p.passOver(held, &h)
	}
	if !h.fits(m) {
		p.inStep = false
		return until(held, isMAVLinkBegin), noise
	}
	if len(held) < h.total {
		return h.total, needsMore
	}
	end := h.header + h.length
	if mavlinkCRC(held[1:end], m.extra) != littleEndian16(held[end:]) {
		p.inStep = false
		return h.total, damaged
	}
	p.inStep, p.others = true, 0
	if p.system == 0 || p.system == h.system {
		n := copy(p.payload[:], held[h.header:end])
		clear(p.payload[n:])
		p.read(m, out)
	}
	return h.total, sound
}

func readMAVLinkHead(b []byte) mavlinkHead {
	h := mavlinkHead{header: mavlinkHeader1, length: int(b[1]), system: int(b[3]), message: int(b[5]), understood: true}
	if b[0] == mavlinkBegin2 {
		h = mavlinkHead{
			header: mavlinkHeader2, length: int(b[1]), system: int(b[5]), version2: true,
			message:    int(b[7]) | int(b[8])<<8 | int(b[9])<<16,
			understood: b[2]&^mavlinkSigned == 0,
		}
		if b[2]&mavlinkSigned != 0 {
			h.total = mavlinkSign
		}
	}
	h.total += h.header + h.length + mavlinkChecksum
	return h
}

// fits says whether the length is one that the message can have. MAVLink 1 has
// neither extensions nor cuts zeros off.
func (h *mavlinkHead) fits(m *mavlinkMessage) bool {
	if h.version2 {
		return h.length >= 1 && h.length <= m.full
	}
	return h.length == m.length
}

// passOver leaves a message out whose checksum nobody here can tell. Its length is
// believed where the stream is in step and another packet begins behind it; else it
// is taken for noise, so that no good packet is lost in it.
func (p *mavlinkParser) passOver(held []byte, h *mavlinkHead) (int, packetVerdict) {
	if !p.inStep {
		return until(held, isMAVLinkBegin), noise
	}
	if len(held) <= h.total {
		return h.total + 1, needsMore
	}
	if p.others++; p.others > mavlinkOthers || !isMAVLinkBegin(held[h.total]) {
		p.inStep, p.others = false, 0
		return h.total, damaged
	}
	return h.total, passed
}

// read takes the wanted fields from the payload.
func (p *mavlinkParser) read(m *mavlinkMessage, out *fields) {
	for i := range p.wanted {
		w := &p.wanted[i]
		if w.message != m || w.instance >= 0 && int(p.payload[m.instance]) != w.instance {
			continue
		}
		v := w.field.read(p.payload[:])
		if m.void != nil && m.void(p.payload[:], w.field) {
			v = math.NaN()
		}
		out.put(i, v)
	}
}

// mavlinkCRC is CRC-16/MCRF4XX (the guide calls it X.25's) over the bytes and one more.
func mavlinkCRC(b []byte, extra byte) uint16 {
	crc := uint16(0xffff)
	for _, c := range b {
		crc = crc>>8 ^ mavlinkTable[byte(crc)^c]
	}
	return crc>>8 ^ mavlinkTable[byte(crc)^extra]
}

// mavlinkTable is the CRC of each byte: the polynomial 0x1021, bits reversed.
var mavlinkTable = func() (table [256]uint16) {
	for i := range table {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0x8408
			} else {
				c >>= 1
			}
		}
		table[i] = c
	}
	return table
}()
