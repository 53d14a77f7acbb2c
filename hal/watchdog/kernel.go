package watchdog

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// file is what the adapter asks of an open device.
type file interface {
	support() (*unix.WatchdogInfo, error)
	get(request uint) (int, error)
	set(request uint, value int) error
	keepAlive() error
	write(b []byte) error
	close() error
}

// opener finds devices.
type opener interface {
	open(path string) (file, error)
	noWayOut(path string) bool
}

// system is the kernel.
type system struct{}

// open never gives the device to a child: a brain that holds it would keep it
// busy for the spine that comes next.
func (system) open(path string) (file, error) {
	for {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		return descriptor(fd), err
	}
}

// noWayOut reads what no ioctl tells. false where the kernel does not say
// (CONFIG_WATCHDOG_SYSFS).
func (system) noWayOut(path string) bool {
	name := filepath.Base(path)
	if name == "watchdog" {
		name = "watchdog0" // the old name of the first one
	}
	text, err := os.ReadFile(filepath.Join("/sys/class/watchdog", name, "nowayout"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// descriptor is an open device file.
type descriptor int

func (d descriptor) support() (*unix.WatchdogInfo, error) {
	return unix.IoctlGetWatchdogInfo(int(d))
}

func (d descriptor) get(request uint) (int, error) {
	value, err := unix.IoctlGetUint32(int(d), request) // an int of C: 4 bytes
	return int(int32(value)), err
}

func (d descriptor) set(request uint, value int) error {
	return unix.IoctlSetPointerInt(int(d), request, value)
}

func (d descriptor) keepAlive() error { return unix.IoctlWatchdogKeepalive(int(d)) }

func (d descriptor) write(b []byte) error {
	_, err := unix.Write(int(d), b)
	return err
}

func (d descriptor) close() error { return unix.Close(int(d)) }
