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
			Baud:      x.integer("baud", defaultBaud),
			Framing:   Framing(x.choice("framing", "json")),
			Pattern:   x.text("pattern", ""),
			Columns:   x.texts("columns"),
			Delimiter: x.delimiter(),
		}
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

// portKeys reports keys that the framing does not use, and those it needs.
func (l *loader) portKeys(x keys, p Port) {
	for _, c := range []struct {
		key  string
		want Framing
	}{{"pattern", FramingLines}, {"columns", FramingCSV}, {"delimiter", FramingCSV}} {
		if x.has(c.key) && p.Framing != c.want {
			x.fault(c.key, fmt.Sprintf("remove it, or set framing: %s", c.want), "%s has %s, but its framing is %s", x.what, c.key, p.Framing)
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

// device checks a port's device file. One that is not there may be plugged in
// later, so only a run needs it.
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
		what := fmt.Sprintf("device %s of %s does not exist on this machine", p.Device, x.what)
		if l.opt.Run {
			x.fault("device", l.deviceHint(), "%s", what)
		} else {
			x.r.warn(x.where("device"), what, l.deviceHint())
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
