package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrConfig says that limits or a topology are such that nothing can work with
// them. Correct them.
var ErrConfig = errors.New("bad breaker configuration")

// Limits of the breakers of one scope.
type Limits struct {
	Failures   int           // the breaker opens at this one within Window, 1 to 1000; for the mesh: sectors that are open at once
	Window     time.Duration // sliding: a failure that is as old as this no longer counts
	FirstProbe time.Duration // from the opening to the first probe
	BackOff    time.Duration // to the next one, doubling with each that fails
	MaxBackOff time.Duration // and never longer
	ProbeWait  time.Duration // without an answer for so long a probe has failed
	Evaluate   time.Duration // how long HALF_OPEN is watched
	Reopen     int           // failures in that time that open it again, 1 to Failures
	Limited    int           // percent of the traffic that HALF_OPEN admits, 1 to 100
	Ramp       time.Duration // from there to all traffic, after it has closed
	Jitter     int           // percent by which each of these times may be longer, 0 to 100
}

// Config holds the limits of each scope.
type Config struct{ Cluster, Sector, Global Limits }

// DefaultConfig gives the numbers of mesh-30k 6.2: 5 failures in a cluster, 50 in
// a sector, 10 sectors; probes after 30 s, then 60 s, doubling. The specification
// counted for ever and opened at the sixth: here the window slides over 60 s and
// the fifth opens. Its times to recover (part 11: 5 minutes for a cluster, 15 for
// a sector) bound the back-off: see Limits.Recovery.
func DefaultConfig() Config {
	limits := func(failures, reopen int, maxBackOff time.Duration) Limits {
		return Limits{Failures: failures, Window: time.Minute, FirstProbe: 30 * time.Second, BackOff: time.Minute, MaxBackOff: maxBackOff,
			ProbeWait: 5 * time.Second, Evaluate: time.Minute, Reopen: reopen, Limited: 10, Ramp: 30 * time.Second, Jitter: 25}
	}
	return Config{
		Cluster: limits(5, 2, 2*time.Minute),
		Sector:  limits(50, 10, 4*time.Minute),
		Global:  limits(10, 10, time.Minute),
	}
}

// Recovery bounds the time from the end of a fault, when nothing fails any more
// and probes are answered, to all traffic.
func (l Limits) Recovery() time.Duration {
	longest := max(l.FirstProbe, l.MaxBackOff)
	sum := l.ProbeWait + l.longer(longest) + l.ProbeWait + l.longer(l.Evaluate) + l.longer(l.Ramp)
	// A probe, the evaluation and each step of the ramp are rounded up once.
	return sum + (rampSteps+4)*resolution
}

// longer is the longest that jitter makes a time.
func (l Limits) longer(d time.Duration) time.Duration {
	return d + d*time.Duration(l.Jitter)/100
}

// Recovery bounds the time from the end of a fault to all traffic everywhere:
// sectors first, then the mesh, which waits for them.
func (c Config) Recovery() time.Duration {
	return max(c.Cluster.Recovery(), c.Sector.Recovery()) + c.Global.Recovery()
}

// Validate reports the first limit that is out of its range.
func (c Config) Validate() error {
	for _, x := range []struct {
		name   string
		limits Limits
	}{{"cluster", c.Cluster}, {"sector", c.Sector}, {"global", c.Global}} {
		if err := x.limits.validate(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrConfig, x.name, err)
		}
	}
	return nil
}

func (l Limits) validate() error {
	const longest = 24 * time.Hour
	for _, x := range []struct {
		name string
		d    time.Duration
	}{{"window", l.Window}, {"first probe", l.FirstProbe}, {"back-off", l.BackOff}, {"longest back-off", l.MaxBackOff},
		{"probe wait", l.ProbeWait}, {"evaluation", l.Evaluate}, {"ramp", l.Ramp}} {
		if x.d <= 0 || x.d > longest {
			return fmt.Errorf("%s %s is not within (0, %s]", x.name, x.d, longest)
		}
	}
	switch {
	case l.Failures < 1 || l.Failures > 1000:
		return fmt.Errorf("%d failures; 1 to 1000 are possible", l.Failures)
	case l.Reopen < 1 || l.Reopen > l.Failures:
		return fmt.Errorf("reopens at %d failures; 1 to %d are possible", l.Reopen, l.Failures)
	case l.Limited < 1 || l.Limited > 100:
		return fmt.Errorf("admits %d%% when half open; 1 to 100 are possible", l.Limited)
	case l.Jitter < 0 || l.Jitter > 100:
		return fmt.Errorf("jitter %d%%; 0 to 100 are possible", l.Jitter)
	case l.MaxBackOff < l.BackOff:
		return fmt.Errorf("longest back-off %s is under the first, %s", l.MaxBackOff, l.BackOff)
	}
	return nil
}
