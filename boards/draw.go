package boards

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Use is what a robot does with one pin.
type Use struct {
	Pin  string `json:"pin"`            // as Line.Pin gives it; "" for a line without a place on a header
	Line string `json:"line,omitempty"` // name of the GPIO line; "" for a pin of a port
	By   string `json:"by"`             // e.g. "signal bumper"
	As   string `json:"as"`             // input, output, pwm, servo, or the device of a port
}

// String is what a drawing says: the kind of an input or an on-off output is plain
// from the name before it.
func (u Use) String() string {
	if u.As == "pwm" || u.As == "servo" {
		return u.By + " (" + u.As + ")"
	}
	return u.By
}

// Free lists the lines that belong to nobody and that no use is on.
func (p Profile) Free(uses []Use) []string {
	free := []string{}
	for _, l := range p.Lines {
		if l.Owner == "" && !slices.ContainsFunc(uses, func(u Use) bool { return u.Pin == l.Pin() }) {
			free = append(free, l.Name)
		}
	}
	return free
}

// Drawing is how a header is drawn.
type Drawing struct {
	Color bool // ANSI colours, for a terminal
}

// Marks of a pin.
const (
	markFree  = ' '
	markUsed  = '*'
	markTaken = 'x'
	markPower = '-'
)

// colors of the marks; free has none.
var colors = map[byte]string{markUsed: "\x1b[1;32m", markTaken: "\x1b[33m", markPower: "\x1b[2m"}

const (
	plainColor = "\x1b[0m"
	cellWidth  = 36 // two cells and two pin numbers are 80 columns
)

// Write draws the headers as they are on the board, two columns of pins, with
// what a robot uses and what is free, in at most 80 columns.
func (d Drawing) Write(w io.Writer, p Profile, uses []Use) error {
	var b strings.Builder
	for _, c := range p.Connectors {
		if c.Name != "" {
			fmt.Fprintf(&b, "%*s\n", cellWidth+4, c.Name)
		}
		for pin := 1; pin < c.Pins; pin += 2 {
			left := p.cell(pinName(c.Name, pin), uses)
			right := p.cell(pinName(c.Name, pin+1), uses)
			row := d.paint(left.mark, left.before()) + fmt.Sprintf(" %2d|%-2d ", pin, pin+1) + d.paint(right.mark, right.after())
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	if len(p.Connectors) > 0 {
		b.WriteString(p.legend(uses))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d Drawing) paint(mark byte, text string) string {
	if c := colors[mark]; d.Color && c != "" {
		return c + text + plainColor
	}
	return text
}

// cell is one pin in a drawing.
type cell struct {
	mark  byte
	name  string
	notes []string
}

func (p Profile) cell(pin string, uses []Use) cell {
	c := cell{mark: markPower, name: p.Power[pin]}
	for _, l := range p.Lines {
		if l.Pin() == pin {
			c = lineCell(l)
		}
	}
	var by []string
	for _, u := range uses {
		if u.Pin == pin {
			c.mark = markUsed
			by = append(by, u.String())
		}
	}
	if by != nil {
		c.notes = by
	}
	return c
}

func lineCell(l Line) cell {
	c := cell{mark: markFree, name: l.Name + map[string]string{"up": "^", "down": "_"}[l.Pull]}
	if l.Owner != "" {
		who, _, _ := strings.Cut(l.Owner, ",") // what follows is why
		c.mark, c.notes = markTaken, []string{who}
		return c
	}
	c.notes = l.Functions
	if l.SoC != l.Name {
		c.notes = append([]string{l.SoC}, l.Functions...)
	}
	return c
}

// nameWidth is what a line's name and its pull take.
const nameWidth = 8

// before is the cell left of the pin numbers, padded to its width.
func (c cell) before() string {
	text := fmt.Sprintf("%s %*s %c", c.fit(), nameWidth, c.name, c.mark)
	return strings.Repeat(" ", max(0, cellWidth-utf8.RuneCountInString(text))) + text
}

// after is the cell right of them.
func (c cell) after() string {
	return strings.TrimRight(fmt.Sprintf("%c %-*s %s", c.mark, nameWidth, c.name, c.fit()), " ")
}

// fit gives as many of the notes as the cell has room for, and dots for the rest.
func (c cell) fit() string {
	const dots = "..."
	room := cellWidth - 3 - max(nameWidth, utf8.RuneCountInString(c.name))
	text := ""
	for i, note := range c.notes {
		longer := note
		if i > 0 {
			longer = text + ", " + note
		}
		rest := 0
		if i < len(c.notes)-1 {
			rest = len(", ") + len(dots)
		}
		switch {
		case utf8.RuneCountInString(longer)+rest <= room:
			text = longer
		case i > 0:
			return text + ", " + dots
		default:
			return string([]rune(note)[:min(room-len(dots), utf8.RuneCountInString(note))]) + dots
		}
	}
	return text
}

func (p Profile) legend(uses []Use) string {
	taken, pulls := 0, false
	for _, l := range p.Lines {
		pulls = pulls || l.Pull != ""
		if l.Owner != "" {
			taken++
		}
	}
	text := ""
	if len(uses) > 0 {
		text = "* used by the robot\n"
	}
	text += fmt.Sprintf("x taken by the board (%d)   - no GPIO line   %d of %d lines are free\n", taken, len(p.Free(uses)), len(p.Lines))
	if pulls {
		text += "^ pulled up, _ pulled down from power-on until a program asks for the line\n"
	}
	return text
}
