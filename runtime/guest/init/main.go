// Command init is the first process of a guest of package guest: it mounts what
// programs expect, greets, and carries out what the test asks. The guest ends when
// it ends. In a guest with a whole system it is a service there (init service).
package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dancer/runtime/guest"
)

func main() {
	asService := slices.Equal(os.Args[1:], []string{"service"})
	if os.Getpid() != 1 && !asService {
		fmt.Fprintln(os.Stderr, "init: this is the first process of a test's guest, or a service of its system (init service): make test-kernel")
		os.Exit(2)
	}
	if asService {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "init:", err)
			os.Exit(1)
		}
		return
	}
	if err := errors.Join(mountAll(), linkUp("lo"), unix.Sethostname([]byte("guest")), serve()); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // nothing is left to be told
}

// serve serves the test until the port closes.
func serve() error {
	port, err := open()
	if err != nil {
		return err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	// On a line of its own, also after a reset in the middle of an answer.
	if _, err := fmt.Fprintf(port, "\n%s%s\n", guest.Greeting, unix.ByteSliceToString(name.Release[:])); err != nil {
		return err
	}
	s := &service{endings: map[int]guest.Ending{}, changed: make(chan struct{})}
	go s.reap()
	server := rpc.NewServer()
	if err := server.RegisterName(guest.ServiceName, s); err != nil {
		return err
	}
	server.ServeCodec(jsonrpc.NewServerCodec(port))
	return nil
}

// mountAll mounts what the kernel offers and folders to write to.
func mountAll() error {
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "ptmxmode=666"},
		{"tmpfs", "/dev/shm", ""},
		{"tmpfs", "/run", ""},
		{"tmpfs", "/tmp", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"debugfs", "/sys/kernel/debug", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// linkUp brings a network interface up.
func linkUp(name string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// open opens the port to serve: a virtio port, or the terminal that the kernel's
// command line names.
func open() (*os.File, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, err
	}
	for _, argument := range strings.Fields(string(line)) {
		if path, ok := strings.CutPrefix(argument, guest.PortArgument+"="); ok {
			return openTerminal(path)
		}
	}
	return openPort(guest.Port)
}

// openTerminal opens a serial line and has it carry bytes as they are.
func openTerminal(path string) (*os.File, error) {
	port, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS)
	if err == nil {
		// As cfmakeraw(3) does.
		settings.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		settings.Oflag &^= unix.OPOST
		settings.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		settings.Cflag = settings.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
		settings.Cc[unix.VMIN], settings.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, settings)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set terminal %s: %w", path, err), port.Close())
	}
	return port, nil
}

// openPort opens the virtio port of a name; the kernel may need a moment to find
// it.
func openPort(name string) (*os.File, error) {
	for range 100 {
		ports, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, path := range ports {
			text, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(text)) == name {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(path)), os.O_RDWR, 0)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("there is no virtio port %s", name)
}
