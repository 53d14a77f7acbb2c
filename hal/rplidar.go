package hal

// SLAMTEC's RPLIDAR, standard scan, from "RPLIDAR Interface Protocol and Application
// Notes": the request A5 20 is answered by the descriptor A5 5A 05 00 00 40 81 and
// then by nodes of five bytes without end, until A5 25. A node has the quality in six
// bits above S and its inverse (S is 1 on the first node of a turn), the angle in 1/64
// degree above a bit that is always 1, and the distance in 1/4 mm, lower bytes first.
const (
	rplidarNode        = 5
	rplidarAnswer      = 7
	rplidarBeginAnswer = 0xa5
	// rplidarTrust is how many nodes in a row must be in order before the first is
	// believed: there is no checksum, and three bits of forty are little.
	rplidarTrust    = 8
	rplidarMaxAngle = 362 * 64 // the last nodes of a turn can be a little over it
	// rplidarStill is how many nodes of one angle in a row end a scan, half a second
	// of them: the motor stands, or this is no scan.
	rplidarStill = 1000
)

var (
	rplidarDescriptor = [rplidarAnswer]byte{rplidarBeginAnswer, 0x5a, 0x05, 0x00, 0x00, 0x40, 0x81}

	// The adapter of the A1 drives the motor by DTR, inverted: a port that was just
	// opened has it on, and the motor stands (SLAMTEC's SDK clears it for the same
	// reason).
	rplidarLine = Line{Baud: 115200, DropDTR: true, Start: []byte{0xa5, 0x20}, Stop: []byte{0xa5, 0x25}}
)

// NewRPLIDARFramer reads the standard scan of an RPLIDAR A1, which has to be started
// first (LineOf). A field is "sector.0" to one less than the number of sectors, in
// metres, or "nearest" or "bearing" (see Sweep). A frame is a point that tells a
// sector something new. Points with a distance or a quality of 0 are no echo.
//
// The format has no checksum. After garbage eight nodes in a row must have their check
// bits, and angles that go on by little, before they count.
func NewRPLIDARFramer(fields []string, s Sweep) (Framer, error) {
	sweep, err := newSweeper("rplidar", fields, s, s.fields())
	if err != nil {
		return nil, err
	}
	return newPacketFramer(&rplidarParser{sweep: sweep}, len(fields)), nil
}

type rplidarParser struct {
	sweep  *sweeper
	inStep bool
	angle  float64 // of the node before
	still  int     // nodes since another one
}

func (p *rplidarParser) reset() {
	p.inStep = false
	p.sweep.reset()
}

func (p *rplidarParser) longest() int { return rplidarTrust * rplidarNode }

func (p *rplidarParser) scan(held []byte, out *fields) (int, packetVerdict) {
	if !p.inStep {
		if n, v := p.join(held); n > 0 {
			return n, v
		}
	}
	if len(held) < rplidarNode {
		return rplidarNode, needsMore
	}
	if !rplidarInOrder(held) || p.standsStill(rplidarAngle(held)) {
		p.inStep = false
		return rplidarNode, damaged
	}
	distance := float64(littleEndian16(held[3:])) / 4000
	if held[0]>>2 == 0 {
		distance = 0
	}
	if p.sweep.point(rplidarAngle(held), distance, out) {
		return rplidarNode, sound
	}
	return rplidarNode, passed
}

func (p *rplidarParser) standsStill(angle float64) bool {
	if p.still++; angle != p.angle {
		p.angle, p.still = angle, 0
	}
	return p.still >= rplidarStill
}

// join finds into step: at a descriptor, or at the first of nodes that go on well,
// which is then 0 bytes ahead.
func (p *rplidarParser) join(held []byte) (int, packetVerdict) {
	if held[0] == rplidarBeginAnswer {
		if len(held) < 2 {
			return 2, needsMore
		}
		if held[1] == rplidarDescriptor[1] {
			return p.answer(held)
		}
	}
	if held[0]&1 == held[0]>>1&1 {
		return until(held, func(b byte) bool { return b&1 != b>>1&1 }), noise
	}
	nodes := min(len(held)/rplidarNode, rplidarTrust)
	switch advance, goesOn := rplidarGoesOn(held, nodes); {
	case !goesOn || nodes == rplidarTrust && advance <= 0:
		return 1, noise
	case nodes < rplidarTrust:
		return (nodes + 1) * rplidarNode, needsMore
	}
	p.inStep = true
	return 0, passed
}

func (p *rplidarParser) answer(held []byte) (int, packetVerdict) {
	if len(held) < rplidarAnswer {
		return rplidarAnswer, needsMore
	}
	if [rplidarAnswer]byte(held) != rplidarDescriptor {
		return 1, noise
	}
	p.inStep = true
	return rplidarAnswer, passed
}

// rplidarInOrder checks what a node has to check.
func rplidarInOrder(b []byte) bool {
	return b[0]&1 != b[0]>>1&1 && b[1]&1 == 1 && littleEndian16(b[1:])>>1 < rplidarMaxAngle
}

func rplidarAngle(b []byte) float64 { return float64(float64(littleEndian16(b[1:])>>1) / 64) }

// rplidarGoesOn says whether so many nodes follow one another as a turning device
// sends them, and by how many degrees they advance.
func rplidarGoesOn(held []byte, nodes int) (advance float64, ok bool) {
	for i := range nodes {
		node := held[i*rplidarNode:]
		if !rplidarInOrder(node) {
			return 0, false
		}
		if i == 0 {
			continue
		}
		step := turn(rplidarAngle(node) - rplidarAngle(held[(i-1)*rplidarNode:]))
		if step > 360-maxGap {
			step -= 360
		}
		if step > maxGap {
			return 0, false
		}
		advance += step
	}
	return advance, true
}
