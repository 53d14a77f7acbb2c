// Package permission says why this process may not open a device file, and the
// command that lets it: the same words for serial ports, GPIO chips, I2C buses and
// joysticks, and in the log of a robot as in the messages of the doctor.
//
// It reads a file's owner, group and mode and the lists of users and groups, and
// imports the standard library alone. What must never happen in it: opening the
// device, changing anything, or a call from the loop.
package permission
