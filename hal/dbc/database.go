package dbc

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.einride.tech/can/pkg/dbc"

	"dancer/hal"
)

// cycleTime is the attribute that says how often a message is sent, in milliseconds; 0
// is not regularly.
const cycleTime = "GenMsgCycleTime"

// Error is what is wrong with a file.
type Error struct {
	File   string
	Line   int // 1-based
	Column int // 1-based; 0: the whole line
	What   string
	Hint   string
}

// Error says file:line:column: what (hint).
func (e *Error) Error() string {
	at := fmt.Sprintf("%s:%d", e.File, e.Line)
	if e.Column > 0 {
		at += fmt.Sprintf(":%d", e.Column)
	}
	if e.Hint != "" {
		return fmt.Sprintf("%s: %s (%s)", at, e.What, e.Hint)
	}
	return at + ": " + e.What
}

// Database is what a file says.
type Database struct {
	Messages   []Message // in the order of the file
	attributes []statement
}

// Message is one kind of frame.
type Message struct {
	Name     string
	ID       uint32 // 11 bits, or 29 of an extended one
	Extended bool
	Bytes    int           // length of its data
	Cycle    time.Duration // how often it is sent; 0: not regularly, or the file does not say
	Signals  []Signal
	Switch   int   // index of the signal that says which page a frame is; -1: it has no pages
	Pages    int   // how many pages the signals are on, at least 1
	Fault    error // why it cannot be used, with the line; nil: it can

	number     uint32 // as the file writes its ID
	statements []statement
}

// Signal is one value of a message.
type Signal struct {
	Name             string
	Field            hal.CANField
	Unit             string // as the file writes it
	Minimum, Maximum float64
	Declared         bool // Minimum and Maximum are given
	Paged            bool // it is only in frames whose Switch has the value Page
	Page             uint64
	Fault            error // why it cannot be used; nil: it can
}

// Parse reads a file. Its name is for messages. The error is an *Error; what is wrong
// with a single message or signal is that one's Fault.
func Parse(file string, data []byte) (*Database, error) {
	statements, err := split(file, textOf(data))
	if err != nil {
		return nil, err
	}
	d := &Database{}
	for i := range statements {
		s := statements[i]
		switch s.keyword {
		case keywordMessage:
			d.Messages = append(d.Messages, Message{statements: []statement{s}})
		case keywordSignal:
			if i == 0 || statements[i-1].keyword != keywordSignal && statements[i-1].keyword != keywordMessage {
				return nil, &Error{File: file, Line: s.line, What: "this signal is in no message", Hint: "signals stand behind the BO_ of their message"}
			}
			last := &d.Messages[len(d.Messages)-1]
			last.statements = append(last.statements, s)
		default:
			if s.wanted() {
				d.attributes = append(d.attributes, s)
			}
		}
	}
	if len(d.Messages) == 0 {
		return nil, &Error{File: file, Line: 1, What: "there is no message in this file", Hint: "a DBC file describes messages with BO_"}
	}
	about, err := d.readAttributes(file)
	if err != nil {
		return nil, err
	}
	for i := range d.Messages {
		d.Messages[i].read(file, about)
	}
	d.Messages = slices.DeleteFunc(d.Messages, func(m Message) bool { return m.Name == string(dbc.IndependentSignalsMessageName) })
	d.faultTwins(file)
	return d, nil
}

// parse has the library read a text.
func parse(file string, c *chunk) (defs []dbc.Def, err error) {
	defer func() {
		if broken := recover(); broken != nil { // it panics itself where it has not thought of something
			defs, err = nil, &Error{File: file, Line: c.number(1), What: fmt.Sprintf("this cannot be read: %v", broken)}
		}
	}()
	p := dbc.NewParser(file, []byte(c.text.String()))
	if wrong := p.Parse(); wrong != nil {
		at := wrong.Position()
		return nil, &Error{File: file, Line: c.number(at.Line), Column: at.Column, What: wrong.Reason(), Hint: hint(wrong.Reason())}
	}
	for _, def := range p.Defs() {
		if unknown, is := def.(*dbc.UnknownDef); is { // and what is behind it was passed over
			return nil, &Error{File: file, Line: c.number(unknown.Pos.Line), Column: unknown.Pos.Column, What: fmt.Sprintf("%s begins no statement", unknown.Keyword)}
		}
	}
	return p.Defs(), nil
}

func hint(reason string) string {
	if strings.Contains(reason, "invalid multiplexer value") {
		return "signals that are multiplexed and multiplex others (m0M) cannot be read: remove them from the message"
	}
	return ""
}

// attributes are what a file says of its messages elsewhere.
type attributes struct {
	types  map[uint32]map[string]dbc.SignalValueType
	cycles map[uint32]time.Duration
	cycle  time.Duration // of messages that have none of their own
}

func (d *Database) readAttributes(file string) (*attributes, error) {
	c := &chunk{}
	defined := false
	for _, keyword := range []string{keywordDefine, keywordDefault, keywordAttribute, keywordValueType} {
		for _, s := range d.attributes {
			if s.keyword == keyword && (defined || keyword == keywordDefine || keyword == keywordValueType) {
				c.add(s) // without its definition nobody knows what kind of value an attribute has
				defined = defined || keyword == keywordDefine
			}
		}
	}
	defs, err := parse(file, c)
	if err != nil {
		return nil, err
	}
	about := &attributes{types: map[uint32]map[string]dbc.SignalValueType{}, cycles: map[uint32]time.Duration{}}
	for _, def := range defs {
		switch def := def.(type) {
		case *dbc.SignalValueTypeDef:
			id := uint32(def.MessageID)
			if about.types[id] == nil {
				about.types[id] = map[string]dbc.SignalValueType{}
			}
			about.types[id][string(def.SignalName)] = def.SignalValueType
		case *dbc.AttributeDefaultValueDef:
			about.cycle = milliseconds(float64(def.DefaultIntValue) + def.DefaultFloatValue) // one of them is 0
		case *dbc.AttributeValueForObjectDef:
			if def.ObjectType == dbc.ObjectTypeMessage {
				about.cycles[uint32(def.MessageID)] = milliseconds(float64(def.IntValue) + def.FloatValue)
			}
		}
	}
	return about, nil
}

// milliseconds gives a time of a file; one that makes no sense is none.
func milliseconds(n float64) time.Duration {
	if !(n > 0 && n <= 1e9) {
		return 0
	}
	return time.Duration(n * float64(time.Millisecond))
}

// read reads a message and its signals.
func (m *Message) read(file string, about *attributes) {
	c := &chunk{}
	for _, s := range m.statements {
		c.add(s)
	}
	m.Switch, m.Pages = -1, 1
	if words := strings.Fields(m.statements[0].lines[0]); len(words) > 2 { // for messages about one that cannot be read
		m.Name = strings.TrimSuffix(words[2], ":")
	}
	defs, err := parse(file, c)
	if err != nil {
		m.Fault = err
		return
	}
	def, is := defs[0].(*dbc.MessageDef)
	number, right := m.statements[0].identifier() // the library cuts one that is too long
	if !is || len(defs) != 1 || !right || number != uint32(def.MessageID) {
		m.fault(file, "it is not one message with its signals")
		return
	}
	m.Name, m.number = string(def.Name), number
	m.ID, m.Extended = def.MessageID.ToCAN(), def.MessageID.IsExtended()
	m.Bytes = int(min(def.Size, math.MaxInt32))
	m.Cycle = about.cycle
	if own, has := about.cycles[number]; has {
		m.Cycle = own
	}
	if def.Size > hal.MaxCANData {
		m.fault(file, fmt.Sprintf("it has %d bytes, and a frame has at most %d", def.Size, hal.MaxCANData))
		return
	}
	for i := range def.Signals {
		m.Signals = append(m.Signals, m.signal(file, c, &def.Signals[i], about))
	}
	m.pages(file, def)
}

func (m *Message) fault(file, why string) {
	m.Fault = &Error{File: file, Line: m.statements[0].line, What: why}
}

// signal takes one signal.
func (m *Message) signal(file string, c *chunk, def *dbc.SignalDef, about *attributes) Signal {
	s := Signal{
		Name: string(def.Name), Unit: def.Unit, Minimum: def.Minimum, Maximum: def.Maximum, Declared: def.Minimum < def.Maximum,
		Paged: def.IsMultiplexed, Page: def.MultiplexerSwitch,
		Field: hal.CANField{
			Start: uint16(min(def.StartBit, math.MaxUint16)), Length: uint8(min(def.Size, math.MaxUint8)), BigEndian: def.IsBigEndian,
			Signed: def.IsSigned, Factor: def.Factor, Offset: def.Offset,
		},
	}
	why := ""
	kind := about.types[m.number][s.Name]
	s.Field.Float = kind != dbc.SignalValueTypeInt
	switch {
	case def.Size < 1 || def.Size > 64:
		why = fmt.Sprintf("it has %d bits, and 1 to 64 are possible", def.Size)
	case def.StartBit >= 8*hal.MaxCANData || s.Field.Bytes() > m.Bytes:
		why = fmt.Sprintf("its bits lie behind the %d bytes of the message", m.Bytes)
	case def.Factor == 0 || math.IsInf(def.Factor, 0) || math.IsInf(def.Offset, 0):
		why = "its factor makes every value the same"
	case kind == dbc.SignalValueTypeFloat32 && def.Size != 32, kind == dbc.SignalValueTypeFloat64 && def.Size != 64:
		why = fmt.Sprintf("it is a floating-point number of %d bits", def.Size)
	}
	if why != "" {
		s.Fault = &Error{File: file, Line: c.number(def.Pos.Line), Column: def.Pos.Column, What: why}
	}
	return s
}

// pages finds the switch of a message that has pages, and names that are there twice.
func (m *Message) pages(file string, def *dbc.MessageDef) {
	pages := map[uint64]bool{}
	names := map[string]bool{}
	for i := range def.Signals {
		s := &def.Signals[i]
		if names[string(s.Name)] {
			m.fault(file, fmt.Sprintf("it has two signals %s", s.Name))
		}
		names[string(s.Name)] = true
		if s.IsMultiplexed {
			pages[s.MultiplexerSwitch] = true
		}
		if !s.IsMultiplexerSwitch {
			continue
		}
		if m.Switch >= 0 {
			m.fault(file, fmt.Sprintf("it has two multiplexer switches, %s and %s", m.Signals[m.Switch].Name, s.Name))
		}
		m.Switch = i
	}
	m.Pages = max(1, len(pages))
	switch {
	case len(pages) > 0 && m.Switch < 0:
		m.fault(file, "it has multiplexed signals and no multiplexer switch")
	case m.Switch >= 0 && m.Signals[m.Switch].Fault != nil:
		m.Fault = m.Signals[m.Switch].Fault
	case m.Switch >= 0 && m.Signals[m.Switch].Field.Float:
		m.fault(file, "its multiplexer switch is a floating-point number")
	}
}

// faultTwins finds names and identifiers that are there twice: of two messages with one
// identifier nobody could tell which one a frame is.
func (d *Database) faultTwins(file string) {
	type key struct {
		id       uint32
		extended bool
	}
	names, keys := map[string]int{}, map[key]int{}
	twins := func(i, j int, what string) {
		for _, pair := range [][2]int{{i, j}, {j, i}} {
			m, other := &d.Messages[pair[0]], &d.Messages[pair[1]]
			if m.Fault == nil {
				m.fault(file, fmt.Sprintf("it has the %s of the message in line %d", what, other.statements[0].line))
			}
		}
	}
	for i := range d.Messages {
		m := &d.Messages[i]
		if first, has := names[m.Name]; has {
			twins(first, i, "name")
		}
		names[m.Name] = i
		if m.number == 0 && m.Bytes == 0 && m.Fault != nil { // its identifier is not known
			continue
		}
		k := key{m.ID, m.Extended}
		if first, has := keys[k]; has {
			twins(first, i, "identifier")
		}
		keys[k] = i
	}
}

// Extract gives a file with some of the messages alone and what is said of them, in
// UTF-8: what a recording keeps, and what reads the same.
func (d *Database) Extract(messages []string) []byte {
	var b strings.Builder
	b.WriteString("VERSION \"\"\n")
	numbers := map[uint32]bool{}
	write := func(s statement) {
		for _, line := range s.lines {
			if strings.TrimSpace(line) != "" {
				b.WriteString(line)
				b.WriteByte('\n')
			}
		}
	}
	for i := range d.Messages {
		m := &d.Messages[i]
		if !slices.Contains(messages, m.Name) {
			continue
		}
		numbers[m.number] = true
		for _, s := range m.statements {
			write(s)
		}
	}
	for _, s := range d.attributes {
		id, has := s.identifier()
		if s.keyword == keywordDefine || s.keyword == keywordDefault || has && numbers[id] {
			write(s)
		}
	}
	return []byte(b.String())
}
