package fleet

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/mesh/impedance"
)

// TestFaultText: each kind in each place is written as one line that reads back the
// same.
func TestFaultText(t *testing.T) {
	for _, c := range []struct {
		text string
		want Fault
	}{
		{"from 12s for 30s crash agent 4711", Fault{From: 12 * time.Second, For: 30 * time.Second, Kind: Crash, At: Place{AtAgent, 4711}}},
		{"from 10s crash coordinator 3", Fault{From: 10 * time.Second, Kind: Crash, At: Place{AtCoordinator, 3}}},
		{"from 0s for 1m0s partition sector 0", Fault{For: time.Minute, Kind: Partition, At: Place{InSector, 0}}},
		{"from 40s for 1m0s flap lead 12 every 2s", Fault{From: 40 * time.Second, For: time.Minute, Kind: Flap, At: Place{AtLead, 12}, Every: 2 * time.Second}},
		{"from 1s byzantine agent 7 answer", Fault{From: time.Second, Kind: Byzantine, Lie: WrongAnswer, At: Place{AtAgent, 7}}},
		{"from 1s byzantine agent 7 time", Fault{From: time.Second, Kind: Byzantine, Lie: WrongTime, At: Place{AtAgent, 7}}},
		{"from 1s byzantine agent 7 flood", Fault{From: time.Second, Kind: Byzantine, Lie: Flood, At: Place{AtAgent, 7}}},
		{"from 1s loss all 20%", Fault{From: time.Second, Kind: Loss, Share: 2000, At: Place{Kind: Everywhere}}},
		{"from 1s duplicate orchestrator 0.5%", Fault{From: time.Second, Kind: Duplicate, Share: 50, At: Place{Kind: AtOrchestrator}}},
		{"from 1s reorder cluster 2 100%", Fault{From: time.Second, Kind: Reorder, Share: 10_000, At: Place{InCluster, 2}}},
		{"from 1s corrupt cluster 2 0.01%", Fault{From: time.Second, Kind: Corrupt, Share: 1, At: Place{InCluster, 2}}},
		{"from 1.5s slow class D 4x", Fault{From: 1500 * time.Millisecond, Kind: Slow, Factor: 4, At: Place{InClass, int32(impedance.ClassGPU)}}},
		{"from 1s clock agent 9 +250ms", Fault{From: time.Second, Kind: Clock, Step: 250 * time.Millisecond, At: Place{AtAgent, 9}}},
		{"from 1s clock agent 9 -1s", Fault{From: time.Second, Kind: Clock, Step: -time.Second, At: Place{AtAgent, 9}}},
	} {
		got, err := ParseFault(c.text)
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.text, got, err, c.want)
		}
		if text := got.String(); text != c.text {
			t.Errorf("%q came back as %q", c.text, text)
		}
	}
}

// TestFaultTextWrong: what is wrong is said with its line, the word and what may
// stand there, for all lines at once.
func TestFaultTextWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"crash agent 1", `want "from", got "crash"`},
		{"from yesterday crash agent 1", `got "yesterday"`},
		{"from -1s crash agent 1", `got "-1s"`},
		{"from 25h crash agent 1", `got "25h"`},
		{"from 1s for 0s crash agent 1", `got "0s"`},
		{"from 1s explode agent 1", "want one of crash, partition"},
		{"from 1s crash moon 1", "want one of all, orchestrator, sector"},
		{"from 1s crash agent x", "want the number of the agent"},
		{"from 1s crash agent -1", "want the number of the agent"},
		{"from 1s crash agent", "want the number of the agent"},
		{"from 1s crash class G", "want a class, A to F"},
		{"from 1s crash agent 1 hard", "want nothing more"},
		{"from 1s flap agent 1", `want "every"`},
		{"from 1s byzantine agent 1 truth", "want answer, time or flood"},
		{"from 1s loss all 101%", "want a share"},
		{"from 1s loss all 0%", "want a share"},
		{"from 1s loss all 1.%", "want a share"},
		{"from 1s loss all 1.234%", "want a share"},
		{"from 1s loss all 5", "want a share"},
		{"from 1s slow all 1x", "want 2x"},
		{"from 1s slow all 4", "want 2x"},
		{"from 1s clock all soon", "want a time"},
	} {
		_, err := ParseFault(c.text)
		if !errors.Is(err, ErrFault) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %q", c.text, err, c.want)
		}
	}
	_, err := ParseFaults("# one\nfrom 1s crash agent 1 # two\n\nnonsense\nfrom 1s crash\n")
	if err == nil || !strings.Contains(err.Error(), "line 4:") || !strings.Contains(err.Error(), "line 5:") {
		t.Errorf("%v", err)
	}
}

// TestRandomFaults: a schedule fits its fleet, ends in time, reads back the same,
// and is a function of its seed; all kinds come.
func TestRandomFaults(t *testing.T) {
	var kinds [faultKinds]int
	for _, agents := range []int{5, 900, 30_000} {
		top := topology(t, agents)
		for seed := range Seed(200) {
			faults := RandomFaults(seed, top, 5*time.Minute, 12)
			for _, f := range faults {
				kinds[f.Kind]++
				if f.For == 0 && f.Kind != Clock || f.From+f.For > 5*time.Minute*3/4+200*time.Millisecond {
					t.Fatalf("%v does not end", f)
				}
			}
			read, err := ParseFaults(FormatFaults(faults))
			if err != nil || !slices.Equal(read, faults) {
				t.Fatalf("came back as %v, %v", read, err)
			}
			if _, err := New[word](Setup{Topology: top, Faults: faults}, newBeat(top, 0), nil); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(faults, RandomFaults(seed, top, 5*time.Minute, 12)) {
				t.Fatal("not the same twice")
			}
		}
	}
	for k := Crash; k < faultKinds; k++ {
		if kinds[k] == 0 {
			t.Errorf("%v never came", k)
		}
	}
}

// TestShrink: of thirty faults the two that matter are found, made small, and the
// limit of runs holds.
func TestShrink(t *testing.T) {
	top := topology(t, 900)
	faults := RandomFaults(4, top, 5*time.Minute, 30)
	faults = append(faults,
		Fault{From: 31300 * time.Millisecond, For: 40 * time.Second, Kind: Crash, At: Place{InSector, 2}},
		Fault{From: 45 * time.Second, For: 20 * time.Second, Kind: Loss, Share: 4000, At: Place{Kind: Everywhere}})
	// Fails when cluster 20 is without its lead while over 10% get lost everywhere.
	fails := func(list []Fault) bool {
		for _, a := range list {
			where, _ := top.region(a.At)
			if a.Kind != Crash || !where.has(top.Cluster(20), impedance.ClassUnknown) {
				continue
			}
			for _, b := range list {
				if b.Kind == Loss && b.At.Kind == Everywhere && b.Share > 1000 && b.From < a.From+a.For && a.From < b.From+b.For {
					return true
				}
			}
		}
		return false
	}
	small := Shrink(top, faults, 1000, fails)
	if len(small) != 2 || !fails(small) {
		t.Fatalf("left:\n%s", FormatFaults(small))
	}
	text := FormatFaults(small)
	if !strings.Contains(text, "crash lead 20") {
		t.Errorf("the place was not made smaller:\n%s", text)
	}
	if small[0].For >= 40*time.Second || small[0].From != 31*time.Second {
		t.Errorf("times were not made simpler:\n%s", text)
	}
	runs := 0
	Shrink(top, faults, 7, func(list []Fault) bool { runs++; return fails(list) })
	if runs != 7 {
		t.Errorf("%d runs, 7 were allowed", runs)
	}
	if same := Shrink(top, faults, 1000, func([]Fault) bool { return false }); !slices.Equal(same, faults) {
		t.Error("a schedule that does not fail was changed")
	}
}

// FuzzParseFault: whatever parses is written as a line that means the same.
func FuzzParseFault(f *testing.F) {
	for _, line := range []string{"from 12s for 30s crash agent 4711", "from 1s loss all 0.5%", "from 1s slow class D 4x", "from 1s clock agent 9 +250ms"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		fault, err := ParseFault(line)
		if err != nil {
			return
		}
		again, err := ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("%q is %+v, came back as %+v, %v", line, fault, again, err)
		}
	})
}

// TestTrace: delays come from the campaign, gaps are filled, and what is no campaign
// is refused.
func TestTrace(t *testing.T) {
	text := "# slice 1\n0 0.2 0\n0.4 0 0\n0 0 0\n# slice 2\n0\t-1\t0\n0.6\t0\t0.1\n0 0 0\n"
	trace, err := ParseTrace(strings.NewReader(text), 16*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if trace.Pairs() != 3 {
		t.Fatalf("%d pairs, want 3", trace.Pairs())
	}
	for pair, want := range [][2]time.Duration{{200, 200}, {400, 600}, {100, 100}} {
		for slice, ms := range want {
			for _, turn := range []time.Duration{0, 32 * time.Second} {
				if got := trace.RoundTrip(pair, time.Duration(slice)*16*time.Second+turn+time.Second); got != ms*time.Millisecond {
					t.Errorf("pair %d, slice %d: %v, want %v ms", pair, slice, got, int64(ms))
				}
			}
		}
	}
	top := topology(t, 30)
	c := Conditions{Trace: trace}
	w := world{topology: top, conditions: c, nodes: newNodes(top, &c, 1)}
	for n := int32(1); n < top.Nodes(); n++ {
		d := time.Duration(w.hop(top.ParentOf(n), n, 12345))
		if d != 100*time.Millisecond && d != 200*time.Millisecond && d != 50*time.Millisecond {
			t.Errorf("node %d: %v one way, want half of a round trip of the trace", n, d)
		}
	}
	for _, wrong := range []string{"", "1 2\n3 4\n", "# a\n0 0\n0 0\n", "# a\n0 1\n1\n", "# a\n0 1\n1 0\n2 2\n", "# a\n0 x\n1 0\n"} {
		if _, err := ParseTrace(strings.NewReader(wrong), time.Second); !errors.Is(err, ErrFleet) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
