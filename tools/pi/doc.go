// Package pi pins the Raspberry Pi kernel that TestGuestRaspberryPi boots: the Linux
// kernel and the device trees of Raspberry Pi boards that the gokrazy project builds
// and publishes as a Go module, whose checksum stands in go.sum. No code of it is used.
// The module is of its own, so that nobody downloads 20 MB who does not run that test.
package pi

import _ "github.com/gokrazy/kernel.rpi" // its folder has vmlinuz and the device trees
