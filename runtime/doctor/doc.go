// Package doctor looks at the machine that a robot runs on, and at the robot's
// devices, and says what will hurt: each finding with what was found, why it
// matters for a robot, and the cure as a command to copy.
//
// Files are read through an fs.FS and system calls go through System, so that
// every finding is tested against file trees of real boards. Looking changes
// nothing: no device is opened but a GPIO chip, whose lines are only listed, and
// no packet leaves the machine unless the robot's file names a broker. Every
// check has a deadline and an owner (Examine); one that fails or does not come
// back is itself a finding, and takes none of the others with it.
//
// MakeKeys alone writes: the keys that guard what is opened beyond loopback.
package doctor
