package evdev

import (
	"fmt"
	"strconv"
	"strings"
)

// Types and codes of include/uapi/linux/input-event-codes.h.
const (
	typeSyn = 0x00
	typeKey = 0x01
	typeAbs = 0x03

	synReport  = 0
	synDropped = 3

	maxKey = 0x2ff
	maxAbs = 0x3f
)

// named is an axis or a button.
type named struct {
	name string
	code uint16
}

// axes by their kernel names.
var axes = []named{
	{"ABS_X", 0x00}, {"ABS_Y", 0x01}, {"ABS_Z", 0x02}, {"ABS_RX", 0x03}, {"ABS_RY", 0x04}, {"ABS_RZ", 0x05},
	{"ABS_THROTTLE", 0x06}, {"ABS_RUDDER", 0x07}, {"ABS_WHEEL", 0x08}, {"ABS_GAS", 0x09}, {"ABS_BRAKE", 0x0a},
	{"ABS_HAT0X", 0x10}, {"ABS_HAT0Y", 0x11}, {"ABS_HAT1X", 0x12}, {"ABS_HAT1Y", 0x13},
	{"ABS_HAT2X", 0x14}, {"ABS_HAT2Y", 0x15}, {"ABS_HAT3X", 0x16}, {"ABS_HAT3Y", 0x17},
	{"ABS_PRESSURE", 0x18}, {"ABS_DISTANCE", 0x19}, {"ABS_TILT_X", 0x1a}, {"ABS_TILT_Y", 0x1b},
}

// buttons by their kernel names: game pads, joysticks, wheels, pedals, and the few
// keys that a key pad used as a hand-held control has.
var buttons = []named{
	{"BTN_0", 0x100}, {"BTN_1", 0x101}, {"BTN_2", 0x102}, {"BTN_3", 0x103}, {"BTN_4", 0x104},
	{"BTN_5", 0x105}, {"BTN_6", 0x106}, {"BTN_7", 0x107}, {"BTN_8", 0x108}, {"BTN_9", 0x109},
	{"BTN_LEFT", 0x110}, {"BTN_RIGHT", 0x111}, {"BTN_MIDDLE", 0x112},
	{"BTN_TRIGGER", 0x120}, {"BTN_THUMB", 0x121}, {"BTN_THUMB2", 0x122}, {"BTN_TOP", 0x123}, {"BTN_TOP2", 0x124}, {"BTN_PINKIE", 0x125},
	{"BTN_BASE", 0x126}, {"BTN_BASE2", 0x127}, {"BTN_BASE3", 0x128}, {"BTN_BASE4", 0x129}, {"BTN_BASE5", 0x12a}, {"BTN_BASE6", 0x12b}, {"BTN_DEAD", 0x12f},
	{"BTN_SOUTH", 0x130}, {"BTN_EAST", 0x131}, {"BTN_C", 0x132}, {"BTN_NORTH", 0x133}, {"BTN_WEST", 0x134}, {"BTN_Z", 0x135},
	{"BTN_TL", 0x136}, {"BTN_TR", 0x137}, {"BTN_TL2", 0x138}, {"BTN_TR2", 0x139},
	{"BTN_SELECT", 0x13a}, {"BTN_START", 0x13b}, {"BTN_MODE", 0x13c}, {"BTN_THUMBL", 0x13d}, {"BTN_THUMBR", 0x13e},
	{"BTN_GEAR_DOWN", 0x150}, {"BTN_GEAR_UP", 0x151},
	{"BTN_DPAD_UP", 0x220}, {"BTN_DPAD_DOWN", 0x221}, {"BTN_DPAD_LEFT", 0x222}, {"BTN_DPAD_RIGHT", 0x223},
	{"KEY_ESC", 1}, {"KEY_ENTER", 28}, {"KEY_LEFTCTRL", 29}, {"KEY_LEFTSHIFT", 42}, {"KEY_SPACE", 57},
	{"KEY_UP", 103}, {"KEY_LEFT", 105}, {"KEY_RIGHT", 106}, {"KEY_DOWN", 108},
}

// Axis gives the code of an axis: its kernel name ("ABS_X") or its number, decimal or
// hexadecimal ("0x28"), up to 0x3f.
func Axis(name string) (code uint16, ok bool) { return find(name, axes, maxAbs) }

// Button gives the code of a button or key: its kernel name ("BTN_TL") or its number,
// up to 0x2ff. BTN_TRIGGER_HAPPY1 to 40 are 0x2c0 to 0x2e7.
func Button(name string) (code uint16, ok bool) {
	if rest, happy := strings.CutPrefix(name, "BTN_TRIGGER_HAPPY"); happy {
		n, err := strconv.ParseUint(rest, 10, 8)
		return 0x2bf + uint16(n), err == nil && n >= 1 && n <= 40
	}
	return find(name, buttons, maxKey)
}

func find(text string, among []named, most uint64) (uint16, bool) {
	for i := range among {
		if among[i].name == text {
			return among[i].code, true
		}
	}
	n, err := strconv.ParseUint(text, 0, 16)
	return uint16(n), err == nil && n <= most
}

// Axes are the names of axes that are known, for hints.
func Axes() []string { return names(axes) }

// Buttons are the names of buttons that are known, for hints.
func Buttons() []string { return names(buttons) }

func names(of []named) []string {
	all := make([]string, len(of))
	for i := range of {
		all[i] = of[i].name
	}
	return all
}

// nameOf is for messages.
func nameOf(code uint16, among []named) string {
	for i := range among {
		if among[i].code == code {
			return among[i].name
		}
	}
	return fmt.Sprintf("%#x", code)
}
