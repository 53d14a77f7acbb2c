package config

import (
	"time"

	"dancer/hal"
)

var portSection = section{
	title: "port",
	doc:   "A serial line and how values are read from it.",
	fields: []field{
		{name: "device", form: formText, doc: "device file, e.g. /dev/serial/by-id/...; not needed on board sim"},
		{name: "baud", form: formInteger, minimum: 300, maximum: 4_000_000, doc: "bits per second, 300 to 4000000; default 115200; framing ld06: 230400; framing sbus: 100000"},
		{name: "parity", form: formChoice, choices: []string{"none", "even", "odd"}, doc: "parity bit of each byte; default none; framing sbus: even"},
		{name: "stop_bits", form: formChoice, choices: []string{"1", "2"}, doc: "stop bits of each byte; default 1; framing sbus: 2"},
		{name: "framing", form: formChoice, required: true, choices: hal.Framings(), doc: "how one frame of values looks: docs/serial.md"},
		{name: "pattern", form: formText, doc: "framing lines: what a line looks like, with {field} where a number stands, e.g. \"dist={range}\""},
		{name: "columns", form: formTexts, doc: "framing csv: names of the columns in order; default: the first row names them"},
		{name: "delimiter", form: formText, doc: "framing csv: one character; default a comma"},
		{name: "system", form: formInteger, minimum: 1, maximum: 255, doc: "framing mavlink: the only system that is heard, 1 to 255; default all"},
		{name: "sectors", form: formInteger, minimum: 1, maximum: hal.MaxSectors, doc: "framings ld06 and rplidar: into how many equal parts a turn is cut, 1 to 72; default 8. Sector 0 has its middle in front"},
		{name: "front", form: formNumber, minimum: 0, maximum: 360, doc: "framings ld06 and rplidar: the device's angle that points to the robot's front, 0 to 360 degrees; default 0"},
		{name: "no_echo", form: formNumber, minimum: 0.1, maximum: 100, doc: "framings ld06 and rplidar: what a sector reads as in which nothing is seen, 0.1 to 100 m; default: it is invalid"},
	},
}

var signalSection = section{
	title: "signal",
	doc:   "One input: a field of a port's frames, a GPIO line, an axis or a button of a joystick, a signal of a CAN message, an MQTT topic, or what other programs post.",
	fields: []field{
		{name: "port", form: formText, doc: "name of the port that delivers it"},
		{name: "i2c", form: formText, doc: "name of the I2C device that delivers it; unit and range are then the chip's unless they are given"},
		{name: "field", form: formText, doc: "field of the port's frames, or of the I2C device; default the signal's name"},
		{name: "boolean", form: formBool, doc: "it is only 0 or 1 (or JSON false and true); default false. Not for a GPIO line or a joystick"},
		{name: "pin", form: formText, doc: "GPIO line, e.g. GPIO17 or pin 11 (see: dancer board)"},
		{name: "joystick", form: formText, doc: "name of the joystick that delivers it"},
		{name: "axis", form: formText, doc: "axis of the joystick by its kernel name, e.g. ABS_Y: -1 to 1, and 0 while the dead-man is not held"},
		{name: "button", form: formText, doc: "button of the joystick by its kernel name, e.g. BTN_TL: 0 or 1"},
		{name: "rest", form: formChoice, choices: []string{"middle", "minimum"}, doc: "where the axis rests: middle (default; -1 to 1), or minimum, like a pedal (0 to 1)"},
		{name: "invert", form: formBool, doc: "the axis the other way round; default false"},
		{name: "dead_zone", form: formNumber, maximum: 0.9, doc: "share of the axis' way from rest that reads as 0, 0 to 0.9; default 0.1"},
		{name: "can", form: formText, doc: "name of the CAN bus that delivers it; unit, range and stale_after are then those of the bus's DBC file unless they are given"},
		{name: "message", form: formText, doc: "message of the CAN bus that it is in, by its name in the DBC file"},
		{name: "signal", form: formText, doc: "signal of the CAN message, by its name in the DBC file; default the signal's name here"},
		{name: "mqtt", form: formText, doc: "name of the MQTT broker that delivers it"},
		{name: "topic", form: formText, doc: "MQTT topic, without wildcards, e.g. zigbee2mqtt/gate"},
		{name: "path", form: formText, doc: "place of the value in a JSON payload, e.g. state.axes[0]; default: the payload is the value"},
		{name: "on", form: formText, doc: "MQTT: text that is 1; default ON. true is always 1"},
		{name: "off", form: formText, doc: "MQTT: text that is 0; default OFF. false is always 0"},
		{name: "from", form: formChoice, choices: []string{"post", "cell"}, doc: "post: other programs on this machine give it, by post.sock in the data folder or POST /api/v1/signals; cell: a coordinated command gives it at its moment T"},
		{name: "idle", form: formNumber, doc: "from: cell: value while no command of the cell lasts, in unit; default the smallest of its range"},
		{name: "lasts", form: formDuration, minimum: 0.1, maximum: 3600, doc: "from: cell: how long a command's value lasts, 100ms to 1h; default 10s"},
		{name: "pull", form: formChoice, choices: []string{"up", "down", "off"}, doc: "bias of the line; default: left as it is"},
		{name: "active", form: formChoice, choices: []string{"high", "low"}, doc: "which level reads as 1; default high"},
		{name: "debounce", form: formDuration, maximum: 10, doc: "a level must last this long to count, up to 10s; default none"},
		{name: "unit", form: formText, doc: "unit of the value, e.g. m, ppm, m/s; default none"},
		{name: "range", form: formRange, doc: "smallest and largest plausible value, in unit; anything else is invalid. Needed for a port's field, an MQTT topic and what is posted, unless it is boolean"},
		{name: "stale_after", form: formDuration, minimum: 0.001, maximum: 3600, doc: "older readings are invalid, 1ms to 1h; default 1s for a port's field and what is posted, 1m for an MQTT topic, three cycles of a CAN message whose DBC file has GenMsgCycleTime and else 1s, never for a GPIO line; a joystick has it for all its signals"},
		{name: "stuck_after", form: formDuration, minimum: 0.001, maximum: 24 * 3600, doc: "a value that has not changed for so long is invalid; default: not checked"},
		{name: "publish", form: formBool, doc: "send the value to the conductor with the robot's state; default false"},
		{name: "start", form: formNumber, doc: "board sim: value at the start, in unit; default: never seen until the scenario gives one"},
	},
}

var outputSection = section{
	title: "output",
	doc:   "One actuator: a GPIO line, or a line of text to a port.",
	fields: []field{
		{name: "pin", form: formText, doc: "GPIO line, e.g. GPIO18 or pin 12 (see: dancer board)"},
		{name: "active", form: formChoice, choices: []string{"high", "low"}, doc: "which level value 1 drives; default high"},
		{name: "pwm", form: formFrequency, minimum: 1, maximum: 100_000, doc: "pulse-width frequency, 1Hz to 100kHz: values between 0 and 1 are duty cycles; default: the line is on or off. Needs a pin that a hardware PWM reaches"},
		{name: "servo", form: formRange, doc: "pulse widths of a servo at the two ends of range, in microseconds, 200 to 5000, e.g. [1000, 2000]: 50 a second, or as many as pwm says. Needs a pin that a hardware PWM reaches"},
		{name: "port", form: formText, doc: "name of the port that the value is written to"},
		{name: "format", form: formText, doc: "what is written to the port, with {value} where the number stands, e.g. \"M {value}\\n\""},
		{name: "unit", form: formText, doc: "unit of the value; default none"},
		{name: "range", form: formRange, doc: "smallest and largest value; default [0, 1] for a GPIO line; needed for a port"},
		{name: "safe", form: formNumber, required: true, doc: "value of the safe state, inside range: what this output has whenever nothing else may move it"},
		{name: "rate", form: formNumber, doc: "greatest change per second by commands and holds of the brain, in unit, over 0; default none. Not for a line that is on or off. Reflexes, latches, stops and safe values are never delayed by it"},
		{name: "read_back", form: formSection, section: &readBackSection, doc: readBackSection.doc},
	},
}

var readBackSection = section{
	title: "read_back",
	doc:   "The signal that must follow the output: where it does not, or is invalid, the reflex read-back-OUTPUT makes all outputs safe and latches.",
	fields: []field{
		{name: "signal", form: formText, required: true, doc: "name of the signal, in the output's unit"},
		{name: "within", form: formDuration, minimum: 0.01, maximum: 60, doc: "how long it may take to follow, 10ms to 60s; default 500ms"},
		{name: "tolerance", form: formNumber, doc: "how far it may be off, in the output's unit; default a twentieth of the output's range; 0.5 for a boolean signal"},
	},
}

var leaseSection = section{
	title: "lease",
	doc:   "How long a decision of the brain may move the robot before the next one must have come.",
	fields: []field{
		{name: "expires_after", form: formDuration, minimum: 0.01, maximum: 60, doc: "10ms to 60s; default three steps of the model"},
		{name: "stop", form: formChoice, choices: []string{"0", "1", "2"}, doc: "stop category when it runs out: 0 power off, 1 controlled then off, 2 controlled and held; default 1"},
		{name: "ramp", form: formDuration, maximum: 5, doc: "stop 1 and 2: how long outputs take to their safe values, 0s to 5s, on top of expires_after; default at once, and what it needs but at most 500ms for an output with a rate"},
	},
}

var watchdogSection = section{
	title: "watchdog",
	doc:   "The machine's hardware watchdog, fed by completed cycles of the reflexes; default: none. Boards of one robot alone: it resets the machine. systemd's RuntimeWatchdogSec must be off.",
	fields: []field{
		{name: "device", form: formText, required: true, doc: "device file, e.g. /dev/watchdog0"},
		{name: "timeout", form: formDuration, minimum: 2, maximum: 600, doc: "unfed for so long, the machine resets; whole seconds, 2s to 10m; default 10s. Drivers round; a longer time than this is refused"},
		{name: "pretimeout", form: formDuration, minimum: 0, maximum: 600, doc: "the kernel is told so long before the reset, for a driver that has it; default 0s: as the driver has it"},
	},
}

var recordingSection = section{
	title: "recording",
	doc:   "The recording of the last minutes, which is kept when a reflex latches or a question is raised.",
	fields: []field{
		{name: "keep", form: formDuration, minimum: 0, maximum: 24 * 3600, doc: "how much of the past is kept, 0s (nothing is recorded) to 24h; default 10m"},
		{name: "megabytes", form: formInteger, minimum: 1, maximum: 1_000_000, doc: "bound of what is kept, in 1,000,000 bytes; default 256"},
		{name: "sealed", form: formInteger, minimum: 1, maximum: 1000, doc: "how many sealed situations are kept, the oldest go first; default 20"},
		{name: "sealed_megabytes", form: formInteger, minimum: 1, maximum: 1_000_000, doc: "bound of all sealed situations together, in 1,000,000 bytes; the newest is kept whatever its size; default 1000"},
	},
}

var linkSection = section{
	title: "conductor",
	doc:   "How the robot reaches its conductor's broker.",
	fields: []field{
		{name: "broker", form: formText, doc: "auto (mqtt://127.0.0.1:1883, the default), off, or mqtt://host:port or mqtts://host:port; another host needs mqtts"},
		{name: "username", form: formText, doc: "for a broker that asks for one"},
		{name: "password_file", form: formPath, doc: "file that holds the password"},
		{name: "ca_file", form: formPath, doc: "PEM file of the authority that signed the broker's certificate"},
		{name: "fingerprint", form: formText, doc: "sha256:<64 hex digits> of the broker's certificate, instead of ca_file"},
	},
}

var meshSection = section{
	title: "mesh",
	doc:   "How the members of a cell find each other.",
	fields: []field{
		{name: "join", form: formJoin, doc: "auto (this machine's loopback range 7946-7977, the default) or a list of host:port"},
		{name: "bind", form: formText, doc: "host:port to listen on; default 127.0.0.1:0, the first free port of the range. Another address needs key_file"},
		{name: "key_file", form: formPath, doc: "file with the cell's gossip key; needed beyond loopback"},
		{name: "members", form: formTexts, doc: "names of all robots of the cell, this one among them, at most 64: they coordinate, and no part of them counts as the whole. Default: none, the robot is seen and takes no commands of the cell"},
		{name: "port", form: formInteger, maximum: 65535, doc: "UDP port of the messages of coordination, at the address of bind; default 0, any free one"},
		{name: "off", form: formBool, doc: "do not take part; default false"},
	},
}

var plantSection = section{
	title: "plant",
	doc:   "Board sim: physics of its own, when the world shall move differently from the manual's model.",
	fields: []field{
		{name: "step", form: formDuration, minimum: 0.001, maximum: 10, doc: "1ms to 10s; default the model's step"},
		{name: "next", form: formExpressions, required: true, doc: "each signal one step later, from signals, outputs and dt"},
	},
}

var robotSection = section{
	title: "robot",
	doc:   "A robot's wiring: what is connected where, and which manual it obeys.",
	fields: []field{
		{name: "robot", form: formName, required: true, doc: "name of the robot, unique in its cell"},
		{name: "board", form: formText, doc: "auto (the default), or a name from: dancer board"},
		{name: "cell", form: formName, doc: "cell that the robot belongs to; default \"default\""},
		{name: "manual", form: formPath, required: true, doc: "the Safety Manual, relative to this file"},
		{name: "ports", form: formMap, section: &portSection, doc: "serial lines by name, at most 16"},
		{name: "i2c", form: formMap, section: &chipSection, doc: "sensor chips on I2C buses by name, at most 64"},
		{name: "joysticks", form: formMap, section: &joystickSection, doc: "joysticks, game pads and pedals by name, at most 8"},
		{name: "can", form: formMap, section: &canSection, doc: "CAN buses by name, at most 8"},
		{name: "mqtt", form: formMap, section: &brokerSection, doc: "MQTT brokers of signals by name, at most 4; none of them is the conductor's"},
		{name: "signals", form: formMap, section: &signalSection, required: true, doc: "inputs by name, at most 1024"},
		{name: "outputs", form: formMap, section: &outputSection, required: true, doc: "actuators by name, at most 64"},
		{name: "lease", form: formSection, section: &leaseSection, doc: leaseSection.doc},
		{name: "conductor", form: formSection, section: &linkSection, doc: linkSection.doc},
		{name: "mesh", form: formSection, section: &meshSection, doc: meshSection.doc},
		{name: "listen", form: formText, doc: "host:port of the robot's own HTTP server, default 127.0.0.1:8421, or off. Another address needs token_file, certificate and key"},
		{name: "token_file", form: formPath, doc: "file with the bearer token of the HTTP server"},
		{name: "certificate", form: formPath, doc: "PEM certificate of the HTTP server"},
		{name: "key", form: formPath, doc: "PEM key of that certificate"},
		{name: "recording", form: formSection, section: &recordingSection, doc: recordingSection.doc},
		{name: "watchdog", form: formSection, section: &watchdogSection, doc: watchdogSection.doc},
		{name: "autostart", form: formBool, doc: "outputs may move after boot without an operator's start; default false"},
		{name: "scenario", form: formPath, doc: "board sim: the scenario to play"},
		{name: "plant", form: formSection, section: &plantSection, doc: plantSection.doc},
	},
}

var conductorSection = section{
	title: "conductor file",
	doc:   "A conductor: where it listens, which broker it uses and what it may be reached by.",
	fields: []field{
		{name: "name", form: formName, doc: "name of the conductor; default \"conductor\""},
		{name: "scope", form: formChoice, choices: []string{"cell"}, doc: "what it conducts; default cell"},
		{name: "cell", form: formName, doc: "its cell; default \"default\""},
		{name: "listen", form: formText, doc: "host:port of the HTTP server and dashboard; default 127.0.0.1:8420. Another address needs token_file, certificate and key"},
		{name: "broker", form: formText, doc: "embedded (the default), or mqtt://host:port or mqtts://host:port; another host needs mqtts"},
		{name: "broker_listen", form: formText, doc: "host:port of the embedded broker; default 127.0.0.1:1883. Another address needs username, password_file, certificate and key"},
		{name: "username", form: formText, doc: "for the broker"},
		{name: "password_file", form: formPath, doc: "file that holds the broker's password"},
		{name: "ca_file", form: formPath, doc: "PEM file of the authority that signed the broker's certificate"},
		{name: "fingerprint", form: formText, doc: "sha256:<64 hex digits> of the broker's certificate, instead of ca_file"},
		{name: "token_file", form: formPath, doc: "file with the bearer token of the HTTP server"},
		{name: "certificate", form: formPath, doc: "PEM certificate of the HTTP server and the embedded broker"},
		{name: "key", form: formPath, doc: "PEM key of that certificate"},
		{name: "data", form: formPath, doc: "data folder; default: the command's"},
		{name: "mesh", form: formSection, section: &meshSection, doc: meshSection.doc},
	},
}

// Defaults of a robot's file.
const (
	defaultBaud       = 115200
	defaultStaleAfter = time.Second
	defaultListen     = "127.0.0.1:8421"
	defaultBind       = "127.0.0.1:0"
	defaultCell       = "default"
	leaseSteps        = 3
	defaultTopicAge   = time.Minute
	defaultSilence    = 2 * time.Second
	defaultDeadZone   = 0.1
	defaultWithin     = 500 * time.Millisecond
	defaultKeep       = 10 * time.Minute
	defaultWatchdog   = 10 * time.Second
	defaultMegabytes  = 256
	defaultSealed     = 20

	defaultSealedMegabytes = 1000
)
