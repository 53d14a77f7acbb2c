//go:build linux

package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/boards"
	"dancer/hal/gpio"
	"dancer/hal/i2c"
	"dancer/mesh/mqtt"
	"dancer/runtime/spine"
)

// This gives the running machine.
func This() Machine {
	system := System{
		UID: uint32(os.Geteuid()), RealTime: spine.MayRunRealTime, MayLock: spine.MayLockMemory,
		Disk: statfs, PowerSave: powerSave, InStep: inStep, Line: lookLine, Reach: reach,
		Probe: i2c.Probe,
	}
	groups, _ := os.Getgroups() // none, then
	for _, gid := range append(groups, os.Getegid()) {
		system.GIDs = append(system.GIDs, uint32(gid))
	}
	return Machine{Root: os.DirFS("/"), System: system}
}

func statfs(path string) (Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Disk{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	size := uint64(s.Bsize)
	return Disk{Total: s.Blocks * size, Free: s.Bavail * size, Files: s.Files, FreeFiles: s.Ffree}, nil
}

// inStep asks the kernel's clock discipline (adjtimex(2)), which whatever
// synchronises the clock tells.
func inStep() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("adjtimex: %w", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}

// getPower is SIOCGIWPOWER of linux/wireless.h.
const getPower = 0x8b2d

// powerSave asks through the wireless extensions, which every cfg80211 driver
// answers where the kernel has CONFIG_CFG80211_WEXT (Debian, Raspberry Pi OS and
// L4T have it).
func powerSave(wireless string) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var request struct { // struct iwreq with its member power, a struct iw_param
		name     [unix.IFNAMSIZ]byte
		value    int32
		fixed    uint8
		disabled uint8
		flags    uint16
		_        [8]byte
	}
	copy(request.name[:len(request.name)-1], wireless)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), getPower, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return false, fmt.Errorf("ask for power save: %w", errno)
	}
	return request.disabled == 0, nil
}

func lookLine(l boards.Line) (Line, error) {
	f, err := gpio.Look(gpio.Line{Name: l.Name, Chip: l.Chip, Offset: l.Offset, LineName: l.LineName})
	return Line(f), err
}

// reach connects and logs in, once, with neither a presence nor a last will:
// the broker's other clients see nothing of it.
func reach(ctx context.Context, b Broker) error {
	o := mqtt.Options{Broker: b.URL, ClientID: fmt.Sprintf("dancer-doctor-%d", os.Getpid()), Username: b.Username}
	var err error
	if o.Password, err = password(b.PasswordFile); err != nil {
		return err
	}
	if o.TLS, err = trust(b); err != nil {
		return err
	}
	return mqtt.Try(ctx, o)
}

func password(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read conductor.password_file: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

func trust(b Broker) (*tls.Config, error) {
	if b.CAFile == "" && b.Fingerprint == "" {
		return nil, nil
	}
	var ca []byte
	if b.CAFile != "" {
		var err error
		if ca, err = os.ReadFile(b.CAFile); err != nil {
			return nil, errors.Join(errors.New("read conductor.ca_file"), err)
		}
	}
	return mqtt.TLSConfig(ca, b.Fingerprint)
}
