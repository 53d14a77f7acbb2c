package arrival

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// blockSize is how many consecutive predictions, in pair-major order, the rate is
// looked at together: an estimator that is late for ten minutes is not 95% on time.
const blockSize = 600

// blockFloor is the share on time that a block should have.
var blockFloor = [Rates]float64{Rate99: 0.975, Rate95: 0.925}

// trace is a campaign: slices of hosts x hosts delays, 0 where missing.
type trace struct {
	hosts  int
	slices [][]time.Duration // row-major: from, to
}

// openTrace reads a trace file, plain or gzip, and skips the test without one.
func openTrace(t testing.TB, path string) *trace {
	t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no trace file %s: name one with TRACE=", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	buffered := bufio.NewReader(file)
	var text io.Reader = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		if text, err = gzip.NewReader(buffered); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	out, err := readTrace(text)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// readTrace takes slices, each after a line that begins with #: one row a host,
// round trips in seconds, 0 and less are missing. A delay is half a round trip: a
// campaign of round trips says no more, and the figures that ours are compared
// with were made so.
func readTrace(r io.Reader) (*trace, error) {
	out := new(trace)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			out.slices = append(out.slices, nil)
			continue
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(out.slices) == 0 {
			return nil, fmt.Errorf("line %d: a row before the first slice", number)
		}
		if out.hosts == 0 {
			out.hosts = len(fields)
		}
		if len(fields) != out.hosts {
			return nil, fmt.Errorf("line %d: %d values, the first row has %d", number, len(fields), out.hosts)
		}
		slice := &out.slices[len(out.slices)-1]
		for _, field := range fields {
			value, err := strconv.ParseFloat(field, 64)
			if err != nil || !(math.Abs(value) < 1e6) {
				return nil, fmt.Errorf("line %d: %q is no round trip in seconds", number, field)
			}
			*slice = append(*slice, time.Duration(math.Round(max(value, 0)*1e9))/2)
		}
	}
	for i, slice := range out.slices {
		if len(slice) != out.hosts*out.hosts {
			return nil, fmt.Errorf("slice %d: %d values, want %d x %d", i+1, len(slice), out.hosts, out.hosts)
		}
	}
	return out, lines.Err()
}

// part is the trace without the slices before from and from to on, and without
// the hosts that keep does not want.
func (tr *trace) part(from, to int, keep func(host int) bool) *trace {
	var hosts []int
	for h := range tr.hosts {
		if keep(h) {
			hosts = append(hosts, h)
		}
	}
	out := &trace{hosts: len(hosts)}
	for _, slice := range tr.slices[from:min(to, len(tr.slices))] {
		var less []time.Duration
		for _, i := range hosts {
			for _, j := range hosts {
				less = append(less, slice[i*tr.hosts+j])
			}
		}
		out.slices = append(out.slices, less)
	}
	return out
}

// withoutRepeats is the trace without the delays that are the same as the one
// before them in their series: what is left has been measured.
func (tr *trace) withoutRepeats() *trace {
	out := &trace{hosts: tr.hosts, slices: make([][]time.Duration, len(tr.slices))}
	last := make([]time.Duration, tr.hosts*tr.hosts)
	for i, slice := range tr.slices {
		out.slices[i] = slices.Clone(slice)
		for pair, delay := range slice {
			if delay == last[pair] {
				out.slices[i][pair] = 0
			}
			if delay > 0 {
				last[pair] = delay
			}
		}
	}
	return out
}

// prediction is what was said before a value was shown, and the value.
type prediction struct {
	actual, point time.Duration
	lead          [Rates]time.Duration
	repeat        bool          // actual is what was observed before it
	spread        time.Duration // what a simple estimator's margin multiplies
}

// predict runs one estimator per sender through the trace in the order of time:
// at each slice it says lead and point of every target that has a value there,
// and only then observes them. The first value of a series is no prediction: a
// target without a measurement is skipped by the plan. All later ones are. The
// result is in pair-major order: all of one pair, then the next.
func (tr *trace) predict(create func(targets int) Estimator) []prediction {
	var all []prediction
	for from := range tr.hosts {
		all = append(all, tr.sender(from, create(tr.hosts))...)
	}
	return all
}

func (tr *trace) sender(from int, estimator Estimator) []prediction {
	series, last := make([][]prediction, tr.hosts), make([]time.Duration, tr.hosts)
	for _, slice := range tr.slices {
		row := slice[from*tr.hosts : (from+1)*tr.hosts]
		for to, actual := range row {
			if to != from && actual > 0 && last[to] > 0 {
				p := foresee(estimator, to)
				p.actual, p.repeat = actual, actual == last[to]
				series[to] = append(series[to], p)
			}
		}
		for to, actual := range row {
			if to != from && actual > 0 {
				estimator.Observe(to, actual)
				last[to] = actual
			}
		}
		estimator.Round()
	}
	return slices.Concat(series...)
}

func foresee(estimator Estimator, to int) prediction {
	p := prediction{point: estimator.Point(to)}
	for rate := range Rate(Rates) {
		p.lead[rate] = estimator.Lead(to, rate)
	}
	if s, ok := estimator.(interface{ Deviation(int) time.Duration }); ok {
		p.spread = s.Deviation(to)
	}
	return p
}

// lengths is the number of predictions of each pair.
func (tr *trace) lengths() []int {
	out := make([]int, tr.hosts*tr.hosts)
	for pair := range out {
		if pair/tr.hosts == pair%tr.hosts {
			continue
		}
		for _, slice := range tr.slices {
			out[pair] += count(slice[pair] > 0)
		}
		out[pair] = max(out[pair]-1, 0)
	}
	return out
}

// result is what an estimator reached on one trace.
type result struct {
	predictions int
	onTime      [Rates]float64 // share
	badBlocks   [Rates]float64 // share of blocks of 600 under blockFloor
	meanLead    [Rates]float64 // s
	within50    float64        // share of points within 50 ms
	within10    float64        // and 10 ms
}

func score(all []prediction) result {
	out := result{predictions: len(all)}
	n := float64(len(all))
	for rate := range Rate(Rates) {
		onTime, lead := 0, 0.0
		for _, p := range all {
			onTime += count(p.actual <= p.lead[rate])
			lead += p.lead[rate].Seconds()
		}
		bad, blocks := 0, 0
		for block := range slices.Chunk(all, blockSize) {
			if len(block) < blockSize {
				break
			}
			good := 0
			for _, p := range block {
				good += count(p.actual <= p.lead[rate])
			}
			blocks++
			bad += count(float64(good) < blockFloor[rate]*blockSize)
		}
		out.onTime[rate], out.meanLead[rate], out.badBlocks[rate] = float64(onTime)/n, lead/n, float64(bad)/float64(max(blocks, 1))
	}
	near50, near10 := 0, 0
	for _, p := range all {
		off := (p.point - p.actual).Abs()
		near50 += count(off <= 50*ms)
		near10 += count(off <= 10*ms)
	}
	out.within50, out.within10 = float64(near50)/n, float64(near10)/n
	return out
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// tune gives every prediction the lead of its point and as many deviations as
// reach the rate on this very trace: what a constant margin can do at its best,
// chosen in hindsight. Where none does (too many deviations of 0) leads are 0.
func tune(all []prediction) (margins [Rates]float64) {
	need := make([]float64, len(all))
	for i, p := range all {
		switch off := float64(p.actual - p.point); {
		case p.spread > 0:
			need[i] = off / float64(p.spread)
		case off > 0:
			need[i] = math.Inf(1)
		}
	}
	slices.SortFunc(need, cmp.Compare[float64])
	for rate := range Rate(Rates) {
		at := min(int(math.Ceil(rate.Share()*float64(len(need)))), len(need)) - 1
		margins[rate] = need[max(at, 0)]
		for i := range all {
			if all[i].lead[rate] = 0; math.IsInf(margins[rate], 1) {
				continue
			}
			all[i].lead[rate] = max(0, all[i].point+time.Duration(math.Ceil(margins[rate]*float64(all[i].spread))))
		}
	}
	return margins
}
