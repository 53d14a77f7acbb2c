// Package i2c reads sensors on I2C buses: one goroutine a bus polls its devices
// and leaves their readings in a ring, from which the spine's loop takes them
// without waiting. A chip is one small file that names its datasheet.
//
// A transfer waits in the kernel for as long as the bus pleases: a line that a
// broken device holds low is found after the adapter's time-out (100 ms here), and
// some adapters never return at all. So no transfer runs on the loop. What the loop
// sees is a descriptor for epoll, a ring without locks, and the time at which a
// transfer that has not come back began.
//
// It wraps periph.io/x/conn, whose i2c.Bus the chips speak and tests simulate. The
// bus itself is ours (kernel.go): periph.io/x/host hands the kernel the address of a
// variable on a goroutine's stack as a plain number, across calls that may move that
// stack, and turns the kernel's error numbers into text, so that a silent address
// could not be told from a stuck bus. It may import package hal besides, never another
// adapter. What must never happen here: a chip that sleeps (it says how long to wait,
// and others are served meanwhile), an allocation in a poll that goes well, a log
// line, or a write to an address that the robot's file does not name.
package i2c
