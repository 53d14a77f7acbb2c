package brain_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dancer/runtime/web"
)

const cellRobot = `
robot: %s
board: sim
cell: gallery
manual: manual.yaml
signals:
  range: {unit: m, range: [0, 8], start: 5, stale_after: 20s}
  bumper: {boolean: true, start: 0, stale_after: 20s}
  go: {from: cell, range: [0, 1], lasts: 4s, stale_after: 20s}
outputs:
  drive: {range: [0, 1], safe: 0}
lease: {expires_after: 20s}   # machines that tests run on are busy
scenario: test.scenario
%s
conductor: {broker: off}
listen: "%%LISTEN%%"
recording: {keep: 0s}
`

const cellManual = `
values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: near, when: "range < 0.30 m", set: {drive: 0}, until: "range > 0.45 m"}
  - {name: bump, when: "bumper", set: {drive: 0}, latch: operator}
model:
  next: {range: "range - 0.001 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.01, 0.01]}
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
  task: "10 - 10 * abs(go - drive)"
actions:
  - {name: go, set: {drive: 1}}
  - {name: halt, set: safe, fallback: true}
`

// order posts a command and gives the answer.
func (r *robot) order(body string) (status int, answer string) {
	r.t.Helper()
	response, err := http.Post(r.page+"/api/v1/coordination", "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// standing is how the robot says it stands in its cell.
func (r *robot) standing() *web.Coordination {
	var s web.Status
	if r.get("/api/v1/status", &s) != nil {
		return nil
	}
	return s.Coordination
}

// TestCommandOfTheCell: what the cell says is advice. A robot is READY for it while it
// may move, does what its values make of it, and is done when it is over.
func TestCommandOfTheCell(t *testing.T) {
	// A cell of one: the protocol is the same, and what a robot makes of it is shown.
	r := start(t, fmt.Sprintf(cellRobot, "solo", "mesh: {members: [solo]}"), cellManual, "at 60s bumper = 1\n")
	r.until(20*time.Second, "it leads its cell", func() bool {
		c := r.standing()
		return c != nil && c.Leading && c.Following && c.Mode == "FULL" && c.Members == 1 && c.Lead == "solo"
	})
	failed := func(what, body, why string) {
		t.Helper()
		if status, answer := r.order(body); status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", what, status, answer)
		}
		r.until(10*time.Second, what+" is a conflict: "+why, func() bool { return strings.Contains(r.text("/api/v1/conflicts"), why) })
	}
	failed("a command before the operator's start", `{"by": "kim", "text": "go=1", "in": "1s"}`, "dancer start")
	r.control("start")
	if status, answer := r.order(`{"by": "kim", "text": "go=1", "in": "150ms"}`); status != http.StatusConflict || !strings.Contains(answer, "too soon") {
		t.Errorf("T in 150 ms: %d %s", status, answer)
	}
	failed("an output", `{"by": "kim", "text": "drive=1", "in": "1s"}`, "drive is no signal")
	failed("a signal of a port", `{"by": "kim", "text": "range=1", "in": "1s"}`, "range is no signal")
	failed("a value out of range", `{"by": "kim", "text": "go=2", "in": "1s"}`, "out of its range")
	if acts := r.standing().Acts; acts != 0 {
		t.Fatalf("%d acts so far", acts)
	}
	if status, answer := r.order(`{"by": "kim", "text": "go=1", "in": "1s"}`); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, answer)
	}
	r.until(30*time.Second, "it drives", func() bool { return r.has("output", map[string]any{"name": "drive", "value": 1.0}) })
	r.until(10*time.Second, "the act is told", func() bool { return r.has("cell", map[string]any{"what": "act", "text": "go=1"}) })
	r.until(30*time.Second, "it is over", func() bool {
		all := r.events("output")
		return len(all) > 0 && all[len(all)-1]["name"] == "drive" && all[len(all)-1]["value"] == 0.0
	})
	if text := r.text("/metrics"); !strings.Contains(text, "dancer_cell_mode 4") || !strings.Contains(text, "dancer_cell_acts_total 1") {
		t.Error("the metrics do not say so")
	}
	term := r.standing().Term
	r.killBrain()
	r.until(30*time.Second, "the next brain leads", func() bool { c := r.standing(); return c != nil && c.Leading && c.Acts == 0 })
	if now := r.standing().Term; now < term {
		t.Errorf("term %d after %d", now, term)
	}
}

// TestNoCommandOfTheCell: commands that make no sense are refused with what to do, and
// a robot that belongs to no cell takes none.
func TestNoCommandOfTheCell(t *testing.T) {
	r := start(t, fmt.Sprintf(cellRobot, "one", "mesh: {members: [one, two, three]}"), cellManual, "")
	r.until(20*time.Second, "its page", func() bool { return r.standing() != nil })
	if c := r.standing(); c.Following || c.Leading || c.Mode != "EMERGENCY" {
		t.Errorf("one of three, alone: %+v", c)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"not leading": {`{"by": "kim", "text": "go=1"}`, http.StatusConflict, "does not lead"},
		"nobody":      {`{"text": "go=1"}`, http.StatusUnprocessableEntity, "by"},
		"nothing":     {`{"by": "kim"}`, http.StatusUnprocessableEntity, "text"},
		"too much":    {`{"by": "kim", "text": "` + strings.Repeat("x", 513) + `"}`, http.StatusUnprocessableEntity, "512"},
		"too soon":    {`{"by": "kim", "text": "go=1", "in": "1ms"}`, http.StatusUnprocessableEntity, "100ms"},
		"too late":    {`{"by": "kim", "text": "go=1", "in": "1h"}`, http.StatusUnprocessableEntity, "1m0s"},
		"no time":     {`{"by": "kim", "text": "go=1", "in": "soon"}`, http.StatusUnprocessableEntity, "soon"},
		"a question":  {`{"by": "kim", "text": "mode"}`, http.StatusConflict, "name=number"},
		"unknown key": {`{"by": "kim", "text": "go=1", "now": true}`, http.StatusBadRequest, "now"},
	} {
		if status, answer := r.order(c.body); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	lone := start(t, strings.Replace(fmt.Sprintf(cellRobot, "lone", "mesh: {off: true}"), "go: {from: cell, range: [0, 1], lasts: 4s, stale_after: 20s}", "go: {range: [0, 1], start: 0}", 1), cellManual, "")
	lone.until(20*time.Second, "its page", func() bool { return lone.get("/api/v1/status", &web.Status{}) == nil })
	if status, answer := lone.order(`{"by": "kim", "text": "go=1"}`); status != http.StatusConflict || !strings.Contains(answer, "mesh.members") {
		t.Errorf("a robot of no cell: %d %s", status, answer)
	}
	if lone.standing() != nil {
		t.Errorf("a robot of no cell: %+v", lone.standing())
	}
}
