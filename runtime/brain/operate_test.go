package brain_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dancer/mesh/operator"
	"dancer/runtime/web"
)

// give gives an operator's order and waits for its end.
func (r *robot) give(kind, body string) (status int, op operator.Operation, answer string) {
	r.t.Helper()
	response, err := http.Post(r.page+"/api/v1/mesh/"+kind, "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if response.StatusCode != http.StatusAccepted {
		return response.StatusCode, op, string(raw)
	}
	if err := json.Unmarshal(raw, &op); err != nil {
		r.t.Fatal(err)
	}
	r.until(70*time.Second, kind+" ends", func() bool {
		return r.get(fmt.Sprintf("/api/v1/mesh/operations/%s?wait=1s&revision=%d", op.ID, op.Revision), &op) == nil && op.Ended()
	})
	return response.StatusCode, op, string(raw)
}

// TestOperatorOfACell: the orders that a simulated fleet takes are taken by a robot
// that leads its cell.
func TestOperatorOfACell(t *testing.T) {
	r := start(t, fmt.Sprintf(cellRobot, "solo", "mesh: {members: [solo]}"), cellManual, "")
	var s web.Status
	r.until(30*time.Second, "the mesh is shown", func() bool {
		s = web.Status{}
		return r.get("/api/v1/status", &s) == nil && s.Mesh != nil && s.Mesh.Led && s.Mesh.Mode == "FULL" && s.Mesh.Agents.Active == 1
	})
	if s.Mesh.Name != "cell gallery" || s.Mesh.Simulated || s.Mesh.Agents.Members != 1 {
		t.Errorf("%+v", s.Mesh)
	}
	r.control("start")
	r.until(10*time.Second, "it is running", func() bool {
		_, op, _ := r.give("ask", `{"by": "kim", "text": "mode"}`)
		return op.State == operator.Done && len(op.Ask.Groups) == 1 && op.Ask.Groups[0].Answer == "running" && !op.Ask.Groups[0].Conflict
	})
	if _, op, _ := r.give("ask", `{"by": "kim", "text": "weather"}`); op.Ask == nil || op.Ask.Conflicts != 1 || !strings.Contains(op.Ask.Groups[0].Answer, "nothing to say about weather") && !strings.Contains(op.Ask.Groups[0].Answer, "does not integrate") {
		t.Errorf("%+v", op.Ask)
	}
	_, op, answer := r.give("broadcast", `{"by": "kim", "text": "go=1", "in_ns": 1000000000}`)
	if op.State != operator.Done || op.Broadcast.Verdict != "PROCEED" || op.Broadcast.Counts.Ready != 1 {
		t.Fatalf("%s %+v", answer, op)
	}
	r.until(30*time.Second, "it drives", func() bool { return r.has("output", map[string]any{"name": "drive", "value": 1.0}) })
	if _, op, answer = r.give("delegate", `{"by": "kim", "text": "go=1"}`); op.State != operator.Done || op.Delegation.Agent != "solo" {
		t.Errorf("%s %+v", answer, op)
	}

	if _, op, answer = r.give("freeze", `{"by": "kim"}`); op.State != operator.Done || op.Freeze.Confirmed != 1 {
		t.Errorf("%s %+v", answer, op.Freeze)
	}
	r.until(10*time.Second, "its status says so", func() bool { return r.standing().Frozen })
	if status, _, answer := r.give("broadcast", `{"by": "kim", "text": "go=1"}`); status != http.StatusConflict || !strings.Contains(answer, "dancer thaw") {
		t.Errorf("frozen: %d %s", status, answer)
	}
	if _, op, answer = r.give("thaw", `{"by": "kim", "scope": "gallery"}`); op.State != operator.Done {
		t.Errorf("%s %+v", answer, op)
	}
	if _, op, answer = r.give("heal", `{"by": "kim"}`); op.State != operator.Done || len(op.Heal.Actions) != 0 {
		t.Errorf("%s %+v", answer, op.Heal)
	}
	for body, want := range map[string]string{
		`{"by": "kim", "text": "lights out"}`:                         "robots take name=number",
		`{"by": "kim", "text": "go"}`:                                 "asks for nothing to be done",
		`{"by": "kim", "text": "` + strings.Repeat("x", 600) + `=1"}`: "a text of 602 bytes",
		`{"by": "kim", "text": "go=1", "scope": "nobody"}`:            "no place or agent",
		`{"by": "kim", "text": "go=1", "pattern": "flood"}`:           "no pattern",
	} {
		if status, _, answer := r.give("broadcast", body); status != http.StatusUnprocessableEntity || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

// TestOperatorOfAFollower: a robot that does not lead says so, and shows no mesh.
func TestOperatorOfAFollower(t *testing.T) {
	r := start(t, fmt.Sprintf(cellRobot, "one", "mesh: {members: [one, two, three]}"), cellManual, "")
	r.until(20*time.Second, "its page", func() bool { return r.standing() != nil })
	var s web.Status
	if err := r.get("/api/v1/status", &s); err != nil || s.Mesh != nil || strings.Contains(strings.Join(s.Problems, " "), "mesh") {
		t.Errorf("%v %+v", err, s)
	}
	if status, _, answer := r.give("freeze", `{"by": "kim"}`); status != http.StatusServiceUnavailable || !strings.Contains(answer, "one does not lead gallery") {
		t.Errorf("%d %s", status, answer)
	}
}
