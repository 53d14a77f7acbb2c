// Package boards says which pins each supported board has: what the kernel calls
// them, what else they can be, who has them, and what reaches them (serial ports, I2C
// buses, hardware PWM). It turns the name that an owner writes in robot.yaml (GPIO17,
// pin 11, P9_12, PQ.05, gpiochip0/17) into the chip and line that the kernel knows,
// recognises the board it runs on, and draws a board's header.
//
// A profile is two kinds of YAML files: profiles/ has a board, headers/ a pin header
// that several boards may share, each with the documents that its facts are from. A
// fact that no source gives is left out.
//
// It may import the standard library and a YAML parser. It must never open a device:
// detection reads an fs.FS that the caller hands over, and what a line is used for is
// decided elsewhere.
package boards
