package arrival

import (
	"cmp"
	"os"
	"testing"
)

// campaign is a recorded campaign, never copied into the project.
const campaign = "../../../shared/data/seattle-rtt-1-200.txt.gz"

func campaignTrace(t testing.TB) *trace { return openTrace(t, cmp.Or(os.Getenv("DANCER_TRACE"), campaign)) }

func TestCampaign(t *testing.T) {
	tr := campaignTrace(t)
	t.Logf("%+v", score(tr.predict(func(n int) Estimator { return NewAdaptive(n, 0) })))
}
