package quorum

import (
	"testing"
	"time"
	"unsafe"

	"dancer/mesh"
)

// TestBytes holds what the doc comments say of the size of things.
func TestBytes(t *testing.T) {
	for name, c := range map[string]struct{ have, want uintptr }{
		"counts of a membership":     {unsafe.Sizeof(Counts{}), 16},
		"spread":                     {unsafe.Sizeof(Spread{}), 516},
		"gate of a window":           {unsafe.Sizeof(gate{}), 1024},
		"64 members":                 {unsafe.Sizeof(block{}), 24},
		"plan, beside its phases":    {unsafe.Sizeof(Plan{}), 512},
		"phase and what was told":    {unsafe.Sizeof(Phase{}) + unsafe.Sizeof(told{}), 80},
		"window, beside its members": {unsafe.Sizeof(Window{}), 1024},
	} {
		if c.have > c.want {
			t.Errorf("%s: %d bytes, over %d", name, c.have, c.want)
		}
	}
}

func BenchmarkTallyAnswer(b *testing.B) {
	tally, err := NewTally(30_000)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		tally.Answer(i, mesh.Ready)
		if i += 7919; i >= 30_000 {
			i -= 30_000
		}
	}
}

// BenchmarkPlanAnswer is an answer with the step behind it, in a plan over a
// million agents.
func BenchmarkPlanAnswer(b *testing.B) {
	topology := regular(3334, 10, 30)
	p := mustPlan(b, topology, Parallel(0), Options{})
	p.Start(0)
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		p.Answer(time.Duration(i), TierAgent, i, mesh.Ready)
		for _, ok := p.Step(time.Duration(i)); ok; _, ok = p.Step(time.Duration(i)) {
		}
		if i += 7919; i >= 1_000_000 {
			i -= 1_000_000
		}
	}
}

// BenchmarkWave is a whole wave over 30,000 agents, from the plan to its end.
func BenchmarkWave(b *testing.B) {
	topology := regular(100, 10, 30)
	b.ReportAllocs()
	for b.Loop() {
		p := mustPlan(b, topology, Wave(9*time.Second), Options{CancelLead: time.Second})
		p.Start(0)
		for _, ok := p.Step(0); ok; _, ok = p.Step(0) {
		}
		for tier := TierSector; tier < tiers; tier++ {
			for i := range topology.Size(tier) {
				p.Answer(ms, tier, i, mesh.Ready)
			}
			for _, ok := p.Step(ms); ok; _, ok = p.Step(ms) {
			}
		}
		if p.State() != Committed {
			b.Fatal(p.State())
		}
	}
}

func BenchmarkRollup(b *testing.B) {
	sizes := make([]int32, 1000)
	for i := range sizes {
		sizes[i] = 30
	}
	r, err := NewRollup(sizes)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r.Report(int32(n%1000), Counts{Total: 30, Ready: int32(n / 1000 % 31)})
		n++
	}
}

func BenchmarkHedger(b *testing.B) {
	h, err := NewHedger(4096, HedgeShare, HedgeBurst)
	if err != nil {
		b.Fatal(err)
	}
	pick := func(int32) (int32, bool) { return 1, true }
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		now := time.Duration(i) * time.Microsecond
		h.Sent(now, int32(i&4095), true, 2*ms)
		h.Done(int32(i * 7 & 4095))
		h.Next(now, pick)
		i++
	}
}
