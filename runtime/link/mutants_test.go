//go:build interleave

package link

import "testing"

// TestMutants checks the checker: each of these changes to the real code is a
// classic fault of its kind, and the scenario must find it.
func TestMutants(t *testing.T) {
	output := func() *explorer { return seqlock(slots()[1], 2, 2) }
	port := func() *explorer { return seqlock(slots()[2], 2, 1) }
	status := func() *explorer { return seqlock(slots()[3], 1, 1) }
	posts := func() *explorer { return mailbox(2, 1) }
	told := func() *explorer { return events(3, 2) }
	asked := func() *explorer { return requestsOf(3, 1, 2) }
	traced := func() *explorer { return traces(5, 2) }
	counted := func() *explorer { return histograms(2, 2) }
	for _, c := range []struct {
		scenario             func() *explorer
		thread, action, line string
	}{
		// A seqlock that does not say that it is being written, says so too late, is
		// whole too early, is not looked at again, or lacks a word.
		{output, "spine", "drop", "storeSlot: w[0].Store(seq)"},
		{output, "spine", "delay", "storeSlot: w[0].Store(seq)"},
		{output, "spine", "drop", "storeSlot: w[0].Store(seq + 1)"},
		{output, "spine", "delay", "storeSlot: w[3].Store(c)"},
		{output, "spine", "drop", "storeSlot: w[1].Store(a)"},
		{output, "brain", "repeat", "loadSlot: if w[0].Load() == seq {"},
		{output, "brain", "repeat", "loadSlot: a, b, c = w[1].Load(), w[2].Load(), w[3].Load()"},
		{port, "spine", "drop", "StorePort: w[0].Store(seq)"},
		{port, "spine", "delay", "StorePort: w[7].Store(uint64(p.Line.Breaks) | uint64(p.Line.Overruns)<<32)"},
		{port, "brain", "repeat", "LoadPort: if w[0].Load() == seq {"},
		{status, "spine", "delay", "StoreStatus: w[14].Store(t.EdgesLost)"},
		{status, "spine", "delay", "StoreStatus: w[0].Store(seq)"},
		{status, "brain", "repeat", "LoadStatus: if w[0].Load() == seq {"},
		{posts, "brain", "drop", "PostCommand: w[0].Store(seq)"},
		{posts, "brain", "delay", "PostCommand: w[0].Store(seq)"},
		{posts, "brain", "delay", "PostCommand: w[4+2*n].Store(c.check())"},
		{posts, "brain", "drop", "PostCommand: w[1].Store(c.Decision)"},
		{posts, "spine", "repeat", "TakeCommand: if w[0].Load() != seq {"},
		// Bits that are not set or not taken back.
		{rules, "spine", "drop", "setRuleBit: w.Or(bit)"},
		{rules, "spine", "drop", "setRuleBit: w.And(^bit)"},
		// A ring that publishes a record before it is written, gives it back before it
		// is read, does not publish it, gives none back, or does not count.
		{told, "spine", "drop", "put: r.produced[ringHead].Store(r.position)"},
		{told, "spine", "drop", "put: r.produced[ringLost].Store(r.lost)"},
		{told, "spine", "repeat", "put: if r.position-r.tail.Load() >= r.capacity-free {"},
		{told, "brain", "drop", "take: r.tail.Store(r.position)"},
		{asked, "spine", "drop", "take: r.tail.Store(r.position)"},
		{traced, "spine", "delay", "put: w[i].Store(rec[i])"},
		{traced, "brain", "drop", "take: r.tail.Store(r.position)"},
		// A count that never gets there.
		{counted, "spine", "drop", "StoreLatency: w[bucket].Store(h.Counts[bucket])"},
		{counted, "spine", "drop", "StoreLatency: w[latency.Buckets].Store(uint64(h.Sum))"},
	} {
		x := c.scenario()
		x.mutant = &mutation{thread: c.thread, action: c.action, line: c.line}
		x.explore()
		switch {
		case x.mutant.hits == 0:
			t.Errorf("there is no %q to %s: the code has changed, change this list", c.line, c.action)
		case x.failure == "":
			t.Errorf("not found: %s, %s %q", c.thread, c.action, c.line)
		}
	}
}
