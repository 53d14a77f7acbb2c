// Package haltest is the one conformance suite of the hardware adapters: what
// hal/serial, hal/gpio, hal/i2c and hal/sim promise alike, so that what runs on the
// simulated board runs on a real one.
//
// It imports package hal and the standard library, never an adapter: each
// adapter's test brings a Rig. What must never happen here: a wait without a
// deadline, or an assertion about how long something takes.
package haltest
