// Package hal is the vocabulary of the robot's hardware and the code that runs
// on every byte and every reading: the signal table and the framers of serial
// streams.
//
// It imports the standard library only. What must never happen here: input or
// output, a clock call, a goroutine, a lock, a log line, or an allocation after
// construction. Adapters (hal/serial, hal/gpio, hal/i2c, hal/sim) deliver readings in
// this vocabulary and never import each other.
package hal
