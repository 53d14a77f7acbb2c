package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/conflict"
	"dancer/runtime/conflicts"
)

func TestConflicts(t *testing.T) {
	h := newHall(t)
	ids := mesh.NewIDs(rand.Reader)
	keeper, err := conflicts.Open(conflicts.Options{
		Data: t.TempDir(), Owner: "_conductor-museum", Cell: cell, Wall: time.Now, Clock: func() time.Duration { return time.Since(h.start) },
		NewID: func() string { id, _ := ids.Next(time.Now()); return id },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := keeper.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); done.Wait() })
	keeper.Report(conflict.Claim{Detail: conflict.Detail{Type: conflict.HashMismatch}, Agent: "bot-1", Subject: "message", Expected: "a", Received: "b", Data: []byte("x")})
	s := httptest.NewServer(Handler(Options{Backend: h.desk, Hub: h.hub, Conflicts: keeper}))
	t.Cleanup(s.Close)
	var found conflicts.Listed
	until := time.Now().Add(20 * time.Second)
	for len(found.Conflicts) == 0 && time.Now().Before(until) {
		call(t, "GET", s.URL+"/api/v1/conflicts?type=HASH_MISMATCH&priority=4&agent=bot-1&since=2026-01-01T00:00:00Z&limit=1", "", nil, &found)
	}
	if len(found.Conflicts) != 1 || found.Conflicts[0].Subject != "message" {
		t.Fatalf("%+v", found)
	}
	at := s.URL + "/api/v1/conflicts/" + found.Conflicts[0].ID
	for _, c := range []struct {
		method, url, body string
		status            int
	}{
		{"GET", s.URL + "/api/v1/conflicts?type=WAR", "", http.StatusBadRequest},
		{"GET", s.URL + "/api/v1/conflicts?priority=5", "", http.StatusBadRequest},
		{"GET", s.URL + "/api/v1/conflicts?limit=0", "", http.StatusBadRequest},
		{"GET", s.URL + "/api/v1/conflicts?since=yesterday", "", http.StatusBadRequest},
		{"POST", at + "/release", `{}`, http.StatusUnprocessableEntity},
		{"POST", at + "/forget", `{"by":"Ada"}`, http.StatusUnprocessableEntity},
		{"POST", at + "/release", `{"by":"Ada","who":"Bo"}`, http.StatusBadRequest},
		{"POST", at + "/release", `{"by":"Ada","why":"it was right"}`, http.StatusNoContent},
		{"POST", at + "/release", `{"by":"Ada"}`, http.StatusNotFound},
	} {
		if answer := call(t, c.method, c.url, c.body, nil, nil); answer.StatusCode != c.status {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.url, c.body, answer.StatusCode, c.status)
		}
	}
	if c := keeper.Counters().Quarantine; c.Released != 1 || c.Items != 0 {
		t.Errorf("%+v", c)
	}
	without := h.serve("")
	if answer := call(t, "GET", without.URL+"/api/v1/conflicts", "", nil, nil); answer.StatusCode != http.StatusNotFound {
		t.Errorf("without a log: %d", answer.StatusCode)
	}
}
