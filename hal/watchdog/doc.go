// Package watchdog wraps the kernel's watchdog device (/dev/watchdog0,
// Documentation/watchdog/watchdog-api.rst): a timer that resets the machine unless
// it is fed. Opening arms it. It goes off only by Disarm, which writes the magic
// character before it closes; a process that ends in any other way leaves it
// running, and the machine resets when nobody takes the device over in time.
//
// It imports nothing of ours and golang.org/x/sys/unix of others. It starts no
// goroutine and reads no clock: when to feed is for whoever knows that the robot
// is well (runtime/spine). A driver may sleep in any of these calls, so none
// belongs on a real-time path.
package watchdog
