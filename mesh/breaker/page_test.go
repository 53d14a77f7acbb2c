package breaker

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCoordinationPage: the tables of docs/coordination.md say what the tables here
// do.
func TestCoordinationPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/coordination.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, e := range DefaultTable() {
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | at %d, to the %s |\n", e.Class, e.Detected, e.Remedy, e.Escalate, e.To))
	}
	modes := DefaultModeConfig()
	for m := DegradedSevere; m <= Full; m++ {
		rows = append(rows, fmt.Sprintf("| %s | %d%% |", m, modes.From[m]))
	}
	c := DefaultConfig()
	for _, x := range []struct {
		scope Scope
		what  string
		l     Limits
	}{{ScopeCluster, "failure within 60 s", c.Cluster}, {ScopeSector, "within 60 s", c.Sector}, {ScopeGlobal, "sector that is open", c.Global}} {
		rows = append(rows, fmt.Sprintf("| %s | the %dth %s | ", x.scope, x.l.Failures, x.what), fmt.Sprintf(" | %d min | ", x.l.MaxBackOff/time.Minute))
	}
	rows = append(rows, fmt.Sprintf("fewer than %d failures |\n", c.Cluster.Reopen), fmt.Sprintf("fewer than %d failures |\n", c.Sector.Reopen))
	for _, row := range rows {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/coordination.md does not have %q", row)
		}
	}
}
