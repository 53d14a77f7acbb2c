package config

import "time"

// form is the shape of a key's value.
type form uint8

const (
	formText        form = iota
	formName             // part of a topic: letters, digits, . _ -
	formPath             // a file, relative to the file that names it
	formBool             // true or false
	formNumber           // bare number
	formInteger          // bare whole number
	formDuration         // 300ms, 2s, 5m
	formFrequency        // 50Hz, 1kHz
	formRange            // [minimum, maximum]
	formExpression       // quoted
	formChoice           // one of field.choices
	formSettings         // {output: number} or safe
	formSection          // {...} of field.section
	formList             // list of field.section
	formMap              // {name: {...}} of field.section
	formExpressions      // {name: expression}
	formRanges           // {name: [minimum, maximum]}
	formTexts            // list of text
	formJoin             // auto or a list of addresses
)

// field is one key of a section. The same table drives reading, its messages
// and the JSON Schema.
type field struct {
	name     string
	form     form
	doc      string // unit, default, range and what it is for
	required bool
	minimum  float64 // of numbers; of durations in seconds; of frequencies in Hz
	maximum  float64 // no bounds when both are 0
	choices  []string
	section  *section
}

// section is one kind of mapping in a file.
type section struct {
	title  string
	doc    string
	fields []field
}

func (s *section) names() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

func (s *section) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

const (
	maxPorts = 16

	maxJoysticks = 8
	maxBrokers   = 4

	maxSignals = 1024
	maxOutputs = 64 // the command mailbox masks outputs in 64 bits
	maxRules   = 1024
	maxActions = 256
	maxValues  = 16
)

func seconds(d time.Duration) float64 { return d.Seconds() }
