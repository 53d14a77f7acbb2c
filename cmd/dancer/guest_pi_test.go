package main

import (
	"strings"
	"testing"

	"dancer/runtime/guest"
)

// piWiring names its lines as a builder does: by the SoC's name and by the header's pin.
// The brake is on while its line is low, as it is from power-on.
const piWiring = `robot: line-bot
board: auto
manual: manual.yaml
signals:
  bumper: {pin: GPIO22, active: high}   # QEMU's model of the chip has no edges: it stays low
outputs:
  motor: {pin: GPIO17, safe: 0}
  brake: {pin: pin 13, active: low, safe: 1}
lease: {expires_after: 2s, stop: 1}
listen: "off"
mesh: {off: true}
conductor: {broker: off}
`

const piManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: bump, when: "bumper", set: {motor: 0, brake: 1}}
model:
  step: 100ms
  horizon: 300ms
impact:
  human_safety: "10"
  task: "10 * motor"
actions:
  - {name: patrol, set: {motor: 1, brake: 0}}
  - {name: halt, set: {motor: 0, brake: 1}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

// The levels of lines 0 to 31 of the BCM2835 and its successors, as the processor
// sees them (Broadcom, BCM2835 ARM Peripherals, 6.1, GPLEV0, on the BCM2837 at
// 0x3f200034), and the robot's lines in it.
const (
	piLevels = 0x3f200034
	piMotor  = 17
	piBrake  = 27 // pin 13
)

// TestGuestRaspberryPi boots the Raspberry Pi kernel with the device tree of a
// Raspberry Pi 3 B on QEMU's model of that board: the board is known by its device
// tree, its header is drawn with what the robot uses, and the robot's lines follow.
func TestGuestRaspberryPi(t *testing.T) {
	m := bootGuest(t, guest.Config{Board: guest.RaspberryPi3, Files: []guest.File{
		{Path: "/robot/robot.yaml", Data: []byte(piWiring), Mode: 0o644}, {Path: "/robot/manual.yaml", Data: []byte(piManual), Mode: 0o644},
	}})
	r := &lineRobot{T: t, m: m, dancer: guestDancer}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the robot's log: %s", tail(r.log()))
		}
	})
	code, said := r.execute(guestDancer, "board")
	t.Logf("dancer board:\n%s", said)
	for _, want := range []string{"raspberry-pi-3: ", "Raspberry Pi 3 Model B)", "GPIO17_   11|12   GPIO18_"} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("dancer board, exit code %d, does not say %q", code, want)
		}
	}
	code, said = r.execute(guestDancer, "board", "/robot/robot.yaml")
	t.Logf("dancer board robot.yaml:\n%s", said)
	for _, want := range []string{"output motor  GPIO17_ * 11|12", "output brake  GPIO27_ * 13|14"} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("dancer board robot.yaml, exit code %d, does not say %q", code, want)
		}
	}
	r.launch()
	r.awaitLevels(false)
	r.startWhenReady()
	r.awaitLevels(true)
	r.operator("stop")
	r.awaitLevels(false)
	r.startWhenReady()
	r.awaitLevels(true)
	r.end()
	r.awaitLevels(false)
}

// awaitLevels waits until the registers have motor and released brake high, or both low.
func (r *lineRobot) awaitLevels(high bool) {
	r.Helper()
	r.until("the lines are as they are wanted", func() bool {
		levels, err := r.m.Registers.Read32(piLevels)
		r.must(err)
		return levels>>piMotor&1 == 1 == high && levels>>piBrake&1 == 1 == high
	})
}
