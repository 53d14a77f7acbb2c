package hal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// The example packet of LDROBOT's LD06 and LD19 development manuals, and another that
// a device sent, with points without an echo.
const (
	ld06Golden = "54 2C 68 08 AB 7E E0 00 E4 DC 00 E2 D9 00 E5 D5 00 E3 D3 00 E4 D0 00 E9 CD 00 E4 CA 00 E2 C7 00 E9 C5 00 E5 C2 00 E5 C0 00 E5 BE 82 3A 1A 50"
	ld06Empty  = "54 2C 74 08 B0 86 00 00 D4 00 00 D4 00 00 D4 00 00 D4 00 00 D4 00 00 D5 00 00 D5 00 00 49 00 00 5F 00 00 B0 00 00 D2 00 00 D4 02 89 1E 09 1F"
)

// room is a square one of 2 m around the device, and 1 m to the wall in front.
func room(angle float64) float64 {
	a := angle * math.Pi / 180
	return min(1/math.Abs(math.Cos(a)), 1/math.Abs(math.Sin(a)))
}

// ld06Scan makes packets of twelve points from one angle on, a point a step.
func ld06Scan(from, step float64, packets int, see func(angle float64) float64) []byte {
	var stream []byte
	for i := range packets {
		first := from + float64(i*ld06Points)*step
		b := []byte{ld06Begin, ld06Type}
		b = binary.LittleEndian.AppendUint16(b, 3600)
		b = binary.LittleEndian.AppendUint16(b, uint16(math.Round(turn(first)*100)))
		for j := range ld06Points {
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Round(see(turn(first+float64(j)*step))*1000)))
			b = append(b, 200)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(math.Round(turn(first+11*step)*100)))
		b = binary.LittleEndian.AppendUint16(b, 7)
		stream = append(stream, append(b, ld06CRC(b))...)
	}
	return stream
}

// ld06Turn is one turn of 480 points.
func ld06Turn(see func(angle float64) float64) []byte { return ld06Scan(0, 0.75, 40, see) }

// rplidarScan makes nodes, the first of a turn marked.
func rplidarScan(from, to, step float64, see func(angle float64) float64) []byte {
	var b []byte
	for a := from; a < to; a += step {
		q6 := uint16(turn(a) * 64)
		quality := byte(15)
		head := quality<<2 | 2
		if turn(a) < step {
			head = quality<<2 | 1
		}
		b = append(b, head)
		b = binary.LittleEndian.AppendUint16(b, q6<<1|1)
		b = binary.LittleEndian.AppendUint16(b, uint16(math.Round(see(turn(a))*4000)))
	}
	return b
}

func rplidarTurn(see func(angle float64) float64) []byte { return rplidarScan(0, 360, 1, see) }

func TestLD06Manual(t *testing.T) {
	for _, text := range []string{ld06Golden, ld06Empty} {
		b := unhex(t, text)
		if got := ld06CRC(b[:46]); len(b) != ld06Length || got != b[46] {
			t.Errorf("CRC %#x, want %#x", got, b[46])
		}
	}
	f := mustFramer(t, FramerConfig{Framing: "ld06", Fields: []string{"speed"}})
	if got := feed(t, f, unhex(t, ld06Golden), 9); fmt.Sprint(got) != "[0=2152]" {
		t.Errorf("%q", got)
	}
	s := f.(*packetFramer).parser.(*ld06Parser).sweep
	if s.at != 7 || s.nearest != 0.192 || math.Abs(s.bearing-334.70) > 1e-9 { // the last point: 0xC0 mm at 0x82BE
		t.Errorf("sector %d: %v m at %v degrees", s.at, s.nearest, s.bearing)
	}
}

// told feeds points straight to a sweeper and collects what it says of one field.
type told struct {
	t       *testing.T
	sweeper *sweeper
	out     fields
	said    []string
}

func newTold(t *testing.T, s Sweep, names ...string) *told {
	t.Helper()
	w, err := newSweeper("test", names, s, s.fields())
	if err != nil {
		t.Fatal(err)
	}
	return &told{t: t, sweeper: w, out: fields{values: make([]float64, len(names)), seen: make([]bool, len(names))}}
}

func (o *told) sweep(from, to, step float64, see func(angle float64) float64) []string {
	o.said = nil
	for a := from; a < to; a += step {
		o.out.clear()
		if o.sweeper.point(a, see(turn(a)), &o.out) {
			if text := frameText(o.out.appendSeen(nil)); text != "" {
				o.said = append(o.said, fmt.Sprintf("%v: %s", turn(a), text))
			}
		}
	}
	return o.said
}

func (o *told) expect(what string, got []string, want ...string) {
	o.t.Helper()
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		o.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func far(float64) float64   { return 5 }
func none0(float64) float64 { return 0 }

func at(angle, width, near float64) func(float64) float64 {
	return func(a float64) float64 {
		if turn(a-angle+width/2) < width {
			return near
		}
		return 5
	}
}

func TestSweepSectors(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 4}, "sector.0", "sector.1", "sector.2", "sector.3")
	o.expect("the first turn is begun in the middle of sector 0", o.sweep(0, 360, 1, far), "135: 1=5", "225: 2=5", "315: 3=5")
	o.expect("then all", o.sweep(0, 360, 1, far), "45: 0=5", "135: 1=5", "225: 2=5", "315: 3=5")
	o.expect("something comes: at once, and again at its end",
		o.sweep(0, 360, 1, at(90, 3, 0.4)), "45: 0=5", "89: 1=0.4", "135: 1=0.4", "225: 2=5", "315: 3=5")
	o.expect("it goes: at the end", o.sweep(0, 360, 1, far), "45: 0=5", "135: 1=5", "225: 2=5", "315: 3=5")
}

func TestSweepNearest(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 3}, "nearest", "bearing")
	o.expect("not before all is known", o.sweep(0, 360, 1, far))
	o.expect("once a turn", o.sweep(0, 720, 1, far), "60: 0=5 1=300", "60: 0=5 1=300")
	o.expect("nearer at once, and where", o.sweep(0, 360, 1, at(200, 1, 0.5)), "60: 0=5 1=300", "200: 0=0.5 1=200")
	o.expect("farther when all are swept", o.sweep(0, 360, 1, far), "60: 0=0.5 1=200")
	o.expect("and so on", o.sweep(0, 360, 1, far), "60: 0=5 1=300")
}

func TestSweepOfOneSector(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 1}, "sector.0")
	o.expect("turns end behind the robot", o.sweep(0, 1080, 1, far), "180: 0=5", "180: 0=5")
}

func TestSweepFront(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 4, Front: 90}, "sector.0", "bearing")
	o.sweep(0, 720, 1, far)
	o.expect("the front is at 90", o.sweep(0, 360, 1, at(95, 1, 0.4)), "45: 1=315", "95: 0=0.4 1=5", "135: 0=0.4")
}

func TestSweepWithoutEcho(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 4}, "sector.1", "nearest")
	o.sweep(0, 720, 1, far)
	nothing := func(a float64) float64 {
		if a >= 45 && a < 135 {
			return 0
		}
		return 5
	}
	// Nearest is known to be unknown as soon as one sector is.
	o.expect("nothing seen is not a distance", o.sweep(0, 720, 1, nothing), "45: 1=5", "135: 0=NaN", "45: 1=NaN", "135: 0=NaN")
	o.expect("and the next echo counts at once", o.sweep(0, 360, 1, at(90, 1, 0.4)), "45: 0=5 1=NaN", "90: 0=0.4", "135: 0=0.4")

	o = newTold(t, Sweep{Sectors: 4, NoEcho: 12}, "sector.1", "nearest", "bearing")
	o.sweep(0, 720, 1, none0)
	o.expect("unless the owner says so", o.sweep(0, 360, 1, none0), "45: 1=12 2=NaN", "135: 0=12")
}

// TestSweepHole: what was not looked at may hide something.
func TestSweepHole(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 4}, "sector.1")
	o.sweep(0, 360, 1, at(90, 3, 0.4))
	o.expect("a hole where it was", append(o.sweep(0, 85, 1, far), o.sweep(95, 360, 1, far)...))
	o.expect("a hole does not hide what is beside it", append(o.sweep(0, 85, 1, far), o.sweep(95, 360, 1, at(100, 1, 0.3))...), "100: 0=0.3")
	o.expect("a whole sweep", o.sweep(0, 360, 1, far), "135: 0=5")
	o.expect("a hole at a border spoils both", append(o.sweep(0, 130, 1, far), o.sweep(140, 360, 1, far)...))
}

// TestSweepJitter: angles that step back a little neither end a sector nor begin one.
func TestSweepJitter(t *testing.T) {
	o := newTold(t, Sweep{Sectors: 4}, "sector.0", "sector.1", "sector.2", "sector.3")
	o.sweep(0, 360, 1, far)
	o.said = nil
	for a := 0.0; a < 360; a++ {
		for _, angle := range []float64{a, a + 0.9, a + 0.4} {
			o.out.clear()
			if o.sweeper.point(angle, 5, &o.out) {
				o.said = append(o.said, frameText(o.out.appendSeen(nil)))
			}
		}
	}
	o.expect("each sector once", o.said, "0=5", "1=5", "2=5", "3=5")
}

func TestSweepErrors(t *testing.T) {
	for _, test := range []struct {
		s    Sweep
		want string
	}{
		{Sweep{Sectors: -1}, "give 1 to 72"},
		{Sweep{Sectors: 73}, "give 1 to 72"},
		{Sweep{Front: 361}, "give 0 to 360"},
		{Sweep{Front: math.NaN()}, "give 0 to 360"},
		{Sweep{NoEcho: -1}, "give up to 1000"},
	} {
		for _, framing := range []string{"ld06", "rplidar"} {
			if _, err := NewFramer(FramerConfig{Framing: framing, Sweep: test.s}); !errors.Is(err, ErrFraming) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), framing) {
				t.Errorf("%+v: %v", test.s, err)
			}
		}
	}
	for _, field := range []string{"sector.4", "sector.01", "sector.-1", "sector", "speed"} {
		_, err := NewRPLIDARFramer([]string{field}, Sweep{Sectors: 4})
		if !errors.Is(err, ErrFraming) || !strings.Contains(err.Error(), "the fields are sector.0, sector.1, sector.2, sector.3, nearest, bearing") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestLidarsSeeTheRoom(t *testing.T) {
	for _, test := range []struct {
		framing string
		turn    func(func(float64) float64) []byte
	}{{"ld06", ld06Turn}, {"rplidar", rplidarTurn}} {
		t.Run(test.framing, func(t *testing.T) {
			fields := []string{"sector.0", "sector.1", "sector.2", "sector.3", "sector.4", "sector.5", "sector.6", "sector.7", "nearest"}
			f := mustFramer(t, FramerConfig{Framing: test.framing, Fields: fields})
			got := map[int]float64{}
			for range 3 {
				for stream := test.turn(room); len(stream) > 0; {
					frame, n, _ := f.Next(stream)
					stream = stream[n:]
					for _, v := range frame {
						got[v.Field] = v.Value
					}
				}
			}
			for i, name := range fields {
				want := 1.0
				if i < 8 && i%2 == 1 { // a corner: its sector ends 22.5 degrees before it
					want = 1 / math.Cos(22.5*math.Pi/180)
				}
				if math.Abs(got[i]-want) > 0.01 {
					t.Errorf("%s is %v m, want %v", name, got[i], want)
				}
			}
		})
	}
}

func TestRPLIDARAnswer(t *testing.T) {
	f := mustFramer(t, FramerConfig{Framing: "rplidar", Fields: []string{"nearest"}})
	boot := "RP LIDAR System.\r\nFirmware Ver 1.29, HW Ver 7\r\nModel: 18\r\n"
	feed(t, f, []byte(boot), 9)
	errors := f.Counters().Errors
	feed(t, f, append(rplidarDescriptor[:], rplidarTurn(room)[:3*rplidarNode]...), 9)
	if p := f.(*packetFramer).parser.(*rplidarParser); !p.inStep || p.sweep.last != 2+22.5 || f.Counters().Errors != errors {
		t.Errorf("three nodes behind the answer are not read: %+v", f.Counters())
	}
	if line := LineOf("rplidar"); string(line.Start) != "\xa5\x20" || string(line.Stop) != "\xa5\x25" || !line.DropDTR || line.Baud != 115200 {
		t.Errorf("%+v", line)
	}
}

// TestRPLIDARNode takes one apart by the protocol's figure: quality 0x2a, angle 45.5
// degrees (2912/64), 1234.25 mm.
func TestRPLIDARNode(t *testing.T) {
	node := []byte{0x2a<<2 | 2, byte(2912<<1&0xff) | 1, 2912 >> 7, 4937 & 0xff, 4937 >> 8}
	if !rplidarInOrder(node) || rplidarAngle(node) != 45.5 {
		t.Errorf("angle %v", rplidarAngle(node))
	}
	f, err := NewRPLIDARFramer([]string{"sector.0"}, Sweep{})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, f, append(rplidarDescriptor[:], node...), 9)
	if s := f.(*packetFramer).parser.(*rplidarParser).sweep; s.nearest != 1.23425 {
		t.Errorf("distance %v", s.nearest)
	}
	for at, b := range map[int]byte{0: 0x2a<<2 | 3, 1: 0, 2: 0xff} {
		bad := append([]byte{}, node...)
		if bad[at] = b; rplidarInOrder(bad) {
			t.Errorf("%x is taken", bad)
		}
	}
}

// TestRPLIDARStandsStill: nodes of one angle are no scan, whatever their bits say.
func TestRPLIDARStandsStill(t *testing.T) {
	f := mustFramer(t, FramerConfig{Framing: "rplidar", Fields: []string{"nearest"}})
	feed(t, f, rplidarTurn(room), 99)
	before := f.Counters().Errors
	node := rplidarScan(10, 11, 1, room)
	for range 3000 {
		if got := feed(t, f, node, 9); len(got) != 0 {
			t.Fatalf("%q", got)
		}
	}
	if f.Counters().Errors < before+3 {
		t.Error("nobody counts it")
	}
}
