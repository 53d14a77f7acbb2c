package spine

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"dancer/runtime/config"
)

// patient is how long a test waits for what must happen; nothing is timed by it.
const patient = 20 * time.Second

// rig is a robot on a pseudo-terminal, with its spine in this process and its
// brain in another.
type rig struct {
	t      *testing.T
	robot  *config.Robot
	cfg    Config
	device string // link to the slave
	master *os.File
	stop   context.CancelFunc
	ended  chan struct{}
	report Report
	err    error
	stderr lockedBuffer
	log    lockedBuffer

	mutex  sync.Mutex
	lines  []string // from the robot to the motor controller
	told   []string // by the brain
	sensed string
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mutex sync.Mutex
	b     bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.b.String()
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// newRig prepares a robot; how is the behaviour of its brain, "" none.
func newRig(t *testing.T, how string) *rig {
	t.Helper()
	g := &rig{t: t, device: filepath.Join(t.TempDir(), "nav")}
	g.plug()
	g.robot = loadRobot(t, wiredRobot(g.device), testManual)
	g.cfg = Config{
		Robot: g.robot, DataDir: t.TempDir(), Stderr: &g.stderr, Log: slog.New(slog.NewTextHandler(&g.log, nil)),
		patience: &patience{first: 20 * time.Millisecond, most: 100 * time.Millisecond, soon: patient, strikes: 3, grace: 2 * time.Second},
	}
	if how != "" {
		out := g.listen()
		g.cfg.BrainCommand = brainCommand(how, g.robot, out)
	}
	g.sense(`{"range": 2, "bumper": 0, "soft": 0}`)
	return g
}

// plug puts a new pseudo-terminal behind the device and reads what comes.
func (g *rig) plug() {
	g.t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		g.t.Skipf("no pseudo-terminals here: %v", err)
	}
	os.Remove(g.device)
	if err := os.Symlink(slave.Name(), g.device); err != nil {
		g.t.Fatal(err)
	}
	// Go's poller must have the master, or Close would wait for a read to end.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	master.Close()
	master = os.NewFile(uintptr(fd), "master")
	g.master = master
	// The slave stays open until the spine has it, or the master would hang up.
	g.t.Cleanup(func() { slave.Close(); master.Close() })
	go g.collect(master, &g.lines)
}

// listen gives the file that the brain writes to.
func (g *rig) listen() *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { w.Close(); r.Close() })
	go g.collect(r, &g.told)
	return w
}

func (g *rig) collect(r io.Reader, into *[]string) {
	for s := bufio.NewScanner(r); s.Scan(); {
		g.mutex.Lock()
		*into = append(*into, strings.TrimRight(s.Text(), "\r"))
		g.mutex.Unlock()
	}
}

// run starts the spine, and a sensor that repeats itself.
func (g *rig) run() {
	g.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g.stop, g.ended = stop, make(chan struct{})
	ready := make(chan struct{})
	g.cfg.Ready = func() { close(ready) }
	go func() {
		defer close(g.ended)
		g.report, g.err = Run(ctx, g.cfg)
	}()
	g.t.Cleanup(g.end)
	select {
	case <-ready:
	case <-g.ended:
		g.t.Fatalf("spine ended: %v\n%s", g.err, g.log.String())
	}
	go func() {
		for {
			select {
			case <-g.ended:
				return
			case <-time.After(10 * time.Millisecond):
				g.mutex.Lock()
				line, master := g.sensed, g.master
				g.mutex.Unlock()
				if line != "" {
					fmt.Fprintln(master, line)
				}
			}
		}
	}()
}

// end stops the spine and waits for it.
func (g *rig) end() {
	if g.stop != nil {
		g.stop()
		<-g.ended
	}
}

// sense is what the sensor says from now on, "" nothing.
func (g *rig) sense(line string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.sensed = line
}

func (g *rig) snapshot() (lines, told []string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return append([]string{}, g.lines...), append([]string{}, g.told...)
}

// value is the newest value of an output that the motor controller was told.
func (g *rig) value(letter string) string {
	lines, _ := g.snapshot()
	for i := len(lines) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(lines[i], letter+" "); ok {
			return v
		}
	}
	return ""
}

// until polls until something is so.
func (g *rig) until(what string, is func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(patient); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			lines, told := g.snapshot()
			g.t.Fatalf("never: %s\nlines %q\nbrain %q\nlog %s", what, tail(lines), tail(told), g.log.String())
		}
	}
}

func tail(lines []string) []string { return lines[max(0, len(lines)-20):] }

func (g *rig) drives(drive, brake string) {
	g.t.Helper()
	g.until("drive "+drive+" and brake "+brake, func() bool { return g.value("D") == drive && g.value("B") == brake })
}

func (g *rig) count(prefix string) int {
	_, told := g.snapshot()
	n := 0
	for _, line := range told {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func (g *rig) control(line string) string {
	g.t.Helper()
	answer, err := Control(g.cfg.DataDir, line, patient)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer
}

// status waits until the status line has a word.
func (g *rig) status(word string) {
	g.t.Helper()
	g.until("status "+word, func() bool {
		return strings.Contains(g.control("status")+" ", " "+word+" ")
	})
}

// pid is the process of the n-th brain.
func (g *rig) pid(n int) int {
	g.t.Helper()
	pid := 0
	g.until(fmt.Sprintf("brain %d", n), func() bool {
		_, told := g.snapshot()
		seen := 0
		for _, line := range told {
			if text, ok := strings.CutPrefix(line, "pid "); ok {
				if seen++; seen == n {
					pid, _ = strconv.Atoi(text)
					return true
				}
			}
		}
		return false
	})
	return pid
}

func (g *rig) signal(pid int, s syscall.Signal) {
	g.t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		g.t.Fatal(err)
	}
}

// moving starts the robot and waits until it drives.
func (g *rig) moving() {
	g.t.Helper()
	g.status("lease=live")
	if answer := g.control("start tester"); answer != "ok start" {
		g.t.Fatalf("start says %q", answer)
	}
	g.drives("0.5", "0")
}
