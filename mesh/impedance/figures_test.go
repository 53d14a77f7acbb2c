package impedance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The fleet of the figures: mesh-30k 2.1 and 2.2.
const (
	fleetAgents  = 30_000
	fleetCell    = 30
	fleetRegion  = 300
	fleetUpdates = 6_000 // a second: 8.2
	fleetKinds   = 12    // capabilities
)

// fleet is a registry of n agents in cells of 30 and regions of 300, with classes
// by the specification's shares and one to three capabilities each.
type fleet struct {
	registry *Registry
	agents   int
	random   *rand.Rand
	now      time.Duration
	next     int
}

func newFleet(t testing.TB, n int) *fleet {
	t.Helper()
	r, err := NewRegistry(n)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{registry: r, agents: n, random: rand.New(rand.NewPCG(30, 30))}
	for first := 0; first < n; first += fleetCell {
		cell, err := r.AddCell(RegionID(first / fleetRegion))
		if err != nil {
			t.Fatal(err)
		}
		for id := first; id < min(first+fleetCell, n); id++ {
			if err := r.Place(AgentID(id), cell); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range n {
		f.beat()
	}
	return f
}

// beat is the next agent's heartbeat.
func (f *fleet) beat() {
	id := f.next
	f.next = (f.next + 7919) % f.agents // a prime: agents of one cell do not follow each other
	class := []Class{ClassEdge, ClassServerless, ClassPersistent, ClassGPU, ClassLocal, ClassHuman}[id*6/f.agents]
	low, top := class.TypicalDelay()
	f.now += time.Second / fleetUpdates
	capabilities := SetOf(Capability(id%fleetKinds), Capability(id/7%fleetKinds), Capability(id/31%fleetKinds))
	if _, err := f.registry.Update(AgentID(id), f.now, Report{
		Class: class, Operation: Active, Delay: low + time.Duration(f.random.Int64N(int64(top-low))), Processing: class.BaseProcessing() + time.Duration(f.random.Int64N(int64(20*time.Millisecond))),
		Queue: uint32(f.random.IntN(3)), Drift: f.random.Float64() * 0.6, Reliability: 0.99, Capabilities: capabilities,
	}); err != nil {
		panic(err) // a report of our own
	}
}

// own is the owner: heartbeats at a rate, a sweep a second, a map every ten. It
// gives the updates it made.
func (f *fleet) own(rate int, stop <-chan struct{}, beat func()) (updates int) {
	if beat == nil {
		beat = f.beat
	}
	began, m := time.Now(), Map{}
	swept, mapped := began, began
	var changed []AgentID
	for {
		select {
		case <-stop:
			return updates
		case <-time.After(time.Millisecond):
		}
		now := time.Now()
		for due := int(now.Sub(began).Seconds() * float64(rate)); updates < due; updates++ {
			beat()
		}
		if now.Sub(swept) >= time.Second {
			swept, changed = now, f.registry.Sweep(f.now, changed[:0])
		}
		if now.Sub(mapped) >= MapPeriod {
			mapped = now
			f.registry.Summarize(f.now, &m)
		}
	}
}

// latencies counts durations by 10 ns, up to 1 ms.
type latencies struct {
	bucket [100_000]uint32
	count  int
	most   time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.bucket[min(int(d/10), len(l.bucket)-1)]++
	l.count++
	l.most = max(l.most, d)
}

func (l *latencies) quantile(q float64) time.Duration {
	below := 0
	for i, n := range l.bucket {
		if below += int(n); float64(below) >= q*float64(l.count) {
			return time.Duration(i) * 10
		}
	}
	return l.most
}

// sink keeps the compiler from leaving out what is measured.
var sink atomic.Uint64

// readers runs as many readers side by side for a while and gives one histogram.
func readers(n int, d time.Duration, call func(random *rand.Rand, buffer []AgentID) uint64) *latencies {
	var all latencies
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 99))
			buffer := make([]AgentID, 0, 16)
			own, sum := new(latencies), uint64(0)
			for began := time.Now(); time.Since(began) < d; {
				for range 256 {
					at := time.Now()
					sum += call(random, buffer)
					own.add(time.Since(at))
				}
			}
			sink.Add(sum)
			mutex.Lock()
			defer mutex.Unlock()
			for i, n := range own.bucket {
				all.bucket[i] += n
			}
			all.count += own.count
			all.most = max(all.most, own.most)
		})
	}
	group.Wait()
	return &all
}

// TestFiguresRegistry (`make bench-registry`) measures single calls of Read and
// FindBest in a registry of 30,000, by one reader and by as many as there are
// processors, alone and beside an owner that takes 6,000 heartbeats a second,
// sweeps and makes maps; and beside them the clock that measures, and the same
// table behind a sync.RWMutex. It judges nothing: the marks are told.
func TestFiguresRegistry(t *testing.T) {
	seconds := 3
	switch n, err := strconv.Atoi(os.Getenv("DANCER_FIGURES")); {
	case os.Getenv("DANCER_FIGURES") == "":
		t.Skip("measures for a minute; make bench-registry runs it")
	case err == nil && n > 1:
		seconds = n
	}
	f := newFleet(t, fleetAgents)
	locked := lockedCopy(f.registry)
	calls := []struct {
		name string
		call func(*rand.Rand, []AgentID) uint64
		beat func() // of the owner; nil: of the registry's
	}{
		{"the clock alone", func(random *rand.Rand, _ []AgentID) uint64 { return random.Uint64() }, nil},
		{"Read", func(random *rand.Rand, _ []AgentID) uint64 {
			e, _ := f.registry.Read(AgentID(random.IntN(fleetAgents)))
			return uint64(e.Score)
		}, nil},
		{"the same, RWMutex", func(random *rand.Rand, _ []AgentID) uint64 {
			return uint64(locked.read(AgentID(random.IntN(fleetAgents))).Score)
		}, func() { locked.write(AgentID(f.random.IntN(fleetAgents)), Entry{}) }},
		{"FindBest, 10 up to 500", func(random *rand.Rand, buffer []AgentID) uint64 {
			return uint64(len(f.registry.FindBest(buffer, Capability(random.IntN(fleetKinds)), 10, 500)))
		}, nil},
	}
	var table strings.Builder
	table.WriteString("| call | readers | updates/s | calls/s | p50 | p99 | p99.9 | max |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range calls {
		for _, n := range []int{1, runtime.NumCPU()} {
			for _, rate := range []int{0, fleetUpdates} {
				stop, done := make(chan struct{}), make(chan int)
				began := time.Now()
				go func() { done <- f.own(rate, stop, c.beat) }()
				l := readers(n, time.Duration(seconds)*time.Second, c.call)
				close(stop)
				updates := <-done
				took := time.Since(began).Seconds()
				fmt.Fprintf(&table, "| %s | %d | %.0f | %.1f M | %v | %v | %v | %v |\n", c.name, n, float64(updates)/took, float64(l.count)/took/1e6,
					l.quantile(0.5), l.quantile(0.99), l.quantile(0.999), l.most)
			}
		}
	}
	t.Logf("%d entries, %d s each; marks: Read p99 under 1us, FindBest p99 under 10us\n%s", fleetAgents, seconds, &table)
}

// lockedTable is what the registry is compared with.
type lockedTable struct {
	mutex   sync.RWMutex
	entries []Entry
}

func lockedCopy(r *Registry) *lockedTable {
	l := &lockedTable{}
	for id := range r.agents {
		e, _ := r.Read(AgentID(id))
		l.entries = append(l.entries, e)
	}
	return l
}

func (l *lockedTable) read(id AgentID) Entry {
	l.mutex.RLock()
	defer l.mutex.RUnlock()
	return l.entries[id]
}

func (l *lockedTable) write(id AgentID, e Entry) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.entries[id] = e
}

func BenchmarkRegistry(b *testing.B) {
	for _, n := range []int{30_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkRegistry(b, n) })
	}
}

func benchmarkRegistry(b *testing.B, n int) {
	f := newFleet(b, n)
	random := rand.New(rand.NewPCG(1, 1))
	buffer := make([]AgentID, 0, 16)
	b.Run("Read", func(b *testing.B) {
		for range b.N {
			e, _ := f.registry.Read(AgentID(random.IntN(n)))
			sink.Store(uint64(e.Score))
		}
	})
	b.Run("FindBest", func(b *testing.B) {
		for range b.N {
			sink.Store(uint64(len(f.registry.FindBest(buffer, Capability(random.IntN(fleetKinds)), 10, 500))))
		}
	})
	b.Run("Update", func(b *testing.B) {
		for range b.N {
			f.beat()
		}
	})
	b.Run("Summarize", func(b *testing.B) {
		var m Map
		for range b.N {
			f.registry.Summarize(f.now, &m)
		}
	})
}
