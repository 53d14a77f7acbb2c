package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// figures says whether the figures of docs/benchmarks.md are being measured
// (`make bench-program`): minutes on a quiet machine, as root, with gcc and
// rt-tests. They print; they do not judge.
func figures(t *testing.T) *world {
	t.Helper()
	if os.Getenv("DANCER_FIGURES") == "" {
		t.Skip("measures for minutes; make bench-program runs it")
	}
	return newWorld(t)
}

// samplesFor is how long each latency is measured.
func samplesFor() int {
	if n, err := strconv.Atoi(os.Getenv("DANCER_FIGURES")); err == nil && n > 1 {
		return n
	}
	return 60
}

// TestFiguresLatency measures from the write of a frame to the read of the
// reflex's answer, for dancer and for the C loop, idle and busy, with cyclictest
// beside each.
func TestFiguresLatency(t *testing.T) {
	w := figures(t)
	probe := filepath.Join(w.dir, "probe")
	if out, err := exec.Command("gcc", "-O2", "-o", probe, "../../tools/probe/probe.c").CombinedOutput(); err != nil {
		t.Skipf("compile the probe: %v: %s", err, out)
	}
	t.Logf("| what | p50 | p99 | p99.9 | (us)")
	for _, busy := range []bool{false, true} {
		for _, what := range []string{"C loop", "dancer"} {
			measureLatency(w, probe, what, busy, nil)
		}
	}
}

// measureLatency measures one of them once; with is done to a dancer that runs, and
// undone by what it gives.
func measureLatency(w *world, probe, what string, busy bool, with func(*process) (undo func())) {
	w.Helper()
	seconds := samplesFor()
	cmd := exec.Command(probe, "measure", strconv.Itoa(seconds))
	start, err := cmd.StdinPipe()
	if err != nil {
		w.Fatal(err)
	}
	p := w.launch(cmd)
	var names []string
	w.until(5*time.Second, "the probe's terminals", func() bool {
		names = strings.Fields(p.stdout.String())
		return len(names) == 2
	})
	var subject *process
	listen := ""
	if what == "dancer" {
		listen = w.freePort()
		subject = startMeasured(w, names, listen)
	} else {
		subject = w.startOther(probe, "loop", names[0], names[1])
	}
	relax := func() {}
	if busy {
		relax = makeBusy(w, listen)
	}
	if with != nil {
		defer with(subject)()
	}
	time.Sleep(3 * time.Second) // page faults and start-up belong to nobody's figure
	cyclic := w.launch(exec.Command("cyclictest", "-q", "-m", "-p", "80", "-i", "1000", "-l", strconv.Itoa(seconds*1000), "-h", "100000"))
	_, _ = io.WriteString(start, "go\n")
	code := p.wait(time.Duration(seconds+60) * time.Second)
	cyclic.wait(60 * time.Second)
	relax()
	subject.stop()
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	f := strings.Fields(lines[len(lines)-1])
	if code != 0 || len(f) != 6 {
		w.Fatalf("%s: probe: exit %d: %s%s", what, code, p.stdout, p.stderr)
	}
	load := map[bool]string{false: "idle", true: "busy"}[busy]
	w.Logf("| %s, %s | %s | %s | %s | max %s, %s samples, %s lost", what, load, f[2], f[3], f[4], f[5], f[0], f[1])
	w.Logf("| cyclictest beside it | %s", cyclicFigures(cyclic.stdout.String()))
}

// startOther runs another program than dancer.
func (w *world) startOther(path string, args ...string) *process {
	return w.launch(exec.Command(path, args...))
}

// startMeasured runs a robot with a hundred rules on the probe's terminals.
func startMeasured(w *world, names []string, listen string) *process {
	w.Helper()
	var rules strings.Builder
	for i := range 99 {
		fmt.Fprintf(&rules, "  - {name: rule-%d, when: \"range > %d.5 m\", set: {drive: 0}}\n", i, 8+i)
	}
	folder := "measured-" + strings.ReplaceAll(listen, ":", "-")
	w.file(folder+"/manual.yaml", strings.Replace(benchManual, "model:\n", rules.String()+"model:\n", 1))
	robot := fmt.Sprintf(benchWiring, "measured", names[0], names[1], "1s", listen) + brokerOff
	path := w.file(folder+"/robot.yaml", strings.Replace(robot, "range: [0, 8]", "range: [0, 200]", 1))
	p := w.start("run", path, "--data", filepath.Join(w.dir, folder, "data"))
	w.until(20*time.Second, "a live lease", func() bool { return w.state(listen, "measured").Lease == "live" || p.ended() })
	return p
}

// makeBusy loads every core from outside, and the brain from inside through its
// own page.
func makeBusy(w *world, listen string) (relax func()) {
	w.Helper()
	var hogs []*process
	for range runtime.NumCPU() {
		hogs = append(hogs, w.startOther("sh", "-c", "while :; do :; done"))
	}
	end := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for listen != "" {
			select {
			case <-end:
				return
			default:
				if answer, err := httpClient.Get("http://" + listen + "/api/v1/decisions?limit=1000"); err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close()
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		for _, h := range hogs {
			h.stop()
		}
	}
}

// cyclicFigures gives p50, p99 and p99.9 of cyclictest's histogram.
func cyclicFigures(text string) string {
	var counts [][2]int
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^(\d{6}) (\d+)`).FindAllStringSubmatch(text, -1) {
		us, _ := strconv.Atoi(m[1])
		n, _ := strconv.Atoi(m[2])
		counts, total = append(counts, [2]int{us, n}), total+n
	}
	var parts []string
	for _, q := range []float64{0.5, 0.99, 0.999} {
		seen := 0
		for _, c := range counts {
			if seen += c[1]; float64(seen) >= q*float64(total) {
				parts = append(parts, strconv.Itoa(c[0]))
				break
			}
		}
	}
	return strings.Join(parts, " | ") + fmt.Sprintf(" | %d samples", total)
}

// TestFiguresMemory gives the proportional set size of an idle robot and the
// sizes of the binaries that `make cross` left.
func TestFiguresMemory(t *testing.T) {
	w := figures(t)
	b := newBenchRobot(w, "memory-bot", brokerOff)
	p := b.run()
	time.Sleep(60 * time.Second) // the brain has given back what its start needed, and taken again what it needs
	for _, process := range []struct {
		name string
		pid  int
	}{{"spine", p.cmd.Process.Pid}, {"brain", p.brain()}} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", process.pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"Pss", "Rss", "Locked"} {
			if m := regexp.MustCompile(key + `:\s+(\d+ kB)`).FindSubmatch(text); m != nil {
				t.Logf("%s %s %s", process.name, key, m[1])
			}
		}
	}
	binaries, _ := filepath.Glob("../../dist/dancer-linux-*")
	for _, path := range binaries {
		if info, err := os.Stat(path); err == nil {
			t.Logf("%s %.1f MB", filepath.Base(path), float64(info.Size())/1e6)
		}
	}
}

// TestFiguresStart measures from the start of the program to the moment in which
// its reflexes are armed: the loop waits for its inputs.
func TestFiguresStart(t *testing.T) {
	w := figures(t)
	path := w.file("start/robot.yaml", fmt.Sprintf(benchWiring, "start", w.newWire().Device, w.newWire().Device, leaseOfBench, w.freePort())+brokerOff)
	w.file("start/manual.yaml", benchManual)
	var all []time.Duration
	for range 50 {
		cmd := exec.Command(w.binary, "run", path, "--data", filepath.Join(w.dir, "start", "data"))
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = writer
		began := time.Now()
		p := w.launch(cmd)
		_ = writer.Close()
		lines := bufio.NewScanner(reader)
		for armed := false; !armed && lines.Scan(); {
			armed = strings.Contains(lines.Text(), "reflexes armed")
			if armed {
				all = append(all, time.Since(began))
			}
		}
		p.stop()
		_ = reader.Close()
	}
	report(t, "start to reflexes armed", all)
}

// TestFiguresEscalation measures a question's whole way: from the robot's own
// time stamp to its answer to the ruling, which a script gives as soon as the
// conductor's event stream shows the question.
func TestFiguresEscalation(t *testing.T) {
	w := figures(t)
	listen, broker := w.freePort(), w.freePort()
	file := w.file("conductor.yaml", "listen: "+listen+"\nbroker_listen: "+broker+"\n")
	w.start("conductor", file, "--data", filepath.Join(w.dir, "conductor"))
	w.until(20*time.Second, "the conductor answers", func() bool {
		var status struct{ Name string }
		return w.get("http://"+listen+"/api/v1/status", &status)
	})
	stream, err := http.Get("http://" + listen + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	startAskers(w, broker, 1)
	var all, answered []time.Duration
	seen := map[string]bool{}
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 4<<20)
	for end := time.Now().Add(70 * time.Second); len(all) < episodes-2 && time.Now().Before(end) && lines.Scan(); {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || !bytes.Contains(data, []byte(`"raised_at"`)) {
			continue
		}
		var event struct {
			Kind string `json:"kind"`
			Data struct {
				ID       string    `json:"id"`
				State    string    `json:"state"`
				RaisedAt time.Time `json:"raised_at"`
			} `json:"data"`
		}
		q := &event.Data
		if json.Unmarshal(data, &event) != nil || event.Kind != "escalation" || q.State != "open" || seen[q.ID] {
			continue
		}
		seen[q.ID] = true
		ruled := time.Now()
		code, answer := w.post("http://"+listen+"/api/v1/escalations/"+q.ID+"/ruling?wait=2s", map[string]string{"verdict": "deny", "by": "script"})
		if code == http.StatusAccepted && strings.Contains(answer, `"outcome"`) {
			all, answered = append(all, time.Since(q.RaisedAt)), append(answered, time.Since(ruled))
		}
	}
	report(t, "escalation to ruling and back", all)
	report(t, "of that, ruling to the robot's answer", answered)
}

func report(t *testing.T, what string, all []time.Duration) {
	t.Helper()
	if len(all) == 0 {
		t.Fatalf("%s: nothing measured", what)
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[int(share*float64(len(all)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%s: p50 %v p99 %v max %v, %d samples", what, at(0.5), at(0.99), all[len(all)-1].Round(10*time.Microsecond), len(all))
}
