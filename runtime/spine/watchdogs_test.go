package spine

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal/watchdog"
	"dancer/runtime/config"
)

// fakeDog is a hardware watchdog that counts.
type fakeDog struct {
	mutex    sync.Mutex
	timeout  time.Duration
	fed      int
	times    []time.Time
	fails    error
	disarmed int
	left     int
}

func (d *fakeDog) Facts() watchdog.Facts {
	return watchdog.Facts{Device: "/dev/watchdog0", Identity: "fake", Timeout: d.timeout, Magic: true}
}

func (d *fakeDog) Feed() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.fails == nil {
		d.fed++
		d.times = append(d.times, time.Now())
	}
	return d.fails
}

func (d *fakeDog) Disarm() error  { d.mutex.Lock(); defer d.mutex.Unlock(); d.disarmed++; return nil }
func (d *fakeDog) Abandon() error { d.mutex.Lock(); defer d.mutex.Unlock(); d.left++; return nil }

func (d *fakeDog) feeds() int { d.mutex.Lock(); defer d.mutex.Unlock(); return d.fed }

func (d *fakeDog) ends() (disarmed, left int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.disarmed, d.left
}

// watched gives a rig a hardware watchdog.
func (g *rig) watched(timeout time.Duration) *fakeDog {
	d := &fakeDog{timeout: timeout}
	g.robot.Watchdog = config.Watchdog{Device: "/dev/watchdog0", Timeout: timeout}
	g.cfg.hardwareWatchdog = func(c watchdog.Config) (hardwareDog, error) {
		if c != (watchdog.Config{Device: "/dev/watchdog0", Timeout: timeout}) {
			g.t.Errorf("armed with %+v", c)
		}
		return d, nil
	}
	return d
}

// manager is the service manager's end of the socket.
type manager struct {
	t        *testing.T
	socket   *net.UnixConn
	mutex    sync.Mutex
	messages []string
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	m := &manager{t: t, socket: socket}
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			m.mutex.Lock()
			m.messages = append(m.messages, string(b[:n]))
			m.mutex.Unlock()
		}
	}()
	return m
}

// heard counts the messages that hold a line.
func (m *manager) heard(line string) int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	n := 0
	for _, message := range m.messages {
		for text := range strings.Lines(message) {
			if strings.TrimSuffix(text, "\n") == line {
				n++
			}
		}
	}
	return n
}

func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dancer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestServiceManagerHears(t *testing.T) {
	for _, name := range []string{filepath.Join(shortFolder(t), "notify"), "@dancer-test-" + strconv.Itoa(os.Getpid())} {
		m := newManager(t, name)
		g := newRig(t, "steady")
		g.cfg.Notify = Notify{Socket: name, Watchdog: 200 * time.Millisecond}
		g.run()
		g.until("READY=1", func() bool { return m.heard("READY=1") == 1 })
		g.until("a beat", func() bool { return m.heard("WATCHDOG=1") > 2 })
		g.moving()
		g.until("the state", func() bool { return m.heard("STATUS=running: operator; lease live") > 0 })
		g.sense(`{"range": 2, "bumper": 1, "soft": 0}`)
		g.until("the latch", func() bool { return m.heard("STATUS=running: operator; lease live; 1 latch") > 0 })
		g.signal(g.pid(1), unix.SIGKILL)
		g.until("why it stopped", func() bool {
			return m.heard("STATUS=safe: the brain ended; lease expired: the brain ended; 1 latch") > 0
		})
		g.end()
		if n := m.heard("READY=1"); n != 1 {
			t.Errorf("READY=1 %d times", n)
		}
		g.until("STOPPING=1", func() bool { return m.heard("STOPPING=1") == 1 })
		if g.err != nil {
			t.Error(g.err)
		}
	}
}

// TestIdleLoopBeats has no reading, no brain and no deadline but the heart's.
func TestIdleLoopBeats(t *testing.T) {
	g := newRig(t, "")
	d := g.watched(2 * time.Second)
	g.sense("")
	g.run()
	g.until("it is fed", func() bool { return d.feeds() >= 4 })
	g.end()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for i := range d.times[1:] {
		if pause := d.times[i+1].Sub(d.times[i]); pause < d.timeout/earlyPart-time.Millisecond {
			t.Errorf("fed again after %v", pause)
		}
	}
	if d.disarmed != 1 || d.left != 0 || g.err != nil {
		t.Errorf("orderly end: turned off %d times, left running %d, error %v", d.disarmed, d.left, g.err)
	}
}

func TestUnsafeEndsLeaveTheWatchdogRunning(t *testing.T) {
	for name, spoil := range map[string]func(*rig, *brokenStream){
		"panic": func(_ *rig, s *brokenStream) { s.now.Store(true) },
		"lost port": func(g *rig, _ *brokenStream) {
			g.mutex.Lock()
			g.master.Close()
			g.mutex.Unlock()
			g.until("port gone", func() bool { return strings.Contains(g.log.String(), "state=gone") })
			g.stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, "")
			d := g.watched(2 * time.Second)
			broken := g.breakable()
			g.run()
			g.until("it is fed", func() bool { return d.feeds() > 0 })
			spoil(g, *broken)
			<-g.ended
			if disarmed, left := d.ends(); disarmed != 0 || left != 1 || g.err == nil {
				t.Errorf("turned off %d times, left running %d, error %v", disarmed, left, g.err)
			}
			if !strings.Contains(g.log.String(), "left running") {
				t.Errorf("the log does not say so:\n%s", g.log.String())
			}
		})
	}
}

// TestFailingFeedEndsSafe: a machine that is about to reset has to be safe before.
func TestFailingFeedEndsSafe(t *testing.T) {
	g := newRig(t, "steady")
	d := g.watched(2 * time.Second)
	g.run()
	g.moving()
	d.mutex.Lock()
	d.fails = unix.EIO
	d.mutex.Unlock()
	<-g.ended
	if !errors.Is(g.err, unix.EIO) {
		t.Errorf("error %v", g.err)
	}
	g.drives("0", "1")
	if disarmed, left := d.ends(); disarmed != 0 || left != 1 {
		t.Errorf("turned off %d times, left running %d", disarmed, left)
	}
}

// TestDamagedRulesAreNotProved: a loop that wakes and decides on damaged state is
// not fed for.
func TestDamagedRulesAreNotProved(t *testing.T) {
	b := newBench(t, loadRobot(t, simRobot, testManual))
	b.calm()
	h, err := newHeart()
	if err != nil {
		t.Fatal(err)
	}
	defer h.wake.Close()
	l := &loop{core: b.core, heart: h}
	l.beat(b.now)
	if h.beats.Load() != 0 {
		t.Error("a beat that nobody wants")
	}
	const period = 100 * time.Millisecond
	h.start(b.now, period)
	for range 1000 { // a loop that spins
		l.beat(b.now)
	}
	if n := h.beats.Load(); n != 1 {
		t.Errorf("%d beats in one period", n)
	}
	if n := testing.AllocsPerRun(10, func() { b.now += period; l.beat(b.now) }); n != 0 {
		t.Errorf("a beat allocates %v times", n)
	}
	before := h.beats.Load()
	b.slots[sigRange] = 0.1 // as the rules have never seen it
	b.now += period
	l.beat(b.now)
	if h.beats.Load() != before || h.flaws.Load() != 1 {
		t.Errorf("%d beats and %d flaws over damaged slots", h.beats.Load()-before, h.flaws.Load())
	}
}

func TestWindowOfAWatchdog(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name            string
		w               watch
		now, beat       time.Duration
		open            bool
		early, tooStale uint64
	}{
		{"nobody watches", watch{}, 10 * s, 10 * s, false, 0, 0},
		{"first", watch{timeout: 8 * s}, 1 * s, 1 * s, true, 0, 0},
		{"too soon", watch{timeout: 8 * s, last: 10 * s, fed: 1}, 10*s + 999*time.Millisecond, 10 * s, false, 1, 0},
		{"soon enough", watch{timeout: 8 * s, last: 10 * s, fed: 1}, 11 * s, 11 * s, true, 0, 0},
		{"old beat", watch{timeout: 8 * s, last: 10 * s, fed: 1}, 16 * s, 12*s - 1, false, 0, 1},
		{"just in time", watch{timeout: 8 * s, last: 10 * s, fed: 1}, 16 * s, 12 * s, true, 0, 0},
	} {
		if got := c.w.open(c.now, c.beat); got != c.open || c.w.early != c.early || c.w.stale != c.tooStale {
			t.Errorf("%s: open %v early %d stale %d", c.name, got, c.w.early, c.w.stale)
		}
	}
}

// TestFeederSaysNothingByItself: without a new beat there is no feed, however
// often it is woken, and none for a beat that was too long under way.
func TestFeederSaysNothingByItself(t *testing.T) {
	name := filepath.Join(shortFolder(t), "notify")
	m := newManager(t, name)
	h, err := newHeart()
	if err != nil {
		t.Fatal(err)
	}
	defer h.wake.Close()
	now := time.Hour
	d := &fakeDog{timeout: 8 * time.Second}
	var log lockedBuffer
	f := newFeeder(h, func() time.Duration { return now }, func() int { return 0 }, textLog(&log))
	if err := f.watchService(Notify{Socket: name, Watchdog: 8 * time.Second}); err != nil {
		t.Fatal(err)
	}
	f.watchHardware(d)
	work := func() {
		if err := f.work(now); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		now += time.Second
		work()
	}
	h.beats.Add(1)
	h.at.Store(int64(now - 5*time.Second))
	work()
	if d.feeds() != 0 || m.heard("WATCHDOG=1") != 0 {
		t.Errorf("fed %d times without a beat", d.feeds())
	}
	if n := testing.AllocsPerRun(20, func() {
		now += 2 * time.Second
		h.at.Store(int64(now))
		h.beats.Add(1)
		h.vitals.Store(uint64(now/time.Second) & 1)
		if f.work(now) != nil {
			t.Error("not fed")
		}
	}); n > 1 { // the fake's own list of times
		t.Errorf("%v allocations", n)
	}
	if d.feeds() != 21 {
		t.Errorf("fed %d times", d.feeds())
	}
	h.flaws.Add(1)
	work()
	if !strings.Contains(log.String(), "rules' state is damaged") {
		t.Errorf("log %s", log.String())
	}
	if err := f.close(true); err != nil {
		t.Error(err)
	}
}

func TestNotifyFromEnvironment(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		socket, usec, pid string
		want              Notify
		fails             bool
	}{
		{"", "1000000", me, Notify{}, false},
		{"/run/systemd/notify", "", "", Notify{Socket: "/run/systemd/notify"}, false},
		{"@abstract", "1500000", me, Notify{Socket: "@abstract", Watchdog: 1500 * time.Millisecond}, false},
		{"@abstract", "1500000", "", Notify{Socket: "@abstract", Watchdog: 1500 * time.Millisecond}, false},
		{"@abstract", "1500000", "1", Notify{Socket: "@abstract"}, false},
		{"@abstract", "soon", me, Notify{Socket: "@abstract"}, true},
		{"@abstract", "-5", me, Notify{Socket: "@abstract"}, true},
		{"relative", "1500000", me, Notify{}, true},
		{"vsock:2:1234", "1500000", me, Notify{}, true},
		{"/" + strings.Repeat("x", 200), "", "", Notify{}, true},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		got, err := NotifyFromEnvironment()
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%q %q %q: %+v, %v", c.socket, c.usec, c.pid, got, err)
		}
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			if _, is := os.LookupEnv(name); is {
				t.Errorf("%s is left for the brain", name)
			}
		}
	}
}
