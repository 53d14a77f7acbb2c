package boards

import (
	"embed"
	"slices"
	"strconv"
	"strings"
)

// Line is one GPIO line of a board, enough to find it through the kernel's
// character device, and what is known of its pin.
type Line struct {
	Name      string   `json:"name"`                 // as the profile calls it, e.g. GPIO17; also what messages show
	SoC       string   `json:"soc_name"`             // as the maker of the SoC calls it, e.g. GPIO1_28; "" when unknown
	Chip      string   `json:"chip"`                 // label of the gpiochip, e.g. pinctrl-bcm2711, or its device name (gpiochip0) on board linux; "" when LineName alone finds it
	Offset    int      `json:"offset"`               // line on Chip, 0-based; -1 when only LineName is known
	LineName  string   `json:"line_name"`            // the name that the maker's kernel gives the line, e.g. PQ.05; "" when it gives none. Kernels differ: where Offset is known, that finds the line
	Connector string   `json:"connector,omitempty"`  // P8 or P9 on a BeagleBone; "" on a board with one header
	Header    int      `json:"header"`               // pin number on the connector, 0 when not there
	Pull      string   `json:"pull,omitempty"`       // bias from power-on until a program asks for the line: up or down; "" when not documented
	FixedPull bool     `json:"fixed_pull,omitempty"` // Pull is a resistor on the board, which no setting takes away
	Only      string   `json:"only,omitempty"`       // input or output where the board allows only that
	Boot      string   `json:"boot,omitempty"`       // what the pin does while the board starts, where that is documented
	Owner     string   `json:"owner,omitempty"`      // who has the pin: the firmware, or a part of the board; "" when it is free
	PWM       *PWM     `json:"pwm,omitempty"`        // nil when no hardware PWM reaches the pin
	Functions []string `json:"functions,omitempty"`  // what else the pin can be, e.g. "I2C1 SDA"
}

// Pin is the pin's place on the board: 11, or P9_12 on a board with several
// connectors.
func (l Line) Pin() string { return pinName(l.Connector, l.Header) }

func pinName(connector string, pin int) string {
	if connector == "" {
		return strconv.Itoa(pin)
	}
	return connector + "_" + strconv.Itoa(pin)
}

// PWM is a hardware PWM that reaches a pin once the pin's function is PWM.
type PWM struct {
	Chip    string `json:"chip"`    // name of one of the profile's PWMChips, e.g. PWM0
	Channel int    `json:"channel"` // of the chip, 0-based
	Setup   string `json:"setup"`   // how an owner gives the pin its function, which is not the kernel's default
}

// PWMChip is a PWM controller of a board, found by its device: numbers of
// pwmchips move between kernels.
type PWMChip struct {
	Name         string `json:"name"`
	Device       string `json:"device"`                  // its name under /sys/bus/platform/devices, e.g. fe20c000.pwm
	SharedPeriod bool   `json:"shared_period,omitempty"` // its channels have one frequency
}

// Serial is a serial port that a board brings out.
type Serial struct {
	Device  string   `json:"device"`
	Aliases []string `json:"aliases,omitempty"` // other names of the same port
	Pins    []string `json:"pins,omitempty"`    // as Line.Pin gives them, TXD first; none: not on the header
	Use     string   `json:"use"`
}

// I2C is an I2C bus that a board brings out.
type I2C struct {
	Device string   `json:"device"`
	Pins   []string `json:"pins"` // as Line.Pin gives them, SDA first
	Use    string   `json:"use"`
}

// Connector is one pin header: two columns of pins, odd numbers on the left.
type Connector struct {
	Name string `json:"name"` // "" when it is the only one
	Pins int    `json:"pins"`
}

// Profile is one board.
type Profile struct {
	Name       string            `json:"name"`       // as in robot.yaml, e.g. raspberry-pi-4
	Title      string            `json:"title"`      // as its maker writes it
	Models     []string          `json:"models"`     // device-tree models start with one of these
	Compatible []string          `json:"compatible"` // entries of the device tree's compatible list that are this board
	Source     string            `json:"source"`     // where the facts about its lines were taken from
	Chip       string            `json:"chip"`       // label of the gpiochip that most of the header is on
	Connectors []Connector       `json:"connectors"` // none for sim and linux
	Lines      []Line            `json:"lines"`      // in the order of the header; empty for sim and linux
	Power      map[string]string `json:"power"`      // pins that are not lines, as Line.Pin names them, and what they are
	Simulated  bool              `json:"simulated"`  // sim: every line name is accepted and no device is opened
	Open       bool              `json:"open"`       // linux: every line of every chip is accepted
	Serial     []Serial          `json:"serial"`     // serial ports that the board brings out
	I2C        []I2C             `json:"i2c"`        // I2C buses that the board brings out
	PWMChips   []PWMChip         `json:"pwm_chips"`  // that reach the header
	Notes      []string          `json:"notes"`      // what an owner should know before wiring
}

// PWMChip finds the controller of a line's PWM; ok is false when it has none.
func (p Profile) PWMChip(l Line) (chip PWMChip, ok bool) {
	if l.PWM == nil {
		return PWMChip{}, false
	}
	for _, c := range p.PWMChips {
		if c.Name == l.PWM.Chip {
			return c, true
		}
	}
	return PWMChip{}, false
}

//go:embed profiles/*.yaml headers/*.yaml
var files embed.FS

// Names lists the boards, sorted.
func Names() []string {
	entries, err := files.ReadDir("profiles")
	if err != nil {
		panic(err) // embedded: a broken build
	}
	names := make([]string, len(entries))
	for i, e := range entries { // sorted by file name
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(names) // a.yaml and a-b.yaml sort otherwise than a and a-b
	return names
}

// UnknownBoardError says that no profile has this name.
type UnknownBoardError struct{ Name string }

func (e *UnknownBoardError) Error() string { return "find board " + e.Name + ": no such board" }

// Get gives the profile of a board, or an *UnknownBoardError. Only its files are
// parsed: a robot starts with one board.
func Get(name string) (Profile, error) {
	if !slices.Contains(Names(), name) {
		return Profile{}, &UnknownBoardError{name}
	}
	p, err := read(files, "profiles/"+name+".yaml")
	if err != nil {
		panic(err) // embedded: a broken build, and a test holds that none is
	}
	return p, nil
}
