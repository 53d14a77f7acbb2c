package hal

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// mustFramer makes a framer or ends the test.
func mustFramer(t testing.TB, c FramerConfig) Framer {
	t.Helper()
	f, err := NewFramer(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// feed runs a stream through a framer in chunks of a size and writes each frame
// as text, so that frames compare.
func feed(t testing.TB, f Framer, stream []byte, size int) []string {
	t.Helper()
	var frames []string
	for len(stream) > 0 {
		chunk := stream[:min(size, len(stream))]
		stream = stream[len(chunk):]
		for len(chunk) > 0 {
			frame, n, ok := f.Next(chunk)
			if n < 1 || n > len(chunk) {
				t.Fatalf("consumed %d of %d bytes", n, len(chunk))
			}
			chunk = chunk[n:]
			if ok {
				frames = append(frames, frameText(frame))
			}
		}
	}
	return frames
}

func frameText(frame Frame) string {
	parts := make([]string, len(frame))
	for i, v := range frame {
		parts[i] = fmt.Sprintf("%d=%v", v.Field, v.Value)
	}
	return strings.Join(parts, " ")
}

// framings are one configuration each, with a good line and the frame in it.
var framings = []struct {
	config FramerConfig
	good   string
	frame  string
	bad    string // a line that is refused
}{
	{FramerConfig{Framing: "json", Fields: []string{"distance", "gps.fix"}}, `{"distance":1.5,"gps":{"fix":true}}`, "0=1.5 1=1", `{"distance":1.5`},
	{FramerConfig{Framing: "csv", Fields: []string{"b", "c"}, Columns: []string{"a", "b", "c"}}, `1,2.5,-3`, "0=2.5 1=-3", `1,2`},
	{FramerConfig{Framing: "nmea", Fields: []string{"HDT.heading", "DBT.3"}}, "$GPHDT,274.07,T*03", "0=274.07", "$GPHDT,274.08,T*03"},
	{FramerConfig{Framing: "lines", Fields: []string{"r", "q"}, Pattern: "dist={r} q={q}"}, "dist=1.5 q=80", "0=1.5 1=80", "dist=1.5"},
}

func TestFramersCutAnywhere(t *testing.T) {
	for _, f := range framings {
		t.Run(f.config.Framing, func(t *testing.T) {
			stream := []byte(f.good + "\n" + f.good + "\r\n" + f.bad + "\n\n" + f.good + "\r" + f.good + "\n")
			for size := 1; size <= len(stream); size++ {
				framer := mustFramer(t, f.config)
				got := feed(t, framer, stream, size)
				if want := []string{f.frame, f.frame, f.frame, f.frame}; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("in chunks of %d: %q", size, got)
				}
				want := Counters{Frames: 4, Bytes: uint64(len(stream)), Errors: 1, Dropped: uint64(len(f.bad))}
				if framer.Counters() != want {
					t.Fatalf("in chunks of %d: %+v, want %+v", size, framer.Counters(), want)
				}
			}
		})
	}
}

func TestFramersFindBackIntoStep(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, f := range framings {
		t.Run(f.config.Framing, func(t *testing.T) {
			framer := mustFramer(t, f.config)
			feed(t, framer, []byte(f.good+"\n"), 7)
			for range 200 {
				garbage := make([]byte, random.IntN(300))
				for i := range garbage {
					garbage[i] = byte(random.UintN(256))
				}
				feed(t, framer, garbage, 1+random.IntN(40))
				feed(t, framer, []byte("\n"), 1)
				if got := feed(t, framer, []byte(f.good+"\n"), 5); len(got) != 1 || got[0] != f.frame {
					t.Fatalf("after %q: %q", garbage, got)
				}
			}
		})
	}
}

func TestFramersRefuseNoise(t *testing.T) {
	for _, f := range framings {
		for _, noise := range []string{"\x00", "\x01", "\x02\x7f", "\x1b[2J"} {
			t.Run(fmt.Sprintf("%s %q", f.config.Framing, noise), func(t *testing.T) {
				framer := mustFramer(t, f.config)
				feed(t, framer, []byte(f.good+"\n"), 99)
				half := len(f.good) / 2
				line := f.good[:half] + noise + f.good[half:]
				if got := feed(t, framer, []byte(line+"\n"+f.good+"\n"), 9); len(got) != 1 {
					t.Errorf("%q gives %q", line, got)
				}
				if c := framer.Counters(); c.Errors != 1 || c.Dropped != uint64(len(line)) {
					t.Errorf("%+v", c)
				}
			})
		}
	}
}

func TestFramersBoundTheLine(t *testing.T) {
	for _, f := range framings {
		t.Run(f.config.Framing, func(t *testing.T) {
			framer := mustFramer(t, f.config)
			feed(t, framer, []byte(f.good+"\n"), 99)
			const size = 10 << 20
			chunk := bytes.Repeat([]byte(f.good), 4096/len(f.good))
			sent := 0
			for sent < size {
				if _, n, ok := framer.Next(chunk); ok || n != len(chunk) {
					t.Fatalf("a line without end gave a frame after %d bytes", sent)
				}
				sent += len(chunk)
			}
			held := cap(framer.(*lineFramer).buffer)
			if held > MaxLine {
				t.Errorf("%d bytes are held", held)
			}
			if got := feed(t, framer, []byte("\n"+f.good+"\n"), 99); len(got) != 1 || got[0] != f.frame {
				t.Errorf("afterwards: %q", got)
			}
			if c := framer.Counters(); c.Errors != 1 || c.Dropped != uint64(sent) || c.Frames != 2 {
				t.Errorf("%+v after %d bytes", c, sent)
			}
		})
	}
}

func TestFramersTakeTheLongestLine(t *testing.T) {
	framer := mustFramer(t, FramerConfig{Framing: "json", Fields: []string{"a"}})
	line := func(n int) []byte {
		head, tail := `{"a":1,"b":"`, `"}`
		return []byte(head + strings.Repeat("x", n-len(head)-len(tail)) + tail + "\n")
	}
	for _, size := range []int{100, 4096, MaxLine + 1} { // the chunk sizes
		if got := feed(t, framer, line(MaxLine), size); len(got) != 1 {
			t.Errorf("a line of MaxLine in chunks of %d: %q", size, got)
		}
		if got := feed(t, framer, line(MaxLine+1), size); len(got) != 0 {
			t.Errorf("a line of MaxLine + 1 in chunks of %d: %q", size, got)
		}
	}
}

func TestFramersReset(t *testing.T) {
	for _, f := range framings {
		t.Run(f.config.Framing, func(t *testing.T) {
			framer := mustFramer(t, f.config)
			half := f.good[:len(f.good)/2]
			feed(t, framer, []byte(half), 99)
			framer.Reset()
			if got := feed(t, framer, []byte(f.good+"\n"), 99); len(got) != 1 || got[0] != f.frame {
				t.Errorf("after Reset: %q", got)
			}
			if c := framer.Counters(); c.Bytes != uint64(len(half)+len(f.good)+1) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestFramersAllocateNothing(t *testing.T) {
	for _, f := range framings {
		t.Run(f.config.Framing, func(t *testing.T) {
			framer := mustFramer(t, f.config)
			numbers := "{\"distance\":1e309,\"gps\":{\"fix\":123456789012345678901234567890e-400}}\n1,1e999,-1.7976931348623159e308\ndist=0.1234567890123456789012345 q=nan\n"
			stream := []byte(f.good + "\n" + f.bad + "\r\n" + numbers + "\x00\xff{\"\\u00e4\n" + f.good + "\n")
			long := bytes.Repeat([]byte("x"), MaxLine+1)
			parts := [][]byte{stream[:5], stream[5:], long, []byte("\n")}
			allocs := testing.AllocsPerRun(50, func() {
				for _, part := range parts {
					for len(part) > 0 {
						_, n, _ := framer.Next(part)
						part = part[n:]
					}
				}
				framer.Counters()
				framer.Reset()
			})
			if allocs != 0 {
				t.Errorf("%v allocations a round", allocs)
			}
		})
	}
}

func TestFramerErrors(t *testing.T) {
	tests := []struct {
		config FramerConfig
		want   string
	}{
		{FramerConfig{Framing: "xml"}, `framing "xml" is unknown: use one of json, csv, nmea, lines, mavlink, ld06, rplidar, sbus`},
		{FramerConfig{Framing: "json", Fields: []string{""}}, "json field is empty"},
		{FramerConfig{Framing: "csv", Fields: []string{""}}, "csv field is empty"},
		{FramerConfig{Framing: "csv", Fields: []string{"d"}, Columns: []string{"a", "b"}}, `csv has no column "d": the columns are a, b`},
		{FramerConfig{Framing: "csv", Fields: []string{"3"}, Columns: []string{"a", "b"}}, `csv has no column "3"`},
		{FramerConfig{Framing: "csv", Delimiter: '.'}, `csv delimiter "." cannot separate numbers`},
		{FramerConfig{Framing: "csv", Delimiter: '\n'}, "csv delimiter"},
		{FramerConfig{Framing: "csv", Delimiter: 'x'}, "csv delimiter"},
		{FramerConfig{Framing: "csv", Columns: make([]string, 5000)}, "at most 1024"},
		{FramerConfig{Framing: "nmea", Fields: []string{"latitude"}}, "is not SENTENCE.name"},
		{FramerConfig{Framing: "nmea", Fields: []string{"gga.latitude"}}, "is not SENTENCE.name"},
		{FramerConfig{Framing: "nmea", Fields: []string{"GGA.latitud"}}, "the names are time, latitude"},
		{FramerConfig{Framing: "nmea", Fields: []string{"XYZ.depth"}}, "such as XYZ.1"},
		{FramerConfig{Framing: "nmea", Fields: []string{"XYZ.0"}}, "numbered from 1"},
		{FramerConfig{Framing: "lines", Fields: []string{"a"}}, "needs {name} where a number stands"},
		{FramerConfig{Framing: "lines", Pattern: "a={a"}, "{ without }"},
		{FramerConfig{Framing: "lines", Pattern: "a}={a}}"}, "needs {name}"},
		{FramerConfig{Framing: "lines", Pattern: "{a}{b}"}, "nothing between"},
		{FramerConfig{Framing: "lines", Pattern: "a={a}", Fields: []string{"b"}}, `lines field "b" is not in the pattern "a={a}"`},
	}
	for _, test := range tests {
		_, err := NewFramer(test.config)
		if !errors.Is(err, ErrFraming) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.config, err, test.want)
		}
	}
}

func BenchmarkFramers(b *testing.B) {
	for _, f := range framings {
		b.Run(f.config.Framing, func(b *testing.B) {
			framer := mustFramer(b, f.config)
			line := []byte(f.good + "\n")
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for range b.N {
				if _, _, ok := framer.Next(line); !ok {
					b.Fatal("no frame")
				}
			}
		})
	}
}

func TestParseDecimalEdges(t *testing.T) {
	for _, text := range []string{"", "-", ".", "+.", "e5", "1e", "1e+", "1x", "0x1", "1_0", "inf", "nan", "1.2.3", "--1"} {
		if v, ok := parseDecimal([]byte(text)); ok {
			t.Errorf("%q is taken for %v", text, v)
		}
	}
	if v, _ := parseDecimal([]byte("-0")); !math.Signbit(v) {
		t.Error("-0 lost its sign")
	}
}
