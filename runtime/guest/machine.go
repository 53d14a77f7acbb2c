package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long things may take on a busy machine that emulates every instruction.
const (
	connectWithin = 30 * time.Second // QEMU to open its sockets
	endWithin     = 10 * time.Second // QEMU to end when it is told to
)

// Time says what the guest's clocks follow.
type Time int

const (
	// RealTime is the time of this machine. What a guest measures is as late as this
	// machine is busy; for tests that act on the guest from outside.
	RealTime Time = iota
	// InstructionTime is two nanoseconds an instruction, and none while every
	// processor sleeps until a timer: then the clock jumps to the timer. What a guest
	// measures then is how many instructions ran in between, its kernel's included,
	// and does not depend on how busy this machine is; the guest has one processor.
	// It is the time of a processor that always executes 500 million instructions a
	// second, about what a Raspberry Pi Zero 2 W does (1 GHz, in order), and leaves
	// out what caches and memory cost or save.
	InstructionTime
)

// systemInit is the first process of a Linux system.
const systemInit = "/lib/systemd/systemd"

// Board is the machine that QEMU makes.
type Board int

const (
	// Virtual is QEMU's own machine, virt: a PL061 for GPIO lines, PCI, virtio.
	Virtual Board = iota
	// RaspberryPi3 is a Raspberry Pi 3 B: four processors, 1 GiB, the SoC's own
	// devices and no others. Its kernel is that of FindPiKernel, and Init is asked over
	// its mini UART. Config.Time must be RealTime; Lines, Devices, Channels, Serial and
	// System are not for it.
	RaspberryPi3
)

// instructionShift: one instruction takes 2 to the power of this nanoseconds.
const instructionShift = 1

// Config of a machine. Kernel and Init must be given.
type Config struct {
	Kernel Kernel
	Init   string // path of the program of folder init, built for linux/arm64
	Files  []File // of the guest beside it
	System string // a folder with a Linux system that boots (FindSystem); "": Init is the first process
	Folder string // where sockets, logs and the initramfs are; it exists. Short: a socket's path has 107 bytes at most

	Board      Board
	Time       Time
	Processors int      // RealTime: default 2
	Megabytes  int      // memory, default 1024
	Devices    []string // more of QEMU's -device, such as i6300esb
	Channels   []string // names of further virtio ports, see Machine.Channel
	Serial     []string // names of 16550 UARTs, /dev/ttyS0 and so on in the guest, see Machine.Channel
	Lines      bool     // the GPIO lines are reached from outside, see Machine.Lines
	Arguments  []string // more of the kernel's command line
	QEMU       []string // more arguments of QEMU

	// StaysOnReset lets the machine start again after a reset, as one does whose
	// watchdog fired. Without it QEMU ends with the first reset.
	StaysOnReset bool
}

// Machine is a running guest. Close ends it.
type Machine struct {
	*Agent
	Monitor   *Monitor
	Lines     *Lines     // nil without Config.Lines
	Registers *Registers // nil with them

	config   Config
	cmd      *exec.Cmd
	ended    chan struct{}
	endError error
	closers  []io.Closer
	channels map[string]net.Conn
	once     sync.Once
}

// Boot starts a guest and waits for its greeting until the context ends. After an
// error nothing is left running; ConsoleLog may say why.
func Boot(ctx context.Context, c Config) (*Machine, error) {
	m := &Machine{config: c, ended: make(chan struct{}), channels: map[string]net.Conn{}}
	if err := m.boot(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("boot guest: %w", err), m.Close())
	}
	return m, nil
}

func (m *Machine) boot(ctx context.Context) error {
	if err := m.makeInitramfs(); err != nil {
		return err
	}
	sockets := slices.Concat([]string{"agent", "monitor", "qtest"}, m.config.Channels, m.config.Serial)
	listeners := map[string]*net.UnixListener{}
	for _, name := range sockets {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: m.path(name + ".sock"), Net: "unix"})
		if err != nil {
			return err
		}
		defer l.Close()
		listeners[name] = l
	}
	if err := m.start(); err != nil {
		return err
	}
	for _, name := range sockets {
		conn, err := m.accept(ctx, listeners[name])
		if err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, m.said())
		}
		m.channels[name] = conn
		m.closers = append(m.closers, conn)
	}
	var err error
	if m.Monitor, err = newMonitor(m.channels["monitor"]); err != nil {
		return fmt.Errorf("%w: %s", err, m.said())
	}
	if m.config.Lines {
		if m.Lines, err = openLines(m.channels["qtest"], m.Monitor); err != nil {
			return fmt.Errorf("%w: %s", err, m.said())
		}
	} else {
		m.Registers = &Registers{newTester(m.channels["qtest"], nil)}
	}
	m.Agent = newAgent(m.channels["agent"])
	if _, err := m.Booted(ctx, 1); err != nil {
		return fmt.Errorf("%w: %s", err, tail(m.ConsoleLog()))
	}
	return nil
}

func (m *Machine) path(name string) string { return filepath.Join(m.config.Folder, name) }

func (m *Machine) makeInitramfs() error {
	f, err := os.Create(m.path("initramfs"))
	if err != nil {
		return err
	}
	files := append([]File{{Path: "/init", From: m.config.Init}}, m.config.Files...)
	return errors.Join(writeInitramfs(f, m.config.System, files), f.Close())
}

// start starts QEMU on a thread that lives as long as it: with the thread, and so
// with this process, whatever ends that, it is killed.
func (m *Machine) start() error {
	m.cmd = exec.Command(qemu, m.arguments()...)
	said, err := os.Create(m.path("qemu.log"))
	if err != nil {
		return err
	}
	defer said.Close()
	m.cmd.Stdout, m.cmd.Stderr = said, said
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // ends with QEMU, which Close ends
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := m.cmd.Start()
		started <- err
		if err == nil {
			m.endError = m.cmd.Wait()
			close(m.ended)
		}
	}()
	return <-started
}

func (m *Machine) arguments() []string {
	c := &m.config
	// panic=-1: a kernel that panics resets at once instead of waiting for ever.
	line := append([]string{"panic=-1", "quiet"}, c.Arguments...)
	if c.System != "" {
		line = append(line, "rdinit="+systemInit)
	}
	a := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-kernel", c.Kernel.Image(), "-initrd", m.path("initramfs"),
		"-serial", "file:" + m.path("console.log"),
		"-chardev", m.socket("monitor"), "-mon", "chardev=monitor,mode=control",
		"-chardev", m.socket("agent"), "-qtest", "unix:" + m.path("qtest.sock"), "-qtest-log", "none",
	}
	if c.Board == RaspberryPi3 {
		// Its first UART belongs to Bluetooth: the kernel says what it says early there.
		line = append(line, "earlycon=pl011,mmio32,0x3f201000", "keep_bootcon", "console=null", PortArgument+"=/dev/ttyS0", "8250.nr_uarts=1")
		a = append(a, "-machine", "raspi3b", "-dtb", c.Kernel.DeviceTree, "-serial", "chardev:agent")
	} else {
		line = append(line, "console=ttyAMA0")
		a = append(a, m.virtual()...)
	}
	if !c.StaysOnReset {
		a = append(a, "-no-reboot")
	}
	return append(append(a, "-append", strings.Join(line, " ")), c.QEMU...)
}

// virtual are the arguments of the machine that QEMU has made up.
func (m *Machine) virtual() []string {
	c := &m.config
	processors := max(1, c.Processors)
	if c.Processors == 0 && c.Time == RealTime {
		processors = 2
	}
	megabytes := c.Megabytes
	if megabytes == 0 {
		megabytes = 1024
	}
	a := []string{
		"-machine", "virt", "-cpu", "cortex-a53", "-smp", strconv.Itoa(processors), "-m", strconv.Itoa(megabytes),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=" + Port,
	}
	if c.Time == InstructionTime {
		a = append(a, "-icount", fmt.Sprintf("shift=%d,sleep=off,align=off", instructionShift))
	}
	for _, name := range c.Channels {
		a = append(a, "-chardev", m.socket(name), "-device", "virtserialport,chardev="+name+",name="+name)
	}
	for _, name := range c.Serial {
		a = append(a, "-chardev", m.socket(name), "-device", "pci-serial,chardev="+name)
	}
	for _, device := range c.Devices {
		a = append(a, "-device", device)
	}
	return a
}

// socket is a character device of QEMU that connects to this process.
func (m *Machine) socket(name string) string {
	return "socket,id=" + name + ",path=" + m.path(name+".sock") + ",server=off"
}

// accept waits for QEMU to connect, or to end.
func (m *Machine) accept(ctx context.Context, l *net.UnixListener) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	type result struct {
		conn net.Conn
		err  error
	}
	accepted := make(chan result, 1)
	go func() {
		conn, err := l.Accept()
		accepted <- result{conn, err}
	}()
	select {
	case r := <-accepted:
		return r.conn, r.err
	case <-m.ended:
		cancel()
		if r := <-accepted; r.conn != nil {
			_ = r.conn.Close()
		}
		return nil, fmt.Errorf("QEMU ended: %w", m.endError)
	}
}

// Channel is this side of a virtio port of Config.Channels, or of a UART of
// Config.Serial.
func (m *Machine) Channel(name string) net.Conn { return m.channels[name] }

// Ended is closed when QEMU has ended: by Close, by the guest's power-off, or by a
// reset where Config.StaysOnReset is not set.
func (m *Machine) Ended() <-chan struct{} { return m.ended }

// ConsoleLog is what the guest's kernel and its programs wrote to the console.
func (m *Machine) ConsoleLog() string {
	text, err := os.ReadFile(m.path("console.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// said is what QEMU itself said.
func (m *Machine) said() string {
	text, _ := os.ReadFile(m.path("qemu.log")) // without it there is nothing to add
	return strings.TrimSpace(string(text))
}

// tail keeps a message readable.
func tail(text string) string {
	const most = 4000
	if len(text) > most {
		return "... " + text[len(text)-most:]
	}
	return text
}

// Close ends QEMU and waits for it. A second call does nothing.
func (m *Machine) Close() error {
	var errs []error
	m.once.Do(func() {
		if m.cmd != nil && m.cmd.Process != nil {
			errs = append(errs, m.end())
		}
		for _, c := range m.closers {
			errs = append(errs, c.Close())
		}
		if m.Agent != nil {
			m.Agent.close()
		}
	})
	return errors.Join(errs...)
}

func (m *Machine) end() error {
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = m.cmd.Process.Signal(signal) // it may have ended by itself
		select {
		case <-m.ended:
			return nil
		case <-time.After(endWithin):
		}
	}
	return fmt.Errorf("QEMU, process %d, does not end", m.cmd.Process.Pid)
}
