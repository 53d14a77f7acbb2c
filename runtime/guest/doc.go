// Package guest boots a real Linux kernel under QEMU, for tests of what must not
// be done to the machine that runs them, such as setting its clock or letting its
// watchdog reset it, and of hardware that it does not have.
//
// The kernel is Debian's PREEMPT_RT kernel for arm64 (tools/guest-kernel fetches
// it). The guest's whole file system is an initramfs that the test puts together:
// its first process is the program in the folder init, which carries out what the
// test asks over a serial port of its own (Agent), beside whatever files the test
// adds. Nothing in the guest is a stub: the programs that run in it are those that
// run on a robot.
//
// It is for tests alone. It imports the standard library.
package guest
