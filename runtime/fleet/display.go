package fleet

import (
	"fmt"
	"io"
	"time"

	"dancer/mesh/fleet/run"
)

// refresh is how often the display of a terminal changes.
const refresh = 100 * time.Millisecond

// display shows how far a run is: on a terminal one line that is written over, and
// elsewhere one line at the end.
type display struct {
	to    io.Writer
	live  bool
	began time.Time
	shown time.Time
}

func newDisplay(to io.Writer, live bool, began time.Time) *display {
	return &display{to: to, live: live, began: began, shown: began}
}

func (d *display) progress(f *run.Fleet, until time.Duration) {
	if !d.live || time.Since(d.shown) < refresh {
		return
	}
	d.shown = time.Now()
	p, l := f.Progress(until), f.Live()
	mode := "starting"
	if l.ModeKnown {
		mode = l.Mode.String()
	}
	took := time.Since(d.began).Seconds()
	fmt.Fprintf(d.to, "\r\x1b[K%3.0f%% %v of %v (%.0fx)  %d/%d up, %d active  %s  cascades %d  breakers %d  incidents %d  %.1fM events",
		100*p.Now.Seconds()/until.Seconds(), p.Now.Truncate(time.Second), until, p.Now.Seconds()/max(took, 0.001), p.Up, p.Agents, l.Active,
		mode, l.Decided, l.Open.Cluster+l.Open.Sector+l.Open.Global, l.Incidents, float64(p.Events)/1e6)
}

func (d *display) done(f *run.Fleet, until time.Duration) {
	if d.live {
		fmt.Fprint(d.to, "\r\x1b[K")
	}
	p, took := f.Progress(until), time.Since(d.began)
	fmt.Fprintf(d.to, "simulated %v of %d agents in %v: %d events, %.2f million a second\n",
		p.Now, p.Agents, took.Round(time.Millisecond), p.Events, float64(p.Events)/1e6/max(took.Seconds(), 1e-6))
}
