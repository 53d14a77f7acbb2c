//go:build linux

package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"

	"dancer/hal/permission"
)

// kernel is the seam to the system's calls; tests put a small one in its place.
type kernel struct {
	devices string // directory of the chips
	open    func(path string) (int, error)
	peek    func(path *byte) (int, error) // open, of a path that ends in a zero, without an allocation
	cure    func(path string) string      // of a chip that may not be opened
	close   func(fd int) error
	chip    func(fd int) (uapi.ChipInfo, error)
	info    func(fd, offset int) (uapi.LineInfoV2, error)
	request func(fd int, r *uapi.LineRequest) error
	get     func(fd int, v *uapi.LineValues) error
	set     func(fd int, v *uapi.LineValues) error
	read    func(fd int, b []byte) (int, error)
}

// system is the running kernel.
func system() *kernel {
	advice := new(permission.Advice)
	return &kernel{
		devices: "/dev",
		open:    func(path string) (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) },
		peek:    peekChip,
		cure:    func(path string) string { return advice.Cure(path, permission.ReadWrite) },
		close:   unix.Close,
		chip:    func(fd int) (uapi.ChipInfo, error) { return uapi.GetChipInfo(uintptr(fd)) },
		info:    func(fd, offset int) (uapi.LineInfoV2, error) { return uapi.GetLineInfoV2(uintptr(fd), offset) },
		request: requestLine,
		get:     func(fd int, v *uapi.LineValues) error { return uapi.GetLineValuesV2(uintptr(fd), v) },
		set:     func(fd int, v *uapi.LineValues) error { return uapi.SetLineValuesV2(uintptr(fd), *v) },
		read:    unix.Read,
	}
}

// requestLine requests lines and makes their descriptor non-blocking.
func requestLine(fd int, r *uapi.LineRequest) error {
	if err := uapi.GetLine(uintptr(fd), r); err != nil {
		return err
	}
	if err := unix.SetNonblock(int(r.Fd), true); err != nil {
		unix.Close(int(r.Fd))
		return err
	}
	return nil
}

// place is a line found on a chip that is open.
type place struct {
	fd     int
	path   string
	offset int
}

// find opens the chip of a line. The caller closes place.fd.
func (k *kernel) find(line Line) (place, error) {
	paths, err := k.candidates(line)
	if err != nil {
		return place{}, err
	}
	var found []place
	var denied string
	for _, path := range paths {
		at, err := k.look(line, path)
		switch {
		case err == nil:
			found = append(found, at)
		case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
			denied = path
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return place{}, k.ambiguous(line, found)
	case denied != "":
		return place{}, fail(line, ErrPermission, denied, k.cure(denied))
	}
	return place{}, k.missing(line)
}

// candidates lists the devices where a line can be. Symbolic links are aliases
// of other chips (gpiochip4 on a Raspberry Pi 5) and left out.
func (k *kernel) candidates(line Line) ([]string, error) {
	switch {
	case strings.Contains(line.Chip, "/"):
		return []string{line.Chip}, nil
	case strings.HasPrefix(line.Chip, "gpiochip"):
		return []string{filepath.Join(k.devices, line.Chip)}, nil
	}
	entries, err := os.ReadDir(k.devices)
	if err != nil {
		return nil, fail(line, ErrNoChip, err.Error(), "")
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "gpiochip") && e.Type()&os.ModeSymlink == 0 {
			paths = append(paths, filepath.Join(k.devices, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fail(line, ErrNoChip, "this machine has none", "is its driver loaded, its adapter plugged in? A machine without GPIO runs as board: sim, or with serial ports alone")
	}
	slices.SortFunc(paths, func(a, b string) int { return chipNumber(a) - chipNumber(b) })
	return paths, nil
}

func chipNumber(path string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "gpiochip"))
	return n
}

var errNotHere = errors.New("line is not on this chip")

// look opens one chip and finds the line on it.
func (k *kernel) look(line Line, path string) (place, error) {
	fd, err := k.open(path)
	if err != nil {
		return place{}, err
	}
	offset, err := k.offset(line, fd)
	if err != nil {
		k.close(fd)
		return place{}, err
	}
	return place{fd, path, offset}, nil
}

// offset finds the line on an open chip.
func (k *kernel) offset(line Line, fd int) (int, error) {
	chip, err := k.chip(fd)
	if err != nil {
		return 0, err
	}
	if line.Chip != "" && !isDevice(line.Chip) && !isNamed(chip.Label[:], line.Chip) {
		return 0, errNotHere
	}
	if line.Offset >= 0 && line.Chip != "" {
		if line.Offset >= int(chip.Lines) {
			return 0, errNotHere
		}
		return line.Offset, nil
	}
	for i := range int(chip.Lines) {
		info, err := k.info(fd, i)
		if err != nil {
			return 0, err
		}
		if line.LineName != "" && isNamed(info.Name[:], line.LineName) {
			return i, nil
		}
	}
	return 0, errNotHere
}

// isDevice says whether a chip is named by its device, not by its label.
func isDevice(chip string) bool {
	return strings.Contains(chip, "/") || strings.HasPrefix(chip, "gpiochip")
}

// isNamed compares a name of the kernel, which ends in a zero, without an allocation.
func isNamed(name []byte, want string) bool {
	return len(want) < len(name) && name[len(want)] == 0 && string(name[:len(want)]) == want
}

// missing says whether the chip or only the line is absent, and what is there.
func (k *kernel) missing(line Line) error {
	paths, err := k.candidates(Line{Name: line.Name})
	if err != nil {
		return err
	}
	var names []string
	for _, path := range paths {
		fd, err := k.open(path)
		if err != nil {
			continue
		}
		info, err := k.chip(fd)
		k.close(fd)
		if err != nil {
			continue
		}
		label := uapi.BytesToString(info.Label[:])
		names = append(names, fmt.Sprintf("%s %q with lines 0 to %d", filepath.Base(path), label, int(info.Lines)-1))
		if line.Chip == label || filepath.Base(line.Chip) == filepath.Base(path) {
			return fail(line, ErrNoLine, "", "correct the pin; the chip is "+names[len(names)-1])
		}
	}
	cause := ErrNoChip
	if line.Chip == "" {
		cause = ErrNoLine
	}
	if len(names) == 0 {
		return fail(line, cause, line.Chip, "no GPIO chip here can be read")
	}
	return fail(line, cause, line.Chip, "plug its adapter in, or correct board or pin: dancer board says what this machine is; chips here: "+strings.Join(names, "; "))
}

// ambiguous closes what was found and says where.
func (k *kernel) ambiguous(line Line, found []place) error {
	names := make([]string, len(found))
	for i, at := range found {
		names[i] = fmt.Sprintf("%s/%d", filepath.Base(at.path), at.offset)
		k.close(at.fd)
	}
	return fail(line, ErrAmbiguous, strings.Join(names, ", "), "name one of them: "+names[0])
}

// requestError names the cause of a refused request.
func (k *kernel) requestError(line Line, at place, err error) error {
	where := fmt.Sprintf("%s/%d", filepath.Base(at.path), at.offset)
	switch {
	case errors.Is(err, unix.EBUSY):
		return k.busy(line, at, where)
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return fail(line, ErrPermission, where, k.cure(at.path))
	case errors.Is(err, unix.ENOTTY):
		return fail(line, ErrUnsupported, where, "the kernel is older than 5.10, or its GPIO character device is turned off")
	case errors.Is(err, unix.ENODEV):
		return fail(line, ErrGone, where, goneHint)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENXIO), errors.Is(err, enotsupp):
		return fail(line, ErrUnsupported, fmt.Sprintf("%s: %v", where, err), "the chip cannot do this: try it without pull or debounce, or another line")
	}
	return fail(line, ErrUnsupported, fmt.Sprintf("%s: %v", where, err), "")
}

// enotsupp is the kernel's internal ENOTSUPP, which some drivers let out.
const enotsupp = unix.Errno(524)

// goneHint is what to do about a chip that went away.
const goneHint = "plug its adapter in again, or load its driver: the line is requested again by itself"

// busy names who has the line.
func (k *kernel) busy(line Line, at place, where string) error {
	detail, hint := where, "stop that program, or take its overlay out of the boot configuration"
	if info, err := k.info(at.fd, at.offset); err == nil {
		switch who := uapi.BytesToString(info.Consumer[:]); who {
		case "":
		case Consumer:
			hint = "stop the robot that runs already, see pgrep -a dancer"
			fallthrough
		default:
			detail = fmt.Sprintf("%s by %q", where, who)
		}
	}
	return fail(line, ErrBusy, detail, hint)
}

func fail(line Line, cause error, detail, hint string) error {
	return &Error{Verb: "request", Line: line.String(), Cause: cause, Detail: detail, Hint: hint}
}
