package quorum

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"dancer/mesh/impedance"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	var rule Rule
	transcript(t, "testdata/decide.txt", func(t *testing.T, words []string) string {
		n := make([]int32, 4)
		if words[0] == "rule" {
			for i, w := range words[1:] {
				n[i] = number(t, w)
			}
			rule = Rule{Share(100 * n[0]), Share(100 * n[1]), Share(100 * n[2])}
			return ""
		}
		for i, w := range words[:4] {
			n[i] = number(t, w)
		}
		v := rule.Decide(Counts{n[0], n[1], n[2], n[3]}, words[4] == "closed")
		return fmt.Sprintf("%s: %s: %s; need %d, confidence %.3f\n", strings.Join(words, " "), v.Decision, v.Reason, v.Need, v.Confidence)
	})
}

func number(t *testing.T, word string) int32 {
	t.Helper()
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

func TestRuleValidate(t *testing.T) {
	for _, r := range []Rule{RuleSectors, RuleClusters, RuleAgents, RuleParallel, RuleGPU, RulePersistent, RuleServerless, RuleEdge, RuleLocal} {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, r := range []Rule{{}, {Ready: 5000}, {Ready: 10_001}, {Ready: 9500, Conflict: 10_001}, {Ready: 9500, Transit: 10_001}} {
		if err := r.Validate(); !errors.Is(err, ErrRule) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if RuleSectors.Ready.String() != "98%" || Share(9950).String() != "99.5%" {
		t.Errorf("%s %s", RuleSectors.Ready, Share(9950))
	}
}

func drawRule(t *rapid.T) Rule {
	return Rule{Share(rapid.IntRange(5001, 10_000).Draw(t, "ready")), Share(rapid.IntRange(0, 10_000).Draw(t, "conflict")), Share(rapid.IntRange(0, 10_000).Draw(t, "transit"))}
}

// drawCounts gives valid counts, small and large ones.
func drawCounts(t *rapid.T) Counts {
	total := rapid.OneOf(rapid.Int32Range(0, 40), rapid.Int32Range(0, MaxMembers)).Draw(t, "total")
	ready := rapid.Int32Range(0, total).Draw(t, "ready")
	conflict := rapid.Int32Range(0, total-ready).Draw(t, "conflict")
	return Counts{total, ready, conflict, rapid.Int32Range(0, total-ready-conflict).Draw(t, "absent")}
}

// over says whether part/total is at least (or at most) share, in exact fractions.
func over(part, total int32, share Share) int {
	return big.NewRat(int64(part), int64(total)).Cmp(big.NewRat(int64(share), int64(Whole)))
}

// TestDecideAgainstFractions compares with the words of the specification in exact
// arithmetic.
func TestDecideAgainstFractions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, c, closed := drawRule(t), drawCounts(t), rapid.Bool().Draw(t, "closed")
		v := r.Decide(c, closed)
		if c.Total == 0 {
			if v.Decision != Retry || v.Reason != Nobody {
				t.Fatalf("%+v", v)
			}
			return
		}
		ready := func(n int32) bool { return over(n, c.Total, r.Ready) >= 0 && 2*n > c.Total }
		few, conflicts := over(c.Transit(), c.Total, r.Transit) <= 0, over(c.Conflict, c.Total, r.Conflict) > 0
		if v.Achieved() != (ready(c.Ready) && few && !conflicts) {
			t.Fatalf("%+v of %+v", v, r)
		}
		if (v.Decision == ResolveConflicts) != conflicts {
			t.Fatalf("conflicts %v: %+v", conflicts, v)
		}
		if v.Decision == Wait && (closed && few || !ready(c.Ready+c.Transit())) {
			t.Fatalf("waits for nothing: %+v", v)
		}
		if v.Decision == Retry && !closed && ready(c.Ready+c.Transit()) {
			t.Fatalf("gives up early: %+v", v)
		}
		if v.Confidence < 0 || v.Confidence > 1 {
			t.Fatalf("confidence %v", v.Confidence)
		}
	})
}

// TestSettled: where an outcome is called settled, no answer of those in transit
// changes it. Where it is not, some answers would.
func TestSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRule(t)
		total := rapid.Int32Range(0, 25).Draw(t, "total")
		ready := rapid.Int32Range(0, total).Draw(t, "ready")
		conflict := rapid.Int32Range(0, total-ready).Draw(t, "conflict")
		c := Counts{total, ready, conflict, rapid.Int32Range(0, total-ready-conflict).Draw(t, "absent")}
		success, failure := false, false
		left := c.Transit()
		for a := int32(0); a <= left; a++ {
			for b := int32(0); a+b <= left; b++ {
				end := Counts{total, ready + a, conflict + b, c.Absent}
				if r.Decide(end, true).Achieved() {
					success = true
				} else {
					failure = true
				}
			}
		}
		settled := !(success && failure)
		// What is still unknown may be too much to proceed with now and settle by
		// the answers alone: then it is not called settled, which is the safe side.
		if r.Settled(c) && !settled {
			t.Fatalf("%+v of %+v is not settled", c, r)
		}
		if !r.Settled(c) && settled && !success {
			t.Fatalf("%+v of %+v has failed and is not called settled", c, r)
		}
	})
}

// TestNoQuorumFromAMinority: however a membership is cut in two, and whatever each
// side hears of its own, at most one side proceeds, and it is the larger one.
func TestNoQuorumFromAMinority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRule(t)
		total := rapid.Int32Range(1, 30_000).Draw(t, "total")
		left := rapid.Int32Range(0, total).Draw(t, "left")
		decide := func(reachable int32, name string) bool {
			ready := rapid.Int32Range(0, reachable).Draw(t, name)
			// The other side was skipped, or asked and not heard.
			skipped := rapid.Int32Range(0, total-reachable).Draw(t, name+" skips")
			return r.Decide(Counts{Total: total, Ready: ready, Absent: skipped}, rapid.Bool().Draw(t, name+" closed")).Achieved()
		}
		a, b := decide(left, "left"), decide(total-left, "right")
		if a && b || a && left*2 <= total || b && (total-left)*2 <= total {
			t.Fatalf("%d of %d: left %v, right %v", left, total, a, b)
		}
	})
}

func TestClassesAreThoseOfImpedance(t *testing.T) {
	for mine, theirs := range map[uint8]impedance.Class{
		ClassUnknown: impedance.ClassUnknown, ClassEdge: impedance.ClassEdge, ClassServerless: impedance.ClassServerless, ClassPersistent: impedance.ClassPersistent,
		ClassGPU: impedance.ClassGPU, ClassLocal: impedance.ClassLocal, ClassHuman: impedance.ClassHuman,
	} {
		if mine != uint8(theirs) {
			t.Errorf("%s is %d here and %d there", theirs, mine, theirs)
		}
	}
}
