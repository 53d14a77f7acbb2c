package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNotHere is wrapped where this machine cannot run a guest: QEMU is missing,
// or the kernel is and cannot be fetched. The error's text says which, and is fit
// for the reason of a skipped test.
var ErrNotHere = errors.New("no guest on this machine")

// qemu is the program that emulates the guest's machine.
const qemu = "qemu-system-aarch64"

// notHere is the exit code with which tools/guest-kernel says that the kernel
// cannot be had here.
const notHere = 3

// Kernel is a kernel and its modules on this machine.
type Kernel struct {
	Folder     string
	DeviceTree string // path of the board's device tree; "": QEMU gives one
}

// Image is the path of the kernel itself.
func (k Kernel) Image() string { return filepath.Join(k.Folder, "vmlinuz") }

// Module is the path of a module, such as i6300esb. Those that there are stand in
// tools/guest-kernel.
func (k Kernel) Module(name string) string {
	return filepath.Join(k.Folder, "modules", name+".ko")
}

// FindKernel gives the cached kernel, and fetches it first where there is none:
// 93 MB from Debian. root is the folder of the module's go.mod.
func FindKernel(ctx context.Context, root string) (Kernel, error) {
	if _, err := exec.LookPath(qemu); err != nil {
		return Kernel{}, fmt.Errorf("%w: %s is not installed (Debian: apt-get install qemu-system-arm)", ErrNotHere, qemu)
	}
	folder, err := find(ctx, root, "guest-kernel")
	return Kernel{Folder: folder}, err
}

// FindSystem gives the folder of the cached Debian system for Config.System, and
// fetches it first where there is none: systemd and what it needs, 30 MB from Debian.
func FindSystem(ctx context.Context, root string) (string, error) {
	return find(ctx, root, "guest-system")
}

// find runs one of the tools that fetch, which prints a folder.
func find(ctx context.Context, root, tool string) (string, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tools", tool))
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == notHere {
		return "", fmt.Errorf("%w: %s", ErrNotHere, lastLine(said.String()))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", tool, err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// piDeviceTree is that of the Raspberry Pi 3 B in the kernel's module.
const piDeviceTree = "bcm2710-rpi-3-b.dtb"

// FindPiKernel gives the Raspberry Pi kernel that tools/pi pins, from Go's module
// cache; it is fetched first where it is not there, 20 MB from the module proxy.
func FindPiKernel(ctx context.Context, root string) (Kernel, error) {
	if _, err := exec.LookPath(qemu); err != nil {
		return Kernel{}, fmt.Errorf("%w: %s is not installed (Debian: apt-get install qemu-system-arm)", ErrNotHere, qemu)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(root, "tools", "pi"), "list", "-f", "{{.Dir}}", piKernelModule)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return Kernel{}, fmt.Errorf("%w: the Raspberry Pi kernel cannot be fetched: %w: %s", ErrNotHere, err, lastLine(said.String()))
	}
	folder := strings.TrimSpace(string(out))
	return Kernel{Folder: folder, DeviceTree: filepath.Join(folder, piDeviceTree)}, nil
}

const piKernelModule = "github.com/gokrazy/kernel.rpi"

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
