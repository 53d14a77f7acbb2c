package privilege

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What a brain may still do until it has opened everything: become the other
// user, read files that are its owner's alone, and listen on a port below 1024.
var (
	toChange = []uint{unix.CAP_SETUID, unix.CAP_SETGID}
	toStart  = []uint{unix.CAP_DAC_OVERRIDE, unix.CAP_NET_BIND_SERVICE}
)

// needed is what the spine must be able to do for a brain of another user: hand it
// its folder, and end it.
var needed = []uint{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_DAC_OVERRIDE}

// capabilities of a thread, as capget(2) has them: two words a set.
type capabilities [2]unix.CapUserData

var capabilityHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}

func (c *capabilities) load() error {
	header := capabilityHeader
	return unix.Capget(&header, &c[0])
}

func (c *capabilities) store() error {
	header := capabilityHeader
	return unix.Capset(&header, &c[0])
}

func (c *capabilities) effective(capability uint) bool {
	return c[capability/32].Effective&(1<<(capability%32)) != 0
}

func (c *capabilities) permitted(capability uint) bool {
	return c[capability/32].Permitted&(1<<(capability%32)) != 0
}

// any says whether there is one that can be used. Those that are inheritable
// alone cannot, where exec gains nothing.
func (c *capabilities) any() bool {
	return c[0].Effective|c[0].Permitted|c[1].Effective|c[1].Permitted != 0
}

// MayChange says why a child of this process cannot be given another user id; nil
// when it can.
func MayChange() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("not root, but user id %d", os.Geteuid())
	}
	var c capabilities
	if err := c.load(); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for _, capability := range needed {
		if !c.effective(capability) {
			return fmt.Errorf("capability %d (linux/capability.h) is missing", capability)
		}
	}
	if text, err := os.ReadFile("/proc/self/setgroups"); err == nil && bytes.HasPrefix(text, []byte("deny")) {
		return errors.New("this user namespace forbids setgroups")
	}
	return nil
}

// LimitThread takes from the calling thread, and so from every process that it
// starts from now on, what a brain does not need: the capability bounding set,
// ambient capabilities, and the gain of privileges by exec. change leaves a child
// of root the rights to become another user. The thread itself keeps what it has:
// a parent without CAP_KILL could not end a child of another user, and the death
// signal of such a child would be refused too.
//
// The goroutine must be locked to its thread for good.
func LimitThread(change bool) error {
	var c capabilities
	if err := c.load(); err != nil {
		return fmt.Errorf("limit the brain: read capabilities: %w", err)
	}
	inherit := toStart
	if change {
		inherit = append(inherit[:len(inherit):len(inherit)], toChange...)
	}
	for word := range c {
		c[word].Inheritable = 0
	}
	for _, capability := range inherit {
		if c.permitted(capability) {
			c[capability/32].Inheritable |= 1 << (capability % 32)
		}
	}
	if err := c.store(); err != nil {
		return fmt.Errorf("limit the brain: set inheritable capabilities: %w", err)
	}
	clearAmbient()
	if os.Geteuid() != 0 && c.permitted(unix.CAP_NET_BIND_SERVICE) {
		// Without it nothing is lost but the port.
		_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_BIND_SERVICE, 0, 0)
	}
	if c.effective(unix.CAP_SETPCAP) {
		if err := dropBounding(); err != nil {
			return fmt.Errorf("limit the brain: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("limit the brain: forbid new privileges: %w", err)
	}
	return nil
}

// clearAmbient cannot fail but on kernels before 4.3, which have none.
func clearAmbient() {
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// dropBounding empties the bounding set of the calling thread. The kernel says
// where its capabilities end.
func dropBounding() error {
	for capability := range uintptr(64) {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", capability, err)
		}
	}
	return nil
}
