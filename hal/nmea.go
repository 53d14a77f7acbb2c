package hal

import (
	"math"
	"strconv"
	"strings"
)

// maxNMEAParts bounds the comma-separated parts of one sentence.
const maxNMEAParts = 256

// NewNMEAFramer reads NMEA 0183 sentences, one a line, each with its checksum:
// a sentence without one, or with a wrong one, is refused. Every sound sentence
// is a frame. What stands before the last '$' or '!' of a line is ignored.
//
// A field is SENTENCE.name or SENTENCE.number, where the sentence is a type
// ("RMC", from any talker) or a whole address ("GNRMC", "PUBX"), and the number
// counts the parts behind the address from 1. The names and their units are
// those of NMEAFields. An empty part is NaN; so is a position without a fix
// (GGA quality 0, RMC and GLL status V).
func NewNMEAFramer(fields []string) (Framer, error) {
	p := &nmeaParser{wanted: make([]nmeaWanted, len(fields)), parts: make([]span, maxNMEAParts)}
	for i, f := range fields {
		w, err := parseNMEAField(f)
		if err != nil {
			return nil, err
		}
		p.wanted[i] = w
	}
	return newLineFramer(p, len(fields)), nil
}

// nmeaKind says how a part is read.
type nmeaKind uint8

const (
	nmeaNumber    nmeaKind = iota
	nmeaAngle              // ddmm.mmmm and, in the next part, N S E or W: degrees, south and west negative
	nmeaTime               // hhmmss.sss: seconds of the UTC day
	nmeaStatus             // A is 1, anything else 0
	nmeaKnots              // knots: m/s
	nmeaKilometre          // km/h: m/s
	nmeaVariation          // degrees and, in the next part, E or W: west negative
)

// nmeaField is one named part of a sentence.
type nmeaField struct {
	name  string
	part  int // from 1
	kind  nmeaKind
	unit  string
	valid int // part that must say that there is a fix; 0: none
}

type nmeaWanted struct {
	address string // type or whole address
	nmeaField
}

// parseNMEAField reads SENTENCE.name or SENTENCE.number.
func parseNMEAField(field string) (nmeaWanted, error) {
	sentence, name, found := strings.Cut(field, ".")
	if !found || len(sentence) < 3 || name == "" || strings.ToUpper(sentence) != sentence {
		return nmeaWanted{}, framingError("nmea field %q is not SENTENCE.name, such as GGA.latitude or DBT.3", field)
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n >= maxNMEAParts {
			return nmeaWanted{}, framingError("nmea field %q: parts are numbered from 1 to %d", field, maxNMEAParts-1)
		}
		return nmeaWanted{sentence, nmeaField{part: n}}, nil
	}
	known := nmeaSentences[sentence[max(0, len(sentence)-3):]]
	names := make([]string, len(known))
	for i, k := range known {
		if k.name == name {
			return nmeaWanted{sentence, k}, nil
		}
		names[i] = k.name
	}
	if len(known) == 0 {
		return nmeaWanted{}, framingError("nmea field %q: no names are known for this sentence: give the number of the part, such as %s.1", field, sentence)
	}
	return nmeaWanted{}, framingError("nmea field %q: the names are %s, or the number of a part", field, strings.Join(names, ", "))
}

type nmeaParser struct {
	wanted []nmeaWanted
	parts  []span
	count  int
	line   []byte
}

func (p *nmeaParser) parse(line []byte, _ bool, out *fields) verdict {
	if len(trimBlanks(line)) == 0 {
		return skipped
	}
	body, ok := nmeaBody(line)
	if !ok || !printable(body) || !p.split(body) {
		return rejected
	}
	address := p.part(0)
	for i := range p.wanted {
		if w := &p.wanted[i]; addressed(address, w.address) && w.part < p.count {
			out.put(i, p.read(&w.nmeaField))
		}
	}
	return accepted
}

// nmeaBody gives what stands between the start and the checksum, if that is
// right.
func nmeaBody(line []byte) ([]byte, bool) {
	start := len(line) - 1
	for start >= 0 && line[start] != '$' && line[start] != '!' {
		start--
	}
	line = trimBlanks(line[start+1:])
	star := len(line) - 3
	if start < 0 || star < 3 || line[star] != '*' {
		return nil, false
	}
	high, ok1 := hexDigit(line[star+1])
	low, ok2 := hexDigit(line[star+2])
	sum := byte(0)
	for _, c := range line[:star] {
		sum ^= c
	}
	return line[:star], ok1 && ok2 && sum == high<<4|low
}

// split finds the parts; part 0 is the address.
func (p *nmeaParser) split(body []byte) bool {
	p.line, p.count = body, 0
	from := 0
	for i := 0; i <= len(body); i++ {
		if i < len(body) && body[i] != ',' {
			continue
		}
		if p.count == len(p.parts) {
			return false
		}
		p.parts[p.count] = span{from, i}
		p.count++
		from = i + 1
	}
	return true
}

// part gives the text of a part, nil if the sentence is shorter.
func (p *nmeaParser) part(i int) []byte {
	if i >= p.count {
		return nil
	}
	return p.line[p.parts[i].from:p.parts[i].to]
}

// addressed says whether a sentence is the wanted one: its whole address, or
// its type behind a talker of two letters (one, P, for proprietary ones).
func addressed(address []byte, wanted string) bool {
	if string(address) == wanted {
		return true
	}
	talker := 2
	if len(address) > 0 && address[0] == 'P' {
		talker = 1
	}
	return len(address) > talker && string(address[talker:]) == wanted
}

// read gives a field's value, NaN if there is none.
func (p *nmeaParser) read(f *nmeaField) float64 {
	if f.valid > 0 && !hasFix(p.part(f.valid)) {
		return math.NaN()
	}
	text := p.part(f.part)
	switch f.kind {
	case nmeaAngle:
		return nmeaDegrees(text) * p.side(f.part+1)
	case nmeaTime:
		return nmeaSeconds(text)
	case nmeaStatus:
		if len(text) == 1 && text[0] == 'A' {
			return 1
		}
		return 0
	case nmeaKnots:
		return numberOrNaN(text) * 1852 / 3600
	case nmeaKilometre:
		return numberOrNaN(text) / 3.6
	case nmeaVariation:
		return numberOrNaN(text) * p.side(f.part+1)
	}
	return numberOrNaN(text)
}

// hasFix reads a status (A) or a quality (1 to 9).
func hasFix(text []byte) bool {
	return len(text) == 1 && (text[0] == 'A' || text[0] >= '1' && text[0] <= '9')
}

// side gives the sign of a direction letter, NaN if it is none.
func (p *nmeaParser) side(part int) float64 {
	if text := p.part(part); len(text) == 1 {
		switch text[0] {
		case 'N', 'E':
			return 1
		case 'S', 'W':
			return -1
		}
	}
	return math.NaN()
}

// nmeaDegrees reads ddmm.mmmm or dddmm.mmmm. Degrees and minutes are read apart:
// cutting them out of one number would lose digits.
func nmeaDegrees(text []byte) float64 {
	whole := digitRun(text)
	if whole < 3 || whole > 5 {
		return math.NaN()
	}
	degrees, _ := parseDecimal(text[:whole-2])
	minutes, ok := parseDecimal(text[whole-2:])
	if !ok || minutes >= 60 || degrees > 180 {
		return math.NaN()
	}
	return degrees + minutes/60
}

// nmeaSeconds reads hhmmss.sss.
func nmeaSeconds(text []byte) float64 {
	if digitRun(text) != 6 {
		return math.NaN()
	}
	hours, _ := parseDecimal(text[:2])
	minutes, _ := parseDecimal(text[2:4])
	seconds, ok := parseDecimal(text[4:])
	if !ok || hours > 23 || minutes > 59 || seconds >= 61 {
		return math.NaN()
	}
	return float64(hours*3600) + float64(minutes*60) + seconds
}
