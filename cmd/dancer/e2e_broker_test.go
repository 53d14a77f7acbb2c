package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
)

// mosquitto is a broker of another make, on a free port, that can be stopped and
// started again on that port.
type mosquitto struct {
	*world
	address string
	config  string
	running *process
}

// newMosquitto starts one. password "" lets everybody in, else only the user
// "dancer" with it.
func newMosquitto(w *world, password string) *mosquitto {
	w.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/mosquitto"); err != nil {
			w.Skip("mosquitto is not installed (apt-get install mosquitto)")
		}
		path = "/usr/sbin/mosquitto"
	}
	m := &mosquitto{world: w, address: w.freePort()}
	_, port, _ := net.SplitHostPort(m.address)
	text := "listener " + port + " 127.0.0.1\npersistence false\n"
	if password == "" {
		text += "allow_anonymous true\n"
	} else {
		text += "allow_anonymous false\npassword_file " + w.passwords(password) + "\n"
	}
	m.config = w.file("mosquitto.conf", text+"user root\n")
	m.up(path)
	return m
}

// passwords makes Mosquitto's password file for the user "dancer".
func (w *world) passwords(password string) string {
	w.Helper()
	file := w.file("passwords", "dancer:"+password+"\n")
	if out, err := exec.Command("mosquitto_passwd", "-U", file).CombinedOutput(); err != nil {
		w.Skipf("make password file: %v: %s", err, out)
	}
	return file
}

func (m *mosquitto) up(path string) {
	m.Helper()
	m.running = m.launch(exec.Command(path, "-c", m.config))
	m.until(10*time.Second, "mosquitto listens on "+m.address, func() bool {
		c, err := net.DialTimeout("tcp", m.address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil || m.running.ended()
	})
	if m.running.ended() {
		m.Fatalf("mosquitto ended: %s", m.running.stderr)
	}
}

// down really stops it.
func (m *mosquitto) down() { m.running.stop() }

// askers are robots whose scenario raises a new question again and again.
const askers, episodes, questionsWanted = 10, 40, 200

const askerManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: estop, when: "estop > 0", set: safe, latch: operator, stop: 0}
model:
  step: 100ms
  next: {gas: "gas + d.gas"}
  disturbance: {gas: [0, 1]}
  horizon: 300ms
impact:
  human_safety: "10 - gas / 100 ppm"
  task: "10 * drive"
actions:
  - {name: patrol, set: {drive: 0.5}}
  - {name: halt, set: {drive: 0}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt, settle: 200ms}
`

// startAskers starts the robots and gives their event files. Their first
// question comes when they have been up for twelve seconds.
func startAskers(w *world, broker string, count int) (files []string, robots []*process) {
	w.Helper()
	var scenario strings.Builder
	for i := range episodes {
		at := 12 + 1.2*float64(i)
		fmt.Fprintf(&scenario, "from %.1fs to %.1fs gas = 700\n", at, at+0.6)
	}
	w.file("askers/manual.yaml", askerManual)
	w.file("askers/episodes.scenario", scenario.String())
	for i := range count {
		name := fmt.Sprintf("asker-%d", i)
		wiring := fmt.Sprintf(`robot: %s
board: sim
manual: manual.yaml
scenario: episodes.scenario
signals:
  gas:   {unit: ppm, range: [0, 5000], stale_after: 5s, start: 0}
  estop: {range: [0, 1], stale_after: 5s, start: 0}
outputs:
  drive: {pin: GPIO18, pwm: 1kHz, range: [0, 1], safe: 0}
plant:
  next: {gas: "gas"}
lease: {expires_after: 2s, stop: 1}
conductor: {broker: mqtt://%s}
mesh: {off: true}
listen: "off"
`, name, broker)
		path := w.file("askers/"+name+".yaml", wiring)
		events := filepath.Join(w.dir, name+".events")
		robots = append(robots, w.start("run", path, "--data", filepath.Join(w.dir, name+".data"), "--events", events))
		files = append(files, events)
	}
	return files, robots
}

// question is the part of an escalation that the test looks at.
type question struct {
	ID       string `json:"id"`
	Robot    string `json:"robot"`
	Status   string `json:"status"`
	Revision int    `json:"revision"`
	Rulings  []struct {
		ID  string    `json:"id"`
		Ack *mesh.Ack `json:"ack"`
	} `json:"rulings"`
}

// questions lists what a conductor knows.
func (w *world) questions(listen, state string) []question {
	w.Helper()
	var answer struct{ Escalations []question }
	w.get("http://"+listen+"/api/v1/escalations?state="+state, &answer)
	return answer.Escalations
}

// raised gives the ids of the questions that robots raised after a moment, from
// their own event streams.
func (w *world) raised(files []string, after time.Time) []string {
	w.Helper()
	ids := map[string]bool{}
	for _, f := range files {
		for _, e := range w.events(f, "escalation") {
			if e.State == "open" && e.At.After(after) {
				ids[e.ID] = true
			}
		}
	}
	var all []string
	for id := range ids {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// TestEndToEndBrokerOutage stops the broker for half a minute while two hundred
// questions are raised: each reaches the conductor once, and every ruling comes
// home.
func TestEndToEndBrokerOutage(t *testing.T) {
	w := newWorld(t)
	broker := newMosquitto(w, "")
	listen := w.freePort()
	conductor := w.start("conductor", "--scope", "cell", "--listen", listen, "--broker", "mqtt://"+broker.address, "--data", filepath.Join(w.dir, "conductor"))
	files, robots := startAskers(w, broker.address, askers)
	running := func() {
		for _, p := range append(robots, conductor) {
			if p.ended() {
				t.Fatalf("%v ended", p.cmd.Args)
			}
		}
	}
	w.until(60*time.Second, "all robots are online at the conductor", func() bool {
		running()
		online := 0
		for _, a := range w.agents(listen) {
			if a.Connection == "ONLINE" {
				online++
			}
		}
		return online == askers
	})

	broker.down()
	outage := time.Now()
	var ids []string
	w.until(120*time.Second, fmt.Sprintf("%d questions raised", questionsWanted), func() bool {
		running()
		time.Sleep(500 * time.Millisecond) // reading the event files is not free
		ids = w.raised(files, outage)
		return len(ids) >= questionsWanted && time.Since(outage) >= 30*time.Second
	})
	t.Logf("%d questions raised in an outage of %v", len(ids), time.Since(outage).Round(time.Second))
	if early := w.known(listen, ids); early > 0 {
		t.Fatalf("%d of them reached the conductor without a broker: this is no outage", early)
	}
	broker.up(broker.running.cmd.Path)
	w.until(120*time.Second, "all questions at the conductor", func() bool { return w.known(listen, ids) == len(ids) })
	once := map[string]int{}
	for _, q := range w.questions(listen, "all") {
		once[q.ID]++
	}
	for id, n := range once {
		if n != 1 {
			t.Errorf("question %s is listed %d times", id, n)
		}
	}
	w.ruleAll(listen, ids)
	w.until(120*time.Second, "every ruling came home", func() bool { return w.home(listen, ids) == len(ids) })
}

// known counts the ids that the conductor has.
func (w *world) known(listen string, ids []string) int {
	w.Helper()
	have := map[string]bool{}
	for _, q := range w.questions(listen, "all") {
		have[q.ID] = true
	}
	return count(ids, func(id string) bool { return have[id] })
}

// home counts the ids whose one ruling the robot has answered.
func (w *world) home(listen string, ids []string) int {
	w.Helper()
	acked := map[string]bool{}
	for _, q := range w.questions(listen, "all") {
		acked[q.ID] = len(q.Rulings) == 1 && q.Rulings[0].Ack != nil && q.Rulings[0].Ack.Outcome != ""
	}
	return count(ids, func(id string) bool { return acked[id] })
}

func count(ids []string, is func(string) bool) (n int) {
	for _, id := range ids {
		if is(id) {
			n++
		}
	}
	return n
}

// ruleAll denies every question, eight at a time, as people with scripts would.
func (w *world) ruleAll(listen string, ids []string) {
	w.Helper()
	work := make(chan string)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for id := range work {
				code, answer := w.post("http://"+listen+"/api/v1/escalations/"+id+"/ruling",
					map[string]string{"verdict": "deny", "by": "night-shift", "note": "not now"})
				if code != http.StatusAccepted {
					w.Errorf("rule %s: %d %s", id, code, answer)
				}
			}
		})
	}
	for _, id := range ids {
		work <- id
	}
	close(work)
	workers.Wait()
}

// TestEndToEndRefusedPassword: the message names the file and the keys to look
// at, the robot goes on without a conductor, and nothing stored is lost.
func TestEndToEndRefusedPassword(t *testing.T) {
	w := newWorld(t)
	broker := newMosquitto(w, "the right one")
	secret := w.file("pw-bot/secret", "the wrong one\n")
	b := newBenchRobot(w, "pw-bot", fmt.Sprintf("conductor: {broker: mqtt://%s, username: dancer, password_file: %s}\n", broker.address, secret))
	p := b.run()
	want := "broker mqtt://" + broker.address + ": refused the user name or password: check conductor.username and conductor.password_file in robot.yaml"
	w.until(20*time.Second, "the message about the password", func() bool { return strings.Contains(p.stderr.String(), want) })
	b.operator("start")
	w.until(10*time.Second, "the robot moves without a conductor", b.moves)

	w.file("pw-bot/secret", "the right one\n")
	var stored map[string]bool
	w.until(10*time.Second, "stored decisions", func() bool { stored = b.records(); return len(stored) > 0 })
	p.stop()
	p = b.run()
	b.stillStored(stored)
	w.until(20*time.Second, "connected", func() bool { return connected(w, b.listen) })
	if strings.Contains(p.stderr.String(), want) {
		t.Error("the right password was refused")
	}
}

func connected(w *world, listen string) bool {
	var status struct{ Broker struct{ Connected bool } }
	return w.get("http://"+listen+"/api/v1/status", &status) && status.Broker.Connected
}
