package spine

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"dancer/runtime/link"
)

// campaign is one robot to which one fault happens again and again.
type campaign struct {
	*testing.T
	trouble trouble
	rounds  int
	judged  bool // its times are judged: make faults, on an idle machine
	folder  string
	data    string
	listen  string
	link    string // stands for the serial device
	master  *os.File
	slave   *os.File
	flood   [2]*os.File // our ends: edges in, answers out
	subject *exec.Cmd
	ended   <-chan struct{} // the subject has
	place   placement
	gaps    func() [][]gap // times in which a processor ran nothing
	driver  *edgeDriver
	log     *witness
	mqtt    *witness
	random  *rand.Rand
	began   []time.Duration // of each round
	result  result
}

// result is one line of the table.
type result struct {
	rounds              int
	log, mqtt, recorded int           // rounds in which the reason was found there
	reflex              time.Duration // worst of those over reflexWithin, without the machine's part
	undecided           int           // edges: in time if gaps were as long as they can have been
	elsewhere           int           // edges: in time because the other processor was stolen
	worstSafe           time.Duration
	safeRaw             time.Duration // worst time to safe after the lease's own time
	safeLate            time.Duration // the same, corrected
	safes               int
	byItself            int // rounds in which something moved by itself
	stopped             int // rounds of a fault that need not end the lease, in which it did
	stood               int // and in which the brain commanded a stop
	note                string
}

// realProgram is the real program, built once.
var realProgram = sync.OnceValues(func() (string, error) {
	binary, err := filepath.Abs("../../bin/dancer-faults")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=faults", "-o", binary, "../../cmd/dancer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dancer: %w\n%s", err, out)
	}
	return binary, nil
})

func newCampaign(t *testing.T, f trouble, rounds int, judged bool) *campaign {
	t.Helper()
	all := placements()
	c := &campaign{T: t, place: all[len(all)-1], trouble: f, rounds: rounds, judged: judged, log: &witness{}, mqtt: &witness{}, random: rand.New(rand.NewPCG(1, uint64(rounds)))}
	binary, err := realProgram()
	c.must(err)
	// A path of its own: sockets have a limit of 108 bytes.
	c.folder, err = os.MkdirTemp("", "dancer-fault-")
	c.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(c.folder) })
	c.data = filepath.Join(c.folder, "data")
	c.must(os.Mkdir(c.data, 0o700))
	c.link, c.listen = filepath.Join(c.folder, "tty"), freeAddress(t)
	c.plug()
	broker := c.startBroker(binary)
	robot, manual := faultRobot(c.folder, c.link, broker, c.listen)
	path := filepath.Join(c.folder, "robot.yaml")
	c.must(os.WriteFile(path, []byte(robot), 0o600))
	c.must(os.WriteFile(filepath.Join(c.folder, "manual.yaml"), []byte(manual), 0o600))
	if f.prepare != nil {
		f.prepare(c)
	}
	c.startSubject(binary, path)
	if judged {
		c.gaps = startWitnesses(t, buildProbe(t))
	}
	c.sense()
	return c
}

func (c *campaign) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// startBroker starts a conductor, for its broker, and hears what passes.
func (c *campaign) startBroker(binary string) string {
	c.Helper()
	address := freeAddress(c.T)
	path := filepath.Join(c.folder, "conductor.yaml")
	c.must(os.WriteFile(path, []byte("cell: default\nlisten: "+freeAddress(c.T)+"\nbroker_listen: "+address+"\n"), 0o600))
	log := &witness{}
	cmd := exec.Command(binary, "conductor", path, "--data", filepath.Join(c.folder, "conductor"))
	cmd.Stdout, cmd.Stderr = &lineWitness{witness: log}, &lineWitness{witness: log}
	c.begin(cmd)
	var conn net.Conn
	c.until("a broker listens", func() (ok bool) {
		var err error
		conn, err = subscribe(address, c.mqtt)
		return err == nil
	})
	c.Cleanup(func() { conn.Close() })
	return address
}

// begin starts a process that ends with the test, and says when it has ended.
func (c *campaign) begin(cmd *exec.Cmd) (ended <-chan struct{}) {
	c.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // also of a test that is killed
	c.must(cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }() // joined by the cleanup
	c.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	return done
}

func (c *campaign) startSubject(binary, robot string) {
	c.Helper()
	edges, answers, files, err := pipes()
	c.must(err)
	floodEdges, floodAnswers, floodFiles, err := pipes()
	c.must(err)
	c.flood = [2]*os.File{floodEdges, floodAnswers}
	c.subject = exec.Command(os.Args[0])
	c.subject.Env = append(os.Environ(), envBrain+"=campaign", envRobot+"="+robot, envData+"="+c.data, envBinary+"="+binary, envGroup+"="+c.trouble.group)
	if c.trouble.sameUser {
		c.subject.Env = append(c.subject.Env, envSameUser+"=1")
	}
	c.subject.ExtraFiles = append(files[:], floodFiles[:]...)
	c.subject.Stdout, c.subject.Stderr = &lineWitness{witness: c.log}, &lineWitness{witness: c.log}
	c.ended = c.begin(c.subject)
	for _, f := range c.subject.ExtraFiles {
		f.Close()
	}
	c.until("the robot answers", func() bool { _, err := Control(c.data, "status", time.Second); return err == nil })
	m, err := newMachine(c.subject.Process.Pid, c.place.loop)
	c.must(err)
	if m.threads[0] < 0 && c.judged {
		c.Fatal("the loop has no real-time priority: its times cannot be judged (be root, in a cpu cgroup with cpu.rt_runtime_us)")
	}
	c.driver = newDriver(int(edges.Fd()), int(answers.Fd()), c.place.source, m, 1)
	go c.driver.run()
	go drain(floodAnswers)
	c.Cleanup(func() {
		c.driver.end.Store(true)
		<-c.driver.ended
		m.close()
		for _, f := range []*os.File{edges, answers, floodEdges, floodAnswers} {
			f.Close()
		}
	})
}

func drain(f *os.File) {
	for b := make([]byte, 1<<16); ; {
		if _, err := f.Read(b); err != nil {
			return
		}
	}
}

// plug puts a new pseudo-terminal behind the serial device's name.
func (c *campaign) plug() {
	c.Helper()
	master, slave, err := pty.Open()
	c.must(err)
	_, err = term.MakeRaw(int(slave.Fd()))
	c.must(err)
	next := c.link + ".next"
	c.must(os.Symlink(slave.Name(), next))
	c.must(os.Rename(next, c.link))
	c.master, c.slave = master, slave
	c.Cleanup(func() { slave.Close(); master.Close() })
}

// sense gives the signals that nothing happens to a value.
func (c *campaign) sense() {
	c.Helper()
	_, err := c.flood[0].WriteString("{\"y\":0}\n")
	c.must(err)
	c.distance(2)
}

func (c *campaign) distance(m float64) {
	c.Helper()
	_, err := fmt.Fprintf(c.master, "{\"range\": %g}\n", m)
	c.must(err)
}

// until polls for what a process will do.
func (c *campaign) until(what string, is func() bool) {
	c.Helper()
	begin := link.Now()
	for !is() {
		if link.Now()-begin > patient {
			c.Fatalf("never: %s\n%s", what, c.told())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (c *campaign) told() string {
	from := time.Duration(0)
	if len(c.began) > 0 {
		from = c.began[len(c.began)-1]
	}
	return fmt.Sprintf("round %d of %s\nlog:\n%s\nMQTT:\n%s", len(c.began), c.trouble.name, c.log.tail(from, 40), c.mqtt.tail(from, 12))
}

func (c *campaign) control(line string) string {
	c.Helper()
	answer, err := Control(c.data, line, patient)
	c.must(err)
	return answer
}

func (c *campaign) status(word string) bool {
	c.Helper()
	return strings.Contains(c.control("status")+" ", " "+word+" ")
}

// brain is the process of the brain that runs now: a child of the spine.
func (c *campaign) brain() int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.subject.Process.Pid, c.subject.Process.Pid))
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", c.subject.Process.Pid))
	for _, t := range tasks {
		more, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", c.subject.Process.Pid, t.Name()))
		children = append(children, more...)
	}
	for _, field := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil {
			return pid
		}
	}
	return 0
}

// moving starts the robot and waits until it is driven.
func (c *campaign) moving() {
	c.Helper()
	c.until("the robot moves", func() bool {
		if c.driver.last().value != 0 {
			return true
		}
		if c.status("mode=safe") { // not started yet, or its lease was lost on a busy machine
			c.control("start tester")
		}
		return false
	})
}

// goesOn: what is wrong since then does not end the lease. On a busy machine
// something else may.
func (c *campaign) goesOn(since time.Duration) {
	c.Helper()
	stops := c.driver.since(since)
	if len(stops) == 0 {
		return
	}
	c.result.stopped++
	if c.judged {
		c.Errorf("the robot does not go on: %+v\n%s", stops, c.told())
	}
}

// pause lets some time pass, another one each time, so that the fault meets
// another moment of the model's step.
func (c *campaign) pause() {
	time.Sleep(50*time.Millisecond + time.Duration(c.random.Int64N(int64(100*time.Millisecond))))
}

// run is the whole campaign.
func (c *campaign) run() {
	c.Helper()
	defer c.quiet()()
	for i := range c.rounds {
		c.round(i)
	}
	if c.driver.error() != nil {
		c.Fatal(c.driver.error())
	}
}

// quiet keeps Go from work of its own in the process of the driver.
func (c *campaign) quiet() (undo func()) {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(1 << 30)
	threads := runtime.GOMAXPROCS(8)
	lower := raiseHelpers(slog.New(slog.DiscardHandler)) // the driver's too
	// What this process does beside the driver, reading logs for one, must not keep
	// the loop from its processor.
	var before, source unix.CPUSet
	c.must(unix.SchedGetaffinity(0, &before))
	source.Set(c.place.source)
	place := func(set *unix.CPUSet) {
		c.must(eachThread(func(tid int) error { return unix.SchedSetaffinity(tid, set) }))
	}
	place(&source)
	c.driver.raise.Store(true)
	return func() {
		place(&before)
		lower()
		runtime.GOMAXPROCS(threads)
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// round is one repetition: the robot moves, the fault happens and ends, and
// everything that must hold is looked at.
func (c *campaign) round(i int) {
	c.Helper()
	c.moving()
	for c.pause(); c.driver.last().value == 0; c.pause() {
		c.moving()
	}
	c.driver.judged.Store(true)
	c.began = append(c.began, link.Now())
	c.trouble.happen(c)
	from := c.began[i]
	if c.trouble.endsLease || c.trouble.latches {
		c.staysSafe(from)
	}
	c.result.rounds++
	if c.found(c.log, from, c.trouble.log) {
		c.result.log++
	}
	if c.found(c.mqtt, from, c.trouble.mqtt) {
		c.result.mqtt++
	}
}

// found waits for a reason.
func (c *campaign) found(w *witness, from time.Duration, words []string) bool {
	for until := link.Now() + 10*time.Second; link.Now() < until; time.Sleep(5 * time.Millisecond) {
		if w.heard(from, words) {
			return true
		}
	}
	c.Errorf("nothing with %q is said\n%s", words, c.told())
	return false
}

// safe waits until the commanded output is safe, and judges when that was:
// against the lease's own time as the loop had it.
func (c *campaign) safe(from time.Duration) commandedValue {
	c.Helper()
	var v commandedValue
	c.until("the output is safe", func() bool {
		for _, v = range c.driver.since(from) {
			if v.value == 0 {
				return true
			}
		}
		v = c.driver.last()
		return v.value == 0 // a moment before the fault already, on a busy machine
	})
	if v.at < from { // then its reason was said before, too
		last := &c.began[len(c.began)-1]
		*last = min(*last, v.at)
		return v
	}
	late := v.at - v.lease
	r := &c.result
	if r.safes == 0 {
		r.safeRaw, r.safeLate = late, late-v.machine
	}
	r.safes++
	r.worstSafe = max(r.worstSafe, v.at-from)
	r.safeRaw, r.safeLate = max(r.safeRaw, late), max(r.safeLate, late-v.machine)
	return v
}

// staysSafe: the brain is back and decides, and nothing moves.
func (c *campaign) staysSafe(from time.Duration) {
	c.Helper()
	c.until("the lease is live again", func() bool { return c.status("lease=live") })
	time.Sleep(time.Second) // twenty decisions, and what is said is on the disk
	safe := false
	for _, v := range c.driver.since(from) {
		if safe && v.value != 0 {
			c.result.byItself++
			c.Errorf("the output is %v by itself\n%s", v.value, c.told())
			return
		}
		safe = safe || v.value == 0
	}
	safe = safe || c.driver.last().value == 0
	if !safe || !c.status("mode=safe") && !c.trouble.latches {
		c.Errorf("the robot is not safe: %s\n%s", c.control("status"), c.told())
	}
}

// finish stops the robot, reads its recordings, and judges.
func (c *campaign) finish() {
	c.Helper()
	end := link.Now()
	c.driver.end.Store(true)
	<-c.driver.ended
	_ = c.subject.Process.Signal(unix.SIGTERM)
	c.until("the spine has ended", func() bool {
		select {
		case <-c.ended:
			return true
		default:
			return false
		}
	})
	if state := c.subject.ProcessState; !state.Success() {
		c.Errorf("the spine ended with %v\n%s", state, c.told())
	}
	all := recordedEvents(c.T, c.data)
	for i, from := range c.began {
		to := end
		if i+1 < len(c.began) {
			to = c.began[i+1]
		}
		if inRecording(all, from, to, c.trouble.topic, c.trouble.recorded) {
			c.result.recorded++
		}
	}
	c.judge()
}

// Bounds of the judgement. The short run shares its machine with other tests:
// only what is far off counts there.
const (
	safeWithin  = 2 * time.Millisecond
	lenientWith = 250 * time.Millisecond

	undecidedAtMost = 200 // one edge in so many
)

func (c *campaign) judge() {
	c.Helper()
	t, slow := c.driver.count()
	r := &c.result
	reflex, safe := lenientWith, lenientWith
	if c.judged {
		reflex, safe = reflexWithin, safeWithin
	}
	late := c.late(slow, reflex)
	if c.judged {
		c.Logf("of %d edges %d took more than %v as measured, %d without the machine's own part, %d are undecided, %d for time stolen elsewhere alone", t.Answered, t.Slow, reflexWithin, len(late), r.undecided, r.elsewhere)
	}
	if t.Lost > 0 || t.Answered < t.Asked-1 || t.Answered < 20*r.rounds {
		c.Errorf("%d of %d edges were answered, %d not within a second", t.Answered, t.Asked, t.Lost)
	}
	if c.judged && r.undecided+r.elsewhere > t.Answered/undecidedAtMost {
		c.Errorf("%d edges are undecided and %d are excused by the other processor, of %d: too many to judge the rest by", r.undecided, r.elsewhere, t.Answered)
	}
	if len(late) > 0 || t.Slow > len(slow) {
		c.Errorf("%d of %d edges took more than %v as measured; %d without the machine's own part:\n  %s", t.Slow, t.Answered, reflexWithin, len(late), strings.Join(late, "\n  "))
	}
	if r.safes > 0 && r.safeLate > safe {
		c.Errorf("the output was safe %v after the lease's own time (%v with the machine's own part), want %v", r.safeLate, r.safeRaw, safe)
	}
	if r.byItself > 0 || r.log < r.rounds || r.mqtt < r.rounds || r.recorded < r.rounds || r.rounds < c.rounds {
		c.Errorf("of %d rounds %d moved by themselves, the reason is in the log of %d, over MQTT of %d and in the recording of %d",
			r.rounds, r.byItself, r.log, r.mqtt, r.recorded)
	}
}

// row is the campaign's line of the table.
func (c *campaign) row() string {
	t, _ := c.driver.count()
	r := &c.result
	us := func(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e3, 'f', 0, 64) }
	safe, lease := "-", "-"
	if r.safes > 0 {
		safe = strconv.FormatFloat(float64(r.worstSafe)/1e6, 'f', 1, 64)
		lease = strconv.FormatFloat(float64(r.safeLate)/1e6, 'f', 2, 64) + " (" + strconv.FormatFloat(float64(r.safeRaw)/1e6, 'f', 2, 64) + ")"
	}
	return fmt.Sprintf("| %s | %d | %d / %d | %s (%s) | %s | %s | %d | %d / %d / %d | %s", c.trouble.name, r.rounds, t.Answered, t.Asked,
		us(r.reflex), us(t.Raw), safe, lease, r.byItself, r.log, r.mqtt, r.recorded, r.note)
}

const tableHead = `
| fault | rounds | reflexes answered / asked | worst, us (raw) | worst time to safe, ms | after the lease's end, ms (raw) | moved by itself | reason in log / MQTT / recording |
|---|---|---|---|---|---|---|---|`

// late takes off what the two threads could not help, notes the worst of what is
// left, and tells of each that was still too late where its time went, and how long
// after the fault it was asked.
func (c *campaign) late(slow []slowAnswer, within time.Duration) (told []string) {
	gaps := make([][]gap, runtime.NumCPU())
	if c.gaps != nil {
		gaps = c.gaps()
	}
	certain, possible := keptFrom(gaps, c.place)
	for i := range slow {
		s := &slow[i]
		took := time.Duration(s.End - s.Begin)
		off := s.excused(possible.anywhere())
		c.result.reflex = max(c.result.reflex, took-off)
		switch {
		case took-off > within:
		case took-s.excused(certain.anywhere()) > within:
			c.result.undecided++
		case took-s.excused(certain) > within:
			c.result.elsewhere++
		}
		if took-off <= within {
			continue
		}
		after := time.Duration(0)
		for _, from := range c.began {
			if int64(from) <= s.Begin {
				after = time.Duration(s.Begin) - from
			}
		}
		told = append(told, fmt.Sprintf("%v after the fault began: %v, of it %v the machine's; to the robot %v (run-queue delay %v), in it %v, back %v (%v)",
			after, took, off, time.Duration(s.Read-s.Begin), time.Duration(s.Waited), time.Duration(s.Written-s.Read),
			time.Duration(s.End-s.Written), time.Duration(s.driverWaited)))
	}
	return told
}

// excused is how long neither the loop nor, on the way back, the driver could have
// run: see TestSoakCycles. The loop's stamp is from before its write.
func (s *slowAnswer) excused(k keptTime) time.Duration {
	written := min(max(s.Written, s.Begin), s.End)
	back := max(min(s.driverWaited, s.End-written), overlap(k.source, written, s.End), overlap(k.loop, written, s.End))
	return excused(s.edge, written, k) + time.Duration(back)
}
