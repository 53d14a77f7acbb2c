package dancer_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"dancer/dancer"
	"dancer/partner"
)

// decideAndReplay decides with the partner and checks the replay.
func decideAndReplay(t *testing.T, m *dancer.Manual, in dancer.Input) dancer.Decision {
	t.Helper()
	var p partner.Partner
	d := dancer.Decide(m, in, p.Corners, p.Forecast)
	checkReplay(t, m, d)
	return d
}

// checkReplay stores a decision, reads it back, decides again from what was
// stored with a forecaster that has no memory of the first, and wants the same
// bytes.
func checkReplay(t *testing.T, m *dancer.Manual, d dancer.Decision) {
	t.Helper()
	first, err := json.Marshal(d)
	if err != nil {
		t.Fatalf("encode a decision: %v", err)
	}
	var stored dancer.Decision
	if err := json.Unmarshal(first, &stored); err != nil {
		t.Fatal(err)
	}
	var p partner.Partner
	again, err := json.Marshal(dancer.Decide(m, stored.Input(), p.Corners, p.Forecast))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, again) {
		t.Errorf("the same recording gives another decision:\n%s\n%s", first, again)
	}
}
