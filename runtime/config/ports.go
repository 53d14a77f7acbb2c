package config

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"unicode/utf8"

	"dancer/hal"
)

// ports reads the serial lines.
func (l *loader) ports(k keys) {
	devices := map[string]string{}
	for _, e := range k.table("ports", maxPorts) {
		what := "port " + e.key.text
		if !l.identifier(e.key, "port") {
			continue
		}
		x := l.section(e.value, &portSection, what)
		if x.broken {
			l.robot.Ports = append(l.robot.Ports, Port{Name: e.key.text})
			continue
		}
		p := Port{
			Name:      e.key.text,
			Device:    x.text("device", ""),
			Framing:   Framing(x.choice("framing", "json")),
			Pattern:   x.text("pattern", ""),
			Columns:   x.texts("columns"),
			Delimiter: x.delimiter(),
			System:    x.integer("system", 0),
			Sweep:     hal.Sweep{Sectors: x.integer("sectors", hal.DefaultSectors), Front: x.number("front", 0), NoEcho: x.number("no_echo", 0)},
		}
		l.line(x, &p)
		l.portKeys(x, p)
		l.device(x, p, devices)
		l.robot.Ports = append(l.robot.Ports, p)
	}
}

func (k keys) delimiter() string {
	n, ok := k.scalar("delimiter")
	if !ok {
		return ","
	}
	if utf8.RuneCountInString(n.text) != 1 || strings.ContainsAny(n.text, "\r\n\"") || n.text[0] >= utf8.RuneSelf {
		k.fault("delimiter", `write one character in quotes, such as ";" or "\t"`, "delimiter of %s is %q", k.what, n.text)
		return ","
	}
	return n.text
}

// line reads how the serial line is set. What a framing's devices have is the default.
func (l *loader) line(x keys, p *Port) {
	line := hal.LineOf(string(p.Framing))
	baud, parity, stops := line.Baud, "none", "1"
	if baud == 0 {
		baud = defaultBaud
	}
	if line.Parity == hal.EvenParity {
		parity = "even"
	}
	if line.TwoStops {
		stops = "2"
	}
	p.Baud, p.Parity, p.StopBits = x.integer("baud", baud), x.choice("parity", parity), 1
	if x.choice("stop_bits", stops) == "2" {
		p.StopBits = 2
	}
	if fixed := p.Framing == FramingLD06 || p.Framing == FramingSBUS; fixed && x.has("baud") && p.Baud != baud {
		x.r.warn(x.where("baud"), fmt.Sprintf("baud of %s is %d, but devices of framing %s send at %d", x.what, p.Baud, p.Framing, baud), "remove it, unless the maker says otherwise")
	}
}

// portKeys reports keys that the framing does not use, and those it needs.
func (l *loader) portKeys(x keys, p Port) {
	for _, c := range []struct {
		key         string
		want, other Framing
	}{
		{"pattern", FramingLines, ""}, {"columns", FramingCSV, ""}, {"delimiter", FramingCSV, ""}, {"system", FramingMAVLink, ""},
		{"sectors", FramingLD06, FramingRPLIDAR}, {"front", FramingLD06, FramingRPLIDAR}, {"no_echo", FramingLD06, FramingRPLIDAR},
	} {
		if x.has(c.key) && p.Framing != c.want && p.Framing != c.other {
			want := string(c.want)
			if c.other != "" {
				want += " or " + string(c.other)
			}
			x.fault(c.key, "remove it, or set framing: "+want, "%s has %s, but its framing is %s", x.what, c.key, p.Framing)
		}
	}
	if p.Framing == FramingLines && !x.has("pattern") {
		x.fault("framing", `add pattern: "dist={range}", with {field} where a number stands`, "%s has framing lines but no pattern", x.what)
	}
	if p.Framing == FramingLines && p.Pattern != "" {
		if _, err := hal.NewLinesFramer(nil, p.Pattern); err != nil {
			x.fault("pattern", `write {field} where a number stands, e.g. "dist={range}"`, "pattern of %s: %s", x.what, strings.TrimPrefix(err.Error(), hal.ErrFraming.Error()+": "))
		}
	}
}

// patternFields are the names in braces of a lines pattern.
func patternFields(pattern string) []string {
	var fields []string
	for {
		_, rest, ok := strings.Cut(pattern, "{")
		if !ok {
			return fields
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return fields
		}
		fields = append(fields, name)
		pattern = after
	}
}

// device checks a port's device file. One that is not there may be plugged in later.
func (l *loader) device(x keys, p Port, devices map[string]string) {
	if p.Device == "" {
		if !l.simulated() && !x.has("device") {
			x.r.faultf(x.at, "name it: "+l.deviceHint(), "%s has no device", x.what)
		}
		return
	}
	if other := devices[p.Device]; other != "" {
		x.fault("device", "use one port for both: signals and outputs can share it", "%s and port %s have the same device %s", x.what, other, p.Device)
	}
	devices[p.Device] = p.Name
	l.reserve(p.Device, x.what)
	if l.simulated() || l.robot.BoardName == "" {
		return
	}
	if !l.exists(strings.TrimPrefix(p.Device, "/")) {
		l.unplugged = append(l.unplugged, unplugged{x, len(l.robot.Ports)})
	}
}

// unplugged is a port whose device is not there.
type unplugged struct {
	keys
	port int
}

// checkUnplugged reports the devices that are not there. A robot runs without its
// sensors, whose signals are then invalid; not without what its outputs go through,
// which nobody would know to be safe.
func (l *loader) checkUnplugged() {
	for _, u := range l.unplugged {
		what := fmt.Sprintf("device %s of %s does not exist on this machine", l.robot.Ports[u.port].Device, u.what)
		if l.opt.Run && l.robot.DrivesThrough(u.port) {
			u.fault("device", l.deviceHint(), "%s", what)
		} else {
			u.r.warn(u.where("device"), what, l.deviceHint())
		}
	}
}

// exists says whether a file is on this machine.
func (l *loader) exists(name string) bool {
	_, err := fs.Stat(l.opt.root(), name)
	return err == nil
}

// devicePatterns are the names of serial ports that robots have, the stable
// ones first. Plain ttyS ports exist on every PC whether wired or not.
var devicePatterns = []string{
	"dev/serial/by-id/*", "dev/serial[0-9]", "dev/ttyUSB*", "dev/ttyACM*", "dev/ttyAMA*", "dev/ttyTHS*",
}

func (l *loader) deviceHint() string {
	found := Devices(l.opt.root())
	if len(found) == 0 {
		return "no serial port is plugged in: connect it, or try --board sim"
	}
	return "serial ports here: " + strings.Join(found, ", ")
}

// Devices lists the serial ports of a machine, the stable names first. USB
// ports without a stable name and on-board UARTs follow, sorted.
func Devices(root fs.FS) []string {
	var found []string
	for _, pattern := range devicePatterns {
		names, err := fs.Glob(root, pattern)
		if err != nil {
			continue
		}
		sort.Strings(names)
		for _, name := range names {
			found = append(found, "/"+name)
		}
	}
	return found
}
