package proof_test

import (
	"testing"

	"dancer/dancer"
	"dancer/dancer/proof"
	"dancer/partner"
	"dancer/runtime/config"
)

func load(t testing.TB, path, board string) *dancer.Manual {
	t.Helper()
	robot, problems := config.Load(path, config.Options{Board: board})
	if robot == nil {
		t.Fatalf("load %s: %v", path, problems)
	}
	return robot.Manual
}

func options(boxes int) proof.Options {
	var p partner.Partner
	return proof.Options{Boxes: boxes, Tier2: p.Corners, Tier3: p.Forecast}
}

func TestTry(t *testing.T) {
	for _, path := range []string{"museum/robot-sim.yaml", "museum-gas/robot-sim.yaml", "gallery-patrol/robot-sim.yaml", "wall-follower/robot.yaml"} {
		m := load(t, "../../examples/"+path, "sim")
		for _, f := range proof.Prove(m, nil, options(0)) {
			t.Logf("%s %s %s (%d boxes, %d states)\n%s", f.Property, f.Subject, f.Answer, f.Boxes, f.States, f.Says)
			if f.Under != nil {
				t.Logf("%s", f.SaysUnder())
			}
		}
	}
}
