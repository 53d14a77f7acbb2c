package hal

import (
	"math"
	"testing"

	"github.com/adrianmo/go-nmea"
)

// published are all sentences of go-nmea v1.10.0's own tests of GGA, RMC, VTG and GSA
// (gga_test.go and so on), the ones that it refuses included.
var published = []string{
	"$GNGGA,203415.000,6325.6138,N,01021.4290,E,1,8,2.42,72.5,M,41.5,M,,*7C",
	"$GNGGA,034225.077,A,S,15124.5567,E,1,03,9.7,-25.0,M,21.0,M,,0000*24",
	"$GNGGA,034225.077,3356.4650,S,A,E,1,03,9.7,-25.0,M,21.0,M,,0000*12",
	"$GNGGA,034225.077,3356.4650,S,15124.5567,E,12,03,9.7,-25.0,M,21.0,M,,0000*7D",
	"$GPGGA,034225.077,3356.4650,S,15124.5567,E,1,03,9.7,-25.0,M,21.0,M,,0000*51",
	"$GPGGA,034225.077,A,S,15124.5567,E,1,03,9.7,-25.0,M,21.0,M,,0000*3A",
	"$GPGGA,034225.077,3356.4650,S,A,E,1,03,9.7,-25.0,M,21.0,M,,0000*0C",
	"$GPGGA,034225.077,3356.4650,S,15124.5567,E,12,03,9.7,-25.0,M,21.0,M,,0000*63",
	"$GNRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*6E",
	"$GNRMC,142754.0,A,4302.539570,N,07920.379823,W,0.0,,070617,0.0,E,A*21",
	"$GNRMC,100538.00,A,5546.27711,N,03736.91144,E,0.061,,260318,,,A*60",
	"$GNRMC,220516,D,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*6B",
	"$GPRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70",
	"$GPRMC,142754.0,A,4302.539570,N,07920.379823,W,0.0,,070617,0.0,E,A*3F",
	"$GNRMC,102014.00,A,5550.6082,N,03732.2488,E,000.00000,092.9,300518,,,A,V*3B",
	"$GPRMC,220516,D,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*75",
	"$YDRMC,124014.00,A,5520.2848,N,01321.5108,E,0.0,0.0,230623,4.4,E,A,C*5D",
	"$GPVTG,45.5,T,67.5,M,30.45,N,56.40,K*4B",
	"$GPVTG,220.86,T,,M,2.550,N,4.724,K,A*34",
	"$GPVTG,T,45.5,67.5,M,30.45,N,56.40,K*4B",
	"$GPGSA,A,3,22,19,18,27,14,03,,,,,,,3.1,2.0,2.4*36",
	"$GNGSA,A,3,13,12,22,19,08,21,,,,,,,1.05,0.64,0.83,4*0B",
	"$GPGSA,F,3,22,19,18,27,14,03,,,,,,,3.1,2.0,2.4*31",
	"$GPGSA,A,6,22,19,18,27,14,03,,,,,,,3.1,2.0,2.4*33",
}

// parsed says what go-nmea makes of a sentence, by our names and in our units.
func parsed(sentence nmea.Sentence) map[string]float64 {
	seconds := func(t nmea.Time) float64 {
		return float64(t.Hour*3600+t.Minute*60+t.Second) + float64(t.Millisecond)/1000
	}
	const knot = 1852.0 / 3600
	switch s := sentence.(type) {
	case nmea.GGA:
		quality := float64(s.FixQuality[0] - '0')
		return map[string]float64{"GGA.time": seconds(s.Time), "GGA.latitude": s.Latitude, "GGA.longitude": s.Longitude, "GGA.quality": quality,
			"GGA.satellites": float64(s.NumSatellites), "GGA.hdop": s.HDOP, "GGA.altitude": s.Altitude, "GGA.separation": s.Separation}
	case nmea.RMC:
		return map[string]float64{"RMC.time": seconds(s.Time), "RMC.valid": 1, "RMC.latitude": s.Latitude, "RMC.longitude": s.Longitude,
			"RMC.speed": s.Speed * knot, "RMC.course": s.Course, "RMC.variation": s.Variation}
	case nmea.VTG:
		return map[string]float64{"VTG.course": s.TrueTrack, "VTG.speed": s.GroundSpeedKPH / 3.6}
	case nmea.GSA:
		return map[string]float64{"GSA.fix": float64(s.FixType[0] - '0'), "GSA.pdop": s.PDOP, "GSA.hdop": s.HDOP, "GSA.vdop": s.VDOP}
	}
	return nil
}

// TestNMEAPublishedCases holds every named field of GGA, RMC, VTG and GSA against
// go-nmea's parse of its own published sentences. An empty part is 0 there and no
// number here; what go-nmea refuses has no number in the refused place here.
func TestNMEAPublishedCases(t *testing.T) {
	var fields []string
	for _, f := range NMEAFields() {
		fields = append(fields, f.Name)
	}
	sound, compared := 0, 0
	for _, line := range published {
		f := mustFramer(t, FramerConfig{Framing: "nmea", Fields: fields}).(*lineFramer)
		if f.parser.parse([]byte(line), false, &f.fields) != accepted {
			t.Errorf("%s is not a frame", line)
			continue
		}
		sentence, err := nmea.Parse(line)
		if err != nil {
			checkRefused(t, line, fields, &f.fields)
			continue
		}
		sound++
		want := parsed(sentence)
		for i, name := range fields {
			w, has := want[name]
			if has != f.fields.seen[i] {
				t.Errorf("%s of %s: here %v, in go-nmea %v", name, line, f.fields.seen[i], has)
			} else if got := f.fields.values[i]; has && math.Abs(got-w) > 1e-9*max(1, math.Abs(w)) && !(math.IsNaN(got) && w == 0) {
				t.Errorf("%s of %s is %v, want %v", name, line, got, w)
			} else if has && !math.IsNaN(got) {
				compared++
			}
		}
	}
	if sound != 13 || compared < 70 {
		t.Errorf("%d sentences and %d values were compared", sound, compared)
	}
}

// checkRefused: a sentence that go-nmea refuses whole, for one bad part, has that
// part as no number, or as a value that a signal's range refuses.
func checkRefused(t *testing.T, line string, fields []string, got *fields) {
	t.Helper()
	for i, name := range fields {
		if v := got.values[i]; got.seen[i] && (math.IsNaN(v) || name == "GGA.quality" && v == 12 || name == "GSA.fix" && v == 6) {
			return
		}
	}
	if line != "$GPGSA,F,3,22,19,18,27,14,03,,,,,,,3.1,2.0,2.4*31" && line[3:6] != "RMC" { // selection modes and status D have no field, or read as not valid
		t.Errorf("%s is read as if nothing were wrong", line)
	}
}
