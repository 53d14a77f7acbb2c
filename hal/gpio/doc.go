// Package gpio gives the spine GPIO lines through the kernel's character device
// (GPIO v2, Linux 5.10 and later): inputs as descriptors for epoll with the
// kernel's own CLOCK_MONOTONIC time stamps, outputs that are at their safe level
// from the moment they are requested.
//
// PWM outputs are hardware alone, through the kernel's sysfs: the period is set and
// the safe pulse made before a channel is enabled, and a pulse costs one write to a
// file that stays open.
//
// It wraps the uapi package of github.com/warthog618/go-gpiocdev, whose own
// watcher goroutine it does not use, and imports package hal, never another
// adapter. What must never happen here: a goroutine, a blocking read, an output
// that is touched before its safe level is known, or an allocation after the
// lines have been requested.
package gpio
