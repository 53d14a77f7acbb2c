package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/conductor"
)

// FuzzRequest sends any request to a page. The answer is never a failure of ours
// (5xx), a refusal is a problem document that says why, and what reaches the
// backend is valid.
func FuzzRequest(f *testing.F) {
	const ruling = "/api/v1/escalations/01JD8Z7M8R0000000000000000/ruling"
	for _, seed := range []struct{ method, target, kind, body string }{
		{"POST", ruling, "application/json", `{"verdict":"approve","option":"vent","by":"kim","note":"x"}`},
		{"POST", ruling + "?wait=1ms", "application/json; charset=utf-8", `{"verdict":"deny","by":"kim"}`},
		{"POST", ruling + "?wait=-1s", "application/json", `{"verdict":"deny","by":"kim"} {}`},
		{"POST", "/api/v1/agents/bot-1/clear", "application/json", `{"by":"kim","latch":"bump"}`},
		{"POST", "/api/v1/agents/bot-1/stop", "text/plain", `{"by":"kim"}`},
		{"POST", "/api/v1/session", "application/json", `{"token":"x"}`},
		{"GET", "/api/v1/escalations?state=all", "", ""},
		{"GET", "/api/v1/escalations/%2e%2e%2f", "", ""},
		{"GET", "/api/v1/decisions?limit=99999999999999999999", "", ""},
		{"GET", "/api/v1/decisions/x/why", "", ""},
		{"DELETE", "/api/v1/status", "", ""},
		{"GET", "/metrics", "", ""},
	} {
		f.Add(seed.method, seed.target, seed.kind, []byte(seed.body))
	}
	backend := &careful{}
	hub := NewHub()
	handler := Handler(Options{Backend: backend, Hub: hub})
	f.Fuzz(func(t *testing.T, method, target, kind string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") || u.Path == "/api/v1/events" {
			return // no request, or the stream, which does not end
		}
		request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8420"+target, strings.NewReader(string(body)))
		if err != nil {
			return
		}
		request.Header.Set("Content-Type", kind)
		request.RemoteAddr = "127.0.0.1:1"
		answer := httptest.NewRecorder()
		backend.t = t
		handler.ServeHTTP(answer, request)
		if answer.Code >= 500 {
			t.Fatalf("%s %s: %d %s", method, target, answer.Code, answer.Body)
		}
		if answer.Code < 400 || answer.Header().Get("Content-Type") != "application/problem+json" {
			return
		}
		var p Problem
		if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || p.Detail == "" || p.Status != answer.Code {
			t.Fatalf("%s %s: %d with %s", method, target, answer.Code, answer.Body)
		}
	})
}

// careful is a backend that wants what it is handed to be valid, as the real ones
// check it.
type careful struct{ t *testing.T }

func (*careful) Status() Status                        { return Status{Role: RoleRobot} }
func (*careful) Agents() []conductor.Agent             { return []conductor.Agent{{Name: "bot-1", Cell: cell}} }
func (*careful) Questions(string) []conductor.Question { return nil }
func (*careful) Rulings() []conductor.Ruling           { return nil }

func (c *careful) Rule(_ context.Context, question string, r mesh.Ruling) (string, error) {
	r.Escalation = question
	if err := r.Validate(); err != nil {
		return "", err
	}
	return question, nil
}

func (c *careful) Request(_ context.Context, agent string, r mesh.Request) (string, error) {
	if r.Do != "start" && r.Do != "stop" && r.Do != "clear" {
		c.t.Fatalf("request %q reached the backend", r.Do)
	}
	if err := errors.Join(r.Validate(), mesh.ValidName(agent)); err != nil {
		return "", errors.Join(mesh.ErrInvalid, err)
	}
	return agent, nil
}

func (*careful) Await(ctx context.Context, _ string) (mesh.Ack, bool) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Millisecond):
	}
	return mesh.Ack{}, false
}

func (*careful) Decisions(int) ([]json.RawMessage, error)              { return nil, nil }
func (*careful) Decision(string) (json.RawMessage, bool, error)        { return nil, false, nil }
func (*careful) Why(context.Context, string) (w Why, ok bool, e error) { return w, false, nil }
