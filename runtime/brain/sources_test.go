package brain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dancer/hal"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// TestLineErrorsInMetrics: what the UART of a port counts, by kind; nothing of a port
// whose driver does not count.
func TestLineErrorsInMetrics(t *testing.T) {
	robot := &config.Robot{Ports: []config.Port{{Name: "nav"}, {Name: "usb"}}}
	ends, err := link.NewEnds(link.Layout{Ports: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer ends.Close()
	ends.Segment.StorePort(0, link.Port{Open: true, Errors: 5, Counted: true, Line: hal.LineErrors{Framing: 812, Parity: 1, Breaks: 9, Overruns: 2}})
	ends.Segment.StorePort(1, link.Port{Open: true})
	registry := prometheus.NewRegistry()
	registry.MustRegister(sourceCollector{&brain{robot: robot, ends: ends, advice: &advice{}}})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		if family.GetName() != "dancer_source_line_errors_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got = append(got, fmt.Sprintf("%s %v", strings.Join(labels, ","), m.GetCounter().GetValue()))
		}
	}
	want := "kind=break,source=nav 9; kind=framing,source=nav 812; kind=overrun,source=nav 2; kind=parity,source=nav 1"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("metrics\n got %s\nwant %s", text, want)
	}
}
