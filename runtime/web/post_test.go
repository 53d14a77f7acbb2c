package web

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// posted is a robot that takes readings.
type posted struct {
	Backend
	got []map[string]float64
}

func (p *posted) Post(values map[string]float64) error {
	if _, ok := values["range"]; ok {
		return problem(http.StatusUnprocessableEntity, "unknown", "range may not be posted", "")
	}
	p.got = append(p.got, values)
	return nil
}

func TestPostSignals(t *testing.T) {
	h := newHall(t)
	p := &posted{Backend: h.desk}
	server := httptest.NewServer(Handler(Options{Backend: p, Hub: h.hub}))
	defer server.Close()
	for _, c := range []struct {
		body string
		want int
	}{
		{`{"load": 81.5, "busy": true, "idle": false}`, http.StatusNoContent},
		{`{"load": 1e400}`, http.StatusUnprocessableEntity}, {`{"load": "81"}`, http.StatusUnprocessableEntity}, {`{"load": null}`, http.StatusUnprocessableEntity},
		{`{"load": [1]}`, http.StatusUnprocessableEntity}, {`{"load": 1} 2`, http.StatusBadRequest}, {`load`, http.StatusBadRequest}, {`{"range": 1}`, http.StatusUnprocessableEntity},
	} {
		if answer := call(t, "POST", server.URL+"/api/v1/signals", c.body, nil, nil); answer.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.body, answer.StatusCode, c.want)
		}
	}
	if want := map[string]float64{"load": 81.5, "busy": 1, "idle": 0}; len(p.got) != 1 || !maps.Equal(p.got[0], want) {
		t.Errorf("taken: %v", p.got)
	}
	if answer := call(t, "POST", server.URL+"/api/v1/signals", `{"load": 1}`, map[string]string{"Origin": "http://evil.example"}, nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("another site posts: %d", answer.StatusCode)
	}
	posts := 0
	for posts < 100*postsPerSecond && call(t, "POST", server.URL+"/api/v1/signals", `{"load": 1}`, nil, nil).StatusCode != http.StatusTooManyRequests {
		posts++
	}
	if posts < postsPerSecond/2 || posts == 100*postsPerSecond {
		t.Errorf("the first to be refused is number %d", posts)
	}
}

// A conductor has no signals to post to.
func TestConductorTakesNoSignals(t *testing.T) {
	h := newHall(t)
	server := h.serve("")
	answer := call(t, "POST", server.URL+"/api/v1/signals", `{"load": 1}`, nil, nil)
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(answer.Header.Get("Content-Type"), "problem") {
		t.Errorf("%d %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
}
