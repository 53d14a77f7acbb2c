package fleet

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds of a trace.
const (
	maxHosts       = 1000
	maxTraceValues = 1 << 26
)

// Trace is a campaign of round trips between hosts: for each slice of time a square
// of them. The delays of a fleet can be taken from it instead of from the classes.
type Trace struct {
	Slice time.Duration // how long one slice holds
	hosts int
	pairs []int32  // the ordered pairs that were measured at least once: from*hosts + to
	micro []uint32 // round trips in us, slice by slice and pair by pair
}

// NewTrace makes a trace of slices, each hosts x hosts round trips in seconds, row by
// row; 0, less and what is no number is missing. Where one is missing the last one of
// the pair holds, and before the first that one. slice is how long each holds (16 s
// in the campaign of Zhu and others, ToN 2017).
func NewTrace(hosts int, slices [][]float64, slice time.Duration) (*Trace, error) {
	if hosts < 2 || hosts > maxHosts || len(slices) == 0 || hosts*hosts*len(slices) > maxTraceValues || slice < time.Millisecond || slice > MaxDuration {
		return nil, fmt.Errorf("%w: a trace of %d slices of %v with %d hosts", ErrFleet, len(slices), slice, hosts)
	}
	for i, s := range slices {
		if len(s) != hosts*hosts {
			return nil, fmt.Errorf("%w: slice %d of the trace has %d values, not %d", ErrFleet, i+1, len(s), hosts*hosts)
		}
	}
	t := &Trace{Slice: slice, hosts: hosts}
	series := make([]uint32, len(slices))
	var columns []uint32
	for pair := range hosts * hosts {
		if pair/hosts == pair%hosts || !fillSeries(series, slices, pair) {
			continue
		}
		t.pairs = append(t.pairs, int32(pair))
		columns = append(columns, series...)
	}
	if len(t.pairs) == 0 {
		return nil, fmt.Errorf("%w: nothing was measured in the trace", ErrFleet)
	}
	t.micro = make([]uint32, len(columns))
	for p := range t.pairs {
		for s := range slices {
			t.micro[s*len(t.pairs)+p] = columns[p*len(slices)+s]
		}
	}
	return t, nil
}

// fillSeries takes the delays of one pair and fills the gaps.
func fillSeries(series []uint32, slices [][]float64, pair int) bool {
	first := -1
	for s := range slices {
		switch v := slices[s][pair]; {
		case v > 0 && v < 1000: // a quarter of an hour of microseconds fits
			series[s] = max(1, uint32(float64(v*1e6)))
			if first < 0 {
				first = s
			}
		case first >= 0:
			series[s] = series[s-1]
		}
	}
	for s := range max(first, 0) {
		series[s] = series[first]
	}
	return first >= 0
}

// ParseTrace reads the text of a campaign: each slice after a line that begins with
// #, a square of numbers, tabs or blanks between them. Packed files are unpacked by
// who opens them.
func ParseTrace(r io.Reader, slice time.Duration) (*Trace, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var slices [][]float64
	hosts, values := 0, 0
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			slices = append(slices, nil)
			continue
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if hosts == 0 {
			hosts = len(words)
		}
		if values += len(words); len(words) != hosts || len(slices) == 0 || values > maxTraceValues {
			return nil, fmt.Errorf("%w: line %d of the trace has %d values; want a line with # and then %d in each", ErrFleet, number, len(words), hosts)
		}
		last := &slices[len(slices)-1]
		for _, w := range words {
			v, err := strconv.ParseFloat(w, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: line %d of the trace: %w", ErrFleet, number, err)
			}
			*last = append(*last, v)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	return NewTrace(hosts, slices, slice)
}

// Pairs is how many ordered pairs of hosts it has.
func (t *Trace) Pairs() int { return len(t.pairs) }

// RoundTrip gives that of a pair, 0 to Pairs-1, at a time of the run. After its last
// slice the trace begins anew.
func (t *Trace) RoundTrip(pair int, now time.Duration) time.Duration {
	slices := len(t.micro) / len(t.pairs)
	s := int(now/t.Slice) % slices
	return time.Duration(t.micro[s*len(t.pairs)+pair]) * time.Microsecond
}
