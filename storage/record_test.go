package storage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/storage"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestGolden: what version 1 stored, this version reads. A file is written anew
// only together with a new version of its record.
func TestGolden(t *testing.T) {
	item := mesh.Item{ID: "01JD8Z7M8R0000000000000000", Topic: "dancer/v1/hall/bot/escalation", Payload: []byte(`{"id":"x"}`)}
	ruling := mesh.Ruling{Escalation: item.ID, Verdict: mesh.RuleApprove, Option: "extinguish", By: "kim", Note: "ok", At: noon}
	question := mesh.Escalation{ID: item.ID, Revision: 2, State: "open", Robot: "bot", Cell: "hall", RaisedAt: noon, DueAt: noon.Add(time.Minute),
		Situation: "smoke=4", Because: []string{"why"}, Running: "halt", Hold: "halt", OnTimeout: "halt", Proposed: "extinguish", Decision: json.RawMessage(`{"version":1}`)}
	decision := dancer.Decision{
		Version: 1, ID: item.ID, Robot: "bot", At: noon, Monotonic: time.Second, Tier: 3, ManualHash: "sha256:00", Seed: 7,
		Signals: []dancer.SignalSnapshot{{Name: "smoke", Value: 90.5, Validity: "valid", Age: time.Millisecond}},
		Outputs: []dancer.NamedValue{{Name: "drive", Value: 0.5}},
		Assessments: []dancer.Assessment{{Option: "halt", Outputs: []float64{0, 1}, Indices: []dancer.Index{{Value: "human_safety", Worst: 7.5, Expected: 8}},
			CascadeRisk: 0.25, Recoverable: true, Rollouts: 64}},
		Verdict: dancer.Verdict{Outcome: dancer.OutcomeAct, Option: "halt", Survivors: []string{"halt"}, DecidedBy: "task", Confidence: 0.9, Why: []string{"because"}},
		Running: "halt", Who: "command", Elapsed: 400 * time.Microsecond,
	}
	golden(t, "item-1", storage.KindItem, item)
	golden(t, "ruling-1", storage.KindRuling, ruling)
	golden(t, "escalation-1", storage.KindEscalation, question)
	golden(t, "decision-1", storage.KindDecision, decision)
}

func golden[T any](t *testing.T, name string, kind storage.Kind, want T) {
	t.Helper()
	path := filepath.Join("testdata", name+".record")
	if *rewrite {
		data, err := storage.Encode(kind, 1, want)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var have T
	if err := storage.Decode(kind, 1, data, &have); err != nil || !reflect.DeepEqual(have, want) {
		t.Errorf("%s: %v\nhave %+v\nwant %+v", name, err, have, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := storage.Encode(storage.KindRuling, 3, map[string]int{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int) []byte {
		data := bytes.Clone(good)
		data[at] ^= 1
		return data
	}
	for name, c := range map[string]struct {
		data    []byte
		kind    storage.Kind
		version uint16
		cause   error
	}{
		"empty":         {nil, storage.KindRuling, 3, storage.ErrFrame},
		"short":         {good[:13], storage.KindRuling, 3, storage.ErrFrame},
		"mark":          {changed(0), storage.KindRuling, 3, storage.ErrFrame},
		"format":        {changed(2), storage.KindRuling, 3, storage.ErrVersion},
		"kind byte":     {changed(3), storage.KindRuling, 3, storage.ErrChecksum},
		"version byte":  {changed(4), storage.KindRuling, 3, storage.ErrChecksum},
		"length":        {changed(6), storage.KindRuling, 3, storage.ErrChecksum},
		"checksum":      {changed(10), storage.KindRuling, 3, storage.ErrChecksum},
		"payload":       {changed(len(good) - 1), storage.KindRuling, 3, storage.ErrChecksum},
		"cut":           {good[:len(good)-1], storage.KindRuling, 3, storage.ErrChecksum},
		"longer":        {append(bytes.Clone(good), 0), storage.KindRuling, 3, storage.ErrChecksum},
		"other kind":    {good, storage.KindItem, 3, storage.ErrKind},
		"other version": {good, storage.KindRuling, 2, storage.ErrVersion},
	} {
		v := map[string]int{"untouched": 1}
		if err := storage.Decode(c.kind, c.version, c.data, &v); !errors.Is(err, c.cause) || len(v) != 1 {
			t.Errorf("%s: have %v and %v, want %v", name, err, v, c.cause)
		}
	}
	if _, err := storage.Encode(storage.KindItem, 1, make([]byte, storage.MaxRecordBytes)); err == nil {
		t.Error("a record over the limit is encoded")
	}
	if _, err := storage.Encode(storage.KindItem, 1, func() {}); err == nil {
		t.Error("a function is encoded")
	}
}

// FuzzOpen: no bytes panic, and what is accepted was framed by Encode.
func FuzzOpen(f *testing.F) {
	good, err := storage.Encode(storage.KindItem, 1, "x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:14])
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, version, payload, err := storage.Open(data)
		if err != nil {
			return
		}
		if !json.Valid(payload) {
			return // Decode refuses it
		}
		again, err := storage.Encode(kind, version, json.RawMessage(payload))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, second, err := storage.Open(again); err != nil || len(second) > len(payload)*6 {
			t.Fatalf("round trip: %v", err)
		}
	})
}
