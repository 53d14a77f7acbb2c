package dbc

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// statement is one statement of a file: its lines, from the one that begins with its
// keyword.
type statement struct {
	keyword string
	line    int // 1-based
	lines   []string
}

// The statements that are read; all others are passed over.
const (
	keywordMessage   = "BO_"
	keywordSignal    = "SG_"
	keywordValueType = "SIG_VALTYPE_"
	keywordDefine    = "BA_DEF_"
	keywordDefault   = "BA_DEF_DEF_"
	keywordAttribute = "BA_"
	keywordSymbols   = "NS_"
)

// keywordOf gives the keyword that a line begins with, "" for none. Whatever looks like
// one is one (capitals and an underscore at the end): the format has grown, and what is
// not known here ends the statement before it all the same.
func keywordOf(line string) string {
	line = strings.TrimLeft(line, " \t")
	end := strings.IndexFunc(line, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' })
	if end < 0 {
		end = len(line)
	}
	word := line[:end]
	switch {
	case end < len(line) && !strings.ContainsRune(": \t", rune(line[end])):
		return ""
	case word == "VERSION", word == "FILTER", strings.HasSuffix(word, "_") && word[0] >= 'A' && word[0] <= 'Z':
		return word
	}
	return ""
}

// textOf gives a file as UTF-8. Vector's tools write Windows-1252, of which the letters
// and signs of units are those of Latin-1.
func textOf(data []byte) string {
	text := strings.TrimPrefix(string(data), "\uFEFF")
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(rune(text[i]))
	}
	return b.String()
}

// split cuts a file into statements. Text in quotes may go over several lines.
func split(file, text string) (all []statement, err error) {
	quoted, since := false, 0
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		begins := ""
		if !quoted {
			begins = keywordOf(line)
		}
		switch last := len(all) - 1; {
		case begins != "" && last >= 0 && all[last].keyword == keywordSymbols && strings.TrimSpace(line) == begins:
			all[last].lines = append(all[last].lines, line) // a word of the list of words
		case begins != "":
			all = append(all, statement{keyword: begins, line: number, lines: []string{line}})
		case last >= 0:
			all[last].lines = append(all[last].lines, line)
		case strings.TrimSpace(line) != "":
			return nil, &Error{File: file, Line: number, What: "this is no DBC file: it begins with no statement", Hint: `a DBC file begins with VERSION ""`}
		}
		var behind string
		before := quoted
		if quoted, behind = quotes(line, quoted); quoted && !before {
			since = number
		}
		if last := len(all) - 1; last >= 0 && behind != "" && !all[last].wanted() {
			return nil, &Error{File: file, Line: number, What: fmt.Sprintf("there is more behind the end of %s", all[last].keyword), Hint: "begin every statement on a line of its own"}
		}
	}
	if quoted {
		return nil, &Error{File: file, Line: since, What: "this text has no end", Hint: "end it with a quote"}
	}
	return all, nil
}

// quotes says whether a line ends inside of a text, and what stands behind a semicolon
// that ends its statement. A quote behind a backslash is part of the text.
func quotes(line string, quoted bool) (now bool, behind string) {
	for i := 0; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\' && i+1 < len(line) && line[i+1] == '"':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ';' && !quoted && behind == "":
			behind = strings.TrimSpace(line[i+1:])
		}
	}
	return quoted, behind
}

// wanted says whether a statement is read.
func (s *statement) wanted() bool {
	switch s.keyword {
	case keywordMessage, keywordSignal, keywordValueType:
		return true
	case keywordDefine, keywordDefault, keywordAttribute:
		return strings.Contains(s.lines[0], `"`+cycleTime+`"`)
	}
	return false
}

// identifier is that of the message that a statement is about, as it is written.
func (s *statement) identifier() (uint32, bool) {
	words := strings.Fields(s.lines[0])
	at := 1
	if s.keyword == keywordAttribute { // BA_ "GenMsgCycleTime" BO_ 256 100;
		at = 3
	}
	if at >= len(words) {
		return 0, false
	}
	id, err := strconv.ParseUint(words[at], 10, 32)
	return uint32(id), err == nil
}

// chunk is a text for the library that is made of statements, with the numbers that its
// lines have in the file.
type chunk struct {
	text    strings.Builder
	numbers []int
}

func (c *chunk) add(s statement) {
	for i, line := range s.lines {
		c.text.WriteString(line)
		c.text.WriteByte('\n')
		c.numbers = append(c.numbers, s.line+i)
	}
}

// number is that of a line in the file.
func (c *chunk) number(line int) int {
	if len(c.numbers) == 0 {
		return 0
	}
	return c.numbers[max(0, min(line-1, len(c.numbers)-1))]
}
