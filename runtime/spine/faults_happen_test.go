package spine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/runtime/config"
	"dancer/runtime/link"
)

// signal sends the brain a signal right after an edge and gives the time.
func (c *campaign) signal(s unix.Signal) time.Duration {
	c.Helper()
	pid := c.brain()
	var err error
	at, _, failed := c.driver.with(func() { err = unix.Kill(pid, s) })
	c.must(failed)
	c.must(err)
	return at
}

func kill(c *campaign) {
	c.Helper()
	c.safe(c.signal(unix.SIGKILL))
}

func stop(c *campaign) {
	c.Helper()
	c.safe(c.signal(unix.SIGSTOP))
	time.Sleep(100 * time.Millisecond)
	c.signal(unix.SIGCONT)
}

// spin makes every thread of the brain run in a circle until the robot is safe,
// and 100 ms longer. Then each goes on where it was.
func spin(c *campaign) {
	c.Helper()
	pid := c.brain()
	begin := link.Now()
	release := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- spinThreads(pid, release) }()
	select {
	case err := <-ended:
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EPERM) {
			c.Skipf("make threads spin: %v", err)
		}
		c.Fatalf("make threads spin: %v", err)
	case <-time.After(leaseOfCampaign + 100*time.Millisecond):
	}
	c.safe(begin)
	close(release)
	c.must(<-ended)
}

// memoryLimit of the group of the brain: several times what it needs.
const memoryLimit = 128 << 20

// memoryGroup makes a memory cgroup for the brain.
func memoryGroup(c *campaign) {
	c.Helper()
	root, limit := "/sys/fs/cgroup", "memory.max"
	if _, err := os.Stat(root + "/memory"); err == nil { // version 1
		root, limit = root+"/memory", "memory.limit_in_bytes"
	} else if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		c.Skipf("no memory cgroup can be made here: %v", err)
	}
	group := filepath.Join(root, "dancer-faults-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		c.Skipf("no memory cgroup can be made here: %v", err)
	}
	c.Cleanup(func() { _ = os.Remove(group) }) // by then nothing is in it
	c.must(os.WriteFile(filepath.Join(group, limit), []byte(strconv.Itoa(memoryLimit)), 0))
	c.trouble.group = filepath.Join(group, "cgroup.procs")
}

// outOfMemory fills the brain's group until the kernel ends the brain, which is
// made the first that it chooses.
func outOfMemory(c *campaign) {
	c.Helper()
	pid := c.brain()
	c.must(os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0))
	// Not in real time, as we are, and on any processor.
	hog := exec.Command("taskset", "-c", fmt.Sprintf("0-%d", runtime.NumCPU()-1), "chrt", "--other", "0", os.Args[0])
	hog.Env = append(os.Environ(), envBrain+"=hog", envGroup+"="+c.trouble.group)
	end, err := startLoad(hog)
	c.must(err)
	defer end()
	begin := link.Now()
	c.until("the kernel ends the brain", func() bool { return gone(pid) })
	end()
	c.safe(begin)
}

// gone says whether a process has ended, reaped or not.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	after := text[bytes.LastIndexByte(text, ')')+1:]
	return strings.HasPrefix(string(after), " Z") || strings.HasPrefix(string(after), " X")
}

// runHog takes memory in a cgroup until it is ended.
func runHog() error {
	if err := os.WriteFile(os.Getenv(envGroup), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return err
	}
	b, err := unix.Mmap(-1, 0, 4*memoryLimit, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	select {} // until it is ended
}

// garbage writes random words all over the shared memory that the brain may write,
// through its own descriptor, and then ends the brain: the next one has to work with what is left.
func garbage(c *campaign) {
	c.Helper()
	pid := c.brain()
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", pid, link.MemoryFD), os.O_RDWR, 0)
	c.must(err)
	defer f.Close()
	info, err := f.Stat()
	c.must(err)
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	c.must(err)
	defer unix.Munmap(m)
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&m[0])), len(m)/8)
	random := rand.New(rand.NewPCG(2, c.random.Uint64()))
	begin := link.Now()
	for link.Now()-begin < 200*time.Millisecond {
		for range 1000 {
			words[random.IntN(len(words))] = random.Uint64()
		}
		time.Sleep(100 * time.Microsecond)
	}
	for i := range words { // and once all of it
		words[i] = random.Uint64()
	}
	c.signal(unix.SIGKILL)
	c.safe(begin)
}

// smallDisk puts the data folder on a file system of its own: as large as a
// recording wants and half as much again.
func smallDisk(c *campaign) {
	c.Helper()
	if err := unix.Mount("dancer-faults", c.data, "tmpfs", 0, "size=128m"); err != nil {
		c.Skipf("no file system can be mounted here: %v", err)
	}
	c.Cleanup(func() { _ = unix.Unmount(c.data, unix.MNT_DETACH) })
}

// fillDisk takes the last byte of the data folder's disk. A reflex latches, the
// brain is killed, and comes back, all on the full disk.
func fillDisk(c *campaign) {
	c.Helper()
	ballast := filepath.Join(c.data, "ballast")
	c.must(takeAll(ballast))
	moving := link.Now()
	time.Sleep(200 * time.Millisecond)
	c.goesOn(moving)
	c.distance(0.1)
	c.until("the output is safe", func() bool { return c.driver.last().value == 0 })
	c.until("the latch is stored in the room that was kept for it", func() bool {
		text, _ := os.ReadFile(filepath.Join(c.data, LatchFile))
		return bytes.Contains(text, []byte(`"lost"`))
	})
	c.signal(unix.SIGKILL)
	c.until("the brain is gone", func() bool { return !c.status("lease=live") })
	c.until("a brain decides on the full disk", func() bool { return c.status("lease=live") })
	c.until("it says that nothing is recorded", func() bool { return c.mqtt.heard(moving, c.trouble.mqtt) })
	c.must(os.Remove(ballast))
	c.until("it records again", func() bool { return c.log.heard(moving, []string{"recording goes on"}) })
	c.distance(2)
	c.clear()
}

// takeAll makes a file of all room that a disk has.
func takeAll(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	for size := len(b); size > 0; {
		switch _, err := f.Write(b[:size]); {
		case errors.Is(err, unix.ENOSPC):
			size /= 2
		case err != nil:
			return err
		}
	}
	return nil
}

// clear is the operator who clears what has latched.
func (c *campaign) clear() {
	c.Helper()
	c.until("the latch is cleared", func() bool { return strings.HasPrefix(c.control("clear tester"), "ok") })
}

// noDescriptors takes every free descriptor from the brain, and then from the
// spine, whose brain dies meanwhile.
func noDescriptors(c *campaign) {
	c.Helper()
	brain, spine := c.brain(), c.subject.Process.Pid
	var before unix.Rlimit
	c.must(unix.Prlimit(brain, unix.RLIMIT_NOFILE, nil, &before))
	none := unix.Rlimit{Cur: 3, Max: before.Max}
	c.must(unix.Prlimit(brain, unix.RLIMIT_NOFILE, &none, nil))
	begin := link.Now()
	ctx, stop := context.WithTimeout(context.Background(), patient)
	defer stop()
	page := make(chan error, 1)
	go func() { page <- get(ctx, "http://"+c.listen+"/api/v1/status") }()
	time.Sleep(200 * time.Millisecond)
	c.goesOn(begin)
	c.must(unix.Prlimit(brain, unix.RLIMIT_NOFILE, &before, nil))
	if err := <-page; err != nil {
		c.Errorf("the page does not come back: %v", err)
	}
	c.must(unix.Prlimit(spine, unix.RLIMIT_NOFILE, nil, &before))
	none.Max = before.Max
	c.must(unix.Prlimit(spine, unix.RLIMIT_NOFILE, &none, nil))
	c.moving() // should it have stopped meanwhile
	killed := c.signal(unix.SIGKILL)
	c.safe(killed)
	c.until("the spine cannot start a brain", func() bool { return c.log.heard(killed, c.trouble.log) })
	time.Sleep(500 * time.Millisecond) // it tries ten times
	c.must(unix.Prlimit(spine, unix.RLIMIT_NOFILE, &before, nil))
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// unplug hangs the serial port up, which the reflex takes for a distance of
// nothing, and plugs another one in.
func unplug(c *campaign) {
	c.Helper()
	c.must(c.slave.Close())
	var err error
	at, _, failed := c.driver.with(func() { err = c.master.Close() })
	c.must(failed)
	c.must(err)
	c.until("the output is safe", func() bool { return c.driver.last().value == 0 })
	c.result.worstSafe = max(c.result.worstSafe, c.driver.last().at-at)
	c.plug()
	c.until("the port is back", func() bool { return c.log.heard(at, []string{"port", "state=back"}) })
	c.distance(2)
	c.until("the reflex has ended", func() bool { return c.status("reflexes=-") || c.status("reflexes=edge") })
	c.staysSafe(at)
	c.clear()
}

// Flood of edges.
const (
	floodEdges = 1_000_000
	floodBatch = 400 // edges that are written at once: less than what a pipe takes whole
)

// flood sends a million edges within a second into one port. What the line does
// not take is lost on the line and counted here; what it takes has to arrive.
func flood(c *campaign) {
	c.Helper()
	robot, problems := config.Load(filepath.Join(c.folder, "robot.yaml"), config.Options{})
	c.must(problems.Err())
	mine, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", c.brain(), link.MemoryFD), os.O_RDWR, 0)
	c.must(err)
	spines, err := os.Open(fmt.Sprintf("/proc/%d/fd/%d", c.brain(), link.SpineFD))
	c.must(err)
	segment, err := link.Attach([2]*os.File{mine, spines}, Layout(robot))
	c.must(err)
	defer segment.Close()
	port := robotPort(robot, "flood")
	frames := func() uint64 { p, _ := segment.LoadPort(port); return p.Frames }
	before, moving := frames(), link.Now()
	taken, took := pour(c)
	c.until("every edge that the line took has arrived", func() bool { return frames()-before >= uint64(taken) })
	drained := link.Now() - moving
	if got := frames() - before; got != uint64(taken) {
		c.Errorf("%d edges arrived, the line took %d", got, taken)
	}
	c.stoppedInFlood(moving)
	c.result.note = fmt.Sprintf("last: %d of %d edges taken in %v, all of them evaluated after %v; the lease ended in %d rounds, and in %d the brain commanded a stop",
		taken, floodEdges, took.Round(time.Millisecond), drained.Round(time.Millisecond), c.result.stopped, c.result.stood)
	time.Sleep(floodQuiet) // so that the next one is told
}

// stoppedInFlood: a brain with too little time. Its lease ends, and the robot stops and
// stays safe; or it commands a stop itself, which renews the lease, while it cannot forecast
// enough to be sure, and goes on when it can.
func (c *campaign) stoppedInFlood(from time.Duration) {
	c.Helper()
	commanded := false
	for _, v := range c.driver.since(from) {
		if v.value == 0 && v.lease < v.at {
			c.result.stopped++
			c.safe(from)
			c.staysSafe(from)
			return
		}
		commanded = true
	}
	if commanded {
		c.result.stood++
	}
}

func robotPort(r *config.Robot, name string) int {
	for i := range r.Ports {
		if r.Ports[i].Name == name {
			return i
		}
	}
	return -1
}

// pour offers the edges, evenly over a second.
func pour(c *campaign) (taken int, took time.Duration) {
	c.Helper()
	batch := bytes.Repeat([]byte("{\"y\":1}\n{\"y\":0}\n"), floodBatch/2)
	raw, err := c.flood[0].SyscallConn()
	c.must(err)
	begin := link.Now()
	for sent := 0; sent < floodEdges; sent += floodBatch {
		if early := begin + time.Duration(sent)*time.Second/floodEdges - link.Now(); early > 100*time.Microsecond {
			time.Sleep(early)
		}
		var wrote error
		c.must(raw.Write(func(fd uintptr) bool { _, wrote = unix.Write(int(fd), batch); return true }))
		switch wrote {
		case nil:
			taken += floodBatch
		case syscall.EAGAIN: // lost on the line
		default:
			c.Fatal(wrote)
		}
	}
	return taken, link.Now() - begin
}
