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
	Folder string
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
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tools", "guest-kernel"))
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == notHere {
		return Kernel{}, fmt.Errorf("%w: %s", ErrNotHere, lastLine(said.String()))
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("find the guest's kernel: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return Kernel{Folder: strings.TrimSpace(string(out))}, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
