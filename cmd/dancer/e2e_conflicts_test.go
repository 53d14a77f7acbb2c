package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/mesh/conflict"
)

// listed is what `dancer conflicts --json` and the API print.
type listed struct {
	Conflicts []conflict.Record `json:"conflicts"`
}

// TestEndToEndConflicts: two people rule differently, and two robots bear one
// name. The logs of the conductor and of a robot have it, the command shows it
// beside the running processes and without them, and verify is well until somebody
// changes a byte.
func TestEndToEndConflicts(t *testing.T) {
	w := newWorld(t)
	cell := fmt.Sprintf("conflicts-%d", os.Getpid())
	listen, broker := w.freePort(), w.freePort()
	conductorData, robotData := filepath.Join(w.dir, "conductor"), filepath.Join(w.dir, "twin.data")
	w.start("conductor", "--cell", cell, "--listen", listen, "--broker-listen", broker, "--data", conductorData)
	w.file("twins/manual.yaml", askerManual)
	w.file("twins/leak.scenario", "from 1s to 600s gas = 700\n")
	wiring := func(name, conductor, page string) string {
		return w.file("twins/"+name+".yaml", fmt.Sprintf(`robot: twin
board: sim
cell: %s
manual: manual.yaml
scenario: leak.scenario
signals:
  gas:   {unit: ppm, range: [0, 5000], stale_after: 5s, start: 0}
  estop: {range: [0, 1], stale_after: 5s, start: 0}
outputs:
  drive: {pin: GPIO18, pwm: 1kHz, range: [0, 1], safe: 0}
plant:
  next: {gas: "gas"}
lease: {expires_after: 2s, stop: 1}
conductor: {broker: "%s"}
listen: "%s"
`, cell, conductor, page))
	}
	page := w.freePort()
	first := w.start("run", wiring("first", "mqtt://"+broker, page), "--data", robotData)
	var open struct{ Escalations []question }
	w.until(30*time.Second, "a question at the conductor", func() bool {
		return w.get("http://"+listen+"/api/v1/escalations?state=open", &open) && len(open.Escalations) > 0
	})
	id := open.Escalations[0].ID
	rule := func(by, verdict string) int {
		code, _ := w.post("http://"+listen+"/api/v1/escalations/"+id+"/ruling?wait=5s", map[string]string{"verdict": verdict, "by": by})
		return code
	}
	if a, b := rule("Ada", "deny"), rule("Bo", "approve"); a != http.StatusAccepted || b != http.StatusConflict {
		t.Fatalf("deny: %d, approve: %d", a, b)
	}
	second := w.start("run", wiring("second", "off", "off"), "--data", filepath.Join(w.dir, "other.data"))

	for _, data := range []string{conductorData, robotData} {
		w.until(60*time.Second, "the cloned name in the log of "+data, func() bool {
			return slices.ContainsFunc(w.conflicts("--data", data), func(r conflict.Record) bool {
				return r.Subject == "address of twin in cell "+cell && r.Type == conflict.DataContradiction && r.Source == "twin" && r.Expected.Text != r.Received.Text
			})
		})
	}
	w.rulingsLogged(conductorData, listen, id)

	// Beside the running processes, and after their end.
	w.verified(0, conductorData, "sound")
	w.verified(0, robotData, "sound")
	second.stop()
	first.stop()
	w.verified(0, robotData, "sound")
	w.flipByte(filepath.Join(robotData, "brain", "conflicts", "00000001.segment"))
	w.verified(1, robotData, "00000001.segment at byte 64: record 0: damaged: a record does not match its checksum")
	w.verified(2, w.dir, "no log of conflicts")
}

// conflicts asks the command.
func (w *world) conflicts(args ...string) []conflict.Record {
	w.Helper()
	code, stdout, _ := w.once(append([]string{"conflicts", "--json"}, args...)...)
	var found listed
	if code == exitUsage { // no log yet
		return nil
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != exitDone {
		w.Fatalf("exit code %d, %v: %s", code, err, stdout)
	}
	return found.Conflicts
}

// rulingsLogged looks for the two rulings: by the command's filters, by show, and
// by the API of the running conductor.
func (w *world) rulingsLogged(data, listen, question string) {
	w.Helper()
	subject := "ruling on question " + question
	var r conflict.Record
	for _, found := range w.conflicts("--data", data, "--since", "1h", "--type", "data_contradiction", "--agent", "_conductor-conductor", "--priority", "2", "--limit", "0") {
		if found.Subject == subject {
			r = found
		}
	}
	if r.Event != conflict.EventResolved || r.By != conflict.ByRule || r.Outcome != "keep-expected" || !strings.Contains(r.Expected.Text, "deny by Ada") || !strings.Contains(r.Received.Text, "by Bo") {
		w.Fatalf("%+v", r)
	}
	code, stdout, stderr := w.once("conflicts", "show", r.ID, "--data", data)
	if code != exitDone || !strings.Contains(stdout, "of two orders the more restrictive stands") || !strings.Contains(stdout, "opened, priority 2") {
		w.Errorf("show: %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := w.once("conflicts", "show", "01JD8Z7M8R0000000000000000", "--data", data); code != exitJob || !strings.Contains(stderr, "no conflict") {
		w.Errorf("show another: %d %s", code, stderr)
	}
	var answer listed
	w.until(5*time.Second, "the conflict in the API", func() bool {
		return w.get("http://"+listen+"/api/v1/conflicts?id="+r.ID, &answer) && len(answer.Conflicts) == 1 && answer.Conflicts[0].Event == conflict.EventResolved
	})
	if code, answer := w.post("http://"+listen+"/api/v1/conflicts/"+r.ID+"/resolve", map[string]string{"by": "Ada"}); code != http.StatusNotFound {
		w.Errorf("a closed one is resolved again: %d %s", code, answer)
	}
}

func (w *world) verified(code int, data, text string) {
	w.Helper()
	have, stdout, stderr := w.once("conflicts", "verify", data)
	if have != code || !strings.Contains(stdout+stderr, text) {
		w.Errorf("verify %s: exit code %d, want %d and %q\n%s%s", data, have, code, text, stdout, stderr)
	}
}

// flipByte changes one byte of the first record's payload.
func (w *world) flipByte(path string) {
	w.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	data[64+49] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.Fatal(err)
	}
}
