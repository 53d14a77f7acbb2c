package watchdog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// card is a watchdog as drivers/watchdog/watchdog_dev.c of the kernel shows it to
// a process.
type card struct {
	options  uint32
	boot     int
	timeout  int // in force, s
	round    func(int) int
	left     int // -1: the driver cannot tell
	pre      int
	nowayout bool

	openWith, setWith, feedWith, writeWith error

	open, armed, release bool
	feeds                int
}

func newCard() *card {
	return &card{
		options: unix.WDIOF_SETTIMEOUT | unix.WDIOF_MAGICCLOSE | unix.WDIOF_KEEPALIVEPING,
		timeout: 60, left: 7,
	}
}

func (c *card) noWayOut(string) bool { return c.nowayout }

func (c *card) openFile(string) (file, error) {
	if c.openWith != nil {
		return nil, c.openWith
	}
	if c.open {
		return nil, unix.EBUSY
	}
	c.open, c.armed, c.release = true, true, false
	return c, nil
}

func (c *card) support() (*unix.WatchdogInfo, error) {
	info := &unix.WatchdogInfo{Options: c.options}
	copy(info.Identity[:], "test card")
	return info, nil
}

func (c *card) get(request uint) (int, error) {
	switch request {
	case unix.WDIOC_GETBOOTSTATUS:
		return c.boot, nil
	case unix.WDIOC_GETTIMEOUT:
		return c.timeout, nil
	case unix.WDIOC_GETPRETIMEOUT:
		return c.pre, nil
	case unix.WDIOC_GETTIMELEFT:
		if c.left >= 0 {
			return c.left, nil
		}
		return 0, unix.EOPNOTSUPP
	}
	return 0, unix.ENOTTY
}

func (c *card) set(request uint, value int) error {
	switch {
	case c.setWith != nil:
		return c.setWith
	case request == unix.WDIOC_SETPRETIMEOUT && value < c.timeout:
		c.pre = value
		return nil
	case request == unix.WDIOC_SETTIMEOUT && c.round != nil:
		c.timeout = c.round(value)
		return nil
	case request == unix.WDIOC_SETTIMEOUT:
		c.timeout = value
		return nil
	}
	return unix.EINVAL
}

func (c *card) keepAlive() error {
	if c.options&unix.WDIOF_KEEPALIVEPING == 0 {
		return unix.EOPNOTSUPP
	}
	if c.feedWith == nil {
		c.feeds++
	}
	return c.feedWith
}

func (c *card) write(b []byte) error {
	if c.writeWith != nil {
		return c.writeWith
	}
	c.release = c.options&unix.WDIOF_MAGICCLOSE != 0 && !c.nowayout && strings.Contains(string(b), "V")
	c.feeds++
	return nil
}

func (c *card) close() error {
	if c.release || c.options&unix.WDIOF_MAGICCLOSE == 0 && !c.nowayout {
		c.armed = false
	}
	c.open = false
	return nil
}

// cards is the machine with one card.
type cards struct{ *card }

func (c cards) open(path string) (file, error) { return c.openFile(path) }

var usual = Config{Device: "/dev/watchdog0", Timeout: 10 * time.Second}

func TestArmFeedDisarm(t *testing.T) {
	c := newCard()
	d, err := open(usual, cards{c})
	if err != nil {
		t.Fatal(err)
	}
	want := Facts{Device: "/dev/watchdog0", Identity: "test card", Timeout: 10 * time.Second, Left: 7 * time.Second, Magic: true}
	if got := d.Facts(); got != want {
		t.Errorf("facts %+v, want %+v", got, want)
	}
	if !c.armed || c.feeds != 1 {
		t.Errorf("armed %v, fed %d times by opening", c.armed, c.feeds)
	}
	if n := testing.AllocsPerRun(10, func() { _ = d.Feed() }); n != 0 {
		t.Errorf("feeding allocates %v times", n)
	}
	if c.feeds != 12 {
		t.Errorf("fed %d times", c.feeds)
	}
	if err := d.Disarm(); err != nil || c.armed || c.open {
		t.Errorf("after the magic close: %v, armed %v, open %v", err, c.armed, c.open)
	}
}

// TestDeathLeavesItRunning: a close without the magic character must reset the
// machine, with a feed by writing as well.
func TestDeathLeavesItRunning(t *testing.T) {
	for _, options := range []uint32{
		unix.WDIOF_SETTIMEOUT | unix.WDIOF_MAGICCLOSE | unix.WDIOF_KEEPALIVEPING,
		unix.WDIOF_SETTIMEOUT | unix.WDIOF_MAGICCLOSE,
	} {
		c := newCard()
		c.options = options
		d, err := open(usual, cards{c})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Feed(); err != nil || c.feeds != 2 {
			t.Errorf("options %#x: %v, fed %d times", options, err, c.feeds)
		}
		if err := d.Abandon(); err != nil || !c.armed {
			t.Errorf("options %#x: %v, armed %v after an abandoned close", options, err, c.armed)
		}
		again, err := open(usual, cards{c}) // the program that was started anew takes it over
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Disarm(); err != nil || c.armed {
			t.Errorf("options %#x: %v, armed %v", options, err, c.armed)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		is      func(*card)
		config  Config
		want    error
		message string
		armed   bool
	}{
		{"busy", func(c *card) { c.openWith = unix.EBUSY }, usual, ErrBusy, "RuntimeWatchdogSec", false},
		{"none", func(c *card) { c.openWith = unix.ENOENT }, usual, unix.ENOENT, "no such watchdog", false},
		{"forbidden", func(c *card) { c.openWith = unix.EACCES }, usual, unix.EACCES, "dancer-watchdog", false},
		{"too short", func(*card) {}, Config{Timeout: time.Second}, ErrTimeout, "not within 2s", false},
		{"too long", func(*card) {}, Config{Timeout: time.Hour}, ErrTimeout, "10m0s", false},
		{"refused by the driver", func(c *card) { c.setWith = unix.EINVAL }, usual, ErrTimeout, "10 s", false},
		{"rounded up", func(c *card) { c.round = func(s int) int { return s + 6 } }, usual, ErrTimeout, "write timeout: 16s", false},
		{"rounded to one", func(c *card) { c.round = func(int) int { return 1 } }, usual, ErrTimeout, "it made 1s of 10 s", false},
		{"fixed and longer", func(c *card) { c.options &^= unix.WDIOF_SETTIMEOUT }, usual, ErrTimeout, "write timeout: 60s", false},
		{"no pretimeout", func(*card) {}, Config{Timeout: 10 * time.Second, Pretimeout: 2 * time.Second}, ErrPretimeout, "take pretimeout out", false},
		{"pretimeout too long", func(c *card) { c.options |= unix.WDIOF_PRETIMEOUT }, Config{Timeout: 10 * time.Second, Pretimeout: 11 * time.Second}, ErrPretimeout, "11 s", false},
		{"cannot be fed", func(c *card) { c.feedWith = unix.EIO }, usual, unix.EIO, "feed watchdog", false},
		{"cannot be turned off either", func(c *card) { c.feedWith, c.writeWith = unix.EIO, unix.EIO }, usual, unix.EIO, "turn watchdog /dev/watchdog0 off", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			card := newCard()
			c.is(card)
			c.config.Device = usual.Device
			d, err := open(c.config, cards{card})
			if d != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.message)
			}
			if card.open || card.armed != c.armed {
				t.Errorf("left open %v, armed %v", card.open, card.armed)
			}
		})
	}
}

func TestOpenTakesWhatTheDriverMakesOfIt(t *testing.T) {
	c := newCard()
	c.round = func(s int) int { return s - s%8 }
	c.options |= unix.WDIOF_PRETIMEOUT | unix.WDIOF_ALARMONLY
	c.boot, c.left, c.nowayout = unix.WDIOF_CARDRESET|unix.WDIOF_OVERHEAT, -1, true
	d, err := open(Config{Device: "/dev/watchdog0", Timeout: 10500 * time.Millisecond, Pretimeout: 2 * time.Second}, cards{c})
	if err != nil {
		t.Fatal(err)
	}
	f := d.Facts()
	if f.Timeout != 8*time.Second || f.Pretimeout != 2*time.Second || f.Left != 0 || !f.Reset || !f.NoWayOut || f.BootStatus != 0x21 {
		t.Errorf("facts %+v", f)
	}
	if w := f.Warnings(); len(w) != 2 || !strings.Contains(w[0], "alarm") || !strings.Contains(w[1], "nowayout") {
		t.Errorf("warnings %q", w)
	}
	if _, err := d.TimeLeft(); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("time left: %v", err)
	}
	if err := d.Disarm(); err != nil || !c.armed {
		t.Errorf("disarm: %v, armed %v: nowayout keeps it running", err, c.armed)
	}
}

func TestFailedFeedIsTold(t *testing.T) {
	c := newCard()
	d, err := open(usual, cards{c})
	if err != nil {
		t.Fatal(err)
	}
	c.feedWith = unix.ENODEV
	if err := d.Feed(); !errors.Is(err, unix.ENODEV) || err.Error() != "feed watchdog /dev/watchdog0: no such device" {
		t.Errorf("error %v", err)
	}
	c.options = 0
	if w := (&Facts{}).Warnings(); len(w) != 1 || !strings.Contains(w[0], "not a death") {
		t.Errorf("warnings %q", w)
	}
}

// TestNoDevice opens what is not there through the real kernel.
func TestNoDevice(t *testing.T) {
	if _, err := Open(Config{Device: t.TempDir() + "/watchdog0", Timeout: 10 * time.Second}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v", err)
	}
	if _, err := Open(Config{Device: "/dev/null", Timeout: 10 * time.Second}); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("a device that is no watchdog: %v", err)
	}
}
