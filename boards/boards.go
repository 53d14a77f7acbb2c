package boards

import (
	"io/fs"
	"sort"
)

// Line is one GPIO line of a board, enough to find it by the kernel's
// character device.
type Line struct {
	Name     string // as the profile calls it, e.g. GPIO17; also what messages show
	Chip     string // label of the gpiochip, e.g. pinctrl-bcm2711, or its device name (gpiochip0) on board linux; "" when LineName alone finds it
	Offset   int    // line on Chip, 0-based; -1 when only LineName is known
	LineName string // the kernel's own name of the line, e.g. GPIO17 or PQ.05; "" when unknown
	Header   int    // pin number on the 40-pin header, 0 when not there
}

// Profile is one board.
type Profile struct {
	Name      string   // as in robot.yaml, e.g. raspberry-pi-4
	Title     string   // as its maker writes it
	Models    []string // device-tree models start with one of these
	Source    string   // where the facts about its lines were taken from
	Lines     []Line   // in the order of the header; empty for sim and linux
	Simulated bool     // sim: every line name is accepted and no device is opened
	Open      bool     // linux: every line of every chip is accepted
	Serial    []string // serial ports that the board brings out, with their use
	Notes     []string // what an owner should know before wiring
}

// Names lists the profiles, sorted.
func Names() []string {
	names := make([]string, 0, len(profiles()))
	for name := range profiles() {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

var _ fs.FS // Detect takes one
