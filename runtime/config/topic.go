package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dancer/hal"
)

// PathStep is one step into a JSON value: a member of an object, or a place of an array.
type PathStep struct {
	Member string
	Index  int // if Member is ""
}

// maxPath bounds the steps of a path.
const maxPath = 16

// ParsePath reads the place of a value in a JSON text: names joined by dots, places of
// arrays from 0 in brackets, as in state.axes[0].x. "" is the whole text.
func ParsePath(text string) ([]PathStep, error) {
	var steps []PathStep
	for rest := text; rest != ""; {
		var step PathStep
		var err error
		if step, rest, err = pathStep(rest, len(steps) == 0); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	if len(steps) > maxPath {
		return nil, fmt.Errorf("it has %d steps, at most %d are possible", len(steps), maxPath)
	}
	return steps, nil
}

func pathStep(text string, first bool) (step PathStep, rest string, err error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		digits, rest, closed := strings.Cut(inner, "]")
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || !closed {
			return step, "", fmt.Errorf("%q is no place of an array", "["+digits)
		}
		return PathStep{Index: int(n)}, rest, nil
	}
	if !first {
		var dot bool
		if text, dot = strings.CutPrefix(text, "."); !dot {
			return step, "", fmt.Errorf("a dot is missing before %q", text)
		}
	}
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	if end == 0 || strings.ContainsAny(text[:end], "]*$?@ ") {
		return step, "", fmt.Errorf("%q is no name", text[:end])
	}
	return PathStep{Member: text[:end]}, text[end:], nil
}

// brokers reads the MQTT brokers that signals come from.
func (l *loader) brokers(k keys) {
	for _, e := range k.table("mqtt", maxBrokers) {
		if !l.identifier(e.key, "port") { // it stands in no expression
			continue
		}
		x := l.section(e.value, &brokerSection, "broker "+e.key.text)
		b := Broker{Name: e.key.text, ConductorLink: ConductorLink{
			Broker: x.text("broker", ""), Username: x.text("username", ""), PasswordFile: x.existing("password_file", l.read),
			CAFile: x.existing("ca_file", l.read), Fingerprint: x.fingerprint(),
		}}
		x.login()
		if b.Broker != "" {
			x.brokerURL(b.Broker, "")
		}
		l.robot.Brokers = append(l.robot.Brokers, b)
	}
}

// topicSignal reads a signal of an MQTT topic.
func (l *loader) topicSignal(x keys, s *hal.Signal, in *Input) {
	x.without("it is for GPIO lines", "pull", "active", "debounce")
	x.without("use path", "field")
	t := &Topic{Name: x.text("topic", ""), On: x.text("on", "ON"), Off: x.text("off", "OFF")}
	in.Topic = t
	names := make([]string, len(l.robot.Brokers))
	for i := range names {
		names[i] = l.robot.Brokers[i].Name
	}
	name := x.text("mqtt", "")
	if t.Broker = indexOf(names, name); t.Broker < 0 && name != "" {
		x.fault("mqtt", suggest(name, names, "brokers")+"; they stand under mqtt: of this file", "%s names broker %s, which does not exist", x.what, name)
	}
	switch {
	case !x.has("topic"):
		l.faultf(x.at, "add topic: zigbee2mqtt/gate", "%s has no topic", x.what)
	case strings.ContainsAny(t.Name, "#+\x00") || len(t.Name) > 1024:
		x.fault("topic", "name one topic, without + and #", "topic of %s is %q", x.what, t.Name)
	}
	if strings.EqualFold(t.On, t.Off) {
		x.fault("off", "give two different texts", "%s has the same text for on and off: %s", x.what, t.On)
	}
	var err error
	if t.Path, err = ParsePath(x.text("path", "")); err != nil {
		x.fault("path", "join names by dots, places of arrays in brackets: state.axes[0].x", "path of %s: %s", x.what, err)
	}
	l.plausible(x, s, defaultTopicAge)
}

// postSignal reads a signal that other programs give, or the cell.
func (l *loader) postSignal(x keys, s *hal.Signal, in *Input) {
	x.without("it is for GPIO lines", "pull", "active", "debounce")
	x.without("the name of the signal is the name that is posted", "field")
	from := x.choice("from", "")
	in.Post, in.Cell = from == "post", from == "cell"
	if names := (&Robot{Ports: l.robot.Ports, Joysticks: l.robot.Joysticks, CANBuses: l.robot.CANBuses}).Sources(); in.Post && slices.Contains(names, PostName) {
		x.fault("from", "rename it: both are reported under that name", "%s is posted, and a port, joystick or CAN bus is called %s", x.what, PostName)
	}
	l.plausible(x, s, defaultStaleAfter)
	if !in.Cell {
		x.without("it is for from: cell", "idle", "lasts")
		return
	}
	l.fromCell = x.at
	in.Idle, in.Lasts = x.number("idle", s.Minimum), x.duration("lasts", defaultLasts)
	if in.Idle < s.Minimum || in.Idle > s.Maximum {
		x.fault("idle", fmt.Sprintf("give a value from %s to %s", formatNumber(s.Minimum), formatNumber(s.Maximum)), "idle of %s is %s, out of its range", x.what, formatNumber(in.Idle))
	}
}

// defaultLasts is how long what the cell says lasts.
const defaultLasts = 10 * time.Second
