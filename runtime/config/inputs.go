package config

import (
	"fmt"
	"slices"
	"strings"

	"dancer/reflex/program"
)

// origins are the keys that say where a signal comes from; of an output only pin and
// port are possible, which its table says.
var origins = []string{"pin", "port", "joystick", "can", "mqtt", "from"}

// ofOrigin are the keys of a signal that belong to one origin.
var ofOrigin = map[string][]string{
	"joystick": {"axis", "button", "rest", "invert", "dead_zone"},
	"can":      {"message", "signal"},
	"mqtt":     {"topic", "path", "on", "off"},
	"from":     {"idle", "lasts"},
}

// meant is how an origin is called in messages.
var meant = map[string]string{"joystick": "a joystick", "can": "a CAN bus", "mqtt": "an MQTT topic", "from": "what the cell gives"}

// origin is the key that says where a signal comes from, "" for none.
func origin(x keys) string {
	for _, key := range origins {
		if x.has(key) {
			return key
		}
	}
	return ""
}

// unused reports keys of a signal that belong to another origin than its own.
func (k keys) unused(own string) {
	for _, other := range origins {
		for _, key := range ofOrigin[other] {
			if other != own && k.has(key) {
				k.fault(key, fmt.Sprintf("remove it, or add %s", other), "%s has %s, which is for %s", k.what, key, meant[other])
			}
		}
	}
}

// without reports keys that a signal's origin fixes.
func (k keys) without(why string, names ...string) {
	for _, name := range names {
		if k.has(name) {
			k.fault(name, "remove it: "+why, "%s has %s, which its origin fixes", k.what, name)
		}
	}
}

// PostName is the source of what other programs post.
const PostName = "post"

// Sources names everything that brings readings to the spine and is counted: the ports,
// the I2C buses, the joysticks, the CAN buses, and "post" where a signal is posted. A simulated bus has
// no name.
func (r *Robot) Sources() []string {
	var names []string
	for i := range r.Ports {
		names = append(names, r.Ports[i].Name)
	}
	for i := range r.Buses {
		names = append(names, strings.TrimPrefix(r.Buses[i].Device, "/dev/"))
	}
	for i := range r.Joysticks {
		names = append(names, r.Joysticks[i].Name)
	}
	for i := range r.CANBuses {
		names = append(names, r.CANBuses[i].Name)
	}
	if slices.ContainsFunc(r.Inputs, func(in Input) bool { return in.Post }) {
		names = append(names, PostName)
	}
	return names
}

// Source gives the name and the device of a source, by its index into Sources.
func (r *Robot) Source(i int) (name, device string) {
	name = r.Sources()[i]
	bus := i - len(r.Ports)
	joystick := bus - len(r.Buses)
	onCAN := joystick - len(r.Joysticks)
	switch {
	case bus < 0:
		device = r.Ports[i].Device
	case joystick < 0:
		device = r.Buses[bus].Device
	case joystick < len(r.Joysticks) && r.Joysticks[joystick].Device != "":
		device = r.Joysticks[joystick].Device
	case joystick < len(r.Joysticks):
		device = r.Joysticks[joystick].DeviceName
	case onCAN < len(r.CANBuses):
		device = r.CANBuses[onCAN].Interface
	}
	return name, device
}

// FedBy gives the signals whose inputs are of some kind.
func (r *Robot) FedBy(is func(*Input) bool) []int {
	var signals []int
	for i := range r.Inputs {
		if is(&r.Inputs[i]) {
			signals = append(signals, i)
		}
	}
	return signals
}

// sourceName reports a joystick, or another source, with the name of a port: both are
// counted and reported under it.
func (l *loader) sourceName(key *node, what string) bool {
	if !l.identifier(key, what) {
		return false
	}
	if slices.Contains(l.robot.Sources(), key.text) {
		l.faultf(key, "rename one: both are reported under it", "%s %s has the name of another source", what, key.text)
		return false
	}
	return true
}

// reads gives the measured signals and the outputs that a program reads, also through
// what looks back in time.
func (l *loader) reads(p *program.Program) (signals, outputs []int) {
	m := l.robot.Manual
	lay, own := m.Layout(), len(m.Measured())
	var see func(slot int)
	see = func(slot int) {
		switch {
		case slot < own:
			signals = append(signals, slot)
		case slot < lay.Signals:
			for _, inner := range m.Windows[slot-own].Argument.Reads() {
				see(inner)
			}
		case slot < lay.Signals+lay.Outputs:
			outputs = append(outputs, slot-lay.Signals)
		}
	}
	for _, slot := range p.Reads() {
		see(slot)
	}
	return signals, outputs
}
