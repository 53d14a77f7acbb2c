package boards

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var boardNames = []string{
	"beaglebone-black", "jetson-agx-orin", "jetson-nano", "jetson-orin-nano", "jetson-orin-nx", "linux",
	"raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-400", "raspberry-pi-5", "raspberry-pi-cm4", "raspberry-pi-zero-2-w", "sim",
}

func TestProfilesAreComplete(t *testing.T) {
	if got := strings.Join(Names(), " "); got != strings.Join(boardNames, " ") {
		t.Fatalf("boards are %s, want %s", got, strings.Join(boardNames, " "))
	}
	for _, name := range boardNames {
		t.Run(name, func(t *testing.T) {
			p, err := Get(name)
			if err != nil {
				t.Fatal(err)
			}
			if p.Name != name || p.Title == "" || p.Source == "" || len(p.Notes) == 0 {
				t.Errorf("name, title, source or notes are missing: %+v", p)
			}
			if p.Simulated || p.Open {
				return
			}
			if len(p.Models) == 0 || len(p.Compatible) == 0 || p.Chip == "" {
				t.Error("models, compatible or chip are missing")
			}
			checkPins(t, p)
			checkNames(t, p)
			checkBuses(t, p)
		})
	}
}

// checkPins: every pin of every connector is there once, and no two share a line.
func checkPins(t *testing.T, p Profile) {
	t.Helper()
	type place struct {
		chip   string
		offset int
	}
	pins, places, all := map[string]bool{}, map[place]bool{}, 0
	for _, l := range p.Lines {
		at := place{l.Chip, l.Offset}
		if pins[l.Pin()] || p.Power[l.Pin()] != "" {
			t.Errorf("pin %s is there twice", l.Pin())
		}
		if places[at] || l.Offset < 0 || l.Chip == "" {
			t.Errorf("%s: line %d of chip %q is there twice or not a line", l.Name, l.Offset, l.Chip)
		}
		pins[l.Pin()], places[at] = true, true
	}
	for pin := range p.Power {
		pins[pin] = true
	}
	for _, c := range p.Connectors {
		all += c.Pins
		for pin := 1; pin <= c.Pins; pin++ {
			if !pins[pinName(c.Name, pin)] {
				t.Errorf("pin %s is not described", pinName(c.Name, pin))
			}
		}
	}
	if len(pins) != all {
		t.Errorf("%d pins are described, and the connectors have %d", len(pins), all)
	}
}

var (
	lineName     = regexp.MustCompile(`^(GPIO[0-9]{1,2}|P[A-Z]{1,2}\.0[0-7]|P[89]_[0-9]{1,2})$`)
	functionName = regexp.MustCompile(`^[A-Z0-9]+( [A-Z0-9]+){0,2}$`)
	pwmDevice    = regexp.MustCompile(`^[0-9a-f]+\.pwm$`)
)

func checkNames(t *testing.T, p Profile) {
	t.Helper()
	names := map[string]string{}
	for _, l := range p.Lines {
		if !lineName.MatchString(l.Name) || l.SoC == "" {
			t.Errorf("line %q has a strange name, or none of the SoC (%q)", l.Name, l.SoC)
		}
		own := []string{l.Name, l.SoC, l.LineName}
		slices.Sort(own)
		for _, name := range slices.Compact(own) { // each name finds one line
			if other := names[name]; name != "" && other != "" {
				t.Errorf("%s is a name of %s and of %s", name, other, l.Name)
			}
			names[name] = l.Name
		}
		if !slices.Contains([]string{"", "up", "down"}, l.Pull) || !slices.Contains([]string{"", "input", "output"}, l.Only) || l.FixedPull && l.Pull == "" {
			t.Errorf("%s: pull %q (fixed %v), only %q", l.Name, l.Pull, l.FixedPull, l.Only)
		}
		for _, f := range l.Functions {
			if !functionName.MatchString(f) {
				t.Errorf("%s: function %q", l.Name, f)
			}
		}
		for _, name := range []string{l.Name, "pin " + l.Pin()} {
			if got, err := p.Line(name); err != nil || !reflect.DeepEqual(got, l) {
				t.Errorf("%s finds %+v, %v", name, got, err)
			}
		}
	}
}

// checkBuses: ports and buses are on pins that exist, and a PWM on a chip that
// does.
func checkBuses(t *testing.T, p Profile) {
	t.Helper()
	var pins []string
	for _, s := range p.Serial {
		pins = append(pins, s.Pins...)
	}
	for _, b := range p.I2C {
		if len(b.Pins) != 2 {
			t.Errorf("%s has pins %v, want SDA and SCL", b.Device, b.Pins)
		}
		pins = append(pins, b.Pins...)
	}
	for _, pin := range pins {
		if !slices.ContainsFunc(p.Lines, func(l Line) bool { return l.Pin() == pin }) && p.Power[pin] == "" {
			t.Errorf("a port or bus is on pin %s, which is not there", pin)
		}
	}
	used := map[string]bool{}
	for _, l := range p.Lines {
		chip, ok := p.PWMChip(l)
		if ok != (l.PWM != nil) || ok && (l.PWM.Setup == "" || l.PWM.Channel < 0 || !pwmDevice.MatchString(chip.Device)) {
			t.Errorf("%s: PWM %+v on chip %+v", l.Name, l.PWM, chip)
		}
		used[chip.Name] = true
	}
	for _, c := range p.PWMChips {
		if !used[c.Name] {
			t.Errorf("no pin has PWM chip %s", c.Name)
		}
	}
}

// TestFacts pins facts of the sources that a wrong edit of a table would break.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		board, pin, chip string
		offset           int
		what             func(l Line) bool
	}{
		{"raspberry-pi-3", "pin 12", "pinctrl-bcm2835", 18, func(l Line) bool { return l.PWM.Channel == 0 }},
		{"raspberry-pi-4", "GPIO19", "pinctrl-bcm2711", 19, func(l Line) bool { return l.PWM.Channel == 1 }},
		{"raspberry-pi-5", "GPIO18", "pinctrl-rp1", 18, func(l Line) bool { return l.PWM.Channel == 2 }},
		{"raspberry-pi-400", "GPIO2", "pinctrl-bcm2711", 2, func(l Line) bool { return l.Pull == "up" && l.FixedPull }},
		{"raspberry-pi-cm4", "ID_SDA", "pinctrl-bcm2711", 0, func(l Line) bool { return strings.Contains(l.Owner, "HAT") }},
		{"raspberry-pi-zero-2-w", "GPIO9", "pinctrl-bcm2835", 9, func(l Line) bool { return l.Pull == "down" && l.Owner == "" }},
		{"jetson-nano", "pin 33", "tegra-gpio", 38, func(l Line) bool { return l.Name == "PE.06" && l.PWM.Channel == 2 }},
		{"jetson-orin-nx", "pin 15", "tegra234-gpio", 85, func(l Line) bool { return l.PWM.Chip == "PWM1" }},
		{"jetson-agx-orin", "pin 29", "tegra234-gpio-aon", 1, func(l Line) bool { return l.Name == "PAA.01" }},
		{"jetson-agx-orin", "PR.04", "tegra234-gpio", 112, func(l Line) bool { return l.Only == "output" }},
		{"beaglebone-black", "P9.12", "gpio-32-63", 28, func(l Line) bool { return l.SoC == "GPIO1_28" && l.Owner == "" }},
		{"beaglebone-black", "pin p8_45", "gpio-64-95", 6, func(l Line) bool { return strings.Contains(l.Owner, "SYSBOOT 0)") }},
		{"beaglebone-black", "P8_3", "gpio-32-63", 6, func(l Line) bool { return strings.Contains(l.Owner, "eMMC") }},
		{"beaglebone-black", "gpio3_19", "gpio-96-127", 19, func(l Line) bool { return l.Name == "P9_27" }},
	} {
		p, err := Get(c.board)
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.Line(c.pin)
		if err != nil || l.Chip != c.chip || l.Offset != c.offset || !c.what(l) {
			t.Errorf("%s %s: %+v, %v", c.board, c.pin, l, err)
		}
	}
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		board, name string
		want        Line
		err         string
	}{
		{"raspberry-pi-4", "GPIO17", Line{Name: "GPIO17", SoC: "GPIO17", Chip: "pinctrl-bcm2711", Offset: 17, LineName: "GPIO17", Header: 11, Pull: "down", Functions: []string{"UART0 RTS", "UART1 RTS", "SPI1 CE1"}}, ""},
		{"raspberry-pi-5", "gpio17", Line{Name: "GPIO17", SoC: "GPIO17", Chip: "pinctrl-rp1", Offset: 17, LineName: "GPIO17", Header: 11, Pull: "down", Functions: []string{"UART0 RTS", "SPI1 CE1"}}, ""},
		{"jetson-orin-nano", "PQ.05", Line{Name: "PQ.05", SoC: "GP65", Chip: "tegra234-gpio", Offset: 105, LineName: "PQ.05", Header: 29, Functions: []string{"GPIO01"}}, ""},
		{"jetson-orin-nano", "Pin 29", Line{Name: "PQ.05", SoC: "GP65", Chip: "tegra234-gpio", Offset: 105, LineName: "PQ.05", Header: 29, Functions: []string{"GPIO01"}}, ""},
		{"beaglebone-black", "P9_12", Line{Name: "P9_12", SoC: "GPIO1_28", Chip: "gpio-32-63", Offset: 28, LineName: "P9_12", Connector: "P9", Header: 12}, ""},
		{"linux", "gpiochip2/17", Line{Name: "gpiochip2/17", Chip: "gpiochip2", Offset: 17}, ""},
		{"linux", "GPIO17", Line{Name: "GPIO17", Offset: -1, LineName: "GPIO17"}, ""},
		{"sim", "anything", Line{Name: "anything", Offset: -1, LineName: "anything"}, ""},
		{"raspberry-pi-4", "GPIO99", Line{}, "board raspberry-pi-4 has no pin GPIO99"},
		{"raspberry-pi-4", "", Line{}, "board raspberry-pi-4 has no pin "},
		{"raspberry-pi-4", "pin 6", Line{}, "pin 6 of board raspberry-pi-4 is ground, not a GPIO line"},
		{"raspberry-pi-4", "pin 41", Line{}, "board raspberry-pi-4 has no pin pin 41"},
		{"raspberry-pi-4", "P9_12", Line{}, "board raspberry-pi-4 has no pin P9_12"},
		{"beaglebone-black", "P9_39", Line{}, "P9_39 of board beaglebone-black is analog input AIN0, not a GPIO line"},
		{"beaglebone-black", "pin 12", Line{}, "board beaglebone-black has no pin pin 12"},
		{"jetson-nano", "pin 3", Line{}, "pin 3 of board jetson-nano is I2C1 SDA, not a GPIO line"},
		{"linux", "gpiochip0/x", Line{}, "board linux has no pin gpiochip0/x"},
		{"linux", "pin 11", Line{}, "board linux has no pin pin 11"},
	} {
		p, err := Get(c.board)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Line(c.name)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %q: got %+v, want %+v", c.board, c.name, got, c.want)
		}
		if text := message(err); text != c.err {
			t.Errorf("%s %q: error %q, want %q", c.board, c.name, text, c.err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestGetUnknown(t *testing.T) {
	var unknown *UnknownBoardError
	if _, err := Get("raspberry-pi-9"); !errors.As(err, &unknown) || unknown.Name != "raspberry-pi-9" {
		t.Errorf("got %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Get("raspberry-pi-4"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNames(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = Names()
	}
}
