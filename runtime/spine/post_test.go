package spine

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/link"
)

// postedRobot is simRobot with signals that are posted.
const postedRobot = `
robot: test-bot
board: sim
manual: manual.yaml
signals:
  range:  {from: post, unit: m, range: [0, 8], stale_after: 5s}
  bumper: {from: post, range: [0, 1], stale_after: 5s}
  soft:   {range: [0, 1], stale_after: 5s, start: 0}
outputs:
  drive: {pin: GPIO18, pwm: 1kHz, safe: 0}
  brake: {pin: GPIO23, pwm: 1kHz, safe: 1}
`

// postedManual is testManual, in which nothing that stops the robot rests on a post.
var postedManual = strings.Replace(testManual, "latch: operator, stop: 0", "stop: 2", 1)

// postRig is a post socket with a clock of its own.
type postRig struct {
	t      *testing.T
	socket *postSocket
	peer   net.Conn
	now    time.Duration
	got    []string
}

func newPostRig(t *testing.T) *postRig {
	g := &postRig{t: t, now: time.Hour}
	folder, err := os.MkdirTemp("", "dancer-post-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if g.socket, err = listenPost(folder, loadRobot(t, postedRobot, postedManual), func() time.Duration { return g.now }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.socket.Close() })
	if g.peer, err = net.Dial("unixgram", filepath.Join(folder, PostSocket)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.peer.Close() })
	return g
}

func (g *postRig) send(text string) {
	g.t.Helper()
	if _, err := g.peer.Write([]byte(text)); err != nil {
		g.t.Fatal(err)
	}
}

func (g *postRig) report(at time.Duration, readings []hal.Reading) {
	var words []string
	for _, r := range readings {
		words = append(words, fmt.Sprintf("%d=%v", r.Signal, r.Value))
	}
	g.got = append(g.got, strings.Join(words, " "))
}

func (g *postRig) read() []string {
	g.t.Helper()
	g.got = nil
	if err := g.socket.Read(g.report); err != nil {
		g.t.Fatal(err)
	}
	return g.got
}

func TestPosts(t *testing.T) {
	g := newPostRig(t)
	for _, c := range []struct {
		text, want string
		frames     uint64
		errors     uint64
	}{
		{`{"range": 1.5}`, "0=1.5", 1, 0},
		{`{"range": 2, "bumper": true}` + "\n", "0=2 1=1", 1, 0},
		{`{"range": "far"}`, "0=NaN", 1, 0},
		{`{"soft": 1}`, "", 0, 1}, // not from: post
		{`{"range": 1`, "", 0, 1},
		{`range=1`, "", 0, 1},
		{"", "", 0, 1},
		{`{"range": 1, "more": "` + strings.Repeat("x", postLine) + `"}`, "", 0, 1},
	} {
		before := g.socket.Counters()
		g.send(c.text)
		got, after := strings.Join(g.read(), "; "), g.socket.Counters()
		if got != c.want || after.Frames-before.Frames != c.frames || after.Errors-before.Errors < c.errors || c.errors == 0 && after.Errors != before.Errors {
			t.Errorf("%.40s: got %q, want %q; counters %+v", c.text, got, c.want, after)
		}
	}
	// Half an object never joins with the next datagram.
	g.send(`{"range": 3, "bum`)
	g.send(`per": 1}`)
	if got := g.read(); len(got) != 0 {
		t.Errorf("two halves are %q", got)
	}
}

func TestPostsAreLimited(t *testing.T) {
	g := newPostRig(t)
	most := postRate / int(time.Second/postWindow)
	taken := 0
	for range 3 * most {
		g.send(`{"range": 1}`)
		taken += len(g.read())
	}
	if taken != most || g.socket.Counters().Dropped != uint64(2*most) {
		t.Errorf("%d taken of %d, counters %+v", taken, 3*most, g.socket.Counters())
	}
	g.now += postWindow
	g.send(`{"range": 1}`)
	if len(g.read()) != 1 {
		t.Error("nothing is taken in the next window")
	}
}

func TestPostAllocatesNothing(t *testing.T) {
	g := newPostRig(t)
	text := []byte(`{"range": 1.5, "bumper": 0}`)
	report := func(time.Duration, []hal.Reading) {}
	if n := testing.AllocsPerRun(100, func() {
		g.now += postWindow
		_, _ = g.peer.Write(text)
		_ = g.socket.Read(report)
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// What the brain has from the network is taken for signals of that origin alone, from
// the brain that runs, and as old as it is.
func TestAdviceIsBounded(t *testing.T) {
	b := newBench(t, loadRobot(t, postedRobot, postedManual))
	b.brainStarted(b.now, 2)
	give := func(signal int32, value float64, age time.Duration, generation uint64) (taken bool) {
		before := b.status.Discarded
		b.advise(b.now, &link.Reading{Signal: signal, Value: value, Epoch: generation << 32, At: b.now - age})
		b.frame(b.now, b.now, 0)
		return b.status.Discarded == before
	}
	if !give(sigRange, 4, 10*time.Millisecond, 2) || b.table.Raw(sigRange) != 4 || b.table.At(sigRange) != b.now-10*time.Millisecond {
		t.Fatalf("a reading: %v at %v", b.table.Raw(sigRange), b.now-b.table.At(sigRange))
	}
	for _, c := range []struct {
		what       string
		signal     int32
		age        time.Duration
		generation uint64
	}{
		{"of a signal of the hardware", sigSoft, 0, 2},
		{"of an output", 3, 0, 2},
		{"of no signal", -1, 0, 2},
		{"far outside", 1 << 30, 0, 2},
		{"of the brain before", sigRange, 0, 1},
		{"old", sigRange, oldestAdvice + 1, 2},
		{"of the future", sigRange, -oldestAdvice - 1, 2},
	} {
		if give(c.signal, 0.1, c.age, c.generation) || b.table.Raw(sigRange) != 4 {
			t.Errorf("%s: taken", c.what)
		}
	}
	if !give(sigRange, 5, -time.Millisecond, 2) || b.table.At(sigRange) != b.now {
		t.Errorf("a clock that is a little ahead: at %v from now", b.table.At(sigRange)-b.now)
	}
	if !give(sigRange, 99, 0, 2) || b.table.Validity(sigRange) != hal.OutOfRange {
		t.Errorf("out of range is %v", b.table.Validity(sigRange))
	}
	give(sigRange, 5, 0, 2)
	b.brainGone(b.now)
	if give(sigRange, 4, 0, 2) {
		t.Error("a brain that ended gives readings")
	}
	b.pass(5 * time.Second)
	if b.table.Validity(sigRange) != hal.Stale {
		t.Errorf("after stale_after it is %v", b.table.Validity(sigRange))
	}
}

// However many readings there are, a window takes a few, and an operator's request is
// not behind them.
func TestAdviceIsLimited(t *testing.T) {
	r := loadRobot(t, postedRobot, postedManual)
	b := newBench(t, r)
	b.brainStarted(b.now, 1)
	l := &loop{core: b.core}
	for range link.ReadingCapacity {
		if !b.brain.PostReading(link.Reading{Signal: sigRange, Value: 1, Epoch: 1 << 32, At: b.now}) {
			t.Fatal("the ring is full too soon")
		}
	}
	if b.brain.PostReading(link.Reading{}) || b.brain.ReadingsLost() != 1 {
		t.Error("a full ring takes more")
	}
	if !l.takeAdvice(b.now) || l.advice != adviceLimit {
		t.Errorf("%d taken at once, want %d", l.advice, adviceLimit)
	}
	l.advice = 0
	if n := testing.AllocsPerRun(1, func() { l.takeAdvice(b.now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who opens the hardware only to make the outputs safe takes no readings, and leaves no
// socket where it happens to stand.
func TestLeavingSafeListensToNobody(t *testing.T) {
	t.Chdir(t.TempDir())
	h, err := openHardware(loadRobot(t, postedRobot, postedManual), &Config{}, defaultOpeners())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if files, err := os.ReadDir("."); len(h.feeds) != 0 || len(files) != 0 || err != nil {
		t.Errorf("%d feeds, files %v, %v", len(h.feeds), files, err)
	}
}
