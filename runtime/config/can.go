package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/hal/can"
	"dancer/hal/dbc"
)

// maxCANBuses bounds the CAN buses of a robot.
const maxCANBuses = 8

// How old a value of a message may be that is sent regularly: so many of its cycles, so
// that two may be lost, and never less than what a busy machine is late by.
const (
	staleCycles   = 3
	leastCANStale = 20 * time.Millisecond
)

var canSection = section{
	title: "CAN bus",
	doc:   "A CAN bus that Linux has as a network interface, and the DBC file that describes it. It is read, never written to. See docs/inputs.md.",
	fields: []field{
		{name: "interface", form: formText, doc: "network interface, e.g. can0 (see: ip -details link show type can); not needed on board sim"},
		{name: "dbc", form: formPath, required: true, doc: "DBC file that describes the messages, relative to this file"},
	},
}

// CANBus is one CAN interface and what its DBC file says of the messages that signals
// read.
type CANBus struct {
	Name      string
	Interface string // "" only on board sim
	Messages  []can.Message
	// Database is the part of the DBC file that describes Messages: what a recording
	// keeps, and what the robot's file means the same with.
	Database []byte
}

// CANValue is where a signal comes from that is in a CAN message.
type CANValue struct {
	Bus             int // index into Robot.CANBuses
	Message, Signal string
}

// canFile is a bus while the robot's file is read.
type canFile struct {
	path     string
	database *dbc.Database // nil: it could not be read, which is reported
	used     []string      // messages
}

// canBuses reads the CAN buses and their DBC files.
func (l *loader) canBuses(k keys) {
	for _, e := range k.table("can", maxCANBuses) {
		if !l.sourceName(e.key, "CAN bus") {
			continue
		}
		x := l.section(e.value, &canSection, "CAN bus "+e.key.text)
		b := CANBus{Name: e.key.text, Interface: x.text("interface", "")}
		l.canInterface(x, b.Interface)
		l.robot.CANBuses = append(l.robot.CANBuses, b)
		l.canFiles = append(l.canFiles, l.canFile(x, b.Name))
	}
}

// longestInterface is that of a name of a network interface (IFNAMSIZ - 1).
const longestInterface = 15

// canInterface checks where a bus is. One that is not there may be plugged in later,
// and the robot starts without it.
func (l *loader) canInterface(x keys, name string) {
	switch {
	case x.broken:
	case name == "":
		if !l.simulated() && !x.has("interface") {
			l.faultf(x.at, "name it: "+l.canHint(), "%s has no interface", x.what)
		}
	case len(name) > longestInterface || strings.ContainsAny(name, "/ \t"):
		x.fault("interface", l.canHint(), "interface of %s is %q, which no interface can be called", x.what, name)
	case slices.ContainsFunc(l.robot.CANBuses, func(b CANBus) bool { return b.Interface == name }):
		x.fault("interface", "give the two one bus, with one DBC file", "%s has the interface %s of another bus", x.what, name)
	case l.simulated() || l.opt.Recorded || l.robot.BoardName == "":
	case !l.exists("sys/class/net/" + name):
		l.warn(x.where("interface"), fmt.Sprintf("interface %s of %s does not exist on this machine: its signals are invalid until it does", name, x.what), l.canHint())
	case !isCAN(l.opt.root(), name):
		x.fault("interface", l.canHint(), "interface %s of %s is no CAN interface", name, x.what)
	}
}

// isCAN says whether a network interface is one of CAN: ARPHRD_CAN of linux/if_arp.h.
func isCAN(root fs.FS, name string) bool {
	text, err := fs.ReadFile(root, "sys/class/net/"+name+"/type")
	return err != nil || strings.TrimSpace(string(text)) == "280"
}

// canHint names the CAN interfaces of this machine.
func (l *loader) canHint() string {
	found, _ := fs.Glob(l.opt.root(), "sys/class/net/*") // the pattern is right
	var names []string
	for _, path := range found {
		if name := filepath.Base(path); l.exists(path+"/type") && isCAN(l.opt.root(), name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no CAN interface is here: plug its adapter in, or load its overlay"
	}
	return "CAN interfaces here: " + strings.Join(names, ", ")
}

// canFile reads the DBC file of a bus.
func (l *loader) canFile(x keys, bus string) canFile {
	f := canFile{path: x.path("dbc")}
	if f.path == "" {
		return f
	}
	data, known := l.opt.Databases[bus]
	switch {
	case l.opt.Recorded && !known:
		x.fault("dbc", "it was recorded without one", "the DBC file of %s is not in the recording", x.what)
		return f
	case !l.opt.Recorded:
		var problem *Problem
		if data, problem = l.read(f.path); problem != nil {
			x.fault("dbc", "create it, or correct the path: it is relative to this file", "%s", problem.What)
			return f
		}
	}
	if len(data) > maxBytes {
		x.fault("dbc", "leave the messages out that the robot does not read", "dbc of %s has more than %d bytes, the most that are read", x.what, maxBytes)
		return f
	}
	var err error
	if f.database, err = dbc.Parse(filepath.Base(f.path), data); err != nil {
		what, hint := saidOf(err)
		x.fault("dbc", hint, "%s", what)
	}
	return f
}

// canSignal reads a signal of a CAN message. Unit, range and age are those of the DBC
// file unless they are given.
func (l *loader) canSignal(x keys, s *hal.Signal, in *Input) {
	x.without("it is for GPIO lines", "pull", "active", "debounce")
	x.without("use message and signal", "field")
	s.StaleAfter = x.duration("stale_after", defaultStaleAfter)
	v := &CANValue{Message: x.text("message", ""), Signal: x.text("signal", s.Name)}
	in.CAN = v
	name := x.text("can", "")
	names := make([]string, len(l.robot.CANBuses))
	for i := range names {
		names[i] = l.robot.CANBuses[i].Name
	}
	if v.Bus = indexOf(names, name); v.Bus < 0 {
		if name != "" {
			x.fault("can", suggest(name, names, "CAN buses")+"; they stand under can: of this file", "%s names CAN bus %s, which does not exist", x.what, name)
		}
		return
	}
	f := &l.canFiles[v.Bus]
	if f.database == nil { // reported with the bus; what the signal is nobody knows
		l.world.broken[s.Name] = true
		return
	}
	m, described := l.canDescribed(x, f, v)
	if described == nil {
		return
	}
	l.canRange(x, s, f, described)
	if !s.Boolean {
		l.canUnit(x, s, described)
	}
	l.canAge(x, s, m, described)
	l.canEntry(x, v, f, m, described)
}

// canDescribed finds what the DBC file says of a signal, nil when that is reported.
func (l *loader) canDescribed(x keys, f *canFile, v *CANValue) (*dbc.Message, *dbc.Signal) {
	file := filepath.Base(f.path)
	var names []string
	for i := range f.database.Messages {
		names = append(names, f.database.Messages[i].Name)
	}
	if v.Message == "" {
		if !x.has("message") {
			l.faultf(x.at, "add message: "+names[0]+", the one that it is in", "%s has no message", x.what)
		}
		return nil, nil
	}
	i := indexOf(names, v.Message)
	if i < 0 {
		x.fault("message", suggestFew(v.Message, names, "messages"), "%s reads message %s, which %s does not have", x.what, v.Message, file)
		return nil, nil
	}
	m := &f.database.Messages[i]
	if m.Fault != nil {
		what, hint := saidOf(m.Fault)
		x.fault("message", hint, "%s reads message %s: %s", x.what, v.Message, what)
		return nil, nil
	}
	names = nil
	for j := range m.Signals {
		names = append(names, m.Signals[j].Name)
	}
	j := indexOf(names, v.Signal)
	key := "signal"
	if !x.has(key) {
		key = "message"
	}
	if j < 0 {
		x.fault(key, suggestFew(v.Signal, names, "signals"), "%s reads signal %s, which message %s of %s does not have", x.what, v.Signal, v.Message, file)
		return nil, nil
	}
	if m.Signals[j].Fault != nil {
		what, hint := saidOf(m.Signals[j].Fault)
		x.fault(key, hint, "%s reads signal %s: %s", x.what, v.Signal, what)
		return nil, nil
	}
	return m, &m.Signals[j]
}

// saidOf gives a fault of a DBC file, with its place there, and its hint.
func saidOf(err error) (what, hint string) {
	var e *dbc.Error
	if !errors.As(err, &e) {
		return err.Error(), ""
	}
	place := *e
	if place.Hint = ""; e.Hint != "" {
		return place.Error(), e.Hint
	}
	return place.Error(), "correct it there"
}

// fewNames is how many names a hint has: files have hundreds.
const fewNames = 12

// suggestFew is suggest for long lists.
func suggestFew(name string, known []string, what string) string {
	if len(known) <= fewNames || nearest(name, known) != "" {
		return suggest(name, known, what)
	}
	return fmt.Sprintf("%s: %s and %d more", what, strings.Join(known[:fewNames], ", "), len(known)-fewNames)
}

// canUnit gives a signal its unit. One that is not known the robot's file has to say:
// nobody can compare it.
func (l *loader) canUnit(x keys, s *hal.Signal, d *dbc.Signal) {
	unit, known := canUnitOf(d.Unit)
	switch {
	case !known && !x.has("unit"):
		l.faultf(x.at, "add unit: with the unit that it is, in the program's words; unit: 1 where it has none", "%s is in %q by its DBC file, a unit that is not known here", x.what, d.Unit)
	case known && x.has("unit") && unit != "" && !sameUnit(s.Unit, unit):
		x.fault("unit", fmt.Sprintf("write unit: %q, or leave it out", unit), "%s has the unit %s, and its DBC file says %s", x.what, s.Unit, d.Unit)
	case !x.has("unit"):
		s.Unit = unit
	}
}

// canUnitWord gives the unit of the program for a word of DBC files, in small letters.
// It is no table of the package: that would be made at every start.
func canUnitWord(word string) (unit string, known bool) {
	switch word {
	case "-", "none", "no unit", "unitless", "bit", "bits", "bool", "boolean", "count", "counts", "cnt", "#":
		return "", true
	case "kph", "kmh", "kmph":
		return "km/h", true
	case "mps", "m/sec":
		return "m/s", true
	case "m/s/s", "m/s2", "m/sec^2":
		return "m/s^2", true
	case "u/min", "r/min", "rev/min":
		return "rpm", true
	case "degree", "degrees", "degs":
		return "°", true
	case "deg/sec", "dps", "degree/s", "degrees/s":
		return "°/s", true
	case "rad/sec":
		return "rad/s", true
	case "c", "deg c", "degree c", "degrees c", "deg_c", "celsius", "degcelsius", "° c":
		return "°C", true
	case "percent", "pct":
		return "%", true
	case "volt", "volts":
		return "V", true
	case "amp", "amps", "ampere":
		return "A", true
	case "watt", "watts":
		return "W", true
	case "newton":
		return "N", true
	case "nm", "n m", "n.m", "n*m":
		return "Nm", true
	case "sec", "second", "seconds":
		return "s", true
	case "msec":
		return "ms", true
	case "minutes":
		return "min", true
	case "hr", "hours":
		return "h", true
	case "meter", "meters", "metre":
		return "m", true
	case "liter", "litre":
		return "L", true
	case "ohms":
		return "ohm", true
	case "hertz":
		return "Hz", true
	case "kilogram":
		return "kg", true
	}
	return "", false
}

// canUnitOf gives the program's word for a unit of a DBC file, "" for none. The case of
// letters decides where it does in the program (mW and MW), else it does not. What could
// be two things is not known: "g" is mostly the acceleration there and the gram here, "T"
// the ton or the tesla, "1/min" a speed of turning or a frequency. "nm" is never the
// nanometre.
func canUnitOf(text string) (unit string, known bool) {
	text = strings.TrimSpace(text)
	switch text {
	case "g", "G", "T", "S", "1/min", "1/s":
		return "", false
	case "", "1":
		return "", true
	case "nm", "NM":
		return "Nm", true
	}
	if _, err := expr.ParseUnit(text); err == nil {
		return text, true
	}
	return canUnitWord(strings.ToLower(text))
}

// canRange gives a signal its range. Without one of its own it is what the DBC file
// declares.
func (l *loader) canRange(x keys, s *hal.Signal, f *canFile, d *dbc.Signal) {
	low, high := d.Field.Bounds()
	bit := low == 0 && high == 1
	if x.has("boolean") || bit && !x.has("range") {
		l.canBoolean(x, s, d)
		if s.Boolean {
			return
		}
	}
	file := filepath.Base(f.path)
	if !x.has("range") {
		if !d.Declared {
			hint := fmt.Sprintf("add range: [%s, %s] or less: what its bits can say", formatBound(low), formatBound(high))
			if d.Field.Float {
				hint = "add range: [-100, 100], the plausible values: anything else is invalid"
			}
			l.faultf(x.at, hint, "%s has no range, and %s gives none", x.what, file)
			return
		}
		s.Minimum, s.Maximum = d.Minimum, d.Maximum
		return
	}
	own, most, ok := x.limits("range")
	if !ok {
		return
	}
	s.Minimum, s.Maximum = own, most
	switch {
	case own > high || most < low:
		x.fault("range", fmt.Sprintf("its bits say from %s to %s", formatBound(low), formatBound(high)), "range of %s is [%s, %s], which it never is in", x.what, formatNumber(own), formatNumber(most))
	case d.Declared && (own > d.Maximum || most < d.Minimum):
		x.fault("range", fmt.Sprintf("%s says [%s, %s]", file, formatNumber(d.Minimum), formatNumber(d.Maximum)), "range of %s is [%s, %s], which it never is in", x.what, formatNumber(own), formatNumber(most))
	case d.Declared && (own < d.Minimum || most > d.Maximum):
		l.warn(x.where("range"), fmt.Sprintf("range of %s is [%s, %s], and %s says [%s, %s]: values beyond that often say that there is none", x.what, formatNumber(own), formatNumber(most), file, formatNumber(d.Minimum), formatNumber(d.Maximum)),
			"leave range out, or make it narrower")
	}
}

// canBoolean takes a signal for one that is 0 or 1.
func (l *loader) canBoolean(x keys, s *hal.Signal, d *dbc.Signal) {
	s.Boolean = !x.has("boolean") || x.boolean("boolean")
	if !s.Boolean {
		return
	}
	s.Maximum = 1
	for _, key := range []string{"range", "unit"} {
		if x.has(key) {
			x.fault(key, "remove it", "%s has a %s, and it is 0 or 1", x.what, key)
		}
	}
	if d.Field.Float || d.Field.Factor != 1 || d.Field.Offset != 0 {
		x.fault("boolean", "remove it", "%s is boolean, and its DBC file makes other numbers of it than 0 and 1", x.what)
	}
}

// formatBound writes what a field's bits can say, without the noise of its factor.
func formatBound(v float64) string { return strconv.FormatFloat(v, 'g', 12, 64) }

// canAge gives a signal the age that its DBC file asks for: three cycles of its message,
// of all pages where it is on one.
func (l *loader) canAge(x keys, s *hal.Signal, m *dbc.Message, d *dbc.Signal) {
	if m.Cycle == 0 {
		return
	}
	every := m.Cycle
	if d.Paged {
		every *= time.Duration(m.Pages)
	}
	if !x.has("stale_after") {
		s.StaleAfter = min(max(staleCycles*every, leastCANStale), time.Hour)
	} else if s.StaleAfter <= m.Cycle {
		x.fault("stale_after", fmt.Sprintf("give at least %s", formatSeconds(seconds(2*every))), "stale_after of %s is %s, and message %s comes every %s: it would be invalid in between",
			x.what, formatSeconds(seconds(s.StaleAfter)), m.Name, formatSeconds(seconds(m.Cycle)))
	}
}

// canEntry adds the signal to what the bus is asked for.
func (l *loader) canEntry(x keys, v *CANValue, f *canFile, m *dbc.Message, d *dbc.Signal) {
	b := &l.robot.CANBuses[v.Bus]
	at := indexOf(f.used, m.Name)
	if at < 0 {
		if len(b.Messages) == can.MaxMessages {
			x.fault("message", "read fewer messages of one bus", "CAN bus %s would be asked for more than %d messages", b.Name, can.MaxMessages)
			return
		}
		message := can.Message{ID: m.ID, Extended: m.Extended, Paged: m.Switch >= 0}
		if message.Paged {
			message.Switch = m.Signals[m.Switch].Field
		}
		at = len(b.Messages)
		b.Messages, f.used = append(b.Messages, message), append(f.used, m.Name)
	}
	b.Messages[at].Entries = append(b.Messages[at].Entries, can.Entry{
		Signal: len(l.robot.Inputs), // the one that is being read
		Field:  d.Field, Paged: d.Paged, Page: d.Page,
	})
}

// keepDatabases keeps what the signals need of the DBC files, and warns of a bus that
// nobody reads.
func (l *loader) keepDatabases(k keys) {
	for i := range l.robot.CANBuses {
		b, f := &l.robot.CANBuses[i], &l.canFiles[i]
		if f.database == nil {
			continue
		}
		b.Database = f.database.Extract(f.used)
		if len(f.used) == 0 && !l.faultsSince(0) {
			l.warn(k.where("can"), "no signal reads CAN bus "+b.Name, "add a signal with can: "+b.Name+", or remove the bus")
		}
	}
	l.canFiles = nil
}

// Databases gives what LoadRecorded needs of the robot's DBC files, by CAN bus; nil for a
// robot without one.
func (r *Robot) Databases() map[string][]byte {
	var all map[string][]byte
	for i := range r.CANBuses {
		if all == nil {
			all = map[string][]byte{}
		}
		all[r.CANBuses[i].Name] = r.CANBuses[i].Database
	}
	return all
}
