package brain

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/reflex"
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
