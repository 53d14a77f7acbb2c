package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"dancer/mesh"
	"dancer/mesh/conductor"
	"dancer/runtime/web"
)

// desk is a conductor's API in front of one robot, whose answer to every ruling
// and request is set beforehand.
type desk struct {
	*httptest.Server
	question string
	rulings  func() []conductor.Ruling
}

func newTestDesk(t *testing.T, token string, answer mesh.Ack) desk {
	t.Helper()
	ids, start := mesh.NewIDs(rand.Reader), time.Now()
	sent := make(chan conductor.Message, 10)
	hub := web.NewHub()
	d := web.NewDesk(web.DeskOptions{
		Hub:    hub,
		Moment: func() conductor.Moment { return conductor.Moment{Monotonic: time.Since(start), Wall: time.Now().UTC()} },
		NewID:  func() (string, error) { return ids.Next(time.Now()) },
		Status: func() web.Status {
			return web.Status{Role: "conductor", Name: "museum", Cell: "gallery-east", Version: "test", Broker: web.Broker{URL: "mqtt://127.0.0.1:1883", Embedded: true, Connected: true}, Problems: []string{"the lamp is broken\x1b[2J"}}
		},
		Store: func(context.Context, []conductor.Question, []conductor.Message) error { return nil },
		Send:  func(_ context.Context, m conductor.Message) error { sent <- m; return nil },
	})
	take := func(kind mesh.Kind, body any) string {
		id, err := ids.Next(time.Now())
		if err != nil {
			t.Error(err)
		}
		e, err := mesh.NewWithID(id, kind, "gallery-bot-1", 1, time.Now(), body)
		if err == nil {
			err = d.Take(context.Background(), "gallery-east", "gallery-bot-1", e)
		}
		if err != nil {
			t.Error(err)
		}
		return id
	}
	ctx, cancel := context.WithCancel(context.Background())
	var robot sync.WaitGroup
	robot.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-sent:
				if m.Kind != mesh.KindAck {
					answer.Of = m.ID
					take(mesh.KindAck, answer)
				}
			}
		}
	})
	take(mesh.KindConnection, mesh.Connection{State: mesh.Online, Role: mesh.RoleRobot})
	take(mesh.KindState, mesh.State{Robot: "gallery-bot-1", Cell: "gallery-east", Mode: "running", Lease: "live", Running: "halt", Latches: []string{"bump"}})
	id, err := ids.Next(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	take(mesh.KindEscalation, mesh.Escalation{
		ID: id, Revision: 1, State: "open", Robot: "gallery-bot-1", Cell: "gallery-east", RaisedAt: time.Now(), DueAt: time.Now().Add(time.Minute),
		Because: []string{"smoke\x1b[31m rises"}, Running: "halt", Hold: "halt", OnTimeout: "halt", Proposed: "extinguish",
		Decision: json.RawMessage(`{"assessments":[{"option":"halt"},{"option":"extinguish"}],"verdict":{"option":"extinguish"}}`),
	})
	s := httptest.NewServer(web.Handler(web.Options{Backend: d, Hub: hub, Token: token}))
	t.Cleanup(func() { hub.Close(); s.Close(); cancel(); robot.Wait() })
	return desk{s, id, d.Rulings}
}

// command runs one sub-command and gives what it prints and its exit code.
func command(cmd *cobra.Command, args ...string) (out string, code int, err error) {
	var buffer bytes.Buffer
	cmd.SetOut(&buffer)
	cmd.SetErr(&buffer)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(context.Background())
	var exit exitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = exit.code
	default:
		code = exitUsage
	}
	return buffer.String(), code, err
}

func TestAnswer(t *testing.T) {
	s := newTestDesk(t, "", mesh.Ack{Outcome: "applied", Why: "extinguish runs, approved by Ada", Running: "extinguish"})
	short := s.question[len(s.question)-6:]
	out, code, err := command(newAnswer(), short, "approve", "--option", "extinguish", "--note", "now", "--by", "Ada", "--conductor", s.URL)
	if code != 0 || out != "gallery-bot-1: applied: extinguish runs, approved by Ada (runs now: extinguish)\n" {
		t.Errorf("%d %q %v", code, out, err)
	}
	r := s.rulings()
	if len(r) != 1 || r[0].By != "Ada" || r[0].Note != "now" || r[0].Option != "extinguish" || r[0].Verdict != "approve" {
		t.Errorf("%+v", r)
	}
	out, code, _ = command(newAnswer(), s.question, "deny", "--json", "--conductor", s.URL)
	var receipt web.Receipt
	if err := json.Unmarshal([]byte(out), &receipt); err != nil || code != 0 || !mesh.ValidID(receipt.ID) || receipt.Ack.Outcome != "applied" {
		t.Errorf("%d %s %v", code, out, err)
	}
}

func TestAnswerThatTheRobotVetoes(t *testing.T) {
	s := newTestDesk(t, "", mesh.Ack{Outcome: "vetoed", Why: "halt is vetoed: human_safety could fall to 2, under its floor 5"})
	out, code, err := command(newAnswer(), s.question, "approve", "--option", "halt", "--conductor", s.URL)
	if code != exitJob || !strings.Contains(out, "gallery-bot-1: vetoed: halt is vetoed") {
		t.Errorf("%d %q %v", code, out, err)
	}
	if out, code, _ = command(newAnswer(), s.question, "approve", "--json", "--conductor", s.URL); code != exitJob || !strings.Contains(out, "vetoed") {
		t.Errorf("%d %q", code, out)
	}
}

func TestAnswerWrongly(t *testing.T) {
	s := newTestDesk(t, "", mesh.Ack{Outcome: "applied"})
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{s.question, "yes"}, exitUsage, `"yes" is no verdict (give approve, deny, defer, reschedule or escalate)`},
		{[]string{"ZZZZ", "deny"}, exitUsage, "find question \"ZZZZ\": no open question has this id or ends with it (list them with `dancer escalations`; give at least 4 characters)"},
		{[]string{s.question, "approve", "--option", "fly"}, exitUsage, "invalid message: rule on " + s.question + `: no option "fly" (the options are halt, extinguish)`},
		{[]string{s.question}, exitUsage, "accepts 2 arg(s), received 1"},
		{[]string{"01JBMTSEVM0000000000000001", "deny"}, exitJob, `show "01JBMTSEVM0000000000000001": unknown question (list what there is with GET /api/v1/agents, /api/v1/decisions or /api/v1/escalations?state=all)`},
	} {
		_, code, err := command(newAnswer(), append(c.args, "--conductor", s.URL)...)
		if code != c.code || err == nil || err.Error() != c.want {
			t.Errorf("%v: %d %v, want %d %s", c.args, code, err, c.code, c.want)
		}
	}
}

func TestLists(t *testing.T) {
	s := newTestDesk(t, "", mesh.Ack{Outcome: "applied"})
	for name, c := range map[string]struct {
		cmd  *cobra.Command
		want []string
	}{
		"agents":      {newAgents(), []string{"NAME", "gallery-bot-1", "gallery-east", "yes", "ONLINE", "running", "live", "halt", "bump"}},
		"escalations": {newEscalations(), []string{"SEVERITY", s.question, "high", "gallery-bot-1", "open", "extinguish", "smoke [31m rises"}},
		"status":      {newStatus(), []string{"museum, cell gallery-east", "1, 1 alive", "1 open", "mqtt://127.0.0.1:1883 (embedded), connected", "the lamp is broken [2J"}},
	} {
		out, code, err := command(c.cmd, "--conductor", s.URL)
		if code != 0 {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s lets a peer write to the terminal", name)
		}
	}
	for name, cmd := range map[string]*cobra.Command{"agents": newAgents(), "escalations": newEscalations(), "status": newStatus()} {
		out, code, err := command(cmd, "--json", "--conductor", s.URL)
		var object map[string]any
		if code != 0 || json.Unmarshal([]byte(out), &object) != nil {
			t.Errorf("%s --json: %v %s", name, err, out)
		}
	}
	if out, _, _ := command(newEscalations(), "--state", "closed", "--conductor", s.URL); out != "no closed questions\n" {
		t.Errorf("%q", out)
	}
	if _, code, err := command(newEscalations(), "--state", "odd", "--conductor", s.URL); code != exitUsage || err.Error() != `--state "odd": no such state (give open, closed or all)` {
		t.Errorf("%d %v", code, err)
	}
}

func TestStatusOfARobot(t *testing.T) {
	var out bytes.Buffer
	cmd := newStatus()
	cmd.SetOut(&out)
	status := web.Status{Role: web.RoleRobot, Name: "bot", Latency: &web.Latency{
		EdgeToOutput: web.LatencyPeriods{SinceStart: mesh.LatencyFigures{Count: 17, P50US: 41.2, P99US: 80, P999US: 96.3, MaxUS: 130}},
		LastMinuteS:  62.4,
	}}
	if err := printStatus(cmd, status); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"edge to output   p50 41.2 us, p99 80.0 us, p99.9 96.3 us, longest 130.0 us, 17 measured since start\n",
		"                 nothing measured in the last 62 s\n", "wake-up lateness nothing measured since start\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

func TestNoConductor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()
	locked := newTestDesk(t, "the-right-token", mesh.Ack{})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("the-right-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nobody there":   {[]string{"--conductor", nobody}, exitJob, "ask conductor " + nobody + ": nothing answers there (start one with `dancer conductor`, or give its address with --conductor)"},
		"another server": {[]string{"--conductor", page.URL}, exitJob, "read answer of " + page.URL + ": not a dancer's answer: invalid character '<' looking for beginning of value (is it the right address? give it with --conductor)"},
		"no address":     {[]string{"--conductor", "museum"}, exitUsage, `read --conductor "museum": no address (write http://127.0.0.1:8420)`},
		"no token":       {[]string{"--conductor", locked.URL}, exitJob, "ask conductor " + locked.URL + ": it asks for a token (give it with --token-file)"},
		"the token":      {[]string{"--conductor", locked.URL, "--token-file", token}, exitDone, ""},
		"no token file":  {[]string{"--conductor", locked.URL, "--token-file", token + "x"}, exitUsage, "read --token-file: open " + token + "x: no such file or directory"},
	} {
		_, code, err := command(newAgents(), c.args...)
		if code != c.code || (c.want != "" && (err == nil || err.Error() != c.want)) {
			t.Errorf("%s: %d %v, want %d %s", name, code, err, c.code, c.want)
		}
	}
}

func TestRemoteControl(t *testing.T) {
	s := newTestDesk(t, "", mesh.Ack{Outcome: "refused", Why: "the lease is not live"})
	c := client{url: s.URL}
	cmd := &cobra.Command{RunE: func(cmd *cobra.Command, args []string) error {
		return c.control(cmd, strings.Join(args, ""), "start", "Ada", "")
	}}
	if out, code, _ := command(cmd, "gallery-bot-1"); code != exitJob || out != "gallery-bot-1: refused: the lease is not live\n" {
		t.Errorf("%d %q", code, out)
	}
	if _, code, err := command(cmd); code != exitUsage || err.Error() != "say which robot: dancer start ROBOT --conductor "+s.URL {
		t.Errorf("%d %v", code, err)
	}
}
