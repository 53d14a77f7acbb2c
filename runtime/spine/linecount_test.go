package spine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"dancer/hal"
	"dancer/hal/serial"
)

// countingPort is a pseudo-terminal whose driver counts as a UART's does.
type countingPort struct {
	*serial.Port
	asked atomic.Uint32
}

func (p *countingPort) LineErrors() (hal.LineErrors, bool) {
	n := p.asked.Add(1)
	return hal.LineErrors{Framing: 700 * n, Parity: 9, Breaks: 50 * n, Overruns: 3}, true
}

// TestFramingErrorsAreCounted: what the UART counts goes with the message of a wrong baud
// rate, and to the brain for /metrics; of the other ports nothing is said to be counted.
func TestFramingErrorsAreCounted(t *testing.T) {
	g := newRig(t, "")
	quiet := newInstrument(t)
	quiet.plug(true)
	text := insertAfter(wiredRobot(g.device), "ports:\n", fmt.Sprintf("  quiet: {device: %q, framing: json}\n", quiet.name))
	g.robot = loadRobot(t, insertAfter(text, "signals:\n", "  other: {port: quiet, range: [0, 1]}\n"), testManual)
	g.cfg.Robot = g.robot
	how := defaultOpeners()
	how.port = func(p *portConfig) (stream, error) {
		s, err := serial.OpenLine(p.Device, p.Line())
		if err == nil && p.Name == "nav" {
			return &countingPort{Port: s}, nil
		}
		return s, err
	}
	g.cfg.openers = &how
	r, err := open(&g.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { _, err := r.run(ctx); ended <- err }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	garbage := strings.Repeat("\x80\xf8\x00\x78\n", 20)
	g.until("it is told", func() bool {
		_, _ = g.master.WriteString(garbage)
		return strings.Contains(g.log.String(), "state=garbled")
	})
	if log := g.log.String(); !strings.Contains(log, `framing_errors=750 cure="write its device's rate as ports.nav.baud"`) {
		t.Errorf("log %s", log)
	}
	for i := range g.robot.Ports {
		p, ok := r.ends.Segment.LoadPort(i)
		counted := p.Counted && p.Line.Framing >= 700 && p.Line.Framing == 14*p.Line.Breaks && p.Line.Parity == 9 && p.Line.Overruns == 3
		if name := g.robot.Ports[i].Name; !ok || counted != (name == "nav") || name == "quiet" && p.Line != (hal.LineErrors{}) {
			t.Errorf("port %s counts %+v", name, p)
		}
	}
}
