package hal

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/adrianmo/go-nmea"
)

// The fuzz targets hold each framer against the library that everybody uses.
// They feed a stream (for crashes, bounds and counting) and its lines one by one
// (for equality). Seeds are in testdata/fuzz.

// fuzzStream checks what holds for any stream: every byte is consumed and
// counted, cutting it elsewhere changes nothing, and afterwards a good line is
// read again.
func fuzzStream(t *testing.T, c FramerConfig, stream []byte, good, frame string) {
	whole, bytewise := mustFramer(t, c), mustFramer(t, c)
	a, b := feed(t, whole, stream, 1<<20), feed(t, bytewise, stream, 3)
	if strings.Join(a, "\n") != strings.Join(b, "\n") || whole.Counters() != bytewise.Counters() {
		t.Fatalf("chunks change the frames: %q and %q", a, b)
	}
	if n := whole.Counters(); n.Bytes != uint64(len(stream)) || n.Frames != uint64(len(a)) || n.Dropped > n.Bytes {
		t.Fatalf("%+v for %d bytes and %d frames", n, len(stream), len(a))
	}
	got := feed(t, whole, []byte("\n"+good+"\n"+good+"\n"), 1<<20)
	if got[len(got)-1] != frame {
		t.Fatalf("afterwards: %q", got)
	}
}

// fuzzLines calls check with each line and the verdict and values that a new
// framer has for it when it is not the first.
func fuzzLines(t *testing.T, c FramerConfig, stream []byte, check func(line []byte, v verdict, got *fields)) {
	for line := range bytes.FieldsFuncSeq(stream, func(r rune) bool { return r == '\n' || r == '\r' }) {
		f := mustFramer(t, c).(*lineFramer)
		check(line, f.parser.parse(line, false, &f.fields), &f.fields)
	}
}

func FuzzJSON(f *testing.F) {
	c := FramerConfig{Framing: "json", Fields: []string{"a", "b.c", "d.1", "a.0.e"}}
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzStream(t, c, stream, `{"a":1}`, "0=1")
		fuzzLines(t, c, stream, func(line []byte, v verdict, got *fields) {
			want, ok := jsonOracle(line, c.Fields)
			if !ok || v == skipped {
				if v == accepted && !tooDeep(line) {
					t.Fatalf("%q is accepted", line)
				}
				return
			}
			if v != accepted {
				if !tooDeep(line) {
					t.Fatalf("%q is refused", line)
				}
				return
			}
			for i, name := range c.Fields {
				w, seen := want[name]
				if seen != got.seen[i] || seen && !sameReading(w, got.values[i]) {
					t.Fatalf("%s in %q is %v %v, want %v %v", name, line, got.values[i], got.seen[i], w, seen)
				}
			}
		})
	})
}

func tooDeep(line []byte) bool {
	return bytes.Count(line, []byte("{"))+bytes.Count(line, []byte("[")) > maxJSONDepth
}

// jsonOracle reads one object by encoding/json's tokens; the last of equal
// paths counts.
func jsonOracle(line []byte, wanted []string) (map[string]float64, bool) {
	if !json.Valid(line) || bytes.TrimLeft(line, " \t")[0] != '{' {
		return nil, false
	}
	values := map[string]float64{}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var value func(path []string)
	value = func(path []string) {
		name := strings.Join(path, ".")
		token, _ := d.Token()
		switch v := token.(type) {
		case json.Delim:
			values[name] = math.NaN()
			for i := 0; d.More(); i++ {
				key := strconv.Itoa(i)
				if v == '{' {
					k, _ := d.Token()
					key = k.(string)
				}
				value(append(path[:len(path):len(path)], key))
			}
			_, _ = d.Token()
		case json.Number:
			values[name] = oracleNumber(string(v))
		case bool:
			values[name] = 0
			if v {
				values[name] = 1
			}
		default:
			values[name] = math.NaN()
		}
	}
	value(nil)
	return values, true
}

// oracleNumber is strconv's; what rounds to the greatest float64 from above is
// an infinity here.
func oracleNumber(text string) float64 {
	v, _ := strconv.ParseFloat(text, 64)
	return v
}

func FuzzCSV(f *testing.F) {
	c := FramerConfig{Framing: "csv", Fields: []string{"b", "c"}, Columns: []string{"a", "b", "c"}}
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzStream(t, FramerConfig{Framing: "csv", Fields: []string{"2"}}, stream, "1,2,3", "0=2")
		fuzzLines(t, c, stream, func(line []byte, v verdict, got *fields) {
			reader := csv.NewReader(bytes.NewReader(line))
			reader.FieldsPerRecord = -1
			cells, err := reader.Read()
			bad := err != nil || len(cells) != 3 || !printable(line)
			if v == skipped && (bad || len(trimBlanks(line)) == 0 || hasAll(cells, c.Fields)) {
				return
			}
			if (v == accepted) == bad {
				t.Fatalf("%q gets verdict %d, encoding/csv says %q, %v", line, v, cells, err)
			}
			if bad {
				return
			}
			for i, column := range []int{1, 2} {
				if want := oracleCell(cells[column]); !sameReading(want, got.values[i]) {
					t.Fatalf("cell %q is %v, want %v", cells[column], got.values[i], want)
				}
			}
		})
	})
}

func hasAll(cells, names []string) bool {
	for _, name := range names {
		found := false
		for _, c := range cells {
			found = found || strings.EqualFold(strings.Trim(c, " \t"), name)
		}
		if !found {
			return false
		}
	}
	return true
}

var plainNumber = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// oracleCell is the number in a cell, NaN if there is none.
func oracleCell(cell string) float64 {
	if cell = strings.Trim(cell, " \t"); plainNumber.MatchString(cell) {
		return oracleNumber(cell)
	}
	return math.NaN()
}

func FuzzLines(f *testing.F) {
	c := FramerConfig{Framing: "lines", Fields: []string{"a", "b"}, Pattern: "dist={a} cm, q={b};{}"}
	number := `([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:[+-]?inf|nan)|--)`
	oracle := regexp.MustCompile(`^dist=` + number + `[ \t]+cm,[ \t]+q=` + number + `;`)
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzStream(t, c, stream, "dist=1 cm, q=2;", "0=1 1=2")
		fuzzLines(t, c, stream, func(line []byte, v verdict, got *fields) {
			match := oracle.FindSubmatch(trimBlanks(line))
			if ok := match != nil && printable(line); ok != (v == accepted) {
				t.Fatalf("%q gets verdict %d, want %v", line, v, ok)
			} else if !ok {
				return
			}
			for i := range c.Fields {
				if want := oracleCell(string(match[i+1])); !sameReading(want, got.values[i]) {
					t.Fatalf("%q is %v, want %v", match[i+1], got.values[i], want)
				}
			}
		})
	})
}

func FuzzNMEA(f *testing.F) {
	c := FramerConfig{Framing: "nmea", Fields: []string{
		"GGA.latitude", "GGA.longitude", "GGA.altitude", "GGA.satellites",
		"RMC.latitude", "RMC.longitude", "RMC.speed", "RMC.course", "HDT.heading",
	}}
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzStream(t, c, stream, "$GPHDT,274.07,T*03", "8=274.07")
		fuzzLines(t, c, stream, func(line []byte, v verdict, got *fields) {
			if !printable(line) || !utf8.Valid(line) || bytes.LastIndexByte(line, '$') != 0 || bytes.IndexByte(line, '!') >= 0 || strings.TrimSpace(string(line)) != string(line) {
				return // lines that go-nmea reads differently on purpose
			}
			sentence, err := nmea.Parse(string(line))
			if err != nil {
				return // it also refuses what is a NaN here
			}
			if v != accepted {
				t.Fatalf("%q is refused", line)
			}
			checkNMEA(t, string(line), sentence, got)
		})
	})
}

// checkNMEA compares with go-nmea where that has a fix: without one it gives 0,
// here it is NaN. Empty parts are 0 there as well.
func checkNMEA(t *testing.T, line string, sentence nmea.Sentence, got *fields) {
	want := map[int]float64{}
	switch s := sentence.(type) {
	case nmea.GGA:
		if s.FixQuality != "0" {
			want = map[int]float64{0: s.Latitude, 1: s.Longitude, 2: s.Altitude}
		}
		want[3] = float64(s.NumSatellites)
	case nmea.RMC:
		if s.Validity == "A" {
			want = map[int]float64{4: s.Latitude, 5: s.Longitude, 6: s.Speed * 1852 / 3600, 7: s.Course}
		}
	case nmea.HDT:
		want[8] = s.Heading
	}
	for i, w := range want {
		if math.IsNaN(got.values[i]) && w == 0 {
			continue
		}
		if !got.seen[i] || math.Abs(got.values[i]-w) > 1e-6*max(1, math.Abs(w)) {
			t.Fatalf("field %d of %q is %v, want %v", i, line, got.values[i], w)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseDecimal([]byte(text))
		if ok != plainNumber.MatchString(text) {
			t.Fatalf("%q is a number: %v", text, ok)
		}
		if n := decimalPrefix([]byte(text)); ok && n != len(text) || n > 0 && !plainNumber.MatchString(text[:n]) {
			t.Fatalf("%q begins with a number of %d bytes", text, n)
		}
		if !ok {
			return
		}
		want := oracleNumber(text)
		if math.IsInf(got, 0) && math.Abs(want) == math.MaxFloat64 {
			return // rounded up from above the greatest number
		}
		if math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%q is %v, want %v", text, got, want)
		}
	})
}

// fuzzPackets checks what holds for any stream of packets: every byte is consumed and
// counted, cutting it elsewhere changes nothing, and afterwards a device is understood
// again within its next turns.
func fuzzPackets(t *testing.T, c packetCase, stream []byte) {
	whole, bytewise := mustFramer(t, c.config), mustFramer(t, c.config)
	a, b := feed(t, whole, stream, 1<<20), feed(t, bytewise, stream, 3)
	if strings.Join(a, "\n") != strings.Join(b, "\n") || whole.Counters() != bytewise.Counters() {
		t.Fatalf("chunks change the frames: %q and %q", a, b)
	}
	if n := whole.Counters(); n.Bytes != uint64(len(stream)) || n.Frames != uint64(len(a)) || n.Dropped > n.Bytes || n.Errors > n.Dropped {
		t.Fatalf("%+v for %d bytes and %d frames", n, len(stream), len(a))
	}
	turn := c.turn(t)
	feed(t, whole, bytes.Repeat(turn, 3+300/len(turn)), 1<<20)
	c.checkTurn(t, feed(t, whole, turn, 1<<20))
}

// fuzzTurns adds seeds: turns of a device, whole, cut and damaged.
func fuzzTurns(f *testing.F, c packetCase) {
	turn := c.turn(f)
	turn = turn[:min(len(turn), 3*ld06Length)] // long seeds are slow to make small
	f.Add(turn)
	f.Add(append(bytes.Clone(turn[len(turn)/3:]), turn...))
	bad := append(bytes.Clone(turn), turn...)
	bad[len(bad)/2] ^= 0x10
	f.Add(bad)
	f.Add(bytes.Repeat([]byte{c.begins}, 300))
}

func FuzzMAVLink(f *testing.F) {
	fuzzTurns(f, packetCases[0])
	for _, text := range []string{pymavSysStatus2, pymavPosition2, pymavPosition1, pymavHeartbeat1, pixhawkHeartbeat2, ardupilotHeartbeat1} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzPackets(t, packetCases[0], stream)
		fuzzMAVLinkValues(t, stream)
	})
}

// fuzzMAVLinkValues reads every field of a sound packet made of the stream, which the
// fuzzer would never find a checksum for, and holds it against encoding/binary.
func fuzzMAVLinkValues(t *testing.T, stream []byte) {
	payload := make([]byte, 28)
	if copy(payload, stream) == 0 {
		return
	}
	got := mavlinkFrame(t, []string{"ATTITUDE.pitch", "ATTITUDE.time_boot"}, mavlinkPacket(2, 0, 1, 30, 39, payload[:max(1, min(28, len(stream)))]))
	pitch := float64(math.Float32frombits(binary.LittleEndian.Uint32(payload[8:])))
	want := frameText(Frame{{0, pitch}, {1, float64(binary.LittleEndian.Uint32(payload)) / 1000}})
	if len(got) != 1 || got[0] != want {
		t.Fatalf("%x gives %q, want %q", payload, got, want)
	}
}

func FuzzLD06(f *testing.F) {
	fuzzTurns(f, packetCases[1])
	f.Add(unhex(f, ld06Golden+ld06Empty))
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzPackets(t, packetCases[1], stream)
		for at := 0; at+ld06AtCRC <= len(stream); at += ld06AtCRC { // with a checksum that is right
			b := append([]byte{ld06Begin, ld06Type}, stream[at+2:at+ld06AtCRC]...)
			fuzzLidar(t, FramerConfig{Framing: "ld06"}, append(b, ld06CRC(b)))
		}
	})
}

func FuzzRPLIDAR(f *testing.F) {
	fuzzTurns(f, packetCases[2])
	f.Add(rplidarDescriptor[:])
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzPackets(t, packetCases[2], stream)
		fuzzLidar(t, FramerConfig{Framing: "rplidar"}, append(rplidarDescriptor[:], stream...))
	})
}

// fuzzLidar checks that no stream gives a value that a laser cannot.
func fuzzLidar(t *testing.T, c FramerConfig, stream []byte) {
	c.Sweep = Sweep{Sectors: 7, Front: 123}
	for _, k := range c.Sweep.fields() {
		c.Fields = append(c.Fields, k.Name)
	}
	f := mustFramer(t, c)
	for range 3 {
		for rest := stream; len(rest) > 0; {
			frame, n, _ := f.Next(rest)
			rest = rest[n:]
			for _, v := range frame {
				bearing := v.Field == len(c.Fields)-1
				if !bearing && v.Value <= 0 || v.Value < 0 || v.Value > 360 || !bearing && v.Value > 66 {
					t.Fatalf("%s is %v", c.Fields[v.Field], v.Value)
				}
			}
		}
	}
}

func FuzzSBUS(f *testing.F) {
	fuzzTurns(f, packetCases[3])
	f.Add(unhex(f, sbusSecond))
	f.Fuzz(func(t *testing.T, stream []byte) {
		fuzzPackets(t, packetCases[3], stream)
		for at := 0; at+sbusLength <= len(stream); at += sbusLength {
			b := stream[at : at+sbusLength]
			for i := range sbusChannels {
				raw := 0
				for k := range 11 {
					n := 8 + 11*i + k
					raw |= int(b[n/8]>>(n%8)&1) << k
				}
				want := (float64(raw) - 992) / 819.5
				if got := sbusValue(b, i); b[sbusFlags]&0x0c == 0 && got != want {
					t.Fatalf("channel %d of %x is %v, want %v", i+1, b, got, want)
				}
			}
		}
	})
}
