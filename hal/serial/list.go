package serial

import (
	"io/fs"
	"os"
	"slices"
	"strings"
)

// List gives the serial ports of this machine, for hints: the stable names
// under /dev/serial/by-id first, then the devices that have a driver. It opens
// none of them, since that can reset the board behind it.
func List() []string { return list(os.DirFS("/")) }

func list(root fs.FS) []string {
	var ports []string
	stable, _ := fs.ReadDir(root, "dev/serial/by-id") // absent without USB adapters
	for _, e := range stable {
		ports = append(ports, "/dev/serial/by-id/"+e.Name())
	}
	classes, _ := fs.ReadDir(root, "sys/class/tty")
	var devices []string
	for _, e := range classes {
		if isPort(root, e.Name()) {
			devices = append(devices, "/dev/"+e.Name())
		}
	}
	slices.Sort(devices)
	return append(ports, devices...)
}

// isPort says that a tty has hardware behind it: a device in sysfs (consoles
// and pseudo-terminals have none), and for the 8250 driver, which registers
// ports that are not there, a UART type other than 0.
func isPort(root fs.FS, name string) bool {
	if _, err := fs.Stat(root, "sys/class/tty/"+name+"/device"); err != nil {
		return false
	}
	kind, err := fs.ReadFile(root, "sys/class/tty/"+name+"/type")
	return err != nil || strings.TrimSpace(string(kind)) != "0"
}
