package hal

import (
	"fmt"
	"strings"
	"testing"
)

// frames1 gives the frames of lines after a first one that is only there to be
// the first.
func frames1(t *testing.T, c FramerConfig, first string, lines ...string) []string {
	t.Helper()
	framer := mustFramer(t, c)
	if first != "" {
		feed(t, framer, []byte(first+"\n"), 4096)
	}
	return feed(t, framer, []byte(strings.Join(lines, "\n")+"\n"), 4096)
}

func TestJSONFrames(t *testing.T) {
	fields := []string{"a", "b.c", "d.1", "é", "a"}
	deep := strings.Repeat(`{"x":`, maxJSONDepth) + "1" + strings.Repeat("}", maxJSONDepth)
	tests := []struct {
		line string
		want string // "refused" or the frame
	}{
		{`{}`, ""},
		{` { "a" : -1.5e2 , "z" : [1, {"q": "}"}] } `, "0=-150 4=-150"},
		{`{"a":1,"a":2}`, "0=2 4=2"},
		{`{"b":{"c":7,"x":{"c":1}},"c":3}`, "1=7"},
		{`{"b.c":8}`, "1=8"},
		{`{"d":[5,6,7]}`, "2=6"},
		{`{"\u00e9":4}`, "3=4"},
		{`{"é":4}`, "3=4"},
		{`{"\ud83d\ude00":4,"\ud83d":5,"\ud83d\u0061":6}`, ""},
		{`{"a":true}`, "0=1 4=1"},
		{`{"a":false}`, "0=0 4=0"},
		{`{"a":null}`, "0=NaN 4=NaN"},
		{`{"a":"1.5"}`, "0=NaN 4=NaN"},
		{`{"a":{}}`, "0=NaN 4=NaN"},
		{`{"a":[]}`, "0=NaN 4=NaN"},
		{`{"a":1e999}`, "0=+Inf 4=+Inf"},
		{`{"a":0.1}`, "0=0.1 4=0.1"},
		{`{"x":"\"\\\/\b\f\n\r\t\u12aF"}`, ""},
		{deep, ""},
		{`{"x":` + deep + `}`, "refused"},
		{`[1]`, "refused"},
		{`1`, "refused"},
		{`{"a":1}{"a":2}`, "refused"},
		{`{"a":1},`, "refused"},
		{`{"a":1`, "refused"},
		{`"a":1}`, "refused"},
		{`{"a":01}`, "refused"},
		{`{"a":.5}`, "refused"},
		{`{"a":5.}`, "refused"},
		{`{"a":+5}`, "refused"},
		{`{"a":1e}`, "refused"},
		{`{"a":-}`, "refused"},
		{`{"a":tru}`, "refused"},
		{`{"a":NaN}`, "refused"},
		{`{"a" 1}`, "refused"},
		{`{"a":1,}`, "refused"},
		{`{"a":[1,]}`, "refused"},
		{`{"a":[1}`, "refused"},
		{`{a:1}`, "refused"},
		{`{"a\x":1}`, "refused"},
		{`{"a\u12g4":1}`, "refused"},
		{`{"a\`, "refused"},
		{"{\"a\":\"\t\"}", "refused"},
	}
	for _, test := range tests {
		got := frames1(t, FramerConfig{Framing: "json", Fields: fields}, "", test.line)
		checkFrame(t, test.line, got, test.want)
	}
}

func checkFrame(t *testing.T, line string, got []string, want string) {
	t.Helper()
	if want == "refused" && len(got) != 0 || want != "refused" && (len(got) != 1 || got[0] != want) {
		t.Errorf("%q gives %q, want %q", line, got, want)
	}
}

func TestCSVFrames(t *testing.T) {
	columns := []string{"Time", "S1", "S2", "label"}
	tests := []struct {
		line string
		want string
	}{
		{"0,1.5,2.5,go", "0=1.5 1=2.5"},
		{`"0","1.5","2.5","a,""b"""`, "0=1.5 1=2.5"},
		{"0, 1.5 ,\t2.5,", "0=1.5 1=2.5"},
		{"0,,x,", "0=NaN 1=NaN"},
		{"0,nan,+.5e1,", "0=NaN 1=5"},
		{"Time,S1,S2,label", "refused"}, // the header: no frame
		{"0,1.5,2.5", "refused"},
		{"0,1.5,2.5,go,on", "refused"},
		{`0,1"5,2.5,go`, "refused"},
		{`0,"1.5,2.5,go`, "refused"},
		{`0,"1"5,2.5,go`, "refused"},
	}
	for _, test := range tests {
		c := FramerConfig{Framing: "csv", Fields: []string{"s1", "S2"}, Columns: columns}
		checkFrame(t, test.line, frames1(t, c, "0,0,0,0", test.line), test.want)
	}
}

func TestCSVColumns(t *testing.T) {
	tests := []struct {
		name    string
		config  FramerConfig
		lines   []string
		want    []string
		refused uint64
	}{
		{
			"the header gives the columns", FramerConfig{Fields: []string{"b", "a"}},
			[]string{"1,2", "x,a,b", "1,2,3", "4,5", "a,b", "6,7"},
			[]string{"0=3 1=2", "0=7 1=6"}, 2,
		},
		{
			"a new header moves configured columns", FramerConfig{Fields: []string{"b"}, Columns: []string{"a", "b"}},
			[]string{"1,2", "b,a", "3,4"}, []string{"0=2", "0=3"}, 0,
		},
		{
			"exact letter case comes first", FramerConfig{Fields: []string{"s1"}},
			[]string{"S1,s1", "1,2"}, []string{"0=2"}, 0,
		},
		{
			"columns by number", FramerConfig{Fields: []string{"3", "1"}, Delimiter: ';'},
			[]string{"x;y;z", "1;2;3", "1;2", "1;2;", "4;5;6"}, []string{"0=3 1=1", "0=NaN 1=1", "0=6 1=4"}, 1,
		},
		{
			"a number and a name", FramerConfig{Fields: []string{"2", "c"}},
			[]string{"a,b,c", "1,2,3"}, []string{"0=2 1=3"}, 0,
		},
		{
			"another width is learnt", FramerConfig{Fields: []string{"2"}},
			[]string{"9,9", "1,2,3", "1,2,3,4", "1,2,3", "1,2,3,4", "1,5,3,4", "1,6,3,4"},
			[]string{"0=9", "0=2", "0=2", "0=5", "0=6"}, 2,
		},
		{
			"half a first row", FramerConfig{Fields: []string{"1", "2"}, Columns: []string{"a", "b"}},
			[]string{"38,2", "0.438,2"}, []string{"1=2", "0=0.438 1=2"}, 0,
		},
		{
			"a header of other names", FramerConfig{Fields: []string{"a", "b"}, Columns: []string{"a", "b"}},
			[]string{"left,right", "1,2"}, []string{"0=1 1=2"}, 0,
		},
		{
			"blank lines", FramerConfig{Fields: []string{"a"}, Columns: []string{"a"}},
			[]string{"a", "", "  ", "1"}, []string{"0=1"}, 0,
		},
		{
			"no fields", FramerConfig{Columns: []string{"a", "b"}}, []string{"1,2", "3"}, []string{""}, 1,
		},
		{
			"too many cells", FramerConfig{Fields: []string{"1"}},
			[]string{"1", strings.Repeat(",", maxColumns), "2"}, []string{"", "0=2"}, 1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.Framing = "csv"
			framer := mustFramer(t, test.config)
			got := feed(t, framer, []byte(strings.Join(test.lines, "\n")+"\n"), 4096)
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
			if framer.Counters().Errors != test.refused {
				t.Errorf("%d lines refused, want %d", framer.Counters().Errors, test.refused)
			}
		})
	}
}

func TestLinesFrames(t *testing.T) {
	tests := []struct {
		pattern, line, want string
	}{
		{"dist={r}", "dist=1.5", "0=1.5"},
		{"dist={r}", "  dist=-1.5e-3\t", "0=-0.0015"},
		{"dist={r}", "dist=1.5 cm", "refused"},
		{"dist={r}", "xdist=1.5", "refused"},
		{"dist={r}", "dist=", "refused"},
		{"dist={r}", "dist=abc", "refused"},
		{"dist={r}", "dist=1.2.3", "refused"},
		{"dist={r}", "dist=nan", "0=NaN"},
		{"dist={r}", "dist=-INF", "0=NaN"},
		{"dist={r}", "dist=--", "0=NaN"},
		{"dist={r} cm", "dist=7   cm", "0=7"},
		{"dist={r} cm", "dist=7cm", "refused"},
		{"d {r}  {q}", "d\t1 2", "0=1 1=2"},
		{"{r},{q}", "1,2", "0=1 1=2"},
		{"T{}: {r} {}", "T 12:30: 4 and more", "0=4"},
		{"T{}: {r} {}", "T 12: 30: 4", "refused"}, // {} ends at the first match
		{"T{}; {r} {}", "T 12:30; 4 and more", "0=4"},
		{"{} r={r}", "anything r=3", "0=3"},
		{"{} r={r}", "r=3", "refused"},
		{"{r}e", "1e", "0=1"},
		{"{r}{}", "5 ok", "refused"}, // compile refuses it
	}
	for _, test := range tests {
		fields := []string{"r"}
		if strings.Contains(test.pattern, "{q}") {
			fields = append(fields, "q")
		}
		c := FramerConfig{Framing: "lines", Fields: fields, Pattern: test.pattern}
		if strings.Contains(test.pattern, "}{") {
			if _, err := NewFramer(c); err == nil {
				t.Errorf("pattern %q is accepted", test.pattern)
			}
			continue
		}
		checkFrame(t, test.line, frames1(t, c, "first", test.line), test.want)
	}
}

func TestLinesFirstNumberMayBeCut(t *testing.T) {
	c := FramerConfig{Framing: "lines", Fields: []string{"r", "q"}, Pattern: "{r} {q}"}
	if got := frames1(t, c, "", "38 7", "138 7"); fmt.Sprint(got) != "[1=7 0=138 1=7]" {
		t.Errorf("%q", got)
	}
}

// nmeaLine adds the checksum.
func nmeaLine(body string) string {
	sum := byte(0)
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Sprintf("$%s*%02X", body, sum)
}

func TestNMEAFrames(t *testing.T) {
	gga := "GPGGA,123519,4807.038,N,01131.000,W,1,08,0.9,545.4,M,46.9,M,,"
	tests := []struct {
		field, line, want string
	}{
		{"GGA.latitude", nmeaLine(gga), "0=48.1173"},
		{"GGA.longitude", nmeaLine(gga), "0=-11.516666666666667"},
		{"GGA.time", nmeaLine(gga), "0=45319"},
		{"GGA.altitude", nmeaLine(gga), "0=545.4"},
		{"GPGGA.satellites", nmeaLine(gga), "0=8"},
		{"GNGGA.satellites", nmeaLine(gga), ""},
		{"GGA.7", nmeaLine(gga), "0=8"},
		{"GGA.14", nmeaLine(gga), "0=NaN"},
		{"GGA.99", nmeaLine(gga), ""},
		{"RMC.latitude", nmeaLine(gga), ""},
		{"GGA.latitude", nmeaLine(strings.Replace(gga, ",1,08", ",0,08", 1)), "0=NaN"},
		{"GGA.latitude", nmeaLine("GPGGA,,,,,,0,,,,,,,,"), "0=NaN"},
		{"GGA.latitude", nmeaLine("GPGGA,1,4860.0,N,01131.000,W,1"), "0=NaN"},
		{"GGA.latitude", nmeaLine("GPGGA,1,4807.038,X,01131.000,W,1"), "0=NaN"},
		{"RMC.speed", nmeaLine("GNRMC,083559.00,A,4717.11437,N,00833.91522,E,36.0,77.52,091202,,,A"), "0=18.52"},
		{"RMC.speed", nmeaLine("GNRMC,083559.00,V,,,,,36.0,,091202,,,N"), "0=NaN"},
		{"RMC.valid", nmeaLine("GNRMC,083559.00,V,,,,,,,091202,,,N"), "0=0"},
		{"RMC.time", nmeaLine("GNRMC,083559.25,V,,,,,,,091202,,,N"), "0=30959.25"},
		{"RMC.time", nmeaLine("GNRMC,246059,V,,,,,,,091202,,,N"), "0=NaN"},
		{"RMC.variation", nmeaLine("GPRMC,1,A,1,N,1,E,1,1,1,020.3,W"), "0=-20.3"},
		{"VTG.speed", nmeaLine("GPVTG,77.52,T,,M,0.004,N,36,K,A"), "0=10"},
		{"UBX.2", nmeaLine("PUBX,00,081350.00"), "0=81350"},
		{"PUBX.2", nmeaLine("PUBX,00,81350.5"), "0=81350.5"},
		{"UBX.1", nmeaLine("PUBX,07"), "0=7"},
		{"VDM.1", "!" + nmeaLine("AIVDM,2,1,3,B,x,0")[1:], "0=2"},
		{"HDT.heading", "noise $GPHDT,27$GPHDT,274.07,T*03", "0=274.07"},
		{"HDT.heading", "$GPHDT,274.07,T*03 ", "0=274.07"},
		{"HDT.heading", "$GPHDT,274.07,T*04", "refused"},
		{"HDT.heading", "$GPHDT,274.07,T", "refused"},
		{"HDT.heading", "GPHDT,274.07,T*03", "refused"},
		{"HDT.heading", "$*00", "refused"},
		{"HDT.heading", "$", "refused"},
		{"HDT.heading", nmeaLine("GPHDT" + strings.Repeat(",", 300)), "refused"},
	}
	for _, test := range tests {
		got := frames1(t, FramerConfig{Framing: "nmea", Fields: []string{test.field}}, "", test.line)
		checkFrame(t, test.field+" of "+test.line, got, test.want)
	}
}

func TestNMEAFieldsAreUsable(t *testing.T) {
	list := NMEAFields()
	if len(list) < 30 {
		t.Errorf("only %d fields", len(list))
	}
	for i, f := range list {
		if _, err := NewNMEAFramer([]string{f.Name}); err != nil {
			t.Error(err)
		}
		if i > 0 && list[i-1].Name >= f.Name {
			t.Errorf("%s is out of order", f.Name)
		}
	}
}
