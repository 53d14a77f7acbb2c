package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseScenario reads a scenario. file only serves messages. Lines are, with
// values in the signal's own unit (which may stand behind the number) and times
// since the start:
//
//	scenario 1                        # the format's version; may be left out
//	start range = 3 m                 # the first value; again only with the program
//	at 2s smoke = 90                  # takes this value then, and goes on from it
//	at 5s bumper = 1 for 200ms        # has this value for a while, then the old one
//	from 2s to 8s smoke + 20/s        # changes by this much, on top of the plant
//	from 2s to 8s smoke = 90          # is held at this value, then has the old one
//	drop range from 3s to 4s          # no readings: the signal goes stale
//	noise range 0.01                  # readings are up to this far off, seeded
//	loop 10s                          # then all but start happens again
//
// A value can be nan, true or false. All faults are reported at once; the error
// is of type Faults.
func ParseScenario(file string, data []byte) (*Scenario, error) {
	p := &parser{scenario: &Scenario{File: file}}
	if len(data) > MaxScenario {
		p.fault(word{line: 1, column: 1}, fmt.Sprintf("the file has %d bytes", len(data)), fmt.Sprintf("at most %d are read", MaxScenario))
		return nil, p.faults
	}
	for i, line := range strings.Split(string(data), "\n") {
		p.words = split(line, i+1)
		if len(p.words) > 0 {
			p.end = word{line: i + 1, column: len(strings.TrimRight(line, " \t\r")) + 1}
			p.line()
		}
	}
	p.finish()
	if err := p.faults.sorted(); err != nil {
		return nil, err
	}
	return p.scenario, nil
}

// split cuts a line into words; = is a word of its own, # begins a comment.
func split(line string, number int) []word {
	line, _, _ = strings.Cut(line, "#")
	var words []word
	for i := 0; i < len(line); {
		if strings.IndexByte(" \t\r", line[i]) >= 0 {
			i++
			continue
		}
		end := i + 1
		if line[i] != '=' {
			for end < len(line) && strings.IndexByte(" \t\r=", line[end]) < 0 {
				end++
			}
		}
		words = append(words, word{line[i:end], number, i + 1})
		i = end
	}
	return words
}

// parser reads one line at a time; a line's first fault ends the line.
type parser struct {
	scenario *Scenario
	faults   Faults
	words    []word
	end      word // behind the last word of the line
	seen     int  // lines read
	loopAt   word
}

func (p *parser) fault(at word, what, hint string) {
	p.faults = append(p.faults, p.scenario.fault(at, what, hint))
}

// forms are the lines that exist, for hints.
var forms = map[string]string{
	"scenario": "scenario 1",
	"start":    "start NAME = VALUE",
	"at":       "at 2s NAME = VALUE [for 200ms]",
	"from":     "from 2s to 8s NAME + 20/s, or from 2s to 8s NAME = VALUE",
	"drop":     "drop NAME from 3s to 4s",
	"noise":    "noise NAME AMPLITUDE",
	"loop":     "loop 10s",
}

func (p *parser) line() {
	first := p.words[0]
	p.words = p.words[1:]
	p.seen++
	var ok bool
	switch first.text {
	case "scenario":
		ok = p.version(first)
	case "start":
		ok = p.start()
	case "at":
		ok = p.at()
	case "from":
		ok = p.from()
	case "drop":
		ok = p.drop()
	case "noise":
		ok = p.noise()
	case "loop":
		ok = p.loop(first)
	default:
		p.fault(first, fmt.Sprintf("%q is unknown", first.text), "a line begins with scenario, start, at, from, drop, noise or loop")
		return
	}
	if ok && len(p.words) > 0 {
		p.fault(p.words[0], fmt.Sprintf("%q is too much", p.words[0].text), "write: "+forms[first.text])
	}
}

func (p *parser) version(first word) bool {
	if p.seen > 1 {
		p.fault(first, "the version must be the first line", "")
		return false
	}
	w, ok := p.next("a version", "scenario")
	if ok && w.text != strconv.Itoa(Version) {
		p.fault(w, fmt.Sprintf("version %q of the format is unknown", w.text), fmt.Sprintf("this program reads version %d", Version))
		return false
	}
	return ok
}

func (p *parser) start() bool {
	name, ok := p.next("a signal's name", "start")
	if !ok || !p.expect("=", "start") {
		return false
	}
	value, ok := p.quantity("start", true)
	p.scenario.starts = append(p.scenario.starts, change{name, 0, value})
	return ok
}

func (p *parser) at() bool {
	at, ok := p.duration("at")
	if !ok {
		return false
	}
	name, ok := p.next("a signal's name", "at")
	if !ok || !p.expect("=", "at") {
		return false
	}
	value, ok := p.quantity("at", true)
	if !ok {
		return false
	}
	if len(p.words) == 0 || p.words[0].text != "for" {
		p.scenario.sets = append(p.scenario.sets, change{name, at, value})
		return true
	}
	p.words = p.words[1:]
	length, ok := p.duration("at")
	p.scenario.holds = append(p.scenario.holds, window{name, at, at + length, value})
	return ok
}

func (p *parser) from() bool {
	begin, end, ok := p.span("from")
	if !ok {
		return false
	}
	name, ok := p.next("a signal's name", "from")
	if !ok {
		return false
	}
	if len(p.words) > 0 && p.words[0].text == "=" {
		p.words = p.words[1:]
		value, ok := p.quantity("from", true)
		p.scenario.holds = append(p.scenario.holds, window{name, begin, end, value})
		return ok
	}
	slope, ok := p.slope()
	p.scenario.ramps = append(p.scenario.ramps, window{name, begin, end, slope})
	return ok
}

func (p *parser) drop() bool {
	name, ok := p.next("a signal's name", "drop")
	if !ok || !p.expect("from", "drop") {
		return false
	}
	begin, end, ok := p.span("drop")
	p.scenario.drops = append(p.scenario.drops, window{name: name, begin: begin, end: end})
	return ok
}

func (p *parser) noise() bool {
	name, ok := p.next("a signal's name", "noise")
	if !ok {
		return false
	}
	value, ok := p.quantity("noise", false)
	if ok && value.number < 0 {
		p.fault(name, "the amplitude is negative", "write: "+forms["noise"])
		return false
	}
	p.scenario.noises = append(p.scenario.noises, change{name, 0, value})
	return ok
}

func (p *parser) loop(first word) bool {
	length, ok := p.duration("loop")
	if !ok {
		return false
	}
	if p.scenario.loop > 0 || length < minLoop {
		p.fault(first, fmt.Sprintf("a scenario has one loop, of at least %v", minLoop), "")
		return false
	}
	p.scenario.loop, p.loopAt = length, first
	return true
}

// next takes a word.
func (p *parser) next(what, form string) (word, bool) {
	if len(p.words) == 0 {
		p.fault(p.end, what+" is missing", "write: "+forms[form])
		return word{}, false
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w, true
}

// expect takes one given word.
func (p *parser) expect(text, form string) bool {
	w, ok := p.next(strconv.Quote(text), form)
	if ok && w.text != text {
		p.fault(w, fmt.Sprintf("%q stands where %q should", w.text, text), "write: "+forms[form])
		return false
	}
	return ok
}

// duration takes a time, at most 100 days.
func (p *parser) duration(form string) (time.Duration, bool) {
	w, ok := p.next("a time", form)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(w.text)
	if err != nil || d < 0 || d > 2400*time.Hour {
		p.fault(w, fmt.Sprintf("%q is not a time", w.text), "write a number and ms, s, m or h, such as 2s")
		return 0, false
	}
	return d, true
}

// span takes "A to B".
func (p *parser) span(form string) (begin, end time.Duration, ok bool) {
	if begin, ok = p.duration(form); !ok || !p.expect("to", form) {
		return 0, 0, false
	}
	at := p.end
	if len(p.words) > 0 {
		at = p.words[0]
	}
	if end, ok = p.duration(form); ok && end <= begin {
		p.fault(at, "the end is not after the beginning", "write: "+forms[form])
		return 0, 0, false
	}
	return begin, end, ok
}

// quantity takes a number and, glued to it or behind it, a unit.
func (p *parser) quantity(form string, special bool) (quantity, bool) {
	w, ok := p.next("a value", form)
	if !ok {
		return quantity{}, false
	}
	if special {
		switch w.text {
		case "nan":
			return quantity{number: math.NaN()}, true
		case "true":
			return quantity{number: 1}, true
		case "false":
			return quantity{}, true
		}
	}
	q, ok := readQuantity(w.text)
	if !ok {
		p.fault(w, fmt.Sprintf("%q is not a number", w.text), "write: "+forms[form])
		return q, false
	}
	if q.unit == "" && len(p.words) > 0 && p.words[0].text != "for" {
		q.unit = p.words[0].text
		p.words = p.words[1:]
	}
	return q, true
}

// slope takes [+-] number [unit]/s, or /min.
func (p *parser) slope() (quantity, bool) {
	var text strings.Builder
	at := p.end
	if len(p.words) > 0 {
		at = p.words[0]
	}
	for _, w := range p.words {
		text.WriteString(w.text)
	}
	p.words = nil
	number, per, found := strings.Cut(text.String(), "/")
	// a unit can hold a slash itself: the last part is the time
	if i := strings.LastIndexByte(per, '/'); i >= 0 {
		number, per = number+"/"+per[:i], per[i+1:]
	}
	q, ok := readQuantity(number)
	signed := strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-")
	if !found || !ok || !signed || per != "s" && per != "min" {
		p.fault(at, fmt.Sprintf("%q is not a change such as + 20/s", text.String()), "write: "+forms["from"])
		return q, false
	}
	if per == "min" {
		q.number /= 60
	}
	return q, true
}

// maxNumber bounds the text of one number.
const maxNumber = 40

// minLoop bounds the work of one step.
const minLoop = 100 * time.Millisecond

// readQuantity reads a number with a unit glued to it.
func readQuantity(text string) (quantity, bool) {
	for end := min(len(text), maxNumber); end > 0; end-- {
		if n, err := strconv.ParseFloat(text[:end], 64); err == nil && !math.IsInf(n, 0) && !math.IsNaN(n) && !strings.ContainsAny(text[:end], "xX_pP") {
			return quantity{n, text[end:]}, true
		}
	}
	return quantity{}, false
}

// finish sorts, and checks what needs the whole file.
func (p *parser) finish() {
	s := p.scenario
	slices.SortStableFunc(s.sets, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	slices.SortStableFunc(s.holds, func(a, b window) int { return cmp.Compare(a.begin, b.begin) })
	for i, a := range s.holds {
		for _, b := range s.holds[:i] {
			if a.name.text == b.name.text && a.begin < b.end {
				p.fault(a.name, fmt.Sprintf("%q has a value for this time already", a.name.text), fmt.Sprintf("line %d holds it from %v to %v", b.name.line, b.begin, b.end))
			}
		}
	}
	if s.loop == 0 {
		return
	}
	for _, c := range s.sets {
		if c.at >= s.loop {
			p.fault(c.name, fmt.Sprintf("%v is never reached", c.at), fmt.Sprintf("line %d begins again after %v", p.loopAt.line, s.loop))
		}
	}
	for _, list := range [][]window{s.holds, s.ramps, s.drops} {
		for _, w := range list {
			if w.end > s.loop {
				p.fault(w.name, fmt.Sprintf("%v is never reached", w.end), fmt.Sprintf("line %d begins again after %v", p.loopAt.line, s.loop))
			}
		}
	}
}
