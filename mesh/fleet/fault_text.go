package fleet

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// ErrFault says that a line is no fault, or that it does not fit the fleet.
var ErrFault = errors.New("bad fault")

// String writes the fault as one line that ParseFault reads:
//
//	from 12s for 30s crash agent 4711
//	from 10s crash coordinator 3
//	from 40s for 1m0s flap cluster 12 every 2s
//	from 10s for 1m0s byzantine agent 77 answer
//	from 10s for 1m0s loss sector 3 20%
//	from 10s for 1m0s slow class D 4x
//	from 10s clock agent 9 +250ms
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "from %v ", f.From)
	if f.For > 0 {
		fmt.Fprintf(&b, "for %v ", f.For)
	}
	fmt.Fprintf(&b, "%v %v", f.Kind, f.At)
	switch f.Kind {
	case Flap:
		fmt.Fprintf(&b, " every %v", f.Every)
	case Byzantine:
		fmt.Fprintf(&b, " %v", f.Lie)
	case Loss, Duplicate, Reorder, Corrupt:
		fmt.Fprintf(&b, " %v", f.Share)
	case Slow:
		fmt.Fprintf(&b, " %dx", f.Factor)
	case Clock:
		if f.Step >= 0 {
			b.WriteString(" +")
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(f.Step.String())
	}
	return b.String()
}

// String writes the place as faults have it: "sector 3", "class D", "all".
func (p Place) String() string {
	if p.Kind >= placeKinds {
		return placeNames[Nowhere]
	}
	name := placeNames[p.Kind]
	switch p.Kind {
	case Nowhere, Everywhere, AtOrchestrator:
		return name
	case InClass:
		return name + " " + impedance.Class(p.Index).String()
	}
	return name + " " + strconv.Itoa(int(p.Index))
}

// parsePercent reads what quorum.Share writes.
func parsePercent(text string) (quorum.Share, bool) {
	number, ok := strings.CutSuffix(text, "%")
	whole, rest, _ := strings.Cut(number, ".")
	w, err := strconv.ParseUint(whole, 10, 16)
	if !ok || err != nil || w > 100 || len(rest) > 2 || strings.HasSuffix(number, ".") {
		return 0, false
	}
	var r uint64
	if rest != "" {
		if r, err = strconv.ParseUint((rest + "0")[:2], 10, 16); err != nil {
			return 0, false
		}
	}
	return quorum.Share(w*100 + r), w*100+r <= 10_000
}

// ParseFault reads one line. ErrFault says which word is wrong and what may stand
// there.
func ParseFault(line string) (Fault, error) {
	p := faultParser{words: strings.Fields(line)}
	f := p.fault()
	if p.err == nil && len(p.words) > 0 {
		p.fail("nothing more", p.words[0])
	}
	if p.err != nil {
		return Fault{}, fmt.Errorf("%w: %q: %w", ErrFault, line, p.err)
	}
	return f, nil
}

// ParseFaults reads a schedule: one fault a line, empty lines and what is after a #
// left out. The errors of all lines come together, each with its number.
func ParseFaults(text string) ([]Fault, error) {
	var faults []Fault
	var wrong []error
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		f, err := ParseFault(line)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %w", number+1, err))
			continue
		}
		faults = append(faults, f)
	}
	return faults, errors.Join(wrong...)
}

// FormatFaults writes a schedule, one fault a line.
func FormatFaults(faults []Fault) string {
	var b strings.Builder
	for _, f := range faults {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// faultParser takes words off a line; after the first error it does nothing more.
type faultParser struct {
	words []string
	err   error
}

func (p *faultParser) fail(want, got string) {
	if p.err == nil {
		p.err = fmt.Errorf("want %s, got %q", want, got)
	}
}

func (p *faultParser) word() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *faultParser) accept(word string) bool {
	if len(p.words) > 0 && p.words[0] == word {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *faultParser) duration(least time.Duration) time.Duration {
	w := p.word()
	d, err := time.ParseDuration(w)
	if err != nil || d < least || d > MaxDuration {
		p.fail(fmt.Sprintf("a time from %v to %v, as 12s", least, MaxDuration), w)
	}
	return d
}

func (p *faultParser) fault() (f Fault) {
	if !p.accept("from") {
		p.fail(`"from"`, p.word())
	}
	f.From = p.duration(0)
	if p.accept("for") {
		f.For = p.duration(1)
	}
	w := p.word()
	f.Kind = FaultKind(position(faultNames[:], w))
	if f.Kind == NoFault {
		p.fail("one of "+strings.Join(faultNames[1:], ", "), w)
	}
	f.At = p.place()
	p.parameter(&f)
	return f
}

// position of a word; 0, which is no word of any text, when it is not there.
func position(names []string, word string) int {
	for i, name := range names[1:] {
		if name == word {
			return i + 1
		}
	}
	return 0
}

func (p *faultParser) place() (at Place) {
	w := p.word()
	at.Kind = PlaceKind(position(placeNames[:], w))
	switch at.Kind {
	case Nowhere:
		p.fail("one of "+strings.Join(placeNames[1:], ", "), w)
	case Everywhere, AtOrchestrator:
	case InClass:
		w = p.word()
		for c := impedance.ClassEdge; c <= impedance.ClassHuman; c++ {
			if c.String() == w {
				at.Index = int32(c)
			}
		}
		if at.Index == 0 {
			p.fail("a class, A to F", w)
		}
	default:
		w = p.word()
		n, err := strconv.ParseUint(w, 10, 31)
		if err != nil {
			p.fail("the number of the "+placeNames[at.Kind], w)
		}
		at.Index = int32(n)
	}
	return at
}

func (p *faultParser) parameter(f *Fault) {
	switch f.Kind {
	case Flap:
		if !p.accept("every") {
			p.fail(`"every"`, p.word())
		}
		f.Every = p.duration(time.Millisecond)
	case Byzantine:
		w := p.word()
		if f.Lie = Lie(position(lieNames[:], w)); f.Lie == Truth {
			p.fail("answer, time or flood", w)
		}
	case Loss, Duplicate, Reorder, Corrupt:
		w := p.word()
		var ok bool
		if f.Share, ok = parsePercent(w); !ok || f.Share == 0 {
			p.fail("a share over 0% and up to 100%, as 0.5%", w)
		}
	case Slow:
		w := p.word()
		n, err := strconv.ParseUint(strings.TrimSuffix(w, "x"), 10, 31)
		if err != nil || !strings.HasSuffix(w, "x") || n < 2 || n > maxSlow {
			p.fail("2x to 1000x", w)
		}
		f.Factor = int32(n)
	case Clock:
		w := p.word()
		d, err := time.ParseDuration(w)
		if err != nil || d < -MaxDuration || d > MaxDuration {
			p.fail("a time, as +250ms or -1s", w)
		}
		f.Step = d
	}
}

// maxSlow is the largest Fault.Factor.
const maxSlow = 1000
