// Package boards says which lines each supported board has and what they are
// called. It turns the name that an owner writes in robot.yaml (GPIO17, pin 11,
// PQ.05, gpiochip0/17) into the chip and line that the kernel knows, and it
// recognises the board it runs on from the device tree.
//
// It may import the standard library and a YAML parser. It must never open a
// device: detection reads an fs.FS that the caller hands over, and what a line
// is used for is decided elsewhere.
package boards
