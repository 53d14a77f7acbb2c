// Package config reads what a robot's owner writes: robot.yaml, the manual that
// it names, and a conductor's file. It is strict, it reports every fault of both
// files in one run with file, line, column and a hint, and it hands over values
// that the rest of the runtime uses without checking them again.
//
// It may import the domain packages, the boards, the YAML parser and the
// simulated board's scenario parser. It must never open a device, a socket or a
// database, and it must never fill in a value that changes what moves: defaults
// are the safe ones and are written beside the field.
package config
