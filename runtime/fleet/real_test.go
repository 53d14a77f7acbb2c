package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/operator"
	"dancer/runtime/web"
)

// TestReal: a small fleet with real sockets finds itself, carries out the cascades of
// its script and an operator's order, and ends in time.
func TestReal(t *testing.T) {
	if testing.Short() {
		t.Skip("a fleet on the wall clock takes half a minute to be worth looking at")
	}
	dir := t.TempDir()
	var out, errs bytes.Buffer
	var seen operator.Status
	var ordered operator.Operation
	looked := make(chan error, 1)
	o := RealOptions{
		Options: Options{Config: run.Config{Agents: 45, Seed: 9, Conditions: fleet.Conditions{Offset: 500 * time.Millisecond, Drift: 50}, Cascades: 2, First: 22 * time.Second, Every: 5 * time.Second},
			For: 34 * time.Second, JSON: filepath.Join(dir, "report.json"), Out: &out, Errors: &errs},
		Server: &web.ServerOptions{Address: "127.0.0.1:0"},
		Ready: func(url string) {
			go func() {
				time.Sleep(19 * time.Second)
				looked <- errors.Join(get(url+"/api/v1/mesh", &seen), post(url+"/api/v1/mesh/ask", `{"by": "kim", "text": "x", "sample": 10}`, &ordered))
			}()
		},
	}
	err := Real(t.Context(), o)
	if err != nil && !errors.Is(err, ErrMissed) { // how late this machine is says nothing of the program
		t.Fatal(err)
	}
	if err := <-looked; err != nil || seen.Agents.Members != 42 || seen.Agents.Active != 42 || seen.Simulated || seen.Mode != "FULL" || ordered.Ask == nil || ordered.Ask.Asked != 10 {
		t.Errorf("%v %+v %+v", err, seen, ordered)
	}
	raw, err := os.ReadFile(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var report fleet.Report
	if err := json.Unmarshal(raw, &report); err != nil || len(report.Operations) != 2 || report.Agents != 45 || report.Traffic.Sent == 0 {
		t.Fatalf("%v %s", err, raw)
	}
	for _, op := range report.Operations {
		if op.Members != 42 || op.Ready < 38 || op.Acted < 38 {
			t.Errorf("%+v", op)
		}
	}
	if text := out.String(); !strings.Contains(text, "of real time") || !strings.Contains(text, "THIS MACHINE\n49 nodes, each with a socket") || !strings.Contains(text, "late at the median") {
		t.Error(text)
	}
}

func get(url string, into any) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

func post(url, body string, into any) error {
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

// TestRealEndsWhenAsked: an interrupt ends everything, with the report so far.
func TestRealEndsWhenAsked(t *testing.T) {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	err := Real(ctx, RealOptions{Options: Options{Config: run.Config{Agents: 12, Seed: 1, Conditions: fleet.Conditions{}}, For: time.Hour, Out: &out, Errors: &errs}})
	if !errors.Is(err, ErrInterrupted) || !strings.Contains(out.String(), "THIS MACHINE") {
		t.Errorf("%v %s", err, &out)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

// TestRealRefuses: what cannot be is said before a socket is opened.
func TestRealRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no time":    {Config: run.Config{Agents: 10}},
		"nobody":     {Config: run.Config{Agents: 0}, For: time.Second},
		"no sockets": {Config: run.Config{Agents: 4_000_000}, For: time.Second},
	} {
		if err := Real(t.Context(), RealOptions{Options: o}); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServeRefuses: the same of a served one.
func TestServeRefuses(t *testing.T) {
	for name, o := range map[string]ServeOptions{
		"speed":   {Speed: -1},
		"address": {Options: Options{Config: run.Config{Agents: 30, Conditions: fleet.DefaultConditions()}, Errors: &bytes.Buffer{}}, Server: web.ServerOptions{Address: "0.0.0.0:0"}},
		"nobody":  {Options: Options{Errors: &bytes.Buffer{}}, Server: web.ServerOptions{Address: "127.0.0.1:0"}},
	} {
		if err := Serve(t.Context(), o); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
