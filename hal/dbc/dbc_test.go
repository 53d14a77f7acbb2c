package dbc

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// rover is a file as Vector's tools write them, with what robots do not need in it.
const rover = `VERSION ""


NS_ :
	NS_DESC_
	CM_
	BA_DEF_
	BA_
	SIG_VALTYPE_
	BO_TX_BU_

BS_:

BU_: DRIVE LIFT Vector__XXX


BO_ 256 WHEEL_STATUS: 8 DRIVE
 SG_ SPEED_LEFT : 0|16@1- (0.01,0) [-20|20] "km/h" LIFT
 SG_ SPEED_RIGHT : 23|16@0- (0.01,0) [-20|20] "km/h"  LIFT,Vector__XXX
 SG_ CURRENT : 32|32@1- (1,0) [0|0] "A" LIFT

BO_ 2566844926 EEC1: 8 DRIVE
 SG_ EngineSpeed : 24|16@1+ (0.125,0) [0|8031.875] "rpm" Vector__XXX

BO_ 300 LIFT_STATE: 4 LIFT
 SG_ PAGE M : 0|4@1+ (1,0) [0|15] "" DRIVE
 SG_ HEIGHT m0 : 8|16@1+ (0.1,-100) [0|0] "mm" DRIVE
 SG_ LOAD m1 : 8|16@1+ (1,0) [0|500] "kg" DRIVE
 SG_ BUSY : 4|1@1+ (1,0) [0|1] "" DRIVE

BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX
 SG_ LOOSE : 0|8@1+ (1,0) [0|0] "" Vector__XXX

BO_TX_BU_ 256 : DRIVE,LIFT;

CM_ "Two lines, the second like a message:
BO_ 1 NOT_A_MESSAGE: 8 DRIVE
and a \"quote\"";
CM_ SG_ 256 SPEED_LEFT "of the wheel; not of the motor";
FUTURE_ 1 2 3;
BA_DEF_ "BusType" STRING ;
BA_DEF_ BO_  "GenMsgCycleTime" INT 0 65535;
BA_DEF_DEF_  "BusType" "CAN";
BA_DEF_DEF_  "GenMsgCycleTime" 0;
BA_DEF_DEF_  "ILTxTimeout" 0;
BA_ "GenMsgCycleTime" BO_ 256 20;
BA_ "GenMsgCycleTime" BO_ 300 100;
VAL_ 300 PAGE 0 "height" 1 "load" ;
SIG_VALTYPE_ 256 CURRENT : 1;
`

func mustParse(t *testing.T, text string) *Database {
	t.Helper()
	d, err := Parse("rover.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *Database) message(t *testing.T, name string) *Message {
	t.Helper()
	i := slices.IndexFunc(d.Messages, func(m Message) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("there is no message %s", name)
	}
	return &d.Messages[i]
}

func (m *Message) signal1(t *testing.T, name string) *Signal {
	t.Helper()
	i := slices.IndexFunc(m.Signals, func(s Signal) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("%s has no signal %s", m.Name, name)
	}
	return &m.Signals[i]
}

func TestParse(t *testing.T) {
	d := mustParse(t, rover)
	if len(d.Messages) != 3 {
		t.Fatalf("%d messages, want 3", len(d.Messages))
	}
	wheel := d.message(t, "WHEEL_STATUS")
	if wheel.ID != 0x100 || wheel.Extended || wheel.Bytes != 8 || wheel.Cycle != 20*time.Millisecond || wheel.Switch != -1 || wheel.Fault != nil {
		t.Errorf("WHEEL_STATUS is %+v", wheel)
	}
	data := []byte{0x9c, 0xff, 0x03, 0xe8, 0, 0, 0x20, 0x41} // -1.00 km/h, 10.00 km/h, 10 A
	for _, c := range []struct {
		name, unit string
		value      float64
	}{{"SPEED_LEFT", "km/h", -1}, {"SPEED_RIGHT", "km/h", 10}, {"CURRENT", "A", 10}} {
		s := wheel.signal1(t, c.name)
		if got := s.Field.Value(data); got != c.value || s.Unit != c.unit || s.Fault != nil {
			t.Errorf("%s is %v %q, %v; want %v %q", c.name, got, s.Unit, s.Fault, c.value, c.unit)
		}
	}
	if s := wheel.signal1(t, "SPEED_LEFT"); !s.Declared || s.Minimum != -20 || s.Maximum != 20 {
		t.Errorf("the range of SPEED_LEFT is %+v", s)
	}
	if s := wheel.signal1(t, "CURRENT"); s.Declared {
		t.Error("[0|0] is taken for a range")
	}
	if e := d.message(t, "EEC1"); e.ID != 0x18fef1fe || !e.Extended || e.Cycle != 0 {
		t.Errorf("EEC1 is %#x %+v", e.ID, e)
	}
	lift := d.message(t, "LIFT_STATE")
	if lift.Switch != 0 || lift.Pages != 2 || lift.Cycle != 100*time.Millisecond {
		t.Errorf("LIFT_STATE is %+v", lift)
	}
	if h, l, b := lift.signal1(t, "HEIGHT"), lift.signal1(t, "LOAD"), lift.signal1(t, "BUSY"); !h.Paged || h.Page != 0 || !l.Paged || l.Page != 1 || b.Paged {
		t.Errorf("pages: %+v %+v %+v", h, l, b)
	}
}

// TestExtract: what a recording keeps of a file reads as the file does.
func TestExtract(t *testing.T) {
	d := mustParse(t, rover)
	text := d.Extract([]string{"WHEEL_STATUS", "LIFT_STATE"})
	part := mustParse(t, string(text))
	if len(part.Messages) != 2 {
		t.Fatalf("%d messages in\n%s", len(part.Messages), text)
	}
	for i := range part.Messages {
		got, want := part.Messages[i], *d.message(t, part.Messages[i].Name)
		got.statements, want.statements = nil, nil
		if !slices.Equal(got.Signals, want.Signals) || got.Cycle != want.Cycle || got.ID != want.ID || got.Switch != want.Switch || got.Pages != want.Pages {
			t.Errorf("%s reads as\n%+v, not\n%+v", got.Name, got, want)
		}
	}
	if again := part.Extract([]string{"WHEEL_STATUS", "LIFT_STATE"}); string(again) != string(text) {
		t.Errorf("what is kept of it is\n%s\nnot\n%s", again, text)
	}
}

// TestParseEncodings: Vector's tools write Windows-1252, with a carriage return.
func TestParseEncodings(t *testing.T) {
	for name, text := range map[string]string{
		"Windows-1252": "VERSION \"\"\r\nBO_ 1 A: 8 X\r\n SG_ T : 0|8@1+ (1,-40) [0|0] \"\xb0C\" X\r\nCM_ \"\x80uro\";\r\n",
		"UTF-8":        "\uFEFFVERSION \"\"\nBO_ 1 A: 8 X\n SG_ T : 0|8@1+ (1,-40) [0|0] \"°C\" X\n",
	} {
		if s := mustParse(t, text).message(t, "A").signal1(t, "T"); s.Unit != "°C" {
			t.Errorf("%s: the unit is %q", name, s.Unit)
		}
	}
}

// TestParseFaults: a file of which nothing can be trusted is an error, with its line.
func TestParseFaults(t *testing.T) {
	const message = "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "f.dbc:1: there is no message in this file (a DBC file describes messages with BO_)"},
		{"another file", "hello\n", `f.dbc:1: this is no DBC file: it begins with no statement (a DBC file begins with VERSION "")`},
		{"no end", message + "CM_ \"ab\nc;\n", "f.dbc:3: this text has no end (end it with a quote)"},
		{"two on a line", message + "CM_ \"a\"; SIG_VALTYPE_ 1 S : 1;\n", "f.dbc:3: there is more behind the end of CM_ (begin every statement on a line of its own)"},
		{"a lost signal", "SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n" + message, "f.dbc:1: this signal is in no message (signals stand behind the BO_ of their message)"},
		{"a signal behind something else", message + "CM_ \"\";\n SG_ R : 8|8@1+ (1,0) [0|0] \"\" X\n", "f.dbc:4: this signal is in no message (signals stand behind the BO_ of their message)"},
		{"a value type", message + "\nSIG_VALTYPE_ 1 S : 7;\n", "f.dbc:4:20: invalid signal value type: 7"},
		{"a value type without its end", message + "SIG_VALTYPE_ 1 S : 1\n", `f.dbc:3:1: expected token: ";", found: EOF ()`},
		{"an attribute", message + "BA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 9;\nBA_ \"GenMsgCycleTime\" BO_ 1 x;\n", "f.dbc:4:29: expected int or float"},
	} {
		_, err := Parse("f.dbc", []byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// TestMessageFaults: what is wrong with a message is no fault of the others.
func TestMessageFaults(t *testing.T) {
	const good = "BO_ 2 GOOD: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n"
	for _, c := range []struct{ name, text, want string }{
		{"extended multiplexing", "BO_ 1 A: 8 X\n SG_ M M : 0|8@1+ (1,0) [0|0] \"\" X\n SG_ S m0M : 8|8@1+ (1,0) [0|0] \"\" X\n",
			"f.dbc:3:8: invalid multiplexer value (signals that are multiplexed and multiplex others (m0M) cannot be read: remove them from the message)"},
		{"two switches", "BO_ 1 A: 8 X\n SG_ M M : 0|8@1+ (1,0) [0|0] \"\" X\n SG_ S M : 8|8@1+ (1,0) [0|0] \"\" X\n", "f.dbc:1: it has two multiplexer switches, M and S"},
		{"no switch", "BO_ 1 A: 8 X\n SG_ S m1 : 8|8@1+ (1,0) [0|0] \"\" X\n", "f.dbc:1: it has multiplexed signals and no multiplexer switch"},
		{"a broken switch", "BO_ 1 A: 1 X\n SG_ M M : 8|8@1+ (1,0) [0|0] \"\" X\n SG_ S m1 : 0|8@1+ (1,0) [0|0] \"\" X\n", "f.dbc:2:2: its bits lie behind the 1 bytes of the message"},
		{"two of a name", "BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n SG_ S : 8|8@1+ (1,0) [0|0] \"\" X\n", "f.dbc:1: it has two signals S"},
		{"too long", "BO_ 1 A: 65 X\n", "f.dbc:1: it has 65 bytes, and a frame has at most 64"},
		{"an identifier", "BO_ 2048 A: 8 X\n", "f.dbc:1:5: invalid standard ID: 2048"},
		{"an identifier beyond 32 bits", "BO_ 4294967297 A: 8 X\n", "f.dbc:1: it is not one message with its signals"},
		{"twins", "BO_ 2 A: 8 X\n", "f.dbc:1: it has the identifier of the message in line 2"},
		{"bytes that are none", "BO_ 1 A: 8 X\n SG_ S : 0|\x008@1+ (1,0) [0|0] \"\" X\n", "f.dbc:2:12: invalid character NUL"},
	} {
		d, err := Parse("f.dbc", []byte(c.text+good))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := d.message(t, "A").Fault; err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
		if err := d.message(t, "GOOD").Fault; err != nil && c.name != "twins" {
			t.Errorf("%s: the good one as well: %v", c.name, err)
		}
	}
}

func TestSignalFaults(t *testing.T) {
	for _, c := range []struct{ signal, more, want string }{
		{"0|0@1+ (1,0)", "", "f.dbc:2:2: it has 0 bits, and 1 to 64 are possible"},
		{"0|65@1+ (1,0)", "", "f.dbc:2:2: it has 65 bits, and 1 to 64 are possible"},
		{"60|5@1+ (1,0)", "", "f.dbc:2:2: its bits lie behind the 8 bytes of the message"},
		{"56|2@0+ (1,0)", "", "f.dbc:2:2: its bits lie behind the 8 bytes of the message"},
		{"99999|8@1+ (1,0)", "", "f.dbc:2:2: its bits lie behind the 8 bytes of the message"},
		{"0|8@1+ (0,0)", "", "f.dbc:2:2: its factor makes every value the same"},
		{"0|16@1- (1,0)", "SIG_VALTYPE_ 1 S : 1;\n", "f.dbc:2:2: it is a floating-point number of 16 bits"},
		{"0|32@1- (1,0)", "SIG_VALTYPE_ 1 S : 2;\n", "f.dbc:2:2: it is a floating-point number of 32 bits"},
	} {
		d, err := Parse("f.dbc", []byte("BO_ 1 A: 8 X\n SG_ S : "+c.signal+" [0|0] \"\" X\n SG_ GOOD : 0|1@1+ (1,0) [0|0] \"\" X\n"+c.more))
		if err != nil {
			t.Errorf("%s: %v", c.signal, err)
			continue
		}
		m := d.message(t, "A")
		if err := m.signal1(t, "S").Fault; err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.signal, err, c.want)
		}
		if m.Fault != nil || m.signal1(t, "GOOD").Fault != nil {
			t.Errorf("%s: the others as well: %v %v", c.signal, m.Fault, m.signal1(t, "GOOD").Fault)
		}
	}
}

// TestCycleTimes: a file's attribute of any number kind, its default, and none.
func TestCycleTimes(t *testing.T) {
	const messages = "BO_ 1 A: 8 X\n\nBO_ 2 B: 8 X\n\n"
	for _, c := range []struct {
		text string
		a, b time.Duration
	}{
		{"", 0, 0},
		{"BA_ \"GenMsgCycleTime\" BO_ 1 10;\n", 0, 0}, // without a definition nobody knows its kind
		{"BA_ \"GenMsgCycleTime\" BO_ 1 10;\nBA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 0;\n", 10 * time.Millisecond, 0},
		{"BA_DEF_ BO_ \"GenMsgCycleTime\" FLOAT 0 9;\nBA_DEF_DEF_ \"GenMsgCycleTime\" 2.5;\nBA_ \"GenMsgCycleTime\" BO_ 1 10;\n", 10 * time.Millisecond, 2500 * time.Microsecond},
		{"BA_DEF_ BO_ \"GenMsgCycleTime\" HEX 0 9;\nBA_DEF_DEF_ \"GenMsgCycleTime\" 50;\nBA_ \"GenMsgCycleTime\" BO_ 1 -1;\n", 0, 50 * time.Millisecond},
	} {
		d := mustParse(t, messages+c.text)
		if a, b := d.Messages[0].Cycle, d.Messages[1].Cycle; a != c.a || b != c.b {
			t.Errorf("%q: %v and %v, want %v and %v", c.text, a, b, c.a, c.b)
		}
	}
}

// TestNothingIsPassedOver: the library passes over the line behind one that it does not
// know. A value type there would be a number that is read as another one.
func TestNothingIsPassedOver(t *testing.T) {
	d := mustParse(t, "BO_ 1 A: 8 X\n SG_ S : 0|32@1- (1,0) [0|0] \"\" X\nSIG_GROUP_ 1 G 1 : S;\nSIG_VALTYPE_ 1 S : 1;\n")
	if got := d.message(t, "A").signal1(t, "S").Field.Value([]byte{0, 0, 0x80, 0x3f}); got != 1 {
		t.Errorf("the value is %v, want 1", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(rover))
	f.Add([]byte("BO_ 1 A: 8 X\n SG_ M M : 0|8@0+ (1,0) [0|0] \"\" X\n SG_ S m3 : 15|8@0- (1e-3,0.5) [0|0] \"\\\"\" X\nSIG_VALTYPE_ 1 S : 0;\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse("f.dbc", data)
		if err != nil {
			return
		}
		var names []string
		frame := make([]byte, 64)
		for i := range d.Messages {
			m := &d.Messages[i]
			if m.Fault != nil {
				continue
			}
			names = append(names, m.Name)
			for j := range m.Signals {
				if s := &m.Signals[j]; s.Fault == nil {
					if v := s.Field.Value(frame[:m.Bytes]); math.IsNaN(v) {
						t.Fatalf("%s.%s of zeros is no number", m.Name, s.Name)
					}
				}
			}
		}
		text := d.Extract(names)
		if len(names) == 0 {
			return
		}
		part, err := Parse("f.dbc", text)
		if err != nil {
			t.Fatalf("what is kept cannot be read: %v\n%s", err, text)
		}
		for _, name := range names {
			if m := part.message(t, name); m.Fault != nil {
				t.Fatalf("what is kept of %s cannot be read: %v\n%s", name, m.Fault, text)
			}
		}
		if strings.Count(string(text), "\n") == 0 {
			t.Fatal("nothing is kept")
		}
	})
}
