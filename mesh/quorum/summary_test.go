package quorum

import (
	"testing"
	"time"

	"dancer/mesh"

	"pgregory.net/rapid"
)

// TestSummariesAgainstAnswers: a plan that hears of its agents by the reports of
// their clusters comes to the same end, with the same counts, as one that hears
// each agent, though reports come late, twice and overtake each other.
func TestSummariesAgainstAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topology := regular(rapid.IntRange(1, 3).Draw(t, "sectors"), rapid.IntRange(1, 3).Draw(t, "clusters"), rapid.IntRange(1, 8).Draw(t, "agents"), ClassEdge, ClassLocal, ClassHuman)
		pair := make([]*Plan, 2)
		for i := range pair {
			var err error
			if pair[i], err = NewPlan(topology, Wave(9*time.Second), Options{Summaries: i == 1}); err != nil {
				t.Fatal(err)
			}
			pair[i].Start(0)
		}
		step := func(now time.Duration) {
			for {
				a, more := pair[0].Step(now)
				b, too := pair[1].Step(now)
				if a != b || more != too {
					t.Fatalf("at %s: %+v, and with summaries %+v", now, a, b)
				}
				if !more {
					return
				}
			}
		}
		step(0)
		for tier := TierSector; tier < TierAgent; tier++ {
			for i := range topology.Size(tier) {
				for _, p := range pair {
					p.Answer(ms, tier, i, mesh.Ready)
				}
			}
			step(ms)
		}
		now := answerBoth(t, topology, pair, step)
		step(now + 10*time.Second)
		if a, b := pair[0], pair[1]; a.State() != b.State() || a.Progress(2) != b.Progress(2) || a.Failure() != b.Failure() || a.Advice(2) != b.Advice(2) {
			t.Fatalf("%s %+v, and with summaries %s %+v", a.State(), a.Progress(2), b.State(), b.Progress(2))
		}
	})
}

// answerBoth lets agents answer to the first plan and to their clusters, which
// report to the second at the same moment, and once more something older.
func answerBoth(t *rapid.T, topology *Topology, pair []*Plan, step func(time.Duration)) time.Duration {
	clusters := make([]Tally, topology.Size(TierCluster))
	old := make([]Counts, len(clusters))
	for c := range clusters {
		size := int(topology.Size(TierAgent)) / len(clusters)
		tally, err := NewTally(size)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int32(size) {
			if topology.Class(int32(c*size)+i) == ClassHuman {
				tally.states.setExempt(i)
				tally.counts.Total--
			}
		}
		clusters[c], old[c] = *tally, tally.Counts()
	}
	now := ms
	for range rapid.IntRange(0, 120).Draw(t, "answers") {
		now += time.Duration(rapid.IntRange(0, 100).Draw(t, "pause")) * ms
		agent := rapid.Int32Range(0, topology.Size(TierAgent)-1).Draw(t, "agent")
		said := mesh.Trinary(rapid.SampledFrom([]int{-1, 1, 1, 1, 1, 1, 1, 1}).Draw(t, "said"))
		cluster := topology.AgentCluster[agent]
		tally := &clusters[cluster]
		tally.Answer(agent%tally.states.size, said)
		pair[0].Answer(now, TierAgent, agent, said)
		pair[1].Summary(now, cluster, tally.Counts())
		pair[1].Summary(now, cluster, old[cluster])
		if rapid.Bool().Draw(t, "keep") {
			old[cluster] = tally.Counts()
		}
		step(now)
	}
	return now
}
