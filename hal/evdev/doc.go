// Package evdev reads a joystick, a game pad or a pedal through the kernel's input
// event interface (/dev/input/event*), for teleoperation with a dead-man.
//
// A descriptor that epoll watches, reads that never block, one call of the caller's
// function for each report of the device. It imports package hal's vocabulary at
// most, never another adapter. What must never happen here: an axis that says
// anything but 0 while the dead-man is not held, a blocking call, a goroutine, a log
// line, or an allocation in Read.
//
// Facts are from the kernel's Documentation/input/event-codes.rst and
// include/uapi/linux/input.h.
package evdev
