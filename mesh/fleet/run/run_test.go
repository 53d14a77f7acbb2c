package run

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dancer/mesh/fleet"
	"dancer/mesh/fleet/report"
)

func TestSmall(t *testing.T) {
	for _, agents := range []int{1000, 30000} {
		for _, ahead := range []int{1100, 1200, 1300, 1400, 1500} {
			start := time.Now()
			f, err := New(Config{Agents: agents, Seed: 1, Conditions: fleet.DefaultConditions(), Cascades: 8, Every: 20 * time.Second, Ahead: time.Duration(ahead) * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Run(200 * time.Second); err != nil {
				t.Fatal(err)
			}
			fmt.Println(agents, ahead, time.Since(start))
			text := string(report.Text(f.Report()))
			if os.Getenv("FULL") == "" {
				_, text, _ = strings.Cut(text, "INDICATOR")
				text, _, _ = strings.Cut(text, "ARRIVALS")
			}
			fmt.Println(text)
		}
	}
}
