// Package runtime runs a device: it loads the robot's files, finds its data
// folder, starts the spine in this process and the brain as a child, and turns
// signals of the operating system into an orderly stop.
//
// It may import every room beneath it and is imported by cmd alone. Nothing in
// it decides or touches hardware: an error here must never keep the spine from
// driving the outputs safe.
package runtime
