package hal

import (
	"slices"
	"strconv"
	"strings"
)

// maxColumns bounds one row.
const maxColumns = 1024

// NewCSVFramer reads rows of delimited cells, quoted as in RFC 4180, one row a
// line. A field is a column's name, or its number from 1 if there is no column
// of that name. Names come from columns, or, if that is nil, from the stream's
// header: the first row that holds the name of every wanted field. Such a row
// is never a frame, and a later one (a device that started again) sets the
// columns anew. Letter case is ignored where the exact name is absent. Until
// the columns are known, rows are refused.
//
// A row must have as many cells as there are columns; without any names, as
// many as the row before it. A cell without a number is NaN. The first cell of
// the first row is not used unless that row is a header: the stream may have
// been joined in the middle of it, and half a number is a wrong number.
//
// The delimiter is ',' if 0; letters, digits, quotes, '_', '.', '-' and '+' are
// refused.
func NewCSVFramer(fields, columns []string, delimiter byte) (Framer, error) {
	if delimiter == 0 {
		delimiter = ','
	}
	if delimiter != '\t' && (delimiter < ' ' || delimiter >= 0x7f) || strings.IndexByte(`"'.+-`, delimiter) >= 0 || isWordByte(delimiter) {
		return nil, framingError("csv delimiter %q cannot separate numbers: use one of , ; | tab or space", string(rune(delimiter)))
	}
	if len(columns) > maxColumns {
		return nil, framingError("csv has %d columns, at most %d are possible", len(columns), maxColumns)
	}
	p := &csvParser{fields: fields, delimiter: delimiter, column: make([]int, len(fields)), number: make([]bool, len(fields))}
	for i, f := range fields {
		if f == "" {
			return nil, framingError("csv field is empty: give a column name, or its number from 1")
		}
		if p.column[i], p.number[i] = columnOf(f, columns); p.column[i] < 0 && columns != nil {
			return nil, framingError("csv has no column %q: the columns are %s", f, strings.Join(columns, ", "))
		}
	}
	p.known = p.resolved()
	p.byName = slices.Contains(p.number, false)
	p.width = len(columns)
	p.fixed = columns != nil
	p.cells = make([]span, maxColumns)
	p.header = make([]int, len(fields))
	return newLineFramer(p, len(fields)), nil
}

// columnOf finds a field's column: the exact name, the name in other letter
// case, or the number. -1 if there is none.
func columnOf(field string, columns []string) (column int, byNumber bool) {
	if i := slices.Index(columns, field); i >= 0 {
		return i, false
	}
	for i, c := range columns {
		if strings.EqualFold(c, field) {
			return i, false
		}
	}
	n, err := strconv.Atoi(field)
	if err != nil || n < 1 || n > maxColumns || columns != nil && n > len(columns) {
		return -1, false
	}
	return n - 1, true
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// span is one cell within the line; quoted cells lie between their quotes.
type span struct{ from, to int }

type csvParser struct {
	fields    []string
	delimiter byte
	column    []int  // of each field, -1 if not known
	known     bool   // every column is
	number    []bool // the field is a column's number, not its name
	byName    bool   // some field is a name: a header can be told
	fixed     bool   // the width is given by columns or a header
	width     int    // cells of a row; 0: not known
	candidate int    // width of the last refused row, to learn a new one
	cells     []span
	header    []int // scratch
}

func (p *csvParser) parse(line []byte, cut bool, out *fields) verdict {
	if len(trimBlanks(line)) == 0 {
		return skipped
	}
	count, ok := p.split(line)
	if !ok || !printable(line) {
		return rejected
	}
	if p.isHeader(line, count) {
		return skipped
	}
	if !p.known || !p.fits(count, cut) {
		return rejected
	}
	if cut && !p.anyNumber(line, count) {
		return skipped // a header with names of its own
	}
	for i, c := range p.column {
		if c >= count {
			return rejected
		}
		if c > 0 || !cut {
			cell := p.cells[c]
			out.put(i, numberOrNaN(line[cell.from:cell.to]))
		}
	}
	return accepted
}

// split finds the cells.
func (p *csvParser) split(line []byte) (count int, ok bool) {
	at := 0
	for count < len(p.cells) {
		cell, next, ok := p.cell(line, at)
		if !ok {
			return 0, false
		}
		p.cells[count] = cell
		count++
		if next == len(line) {
			return count, true
		}
		at = next + 1 // behind the delimiter
		if at == len(line) && count < len(p.cells) {
			p.cells[count] = span{at, at}
			return count + 1, true
		}
	}
	return 0, false
}

// cell reads one cell at an offset, and gives the offset of the delimiter or
// the end behind it.
func (p *csvParser) cell(line []byte, at int) (cell span, next int, ok bool) {
	if at < len(line) && line[at] == '"' {
		return p.quoted(line, at+1)
	}
	for next = at; next < len(line) && line[next] != p.delimiter; next++ {
		if line[next] == '"' {
			return cell, 0, false
		}
	}
	return span{at, next}, next, true
}

// quoted reads the rest of a quoted cell; a doubled quote stays doubled, since
// no number and no column name has one.
func (p *csvParser) quoted(line []byte, from int) (cell span, next int, ok bool) {
	for at := from; at < len(line); at++ {
		if line[at] != '"' {
			continue
		}
		if at+1 < len(line) && line[at+1] == '"' {
			at++
			continue
		}
		return span{from, at}, at + 1, at+1 == len(line) || line[at+1] == p.delimiter
	}
	return cell, 0, false
}

// isHeader recognises a row that names every wanted field, and takes the
// columns from it.
func (p *csvParser) isHeader(line []byte, count int) bool {
	if !p.byName || p.known && p.numeric(p.column[0], line, count) {
		return false
	}
	for i, f := range p.fields {
		p.header[i] = p.column[i]
		if !p.number[i] {
			p.header[i] = p.find(line, count, f)
		}
		if p.header[i] < 0 {
			return false
		}
	}
	copy(p.column, p.header)
	p.known, p.fixed, p.width = true, true, count
	return true
}

// numeric says that a column of the row holds a number.
func (p *csvParser) numeric(column int, line []byte, count int) bool {
	if column >= count {
		return false
	}
	c := p.cells[column]
	_, ok := parseDecimal(trimBlanks(line[c.from:c.to]))
	return ok
}

// anyNumber says that some wanted column of the row holds a number.
func (p *csvParser) anyNumber(line []byte, count int) bool {
	for _, c := range p.column {
		if p.numeric(c, line, count) {
			return true
		}
	}
	return len(p.column) == 0
}

// find gives the cell that holds a name, -1 if none does.
func (p *csvParser) find(line []byte, count int, name string) int {
	folded := -1
	for i, c := range p.cells[:count] {
		cell := trimBlanks(line[c.from:c.to])
		if string(cell) == name {
			return i
		}
		if folded < 0 && equalFoldASCII(cell, name) {
			folded = i
		}
	}
	return folded
}

func equalFoldASCII(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// fits checks the width. Where it is not given, two rows in sequence of one
// width set it, the first row of the stream excepted, which may be half.
func (p *csvParser) fits(count int, cut bool) bool {
	if p.width == 0 && !cut && !p.fixed {
		p.width = count
	}
	if p.fixed || count == p.width {
		p.candidate = 0
		return count == p.width
	}
	if p.candidate != count {
		p.candidate = count
		return p.width == 0 // the first row: nothing to compare it with
	}
	p.width, p.candidate = count, 0
	return true
}

// resolved says that every field has its column.
func (p *csvParser) resolved() bool {
	for _, c := range p.column {
		if c < 0 {
			return false
		}
	}
	return true
}
