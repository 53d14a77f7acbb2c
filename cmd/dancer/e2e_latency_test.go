package main

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/runtime/web"
)

// TestEndToEndLatency drives a robot's reflex some times and finds each of them
// counted, wherever the figures are told; a new brain tells the same.
func TestEndToEndLatency(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "live-bot", brokerOff)
	p := b.run()
	const rounds = 25
	for round := range rounds {
		b.distance(0.1)
		b.until(10*time.Second, fmt.Sprintf("the lamp of round %d", round), func() bool { return b.motor.last("L ") == "1" })
		b.distance(2)
		b.until(10*time.Second, fmt.Sprintf("round %d is over", round), func() bool { return b.motor.last("L ") == "0" })
	}
	fired := func() (n uint64) {
		for _, e := range b.world.events(b.events, "reflex") {
			if e.Active && e.Frame > 0 { // a stale signal on a slow machine is no edge
				n++
			}
		}
		return n
	}
	var status web.Status
	b.until(10*time.Second, "as many counted as told", func() bool {
		n := fired()
		return n >= rounds && b.get("http://"+b.listen+"/api/v1/status", &status) && status.Latency.EdgeToOutput.SinceStart.Count == n
	})
	l := status.Latency
	b.sound("edge to output", l.EdgeToOutput.SinceStart, rounds)
	b.sound("wake-up lateness", l.WakeUpLateness.SinceStart, 1)
	if minute := l.EdgeToOutput.LastMinute; l.LastMinuteS < 60 && minute.Count != l.EdgeToOutput.SinceStart.Count {
		t.Errorf("%d in the %v s since the start, %d since the start", minute.Count, l.LastMinuteS, l.EdgeToOutput.SinceStart.Count)
	}
	if n := b.metric("dancer_edge_to_output_seconds_count"); n != float64(fired()) {
		t.Errorf("/metrics counts %v, told were %d", n, fired())
	}
	code, said, stderr := b.once("status", "--conductor", "http://"+b.listen)
	if want := regexp.MustCompile(`edge to output +p50 [\d.]+ us, p99 [\d.]+ us, p99.9 [\d.]+ us, longest [\d.]+ us, ` + strconv.FormatUint(fired(), 10) + ` measured since start\n`); code != 0 || !want.MatchString(said) {
		t.Errorf("dancer status: %d %s%s", code, said, stderr)
	}
	b.until(40*time.Second, "the state tells them", func() bool {
		s := b.state(b.listen, b.name)
		return s.Latency != nil && s.Latency.EdgeToOutput.Count == fired()
	})

	pid := p.brain()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.until(30*time.Second, "a new brain tells what the spine counted before it", func() bool {
		var again web.Status
		return p.brain() != pid && b.get("http://"+b.listen+"/api/v1/status", &again) && again.Latency.EdgeToOutput.SinceStart.Count == fired()
	})
}

func (b *benchRobot) sound(what string, f mesh.LatencyFigures, least uint64) {
	b.Helper()
	b.Logf("%s: %+v", what, f)
	if f.Count < least || f.P50US <= 0 || f.P99US < f.P50US || f.P999US < f.P99US || f.MaxUS < f.P999US || f.MaxUS > 10e6 {
		b.Errorf("%s: %+v", what, f)
	}
}

// metric reads one figure of /metrics, -1 if it is not there.
func (b *benchRobot) metric(name string) float64 {
	b.Helper()
	answer, err := httpClient.Get("http://" + b.listen + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	return -1
}
