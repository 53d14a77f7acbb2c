package fleet

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"dancer/mesh/fleet"
	"dancer/mesh/fleet/report"
	"dancer/mesh/fleet/run"
)

var (
	// ErrInput says that a file or a value makes no fleet, and which.
	ErrInput = errors.New("bad fleet")
	// ErrMissed says that the run came to its end, and an indicator misses its target.
	ErrMissed = errors.New("an indicator misses its target")
	// ErrInterrupted says that the run was stopped; what was written is the report until then.
	ErrInterrupted = errors.New("interrupted")
)

// traceSlice is how long one slice of a campaign holds (Zhu and others, ToN 2017).
const traceSlice = 16 * time.Second

// step is after how much simulated time the display is refreshed and a stop is seen.
const step = 200 * time.Millisecond

// Options of a run.
type Options struct {
	run.Config
	For    time.Duration // simulated
	Faults string        // file of faults; "": none
	Random int           // random faults beside those
	Trace  string        // file of a campaign of round trips, plain or gzip; "": delays by class
	JSON   string        // file for the report as JSON; "": none
	HTML   string        // file for the report as one page; "": none
	Out    io.Writer     // the report as text
	Errors io.Writer     // what the display shows
	Live   bool          // Errors is a terminal
}

// Run runs a fleet to its end, or until the context is done, and writes the report.
func Run(ctx context.Context, o Options) error {
	var w workers
	defer w.stop()
	o.Each = w.each
	f, err := prepare(&o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	began := time.Now()
	show := newDisplay(o.Errors, o.Live, began)
	stopped := false
	for f.Now() < o.For && !stopped {
		if err := f.Run(min(f.Now()+step, o.For)); err != nil {
			return err
		}
		show.progress(f, o.For)
		stopped = ctx.Err() != nil
	}
	show.done(f, o.For)
	r := f.Report()
	if err := write(&o, r); err != nil {
		return err
	}
	if stopped && f.Now() < o.For {
		return fmt.Errorf("%w at %v of %v", ErrInterrupted, f.Now(), o.For)
	}
	return judge(r)
}

// prepare reads the files and makes the fleet.
func prepare(o *Options) (*run.Fleet, error) {
	if o.For <= 0 || o.For > fleet.MaxDuration {
		return nil, fmt.Errorf("a run of %v; up to %v are possible", o.For, fleet.MaxDuration)
	}
	if o.Trace != "" {
		trace, err := readTrace(o.Trace)
		if err != nil {
			return nil, err
		}
		o.Conditions.Trace = trace
	}
	if o.Faults != "" {
		text, err := os.ReadFile(o.Faults)
		if err != nil {
			return nil, fmt.Errorf("read faults: %w", err)
		}
		if o.Config.Faults, err = fleet.ParseFaults(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Faults, err)
		}
	}
	if o.Random > 0 {
		t, err := fleet.NewTopology(o.Agents)
		if err != nil {
			return nil, err
		}
		o.Config.Faults = append(o.Config.Faults, fleet.RandomFaults(o.Seed, t, o.For, o.Random)...)
	}
	largePages(o.Agents)
	return run.New(o.Config)
}

// readTrace reads a campaign, unpacked or packed.
func readTrace(path string) (*fleet.Trace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		packed, err := gzip.NewReader(file)
		if err != nil {
			return nil, fmt.Errorf("read trace %s: %w", path, err)
		}
		r = packed
	}
	t, err := fleet.ParseTrace(r, traceSlice)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// write gives out the report in the forms that were asked for.
func write(o *Options, r *fleet.Report) error {
	if o.JSON != "" {
		text, err := report.JSON(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.JSON, text, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if o.HTML != "" {
		if err := os.WriteFile(o.HTML, report.HTML(r), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if _, err := o.Out.Write(report.Text(r)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// judge says whether every indicator that was measured meets its target.
func judge(r *fleet.Report) error {
	var missed []string
	for _, k := range r.KPIs {
		if k.Measured && !k.Met {
			missed = append(missed, k.Name)
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrMissed, strings.Join(missed, ", "))
}
