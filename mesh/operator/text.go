package operator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Tone is how a text is to be taken; a terminal may show it as a colour.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Good
	Warning
	Bad
	Faint
)

// Painter gives a text its tone; nil leaves it as it is.
type Painter func(tone Tone, text string) string

func (p Painter) paint(tone Tone, text string) string {
	if p == nil || tone == Plain || text == "" {
		return text
	}
	return p(tone, text)
}

// boxWidth is the room for text in a box: with its frame 80 columns.
const boxWidth = 76

// row is one line of a box, or more where it is long.
type row struct {
	label, text string
	tone        Tone
}

// Text is the box of mesh-30k 7.1.
func (s *Status) Text(paint Painter) []string {
	rows := []row{s.agentsRow(), {"", s.Agents.others(), Plain}}
	for _, c := range s.Classes {
		text := fmt.Sprintf("class %s %-11s%s / %s active", c.Class, plain(c.Name), pad(number(c.Active), 9), number(c.Members))
		if c.MeanMS > 0 {
			text += ", mean " + millis(c.MeanMS)
		}
		if c.Class == "F" {
			text += " (people: not counted)"
		}
		rows = append(rows, row{"", text, Faint})
	}
	rows = append(rows, s.groupRow("Sectors", s.Sectors), s.groupRow("Clusters", s.Clusters), s.impedanceRow(), s.coordinationRow(), s.lastRow(), s.conflictsRow(), s.breakersRow())
	rows = append(rows, s.modeRows()...)
	title := strings.ToUpper(plain(s.Name)) + "  STATUS"
	if s.Simulated {
		title += fmt.Sprintf("  (simulated, up %s, %gx the wall clock)", spanOf(s.UpS), s.Speed)
	}
	lines := []string{"┌" + strings.Repeat("─", boxWidth+2) + "┐", boxed(cut(title, boxWidth), Plain, paint), "├" + strings.Repeat("─", boxWidth+2) + "┤"}
	for _, r := range rows {
		lines = append(lines, r.lines(paint)...)
	}
	return append(lines, "└"+strings.Repeat("─", boxWidth+2)+"┘")
}

const labelWidth = 14

// lines of a row, broken between words.
func (r row) lines(paint Painter) (lines []string) {
	label := r.label
	for _, part := range wrap(r.text, boxWidth-labelWidth) {
		text := plain(pad(part, -(boxWidth - labelWidth)))
		lines = append(lines, "│ "+pad(label, -labelWidth)+paint.paint(r.tone, text)+" │")
		label = ""
	}
	return lines
}

func boxed(text string, tone Tone, paint Painter) string {
	return "│ " + paint.paint(tone, pad(text, -boxWidth)) + " │"
}

// wrap breaks a text between words.
func wrap(text string, width int) (parts []string) {
	line := ""
	for word := range strings.SplitSeq(text, " ") {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			parts, line = append(parts, line), ""
		} else if line != "" {
			line += " "
		}
		line += cut(word, width)
	}
	return append(parts, line)
}

// pad fills with spaces in front, with a negative width behind.
func pad(text string, width int) string {
	fill := strings.Repeat(" ", max(max(width, -width)-utf8.RuneCountInString(text), 0))
	if width < 0 {
		return text + fill
	}
	return fill + text
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// plain makes a text of others safe for a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u00a0' || r == utf8.RuneError || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 { // also what turns the writing round
			return ' '
		}
		return r
	}, text)
}

func (s *Status) agentsRow() row {
	tone := Good
	if s.Agents.Active*100 < s.Agents.Members*95 {
		tone = Bad
	}
	return row{"Agents", fmt.Sprintf("%s / %s active (%s)", number(s.Agents.Active), number(s.Agents.Members), percent(s.Agents.Active, s.Agents.Members)), tone}
}

func (a *AgentCounts) others() string {
	text := fmt.Sprintf("%s degraded, %s offline, %s quarantined, %s unknown", number(a.Degraded), number(a.Offline), number(a.Quarantined), number(a.Unknown))
	if a.Frozen > 0 {
		text += fmt.Sprintf("; %s frozen", number(a.Frozen))
	}
	return text
}

func (s *Status) groupRow(label string, t TierHealth) row {
	r := row{label, fmt.Sprintf("%s / %s healthy", number(t.Healthy), number(t.Total)), Good}
	if t.Healthy < t.Total {
		r.tone = Warning
	}
	if t.Led < t.Total {
		r.text, r.tone = r.text+fmt.Sprintf(", %s led by nobody", number(t.Total-t.Led)), Bad
	}
	return r
}

func (s *Status) impedanceRow() row {
	i := &s.Impedance
	if i.SlowestMS == 0 {
		return row{"Impedance", "nobody can be asked", Bad}
	}
	text := fmt.Sprintf("mean %s; p50 %s, p95 %s, p99 %s; slowest %s (%s); score %.0f, p95 %d",
		millis(i.MeanMS), millis(i.P50MS), millis(i.P95MS), millis(i.P99MS), plain(i.Slowest), millis(i.SlowestMS), i.Score, i.ScoreP95)
	if i.Slow > 0 || i.Spiking > 0 {
		text += fmt.Sprintf("; %s slow, %s spiking", number(i.Slow), number(i.Spiking))
	}
	return row{"Impedance", text, Plain}
}

func (s *Status) coordinationRow() row {
	c := &s.Coordination
	good, all := int(c.Committed+c.Degraded), int(c.Committed+c.Degraded+c.Failed)
	if all == 0 {
		return row{"Coordination", "no cascade yet", Faint}
	}
	r := row{"Coordination", fmt.Sprintf("%s of %s with a quorum (%s)", number(good), number(all), percent(good, all)), Good}
	if good > 0 {
		r.text += fmt.Sprintf("; decided p50 %s, p95 %s", millis(c.P50MS), millis(c.P95MS))
	}
	if c.Cancelled > 0 {
		r.text += fmt.Sprintf("; %s cancelled", number(int(c.Cancelled)))
	}
	if good*100 < all*99 {
		r.tone = Warning
	}
	return r
}

func (s *Status) lastRow() row {
	l := s.Last
	if l == nil {
		return row{"Last cascade", "none", Faint}
	}
	return row{"Last cascade", fmt.Sprintf("%s ago: %s, %s of %s READY after %s", spanOf(l.AgoS), l.Outcome, number(int(l.Counts.Ready)), number(int(l.Counts.Total)), millis(l.TookMS)), Plain}
}

func (s *Status) conflictsRow() row {
	var parts []string
	sum, tone := 0, Plain
	for _, level := range []string{"critical", "high", "medium", "low", "background"} {
		if n := s.Conflicts[level]; n > 0 {
			sum += n
			parts = append(parts, number(n)+" "+level)
			if level == "critical" || level == "high" {
				tone = Bad
			}
		}
	}
	text := number(sum) + " in the last hour"
	if sum > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return row{"Conflicts", text, tone}
}

func (s *Status) breakersRow() row {
	b := &s.Breakers
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{b.ClustersOpen, "of clusters open"}, {b.ClustersHalfOpen, "of clusters half open"}, {b.SectorsOpen, "of sectors open"}, {b.SectorsHalfOpen, "of sectors half open"}} {
		if p.n > 0 {
			parts = append(parts, number(p.n)+" "+p.what)
		}
	}
	if b.Global != "CLOSED" {
		parts = append(parts, "the mesh's own "+plain(b.Global))
	}
	if len(parts) == 0 {
		return row{"Breakers", "all closed", Good}
	}
	return row{"Breakers", strings.Join(parts, ", "), Warning}
}

func (s *Status) modeRows() []row {
	tone := Warning
	switch s.Mode {
	case "FULL":
		tone = Good
	case "EMERGENCY", "DEGRADED_SEVERE":
		tone = Bad
	}
	rows := []row{{"Mode", plain(s.Mode), tone}}
	for _, words := range s.Restrictions {
		rows = append(rows, row{"", plain(words), Plain})
	}
	if s.Acknowledge {
		rows = append(rows, row{"", "stays until dancer heal acknowledges it", Bad})
	}
	if len(s.Frozen) > 0 {
		list := strings.Join(s.Frozen[:min(len(s.Frozen), maxNamed)], ", ")
		if more := len(s.Frozen) - maxNamed; more > 0 {
			list += fmt.Sprintf(" and %s more", number(more))
		}
		rows = append(rows, row{"Frozen", plain(list) + " (dancer thaw)", Bad})
	}
	if !s.Led {
		rows = append(rows, row{"Problem", "nobody leads the whole: nothing can be broadcast", Bad})
	}
	if s.LagMS > 100 {
		rows = append(rows, row{"Problem", fmt.Sprintf("the simulation is %s behind its clock: this machine is too slow for --speed %g", millis(s.LagMS), s.Speed), Warning})
	}
	return rows
}

// number with commas between the thousands.
func number(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// percent is cut and never rounded up: 99.96% of 30,000 are not all of them.
func percent(part, whole int) string {
	if whole == 0 {
		return "none"
	}
	tenths := part * 1000 / whole
	if tenths == 1000 {
		return "100%"
	}
	return fmt.Sprintf("%d.%d%%", tenths/10, tenths%10)
}

// hard is a space at which no line is broken; plain makes a common one of it.
const hard = "\u00a0"

// millis is a time for people.
func millis(value float64) string {
	switch {
	case value < 10:
		return strconv.FormatFloat(value, 'f', 1, 64) + hard + "ms"
	case value < 10_000:
		return number(int(value+0.5)) + hard + "ms"
	}
	return strconv.FormatFloat(value/1000, 'f', 1, 64) + hard + "s"
}

// spanOf is a span of seconds for people.
func spanOf(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Minute {
		text := d.Round(time.Second).String()
		if d >= time.Hour {
			text = strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
		}
		return text
	}
	return d.Round(100 * time.Millisecond).String()
}
