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

var brokerSection = section{
	title: "broker",
	doc:   "An MQTT broker that signals come from, such as that of Zigbee2MQTT or ESPHome. The brain speaks with it.",
	fields: []field{
		{name: "broker", form: formText, required: true, doc: "mqtt://host:port or mqtts://host:port; another host needs mqtts"},
		{name: "username", form: formText, doc: "for a broker that asks for one"},
		{name: "password_file", form: formPath, doc: "file that holds the password"},
		{name: "ca_file", form: formPath, doc: "PEM file of the authority that signed the broker's certificate"},
		{name: "fingerprint", form: formText, doc: "sha256:<64 hex digits> of the broker's certificate, instead of ca_file"},
	},
}
