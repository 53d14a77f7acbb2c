package web

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/mesh/conductor"
)

func TestRefusesForeignHostsAndOrigins(t *testing.T) {
	h := newHall(t)
	_, fire, _ := h.museum()
	server := h.serve("")
	own := strings.TrimPrefix(server.URL, "http://")
	ruling := `{"verdict":"deny","by":"Ada"}`
	for name, c := range map[string]struct {
		headers map[string]string
		want    int
	}{
		"a program":                     {nil, http.StatusAccepted},
		"our page":                      {map[string]string{"Origin": server.URL, "Sec-Fetch-Site": "same-origin"}, http.StatusAccepted},
		"localhost with another port":   {map[string]string{"Host": "localhost:9"}, http.StatusAccepted},
		"IPv6 loopback":                 {map[string]string{"Host": "[::1]:8420"}, http.StatusAccepted},
		"a rebound name":                {map[string]string{"Host": "evil.example:8420"}, http.StatusMisdirectedRequest},
		"a rebound name of this port":   {map[string]string{"Host": "evil.example" + own[strings.LastIndex(own, ":"):]}, http.StatusMisdirectedRequest},
		"another machine's address":     {map[string]string{"Host": "192.0.2.1"}, http.StatusMisdirectedRequest},
		"no host":                       {map[string]string{"Host": " "}, http.StatusMisdirectedRequest},
		"another site":                  {map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		"another port of this machine":  {map[string]string{"Origin": "http://127.0.0.1:1"}, http.StatusForbidden},
		"a sandboxed page":              {map[string]string{"Origin": "null"}, http.StatusForbidden},
		"another site without Origin":   {map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"another site, https of ours":   {map[string]string{"Origin": "https://" + own}, http.StatusForbidden},
		"a form that poses as navigate": {map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, http.StatusForbidden},
	} {
		answer := call(t, "POST", server.URL+"/api/v1/escalations/"+fire.ID+"/ruling", ruling, c.headers, nil)
		if answer.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, answer.StatusCode, c.want)
		}
	}
	if answer := call(t, "GET", server.URL+"/api/v1/agents", "", map[string]string{"Origin": "http://evil.example"}, nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("reading from another site: %d", answer.StatusCode)
	}
	if answer := call(t, "GET", server.URL+"/", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, nil); answer.StatusCode != http.StatusOK {
		t.Errorf("a link from another site: %d", answer.StatusCode)
	}
}

func TestErrorsAreProblemDocuments(t *testing.T) {
	h := newHall(t)
	gas, fire, _ := h.museum()
	server := h.serve("")
	rule := "/api/v1/escalations/" + fire.ID + "/ruling"
	if _, err := h.desk.Rule(t.Context(), gas.ID, mesh.Ruling{Verdict: "deny", By: "Ada"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path, body string
		want                     Problem
	}{
		{"no such address", "GET", "/api/v2/x", "", Problem{Status: 404, Detail: "GET /api/v2/x: no such address"}},
		{"wrong method", "DELETE", "/api/v1/agents", "", Problem{Status: 405, Detail: "DELETE /api/v1/agents: method not allowed"}},
		{"unknown state", "GET", "/api/v1/escalations?state=odd", "", Problem{Status: 400, Detail: `list escalations: unknown state "odd"`, Hint: "give state=open, closed or all"}},
		{"unknown question", "GET", "/api/v1/escalations/x", "", Problem{Status: 404, Detail: `show "x": unknown question`}},
		{"rule on an unknown question", "POST", "/api/v1/escalations/x/ruling", `{"verdict":"deny","by":"Ada"}`, Problem{Status: 404, Detail: "rule on x: unknown question"}},
		{"no verdict", "POST", rule, `{"verdict":"yes","by":"Ada"}`, Problem{Status: 422, Detail: "invalid message: rule on " + fire.ID + `: "yes" is no verdict (give one of approve, deny, defer, reschedule, escalate)`}},
		{"by nobody", "POST", rule, `{"verdict":"deny"}`, Problem{Status: 422, Detail: "invalid message: rule on " + fire.ID + ": nobody rules (give by: the name of who decides)"}},
		{"unknown field", "POST", rule, `{"verdict":"deny","by":"Ada","opinion":"x"}`, Problem{Status: 400, Detail: `read body: json: unknown field "opinion"`, Hint: `send one JSON object, e.g. {"verdict": "approve", "by": "your name"}`}},
		{"two values", "POST", rule, `{"verdict":"deny","by":"Ada"}{}`, Problem{Status: 400, Detail: "read body: more than one JSON value", Hint: "send one JSON object"}},
		{"too large", "POST", rule, `{"note":"` + strings.Repeat("a", maxBody) + `"}`, Problem{Status: 413, Detail: "read body: it is larger than 16384 bytes"}},
		{"a long wait", "POST", rule + "?wait=1h", `{"verdict":"deny","by":"Ada"}`, Problem{Status: 400, Detail: `read wait: "1h" is no duration from 0 to 30s`, Hint: "write wait=2s"}},
		{"approve what was denied", "POST", "/api/v1/escalations/" + gas.ID + "/ruling", `{"verdict":"approve","by":"Bob"}`, Problem{Status: 409, Detail: "rule on " + gas.ID + ": a stricter ruling stands: deny by Ada; of two rulings the more restrictive wins"}},
		{"unknown agent", "POST", "/api/v1/agents/nobody/stop", `{"by":"Ada"}`, Problem{Status: 404, Detail: "stop nobody: unknown agent"}},
		{"unknown request", "POST", "/api/v1/agents/gallery-bot-1/fly", `{"by":"Ada"}`, Problem{Status: 404, Detail: "POST /api/v1/agents/gallery-bot-1/fly: no such address", Hint: "give start, stop or clear"}},
	} {
		var got Problem
		answer := call(t, c.method, server.URL+c.path, c.body, nil, &got)
		if answer.StatusCode != c.want.Status || got.Status != c.want.Status || got.Detail != c.want.Detail || (c.want.Hint != "" && got.Hint != c.want.Hint) {
			t.Errorf("%s: %d %+v, want %+v", c.name, answer.StatusCode, got, c.want)
		}
		if kind := answer.Header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s: %s", c.name, kind)
		}
		if got.Title == "" || !strings.HasPrefix(got.Type, "urn:dancer:problem:") {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	form := call(t, "POST", server.URL+rule, `{"verdict":"deny","by":"Ada"}`, map[string]string{"Content-Type": "text/plain"}, nil)
	if form.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a body that another site's form could send: %d", form.StatusCode)
	}
}

// knowing is a robot that can say what would have had to be different.
type knowing struct{ Backend }

func (knowing) Why(_ context.Context, id string) (Why, bool, error) {
	switch id {
	case "busy":
		return Why{}, false, Problem{Type: "urn:dancer:problem:busy", Title: "Service Unavailable", Status: 503, Detail: "explain decision busy: another one is being explained"}
	case "known":
		return Why{Decision: id, Counterfactuals: []dancer.Counterfactual{{Signal: "smoke", Words: "if smoke were less"}}, LeftOut: []string{"range"}}, true, nil
	}
	return Why{}, false, nil
}

func TestWhy(t *testing.T) {
	h := newHall(t)
	server := httptest.NewServer(Handler(Options{Backend: knowing{h.desk}, Hub: h.hub}))
	defer server.Close()
	var why Why
	if answer := call(t, "GET", server.URL+"/api/v1/decisions/known/why", "", nil, &why); answer.StatusCode != 200 ||
		!slices.Equal(why.Words(), []string{"if smoke were less", "there was no time to look into range"}) {
		t.Errorf("%d %+v", answer.StatusCode, why)
	}
	for id, want := range map[string]Problem{
		"busy":  {Status: 503, Detail: "explain decision busy: another one is being explained"},
		"other": {Status: 404, Detail: `explain decision "other": unknown decision`},
	} {
		var got Problem
		if call(t, "GET", server.URL+"/api/v1/decisions/"+id+"/why", "", nil, &got); got.Status != want.Status || got.Detail != want.Detail {
			t.Errorf("%s: %+v", id, got)
		}
	}
	plain := h.serve("")
	if answer := call(t, "GET", plain.URL+"/api/v1/decisions/known/why", "", nil, nil); answer.StatusCode != 404 {
		t.Errorf("a conductor answers %d", answer.StatusCode)
	}
}

func TestRulingWaitsForTheRobot(t *testing.T) {
	h := newHall(t)
	_, fire, _ := h.museum()
	server := h.serve("")
	var receipt Receipt
	answer := call(t, "POST", server.URL+"/api/v1/escalations/"+fire.ID+"/ruling?wait=20s", `{"verdict":"approve","option":"extinguish","by":"Ada"}`, nil, &receipt)
	if answer.StatusCode != http.StatusAccepted || !mesh.ValidID(receipt.ID) || receipt.Ack == nil || receipt.Ack.Outcome != "applied" {
		t.Fatalf("%d %+v", answer.StatusCode, receipt)
	}
	var q conductor.Question
	call(t, "GET", server.URL+"/api/v1/escalations/"+fire.ID, "", nil, &q)
	if q.Status != conductor.StatusApproved || len(q.Rulings) != 1 || q.Rulings[0].ID != receipt.ID {
		t.Errorf("%+v", q)
	}
	if h.stored[fire.ID].Status != conductor.StatusApproved {
		t.Error("the answer is not on the disk")
	}
	// Nobody answers: the ruling is stored all the same.
	h.answers("gallery-bot-1", nil)
	again := Receipt{}
	answer = call(t, "POST", server.URL+"/api/v1/escalations/"+fire.ID+"/ruling?wait=20ms", `{"verdict":"deny","by":"Ada"}`, nil, &again)
	if answer.StatusCode != http.StatusAccepted || again.Ack != nil || !mesh.ValidID(again.ID) {
		t.Errorf("%d %+v", answer.StatusCode, again)
	}
	if len(h.desk.waiting) != 0 {
		t.Errorf("%d still wait", len(h.desk.waiting))
	}
}

func TestFullDiskSendsNothing(t *testing.T) {
	h := newHall(t)
	_, fire, _ := h.museum()
	server := h.serve("")
	h.mutex.Lock()
	h.full, h.sent = true, nil
	h.mutex.Unlock()
	var p Problem
	answer := call(t, "POST", server.URL+"/api/v1/escalations/"+fire.ID+"/ruling", `{"verdict":"deny","by":"Ada"}`, nil, &p)
	if answer.StatusCode != http.StatusInternalServerError || p.Detail != "store question: write museum.db: no space left: free space, nothing stored so far is lost" {
		t.Errorf("%d %+v", answer.StatusCode, p)
	}
	id, err := h.ids.Next(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e, err := mesh.NewWithID(id, mesh.KindEscalation, "gallery-bot-1", 9, time.Now(), fire)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.desk.Take(t.Context(), cell, "gallery-bot-1", e); err == nil {
		t.Error("a question is dealt with that is not on the disk")
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(h.sent) != 0 || len(h.desk.Rulings()) != 0 {
		t.Errorf("sent %+v, rulings %+v", h.sent, h.desk.Rulings())
	}
}

// watch opens the stream and gives its events.
func watch(t *testing.T, url string) <-chan Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream is %s", kind)
	}
	events := make(chan Event, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(events)
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<22)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var e Event
				if json.Unmarshal([]byte(data), &e) == nil {
					events <- e
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); _ = answer.Body.Close(); <-done })
	return events
}

func next(t *testing.T, events <-chan Event, kind string) Event {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the stream ended before %s", kind)
			}
			if e.Kind == kind {
				return e
			}
		case <-deadline:
			t.Fatalf("no %s came", kind)
		}
	}
}

func TestStream(t *testing.T) {
	h := newHall(t)
	_, fire, _ := h.museum()
	server := h.serve("")
	events := watch(t, server.URL)
	var snapshot struct {
		Agents      []conductor.Agent
		Escalations []conductor.Question
		Status      Status
	}
	if err := json.Unmarshal(next(t, events, EventSnapshot).Data, &snapshot); err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Agents) != 3 || len(snapshot.Escalations) != 3 || snapshot.Status.Watchers != 1 || snapshot.Status.Open != 3 {
		t.Errorf("snapshot: %d agents, %d questions, %+v", len(snapshot.Agents), len(snapshot.Escalations), snapshot.Status)
	}
	h.take("gallery-bot-1", mesh.KindEvent, map[string]any{"kind": "reflex", "rule": "bump"})
	if e := next(t, events, "reflex"); e.Agent != "gallery-bot-1" || !strings.Contains(string(e.Data), "bump") {
		t.Errorf("%+v", e)
	}
	for _, forged := range []string{"snapshot", "agent", "escalation", "ruling", "status", "two\nlines", ""} {
		h.take("gallery-bot-1", mesh.KindEvent, map[string]any{"kind": forged})
		if e := next(t, events, "event"); e.Agent != "gallery-bot-1" {
			t.Errorf("%+v", e)
		}
	}
	if _, err := h.desk.Rule(t.Context(), fire.ID, mesh.Ruling{Verdict: "deny", By: "Ada"}); err != nil {
		t.Fatal(err)
	}
	if e := next(t, events, EventEscalation); e.Agent != "gallery-bot-1" {
		t.Errorf("%+v", e)
	}
	next(t, events, EventRuling)
}

func TestSlowWatcherIsCutOff(t *testing.T) {
	h := NewHub()
	slow, ok := h.subscribe()
	if !ok {
		t.Fatal("no place")
	}
	for range hubQueue + 1 {
		h.Publish(Event{Kind: "reflex"})
	}
	n := 0
	for range slow.queue {
		n++
	}
	if n != hubQueue || h.Cut() != 1 || h.Watchers() != 0 {
		t.Errorf("%d events, %d cut, %d watch", n, h.Cut(), h.Watchers())
	}
	for range hubWatchers {
		if _, ok := h.subscribe(); !ok {
			t.Fatal("no place")
		}
	}
	if _, ok := h.subscribe(); ok {
		t.Error("more watchers than places")
	}
	h.Close()
	if _, ok := h.subscribe(); ok || h.Watchers() != 0 {
		t.Error("a closed hub takes watchers")
	}
}

func TestToken(t *testing.T) {
	const token = "a-long-and-secret-token"
	h := newHall(t)
	h.museum()
	server := h.serve(token)
	status := func(headers map[string]string) int {
		return call(t, "GET", server.URL+"/api/v1/status", "", headers, nil).StatusCode
	}
	if got := status(nil); got != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got)
	}
	if got := status(map[string]string{"Authorization": "Bearer " + token[1:]}); got != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", got)
	}
	if got := status(map[string]string{"Authorization": "Bearer " + token}); got != http.StatusOK {
		t.Errorf("with the token: %d", got)
	}
	for _, path := range []string{"/metrics", "/api/v1/agents", "/api/v1/events", "/api/v1/rulings"} {
		if answer := call(t, "GET", server.URL+path, "", nil, nil); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, answer.StatusCode)
		}
	}
	for _, path := range []string{"/", "/app.js", "/healthz"} {
		if answer := call(t, "GET", server.URL+path, "", nil, nil); answer.StatusCode != http.StatusOK {
			t.Errorf("%s, which holds no data: %d", path, answer.StatusCode)
		}
	}
	answer := call(t, "POST", server.URL+"/api/v1/session", `{"token":"`+token+`"}`, nil, nil)
	if len(answer.Cookies()) != 1 {
		t.Fatalf("cookies %v", answer.Cookies())
	}
	cookie := answer.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, token) {
		t.Errorf("%+v", cookie)
	}
	session := map[string]string{"Cookie": cookie.Name + "=" + cookie.Value}
	if got := status(session); got != http.StatusOK {
		t.Errorf("with a session: %d", got)
	}
	call(t, "DELETE", server.URL+"/api/v1/session", "", session, nil)
	if got := status(session); got != http.StatusUnauthorized {
		t.Errorf("with a session that was ended: %d", got)
	}
	codes := map[int]int{}
	for range 30 {
		codes[call(t, "POST", server.URL+"/api/v1/session", `{"token":"wrong"}`, nil, nil).StatusCode]++
	}
	if codes[http.StatusTooManyRequests] == 0 {
		t.Errorf("guessing is not slowed down: %v", codes)
	}
}

func TestSessionsAreBoundedAndEnd(t *testing.T) {
	now := time.Unix(0, 0)
	s := newSessions("token", func() time.Time { return now })
	first := s.open()
	for range sessionLimit {
		now = now.Add(time.Second)
		s.open()
	}
	if _, ok := s.until[first]; ok || len(s.until) != sessionLimit {
		t.Errorf("%d sessions", len(s.until))
	}
	last := s.open()
	request, _ := http.NewRequest("GET", "/", nil)
	request.AddCookie(&http.Cookie{Name: sessionCookie, Value: last})
	if !s.allowed(request) {
		t.Error("a fresh session is refused")
	}
	now = now.Add(sessionLife)
	if s.allowed(request) {
		t.Error("an old session is accepted")
	}
}

func TestPagePolicy(t *testing.T) {
	h := newHall(t)
	server := h.serve("")
	for _, path := range []string{"/", "/app.js", "/app.css", "/icon.svg"} {
		answer := call(t, "GET", server.URL+path, "", nil, nil)
		policy := answer.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") || answer.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %s", path, policy)
		}
	}
	files, err := assets.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := assets.ReadFile("assets/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://", "cdn."} {
			if strings.Contains(string(data), forbidden) {
				t.Errorf("%s has %q", f.Name(), forbidden)
			}
		}
	}
}

func TestListen(t *testing.T) {
	h := newHall(t)
	options := func(address string) ServerOptions {
		return ServerOptions{Options: Options{Backend: h.desk, Hub: h.hub}, Address: address}
	}
	s, err := Listen(options("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		s.Address():    "listen " + s.Address() + ": the address is in use (another dancer? give --listen another address)",
		"0.0.0.0:0":    "listen 0.0.0.0:0: not a loopback address: set token_file, certificate and key first",
		":0":           "listen :0: not a loopback address: set token_file, certificate and key first",
		"example.com:": "listen example.com:: not a loopback address: set token_file, certificate and key first",
		"8420":         "listen 8420: address 8420: missing port in address (write host:port, e.g. 127.0.0.1:8420)",
	} {
		if _, err := Listen(options(address)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	events := watch(t, s.URL())
	next(t, events, EventSnapshot)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end with an open stream: %v", err)
	}
	if _, err := net.Dial("tcp", s.Address()); err == nil {
		t.Error("it still listens")
	}
}

func TestHealth(t *testing.T) {
	h := newHall(t)
	server := h.serve("")
	answer, err := http.Get(server.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if raw, err := io.ReadAll(answer.Body); err != nil || string(raw) != "ok\n" {
		t.Errorf("%q %v", raw, err)
	}
}
