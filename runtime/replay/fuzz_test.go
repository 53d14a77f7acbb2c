package replay

import (
	"encoding/json"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/partner"
	"dancer/runtime/config"
	"dancer/runtime/record"
	"dancer/storage/recording"
)

// FuzzMessage: a message that any recording may hold, with checksums that are
// right, is replayed or refused: nothing in it can end or hang the program.
func FuzzMessage(f *testing.F) {
	robot, problems := config.Load("../../examples/museum/robot-sim.yaml", config.Options{})
	if err := problems.Err(); err != nil {
		f.Fatal(err)
	}
	topics := []string{
		record.TopicReading, record.TopicTrace, record.TopicDecision, record.TopicQuestion, record.TopicRuling, record.TopicGap, "/other",
	}
	m := robot.Manual
	in := dancer.Input{
		Robot: "one", Monotonic: time.Hour, Seed: 1, Rollouts: 4, Values: []float64{2, 500, 1, 0, 0, 0.5, 0, 0},
		Validity: make([]hal.Validity, len(m.Signals)), Age: make([]time.Duration, len(m.Signals)),
	}
	for i := range in.Validity {
		in.Validity[i] = hal.Valid
	}
	var p partner.Partner
	decision, err := json.Marshal(dancer.Decide(m, in, p.Corners, p.Forecast))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), []byte(`{"monotonic":12,"at":11,"name":"smoke","value":1.25,"validity":"valid","end":true}`))
	f.Add(uint8(1), []byte(`{"monotonic":12,"kind":"move","name":"bump","move":"fired"}`))
	f.Add(uint8(1), []byte(`{"monotonic":12,"kind":"output","name":"drive","value":1,"end":true}`))
	f.Add(uint8(1), []byte(`{"monotonic":12,"kind":"clear","name":"bump"}`))
	f.Add(uint8(2), decision)
	f.Add(uint8(3), []byte(`{"monotonic":12,"snapshot":{"version":1,"state":"open","id":"q","due":5,"worst":[1,2]}}`))
	f.Add(uint8(3), []byte(`{"monotonic":12,"change":{"id":"q","revision":1,"state":"open"}}`))
	f.Add(uint8(4), []byte(`{"monotonic":12,"question":"q","verdict":"approve","option":"halt","by":"me","outcome":"applied","running":"halt"}`))
	f.Add(uint8(5), []byte(`{"monotonic":12,"what":"all","count":3,"where":"disk"}`))
	f.Fuzz(func(t *testing.T, topic uint8, data []byte) {
		r := &run{report: &Report{}, robot: robot, file: &file{recording: &recording.Recording{}}, reflexes: newReflexes(m), question: question{m: m}}
		w := &maker{ctx: t.Context(), run: r, signals: r.reflexes.signals}
		r.event(&event{trace: &record.Trace{Kind: "start"}})
		r.event(&event{question: &record.Question{Snapshot: &dancer.QuestionRecord{State: "none"}}})
		for range 2 {
			e, err := w.event(topics[int(topic)%len(topics)], data)
			if err != nil {
				return
			}
			r.event(&e)
		}
		r.event(&event{trace: &record.Trace{Kind: "tick", Monotonic: time.Hour}})
		r.event(&event{gap: &record.Gap{What: record.GapAll}})
	})
}
