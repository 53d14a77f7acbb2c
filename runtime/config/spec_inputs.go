package config

// Sections of inputs beside ports and lines: see docs/inputs.md.

var joystickSection = section{
	title: "joystick",
	doc:   "A joystick, game pad or pedal of the kernel's input layer, for teleoperation.",
	fields: []field{
		{name: "device", form: formText, doc: "device file, e.g. /dev/input/by-id/usb-...-event-joystick; or device_name. Neither is needed on board sim"},
		{name: "device_name", form: formText, doc: "what the kernel calls it, for one without a serial number, e.g. \"Xbox Wireless Controller\" (see: grep Name /proc/bus/input/devices)"},
		{name: "dead_man", form: formText, doc: "button that has to be held, by its kernel name, e.g. BTN_TL: while it is not, every axis reads 0. Default none, with a warning"},
		{name: "stale_after", form: formDuration, minimum: 0.05, maximum: 60, doc: "without an event for so long, all its signals are invalid and the dead-man has to be pressed anew, 50ms to 60s; default 2s"},
		{name: "grab", form: formBool, doc: "nothing else on this machine gets its events; default false"},
	},
}
