package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/hal"
)

// TestCANUnits: words of DBC files, and those that could be two things.
func TestCANUnits(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "-": "", "1": "", "km/h": "km/h", "kph": "km/h", "KPH": "km/h", "m/s": "m/s", "m/s^2": "m/s^2", "rpm": "rpm", "U/min": "rpm",
		"°C": "°C", "degC": "degC", "C": "°C", "deg C": "°C", "Celsius": "°C", "%": "%", "percent": "%", "mV": "mV", "kW": "kW", "mW": "mW",
		"Nm": "Nm", "nm": "Nm", "N m": "Nm", "deg": "deg", "Degrees": "°", "deg/s": "deg/s", "rad/s": "rad/s", " kPa ": "kPa", "Volt": "V", "ohms": "ohm",
	} {
		if got, known := canUnitOf(text); !known || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, known, want)
		}
	}
	for _, text := range []string{"g", "G", "T", "S", "1/min", "on/off", "°F", "MW", "nm/parsec", "flag", "?"} {
		if got, known := canUnitOf(text); known {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}

// TestCANUnitWords: every word stands for a unit of the program, or for none.
func TestCANUnitWords(t *testing.T) {
	for _, word := range []string{"kph", "mps", "m/s/s", "u/min", "degrees", "dps", "rad/sec", "celsius", "pct", "volt", "amps", "watt", "newton", "nm", "sec", "msec", "minutes", "hr", "meter", "liter", "ohms", "hertz", "kilogram"} {
		unit, known := canUnitWord(word)
		if _, ok := canUnitOf(unit); !known || !ok {
			t.Errorf("%q is %q, which is no unit", word, unit)
		}
	}
}

// loadCAN loads the robot of can-sound.txtar from files.
func loadCAN(t *testing.T) *Robot {
	t.Helper()
	data, err := os.ReadFile("testdata/can-sound.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, parts := split(string(data))
	dir := t.TempDir()
	for _, name := range []string{"robot.yaml", "manual.yaml", "rover.dbc"} {
		if err := os.WriteFile(filepath.Join(dir, name), parts[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, problems := Load(filepath.Join(dir, "robot.yaml"), Options{Root: machine})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCANSignals: what signals have of their DBC file where the robot's file says
// nothing.
func TestCANSignals(t *testing.T) {
	r := loadCAN(t)
	for i, want := range []hal.Signal{
		{Name: "SPEED_LEFT", Unit: "km/h", Minimum: -20, Maximum: 20, StaleAfter: 60 * time.Millisecond},
		{Name: "right", Unit: "km/h", Minimum: -10, Maximum: 10, StaleAfter: 100 * time.Millisecond, Publish: true},
		{Name: "moving", Boolean: true, Maximum: 1, StaleAfter: 60 * time.Millisecond},
		{Name: "gear", Maximum: 3, StaleAfter: 60 * time.Millisecond},
		{Name: "forward", Boolean: true, Maximum: 1, StaleAfter: 60 * time.Millisecond},
		{Name: "height", Unit: "mm", Maximum: 1500, StaleAfter: 600 * time.Millisecond, StuckAfter: time.Hour}, // one of two pages
		{Name: "push", Unit: "1", Minimum: -2, Maximum: 2, StaleAfter: 600 * time.Millisecond},
		{Name: "heat", Unit: "°C", Minimum: -40, Maximum: 210, StaleAfter: time.Second},
		{Name: "force", Unit: "N", Minimum: -100, Maximum: 100, StaleAfter: time.Second},
	} {
		if got := r.Manual.Signals[i]; got != want {
			t.Errorf("signal %d is\n%+v, want\n%+v", i, got, want)
		}
	}
	b := r.CANBuses[0]
	if len(b.Messages) != 3 || b.Messages[0].ID != 256 || len(b.Messages[0].Entries) != 5 || !b.Messages[1].Paged || b.Messages[1].Entries[1].Page != 1 || b.Messages[1].Entries[1].Signal != 6 {
		t.Errorf("the bus is asked for %+v", b.Messages)
	}
	if name, device := r.Source(0); name != "drive" || device != "can0" {
		t.Errorf("source 0 is %s %s", name, device)
	}
}

// TestLoadRecordedCAN: a recording has what the signals need of the DBC file, and a
// robot whose recording lacks it cannot be loaded.
func TestLoadRecordedCAN(t *testing.T) {
	there := loadCAN(t)
	here, problems := LoadRecorded("robot.yaml", there.Bytes, there.ManualBytes, there.BoardName, there.Databases())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for i := range there.Manual.Signals {
		if here.Manual.Signals[i] != there.Manual.Signals[i] {
			t.Errorf("%+v is recorded as %+v", there.Manual.Signals[i], here.Manual.Signals[i])
		}
	}
	if here.Manual.Hash != there.Manual.Hash || len(here.CANBuses[0].Messages) != len(there.CANBuses[0].Messages) {
		t.Error("it is another robot when it is loaded from a recording")
	}
	_, problems = LoadRecorded("robot.yaml", there.Bytes, there.ManualBytes, there.BoardName, nil)
	if len(problems) == 0 || problems[0].What != "the DBC file of CAN bus drive is not in the recording" {
		t.Errorf("without it: %v", problems)
	}
}

// canProblems are those of files that are too long for testdata.
func canProblems() (all Problems) {
	robot := strings.Replace(testRobot, "signals:\n", "can: {drive: {interface: can0, dbc: rover.dbc}}\nsignals:\n%s", 1)
	read := func(database string) source {
		return func(path string) ([]byte, *Problem) {
			return []byte(map[string]string{"manual.yaml": testManual, "rover.dbc": database}[path]), nil
		}
	}
	loaded := func(robot, database string, opt Options) {
		opt.Root = machine
		_, problems := load("robot.yaml", []byte(robot), opt, read(database))
		all = append(all, problems...)
	}
	loaded(fmt.Sprintf(robot, ""), strings.Repeat(" ", maxBytes+1), Options{})
	loaded(fmt.Sprintf(robot, ""), "", Options{Recorded: true})
	var signals, database strings.Builder
	for i := range 513 {
		fmt.Fprintf(&signals, "  s%d: {can: drive, message: M%d, signal: S}\n", i, i)
		fmt.Fprintf(&database, "BO_ %d M%d: 8 X\n SG_ S : 0|1@1+ (1,0) [0|1] \"\" X\n", i, i)
	}
	loaded(fmt.Sprintf(robot, &signals), database.String(), Options{})
	return all
}

// TestCANLimits: each is reported, and no more.
func TestCANLimits(t *testing.T) {
	var whats []string
	for _, p := range canProblems() {
		if !p.Warning {
			whats = append(whats, p.What)
		}
	}
	want := []string{
		"dbc of CAN bus drive has more than 524288 bytes, the most that are read",
		"the DBC file of CAN bus drive is not in the recording",
		"CAN bus drive would be asked for more than 512 messages",
	}
	if !slices.Equal(whats, want) {
		t.Errorf("found %q, want %q", whats, want)
	}
}

// TestCANPage: what docs/inputs.md shows is what is read.
func TestCANPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/inputs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "## CAN buses\n\n```yaml\n")
	shown, _, found := strings.Cut(shown, "```")
	if !found {
		t.Fatal("the page shows no CAN bus")
	}
	files := map[string]string{
		"robot.yaml": "robot: bot\nboard: raspberry-pi-4\nmanual: manual.yaml\n" + shown + "outputs: {drive: {pin: GPIO18, safe: 0}}\n",
		"manual.yaml": `values: [{name: human_safety, floor: 5}]
reflexes: [{name: lifted, when: "lifted && height > 1 m || speed_left > 1 m/s", set: {drive: 0}}]
impact: {human_safety: "10"}
actions: [{name: halt, set: safe, fallback: true}]
`,
		"rover.dbc": `BO_ 256 WHEEL_STATUS: 8 DRIVE
 SG_ SPEED_LEFT : 0|16@1- (0.01,0) [-20|20] "km/h" X
BO_ 300 LIFT_STATE: 4 LIFT
 SG_ LIFTED : 0|1@1+ (1,0) [0|0] "" X
 SG_ HEIGHT : 8|16@1+ (0.1,-100) [0|0] "mm" X
`,
	}
	_, problems := load("robot.yaml", []byte(files["robot.yaml"]), Options{Root: machine}, func(path string) ([]byte, *Problem) { return []byte(files[path]), nil })
	if len(problems) > 0 {
		t.Error(problems)
	}
}
