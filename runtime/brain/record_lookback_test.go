package brain

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/reflex"
	"dancer/runtime/link"
	"dancer/runtime/record"
	"dancer/runtime/replay"
)

const windowRobot = "testdata/windows/robot.yaml"

// TestRecordingOfWindowsReplays: rules and indices that look back in time, ramps,
// and rules that wait for readings of a signal that goes stale come out again,
// and every kind of them has happened.
func TestRecordingOfWindowsReplays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "windows.mcap")
	s := simulateRobot(t, windowRobot, 48*time.Second, path, "", func(s *simulation) { s.brain.partner.Cut = everyFifth() })
	fired := map[string]int{}
	derived, stale, cut := 0, 0, 0
	rewritten(t, path, func(topic string, data []byte) []byte {
		switch {
		case topic == record.TopicTrace && bytes.Contains(data, []byte(`"move":"`+reflex.Fired.String()+`"`)):
			for i := range s.manual.Rules {
				if name := s.manual.Rules[i].Name; bytes.Contains(data, []byte(`"name":"`+name+`"`)) {
					fired[name]++
				}
			}
		case topic == record.TopicReading && bytes.Contains(data, []byte(`(`)):
			derived++
		case topic == record.TopicReading && bytes.Contains(data, []byte(`"name":"range"`)) && bytes.Contains(data, []byte(`"validity":"stale"`)):
			stale++
		case topic == record.TopicDecision && bytes.Contains(data, []byte(`"completed":`)):
			cut++
		}
		return data
	})
	for _, name := range []string{"near-thrice", "near-for-long", "give-way", "flaring", "smoky", "tired", "bump"} {
		if fired[name] == 0 {
			t.Errorf("%s has never fired", name)
		}
	}
	if derived == 0 || stale == 0 || cut == 0 {
		t.Errorf("%d derived readings, %d of a range that went stale, %d forecasts cut short", derived, stale, cut)
	}
	r := replayed(t, replay.Options{}, path)
	if describe(t, r); !r.Identical() || r.Reflexes.Replayed < 20 || r.Reflexes.Skipped != 0 {
		t.Error("it differs")
	}
	// The same readings as invalid, not as stopped: confirm goes on waiting.
	waiting := rewritten(t, path, func(topic string, data []byte) []byte {
		if topic == record.TopicReading && bytes.Contains(data, []byte(`"name":"range"`)) {
			return bytes.Replace(data, []byte(`"validity":"stale"`), []byte(`"validity":"not a number"`), 1)
		}
		return data
	})
	if r := replayed(t, replay.Options{}, waiting); r.Identical() || r.First.What != "reflex" {
		t.Error("that the readings of range had stopped made no difference")
	}
}

// everyFifth cuts a forecast short whenever it was asked a few times.
func everyFifth() func() bool {
	n := 0
	return func() bool { n++; return n%5 == 0 }
}

// TestRecordingOfLatchesReplays: a spine that finds latches of an earlier run
// sets their outputs before anything was read, also those that windows see.
func TestRecordingOfLatchesReplays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latched.mcap")
	washed := 11
	s := simulateRobot(t, windowRobot, 12*time.Second, path, "", nil, washed)
	if name := s.manual.Rules[washed].Name; name != "washed" {
		t.Fatalf("rule %d is %s", washed, name)
	}
	r := replayed(t, replay.Options{}, path)
	if describe(t, r); !r.Identical() || r.Reflexes.Skipped != 0 {
		t.Error("it differs")
	}
	var restored bool
	rewritten(t, path, func(topic string, data []byte) []byte {
		restored = restored || topic == record.TopicTrace && strings.Contains(string(data), `"kind":"restore"`)
		return data
	})
	if !restored {
		t.Error("no latch was restored")
	}
}

// TestRecordingOfOperatorsReplays: whatever operators answer, late, twice, to
// questions that are closed or never were, or not at all until the time is over,
// comes out again, and so do latches that cannot be cleared yet.
func TestRecordingOfOperatorsReplays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operators.mcap")
	outcomes, states := map[string]int{}, map[string]int{}
	simulateRobot(t, windowRobot, 60*time.Second, path, "", func(s *simulation) {
		random := rand.New(rand.NewPCG(5, 6))
		var questions []string
		s.operator = func(now time.Duration) {
			if _, id := s.brain.question.State(); id != "" && !slices.Contains(questions, id) {
				questions = append(questions, id)
			}
			if random.IntN(30) == 0 {
				s.request(link.RequestClear)
				s.request(link.RequestStart)
			}
			quiet := (now-simulatedStart)%(20*time.Second) > 8*time.Second // questions run out of time
			for !quiet && random.IntN(3) == 0 && len(questions) > 0 {
				id := questions[len(questions)-1]
				if random.IntN(4) == 0 {
					id = append(questions, "nobody asked")[random.IntN(len(questions)+1)]
				}
				verdicts := []string{dancer.RuleApprove, dancer.RuleDeny, dancer.RuleDefer, dancer.RuleReschedule, dancer.RuleEscalate, "perhaps"}
				options := []string{"", "patrol", "halt", "extinguish", "inaction", "fly"}
				r, _ := s.brain.rule(mesh.Ruling{
					Escalation: id, By: []string{"operator", "conductor", ""}[random.IntN(3)],
					Verdict: verdicts[random.IntN(len(verdicts))], Option: options[random.IntN(len(options))],
				})
				outcomes[r.Outcome]++
			}
		}
	})
	rewritten(t, path, func(topic string, data []byte) []byte {
		var m record.Question
		if topic == record.TopicQuestion {
			if err := json.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
		}
		if m.Change != nil {
			states[m.Change.State]++
		}
		return data
	})
	t.Log(outcomes, states)
	r := replayed(t, replay.Options{}, path)
	if describe(t, r); !r.Identical() || r.Rulings.Replayed < 10 || r.Rulings.Skipped+r.Questions.Skipped != 0 {
		t.Error("it differs")
	}
	if len(outcomes) < 4 || len(states) < 3 {
		t.Error("too little has happened")
	}
}
