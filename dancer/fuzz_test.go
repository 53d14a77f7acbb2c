package dancer_test

import (
	"encoding/json"
	"os"
	"testing"

	"dancer/dancer"
)

// FuzzDecision reads a decision from anywhere, as `dancer why --file` does: it is
// explained and made again without a panic, whatever it says.
func FuzzDecision(f *testing.F) {
	record, err := os.ReadFile("testdata/decision-v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte(`{"manual":"sha256:test","budget":2,"signals":[{"name":"range","validity":"valid","value":1e308}],"outputs":[{"value":-1}]}`))
	f.Add([]byte(`{"manual":"sha256:test","budget":2000000000}`))
	f.Add([]byte(`{"assessments":[{"indices":[{}]}],"verdict":{"vetoes":[{}]}}`))
	m := museumFromTable(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var d dancer.Decision
		if json.Unmarshal(data, &d) != nil {
			return
		}
		if lines := d.Explain(); len(lines) < 4 {
			t.Fatalf("explained in %d lines", len(lines))
		}
		tries := 3
		all, _, err := dancer.Counterfactuals(m, &d, decider(m), func() bool { tries--; return tries > 0 })
		if err == nil && len(all) == 0 && len(d.Signals) > 0 {
			t.Fatal("no counter-factual and no reason why")
		}
	})
}
