package quorum

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestCoordinationPage: the thresholds of docs/coordination.md are those that
// decide.
func TestCoordinationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/coordination.md")
	if err != nil {
		t.Fatal(err)
	}
	for who, r := range map[string]Rule{"sector coordinators": RuleSectors, "cluster leads": RuleClusters, "agents": RuleAgents, "all agents at once (parallel)": RuleParallel,
		"class GPU": RuleGPU, "class persistent": RulePersistent, "class serverless": RuleServerless, "class edge": RuleEdge, "class local": RuleLocal} {
		if row := fmt.Sprintf("| %s | %s | %s | %s |\n", who, r.Ready, r.Conflict, r.Transit); !strings.Contains(string(page), row) {
			t.Errorf("docs/coordination.md does not have the row %s", row)
		}
	}
	for d := Wait; d <= Retry; d++ {
		if !strings.Contains(string(page), "| "+d.String()+" |") {
			t.Errorf("docs/coordination.md does not have %s", d)
		}
	}
}
