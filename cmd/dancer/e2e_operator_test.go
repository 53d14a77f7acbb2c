package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	console "dancer/mesh/operator"
	"dancer/runtime/web"
)

// TestEndToEndOperator works with a simulated fleet as a person does: it is served in
// the background, and every command of an operator is given by the real binary.
func TestEndToEndOperator(t *testing.T) {
	w := newWorld(t)
	listen := w.freePort()
	token := w.file("token", "a-token-of-the-test\n")
	fleet := w.start("fleet", "--agents", "300", "--seed", "5", "--serve", listen, "--serve-token-file", token, "--speed", "2", "--conflicts", "0%")
	w.until(60*time.Second, "the operator's API", func() bool { return strings.Contains(fleet.stdout.String(), "operator: http://"+listen) })
	dancer := func(want int, args ...string) (string, string) {
		t.Helper()
		code, out, errs := w.once(append(args, "--conductor", "http://"+listen, "--token-file", token)...)
		if code != want {
			t.Errorf("%v: %d, want %d\n%s%s", args, code, want, out, errs)
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%v: colours, and no terminal", args)
		}
		return out, errs
	}
	says := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("it does not say %q:\n%s", part, text)
			}
		}
	}
	out, _ := dancer(0, "status")
	says(out, "FLEET OF 300, SEED 5", "280 / 280 active (100%)", "1 / 1 healthy", "10 / 10 healthy", "FULL", "all closed")
	out, _ = dancer(0, "status", "--json")
	var s web.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Role != web.RoleFleet || s.Mesh == nil || s.Mesh.Agents.Active != 280 {
		t.Errorf("%v %s", err, out)
	}

	out, errs := dancer(0, "agents", "--class", "D", "--limit", "7")
	says(out, "NAME", "agent-", "sector-0", "cluster-0")
	says(errs, "7 of 20; the next with --after ")
	out, _ = dancer(0, "agents", "--sector", "0", "--all", "--json")
	var page console.Page
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Agents) != 300 || page.Next != -1 {
		t.Errorf("%v: %d agents", err, len(page.Agents))
	}
	out, _ = dancer(0, "agents")
	says(out, "agent-49")

	out, _ = dancer(0, "ask", "what is your context?", "--sample", "40", "--class", "A")
	says(out, "40 asked, ", " agents: ")
	out, _ = dancer(0, "broadcast", "lights", "out")
	says(out, "PROCEED", " of 280 READY", " acted, the last one ")
	out, _ = dancer(0, "broadcast", "lights out", "--scope", "cluster-3", "--pattern", "parallel", "--in", "1500ms", "--confirm", "--json")
	var op console.Operation
	if err := json.Unmarshal([]byte(out), &op); err != nil || op.Broadcast.Verdict != "PROCEED" || op.Broadcast.Counts.Total != 28 || op.Broadcast.TargetMS != 1500 || op.By == "" {
		t.Errorf("%v %s", err, out)
	}
	out, _ = dancer(0, "delegate", "figures", "--to", "gpu")
	says(out, "(class D, score ", "has it done after ")

	_, errs = dancer(2, "freeze") // there is no terminal to ask at
	says(errs, "give --yes")
	out, _ = dancer(0, "freeze", "--yes")
	says(out, "FROZEN all: 300 of 300 agents have confirmed", "to resume: dancer thaw")
	_, errs = dancer(1, "broadcast", "lights out")
	says(errs, "broadcast all: refused: its scope is frozen (dancer thaw ends it)")
	out, _ = dancer(0, "thaw", "--yes")
	says(out, "THAWED all: 300 of 300 agents have confirmed")
	out, _ = dancer(0, "heal")
	says(out, "nothing waits for an operator there")
	dancer(0, "broadcast", "lights out")

	_, errs = dancer(2, "broadcast", "lights out", "--scope", "sector-9")
	says(errs, `no place or agent "sector-9"`, "sector-0 to sector-0")
	_, errs = dancer(2, "ask", "x", "--class", "Z")
	says(errs, `no class "Z"`)
	dancer(2, "broadcast")
	code, _, errs := w.once("heal", "--conductor", "http://"+listen)
	if code != 1 || !strings.Contains(errs, "it asks for a token") {
		t.Errorf("without a token: %d %s", code, errs)
	}
	t.Run("interrupt", func(t *testing.T) { w.interrupted(t, listen, token) })

	if err := fleet.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := fleet.wait(20 * time.Second); code != 0 {
		t.Errorf("the fleet ends with %d: %s", code, fleet.stderr.String())
	}
}

// interrupted: Ctrl-C calls a broadcast back.
func (w *world) interrupted(t *testing.T, listen, token string) {
	p := w.start("broadcast", "later", "--in", "40s", "--conductor", "http://"+listen, "--token-file", token)
	var list struct{ Operations []console.Operation }
	running := func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listen+"/api/v1/mesh/operations", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer a-token-of-the-test")
		answer, err := httpClient.Do(r)
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		return json.NewDecoder(answer.Body).Decode(&list) == nil && len(list.Operations) > 0 && list.Operations[0].Text == "later"
	}
	w.until(20*time.Second, "the broadcast is under way", running)
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	if code := p.wait(20 * time.Second); code != 1 || !strings.Contains(p.stdout.String(), "cancelled") {
		t.Errorf("%d: %s%s", code, p.stdout.String(), p.stderr.String())
	}
	if !running() || list.Operations[0].State != console.Cancelled || list.Operations[0].Broadcast.Acted.Agents != 0 {
		t.Errorf("%+v", list.Operations[0])
	}
}

// TestEndToEndOperatorRefusals: what is wrong with the command line is said before
// anything is served.
func TestEndToEndOperatorRefusals(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"fleet", "--serve", "0.0.0.0:8420"}, 2, "not a loopback address"},
		{[]string{"fleet", "--serve", "127.0.0.1:0", "--speed", "-1"}, 2, "a speed of -1"},
		{[]string{"fleet", "--serve", "127.0.0.1:0", "--serve-token-file", filepath.Join(w.dir, "none")}, 2, "read --serve-token-file"},
		{[]string{"broadcast", "x", "--at", "tomorrow"}, 2, "want RFC 3339"},
		{[]string{"broadcast", "x", "--in", "1s", "--at", "18:00:00"}, 2, "none of the others can be"},
		{[]string{"heal", "--conductor", "http://127.0.0.1:1"}, 1, "nothing answers there"},
	} {
		code, _, errs := w.once(c.args...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
}
