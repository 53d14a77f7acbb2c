package hal

// Packets of LDROBOT's LD06 and LD19, from their development manuals: 0x54, 0x2C (type
// and 12 points), turning speed in deg/s, angle of the first point in 0.01 deg, the
// points, each a distance in mm and an intensity, angle of the last point, time in ms,
// and a CRC-8. Numbers have their lower byte first. The device sends by itself,
// 230400 bit/s, 8N1.
const (
	ld06Length   = 47
	ld06Begin    = 0x54
	ld06Type     = 0x2c
	ld06Points   = 12
	ld06AtSpeed  = 2
	ld06AtStart  = 4
	ld06AtPoints = 6
	ld06AtEnd    = 42
	ld06AtCRC    = 46
	ld06Speed    = "speed"
)

// NewLD06Framer reads an LD06 or LD19. A field is "sector.0" to one less than the
// number of sectors, in metres, "nearest" and "bearing" (see Sweep), or "speed", in
// deg/s. Points with a distance or an intensity of 0 are no echo. Each packet, twelve
// points, is a frame.
func NewLD06Framer(fields []string, s Sweep) (Framer, error) {
	sweep, err := newSweeper("ld06", fields, s, KnownFields(FramerConfig{Framing: "ld06", Sweep: s}))
	if err != nil {
		return nil, err
	}
	return newPacketFramer(&ld06Parser{sweep: sweep}, len(fields)), nil
}

type ld06Parser struct{ sweep *sweeper }

func (p *ld06Parser) reset()       { p.sweep.reset() }
func (p *ld06Parser) longest() int { return ld06Length }

func (p *ld06Parser) scan(held []byte, out *fields) (int, packetVerdict) {
	switch {
	case held[0] != ld06Begin || len(held) > 1 && held[1] != ld06Type:
		return until(held, func(b byte) bool { return b == ld06Begin }), noise
	case len(held) < 2:
		return 2, needsMore
	case len(held) < ld06Length:
		return ld06Length, needsMore
	case ld06CRC(held[:ld06AtCRC]) != held[ld06AtCRC]:
		return ld06Length, damaged
	}
	start, end := littleEndian16(held[ld06AtStart:]), littleEndian16(held[ld06AtEnd:])
	first := float64(start) / 100
	step := turn(float64(end)/100-first) / (ld06Points - 1)
	for i := range ld06Points {
		at := ld06AtPoints + 3*i
		distance := float64(littleEndian16(held[at:])) / 1000
		if held[at+2] == 0 {
			distance = 0
		}
		p.sweep.point(first+float64(float64(i)*step), distance, out)
	}
	for i, f := range p.sweep.wanted {
		if f == wantSpeed {
			out.put(i, float64(littleEndian16(held[ld06AtSpeed:])))
		}
	}
	return ld06Length, sound
}

// ld06CRC is a CRC-8 with the polynomial 0x4D, starting from 0.
func ld06CRC(b []byte) (crc byte) {
	for _, c := range b {
		crc = ld06Table[crc^c]
	}
	return crc
}

var ld06Table = func() (table [256]byte) {
	for i := range table {
		c := byte(i)
		for range 8 {
			if c&0x80 != 0 {
				c = c<<1 ^ 0x4d
			} else {
				c <<= 1
			}
		}
		table[i] = c
	}
	return table
}()
