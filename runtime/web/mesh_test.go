package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	fleetrun "dancer/mesh/fleet/run"
	"dancer/mesh/operator"
	"dancer/mesh/quorum"
)

// fleetMesh is a small simulated fleet whose time passes when it is asked.
type fleetMesh struct {
	mutex sync.Mutex
	fleet *fleetrun.Fleet
	desk  *operator.Desk
}

func (f *fleetMesh) Now() time.Duration { return f.fleet.Now() }

func (f *fleetMesh) With(p operator.Place, call func(time.Duration, *coordination.Coordinator, *coordination.Outbox)) bool {
	seat := fleet.Orchestrator
	switch p.Level {
	case operator.InSector:
		seat = f.fleet.Topology().Sector(p.Index)
	case operator.InCluster:
		seat = f.fleet.Topology().Cluster(p.Index)
	}
	return f.fleet.Do(seat, call) == nil
}

// do lets 50 ms pass for each call.
func (f *fleetMesh) do(_ context.Context, call func()) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if err := f.fleet.Run(f.fleet.Now() + 50*time.Millisecond); err != nil {
		return err
	}
	f.desk.Tick()
	call()
	return nil
}

func newFleetMesh(t *testing.T) Mesh {
	t.Helper()
	f := &fleetMesh{}
	var err error
	if f.fleet, err = fleetrun.New(fleetrun.Config{Agents: 120, Seed: 3, Conditions: fleet.DefaultConditions(), Effects: func(e *fleetrun.Told) {
		if f.desk != nil && e.Effect.Kind >= coordination.LeadingChanged {
			f.desk.Observe(e.Effect)
		}
	}}); err != nil {
		t.Fatal(err)
	}
	f.desk, err = operator.NewDesk(operator.Config{Shape: &operator.Shape{Name: "fleet", Topology: &f.fleet.Topology().Topology, Root: quorum.TierSector, Capabilities: fleetrun.Capabilities},
		Cores: f, Random: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.fleet.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	return NewMesh(MeshOptions{Desk: f.desk, Do: f.do})
}

// request makes one request and gives the status, the body and the header.
func request(t *testing.T, method, url, token, kind, body string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(raw), answer.Header
}

func TestMeshOrders(t *testing.T) {
	s := httptest.NewServer(MeshHandler(Options{Mesh: newFleetMesh(t), Version: "test"}))
	defer s.Close()
	const js = "application/json"
	var st Status
	status, body, _ := request(t, "GET", s.URL+"/api/v1/status", "", "", "")
	if err := json.Unmarshal([]byte(body), &st); status != 200 || err != nil || st.Role != RoleFleet || st.Version != "test" || st.Mesh == nil || st.Mesh.Agents.Active != 112 || st.Mesh.Version != operator.Version {
		t.Fatalf("%d %s %v", status, body, err)
	}
	status, body, _ = request(t, "POST", s.URL+"/api/v1/mesh/broadcast", "", js, `{"by": "kim", "text": "go", "scope": "sector-0"}`)
	var op operator.Operation
	if err := json.Unmarshal([]byte(body), &op); status != 202 || err != nil || op.State != operator.Running {
		t.Fatalf("%d %s %v", status, body, err)
	}
	for first := op.Revision; !op.Ended(); {
		status, body, _ = request(t, "GET", s.URL+"/api/v1/mesh/operations/"+op.ID+"?wait=2s&revision="+jsonNumber(op.Revision), "", "", "")
		if err := json.Unmarshal([]byte(body), &op); status != 200 || err != nil || op.Revision <= first && !op.Ended() {
			t.Fatalf("%d %s %v", status, body, err)
		}
	}
	if op.State != operator.Done || op.Broadcast.Verdict != "PROCEED" || op.By != "kim" {
		t.Errorf("%s", body)
	}
	if status, body, _ = request(t, "GET", s.URL+"/api/v1/mesh/operations", "", "", ""); status != 200 || !strings.Contains(body, `"id":"1"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body, _ = request(t, "POST", s.URL+"/api/v1/mesh/broadcast", "", js, `{"by": "kim", "text": "go", "in_ns": 9000000000}`); status != 202 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body, _ = request(t, "POST", s.URL+"/api/v1/mesh/operations/2/cancel", "", js, `{"by": "kim"}`); status != 200 || !strings.Contains(body, `"state":"cancelled"`) {
		t.Errorf("%d %s", status, body)
	}
	at := time.Now().Add(3 * time.Second).UTC().Format(time.RFC3339Nano)
	if status, body, _ = request(t, "POST", s.URL+"/api/v1/mesh/broadcast", "", js, `{"by": "kim", "text": "go", "at": "`+at+`"}`); status != 202 || !strings.Contains(body, `"target_ms":29`) {
		t.Errorf("%d %s", status, body)
	}
}

func jsonNumber(n uint64) string {
	raw, _ := json.Marshal(n)
	return string(raw)
}

// TestMeshHostile: whatever a stranger sends gets a problem document and changes
// nothing.
func TestMeshHostile(t *testing.T) {
	mesh := newFleetMesh(t)
	s := httptest.NewServer(MeshHandler(Options{Mesh: mesh, Token: "the-right-token"}))
	defer s.Close()
	const js = "application/json"
	big := `{"by": "kim", "text": "` + strings.Repeat("x", 20<<10) + `"}`
	for name, c := range map[string]struct {
		method, path, token, kind, body string
		status                          int
		want                            string
	}{
		"no token":         {"GET", "/api/v1/mesh", "", "", "", 401, "a token is needed"},
		"wrong token":      {"POST", "/api/v1/mesh/freeze", "the-wrong-token", js, `{"by": "kim"}`, 401, "a token is needed"},
		"no token, agents": {"GET", "/api/v1/mesh/agents", "", "", "", 401, ""},
		"no token, cancel": {"POST", "/api/v1/mesh/operations/1/cancel", "", js, `{"by": "kim"}`, 401, ""},
		"form":             {"POST", "/api/v1/mesh/freeze", "the-right-token", "application/x-www-form-urlencoded", "by=kim", 415, "not declared as JSON"},
		"no type":          {"POST", "/api/v1/mesh/freeze", "the-right-token", "", `{"by": "kim"}`, 415, ""},
		"too large":        {"POST", "/api/v1/mesh/broadcast", "the-right-token", js, big, 413, "larger than"},
		"text too large":   {"POST", "/api/v1/mesh/broadcast", "the-right-token", js, `{"by": "kim", "text": "` + strings.Repeat("x", 5000) + `"}`, 422, "a text of 5000 bytes"},
		"unknown field":    {"POST", "/api/v1/mesh/freeze", "the-right-token", js, `{"by": "kim", "force": true}`, 400, "unknown field"},
		"two values":       {"POST", "/api/v1/mesh/freeze", "the-right-token", js, `{"by": "kim"} {}`, 400, "more than one"},
		"truncated":        {"POST", "/api/v1/mesh/freeze", "the-right-token", js, `{"by": "ki`, 400, ""},
		"array":            {"POST", "/api/v1/mesh/freeze", "the-right-token", js, `[]`, 400, ""},
		"nobody":           {"POST", "/api/v1/mesh/freeze", "the-right-token", js, `{}`, 422, "nobody orders it"},
		"no such order":    {"POST", "/api/v1/mesh/explode", "the-right-token", js, `{"by": "kim"}`, 422, "no such order"},
		"no such place":    {"POST", "/api/v1/mesh/freeze", "the-right-token", js, `{"by": "kim", "scope": "sector-99"}`, 422, "no place or agent"},
		"past":             {"POST", "/api/v1/mesh/broadcast", "the-right-token", js, `{"by": "kim", "text": "x", "at": "2020-01-01T00:00:00Z"}`, 422, "is past"},
		"get an order":     {"GET", "/api/v1/mesh/freeze", "the-right-token", "", "", 405, "method not allowed"},
		"no operation":     {"GET", "/api/v1/mesh/operations/77", "the-right-token", "", "", 404, "no operation"},
		"long wait":        {"GET", "/api/v1/mesh/operations/77?wait=1h", "the-right-token", "", "", 400, "no duration from 0 to"},
		"odd limit":        {"GET", "/api/v1/mesh/agents?limit=many", "the-right-token", "", "", 400, "is no number"},
		"large limit":      {"GET", "/api/v1/mesh/agents?limit=1000000", "the-right-token", "", "", 422, "a page of 1000000"},
		"odd flag":         {"GET", "/api/v1/mesh/agents?flagged=perhaps", "the-right-token", "", "", 400, "neither true nor false"},
		"elsewhere":        {"GET", "/api/v1/agents", "the-right-token", "", "", 404, "no such address"},
	} {
		status, body, header := request(t, c.method, s.URL+c.path, c.token, c.kind, c.body)
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != c.status || p.Status != c.status || !strings.Contains(p.Detail, c.want) || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %v", name, status, body, err)
		}
	}
	list, err := mesh.Operations(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("%v %+v", err, list)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/api/v1/mesh", nil)
	r.Host = "evil.example"
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host: %v %v", answer, err)
	}
}

// TestMeshFlood: orders come from people; a flood of them is cut off.
func TestMeshFlood(t *testing.T) {
	s := httptest.NewServer(MeshHandler(Options{Mesh: newFleetMesh(t)}))
	defer s.Close()
	limited := 0
	for range 3 * ordersPerSecond {
		if status, _, _ := request(t, "POST", s.URL+"/api/v1/mesh/heal", "", "application/json", `{"by": "kim"}`); status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("no order was refused")
	}
	if status, _, _ := request(t, "GET", s.URL+"/api/v1/mesh", "", "", ""); status != 200 {
		t.Errorf("%d: whoever only looks is not held up", status)
	}
}

// broken is a mesh that does not answer.
type broken struct{ Mesh }

func (broken) Status(context.Context) (operator.Status, error) {
	return operator.Status{}, errors.New("it is stuck")
}

func TestStatusWithMesh(t *testing.T) {
	hall := newHall(t)
	for name, c := range map[string]struct {
		mesh Mesh
		want string
	}{
		"none":   {nil, `"role"`},
		"mesh":   {newFleetMesh(t), `"mesh":{"version":1`},
		"broken": {broken{}, "it is stuck"},
	} {
		s := httptest.NewServer(Handler(Options{Backend: hall.desk, Hub: hall.hub, Mesh: c.mesh}))
		status, body, _ := request(t, "GET", s.URL+"/api/v1/status", "", "", "")
		s.Close()
		if status != 200 || !strings.Contains(body, c.want) || c.mesh == nil && strings.Contains(body, `"mesh"`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// FuzzOrders: no body breaks the server or starts what makes no sense.
func FuzzOrders(f *testing.F) {
	for _, seed := range []string{`{"by": "kim", "text": "x"}`, `{"by": "kim", "scope": "sector-0", "in_ns": 1e9}`, `{"at": "x"}`, `{"priority": 300}`, `{"weight": 1e400}`} {
		f.Add("broadcast", []byte(seed))
	}
	var mesh Mesh
	var once sync.Once
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		once.Do(func() { mesh = newFleetMesh(t) })
		h := MeshHandler(Options{Mesh: mesh})
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.Path, r.Host = "/api/v1/mesh/"+kind, "localhost"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
