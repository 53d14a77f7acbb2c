package conflict_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dancer/mesh/conflict"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func record() conflict.Record {
	k := conflict.KeyOf(conflict.HashMismatch, "s", "a", "b")
	return conflict.Record{
		Version: 1, ID: "01JD8Z7M8R0000000000000000", Key: string(hexOf(k[:])), Event: conflict.EventOpened, At: time.Date(2026, 11, 22, 8, 0, 0, 5, time.UTC),
		Agent: "_conductor-museum", Source: "bot-1", Cell: "gallery-east", Message: "01JD8Z7M8R0000000000000001", Type: conflict.HashMismatch, Priority: conflict.Critical,
		Subject: "question 7", Expected: conflict.ValueOf("sha256:aa"), Received: conflict.ValueOf(strings.Repeat("b", 1000)), Context: "sha256:00",
		Count: 1, Agents: 1, Quarantined: &conflict.Quarantined{Bytes: 3, SHA256: "00", Data: []byte{1, 2, 3}},
		Strategy: "QUARANTINE_AND_REREAD", Escalated: []string{"sector", "orchestrator"},
	}
}

func hexOf(b []byte) []byte {
	const digits = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return out
}

// TestGoldenRecord: what version 1 logged, this version reads. The file is written
// anew only together with a new version.
func TestGoldenRecord(t *testing.T) {
	r := record()
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/record-1.json"
	if *rewrite {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, data) {
		t.Errorf("have %s\nwant %s", data, golden)
	}
	if back, err := conflict.DecodeRecord(golden); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("%v\nhave %+v\nwant %+v", err, back, r)
	}
}

func TestRecordRefuses(t *testing.T) {
	for name, change := range map[string]func(*conflict.Record){
		"version":    func(r *conflict.Record) { r.Version = 2 },
		"id":         func(r *conflict.Record) { r.ID = "x" },
		"event":      func(r *conflict.Record) { r.Event = "gone" },
		"time":       func(r *conflict.Record) { r.At = time.Time{} },
		"type":       func(r *conflict.Record) { r.Type = 0 },
		"priority":   func(r *conflict.Record) { r.Priority = 5 },
		"agent":      func(r *conflict.Record) { r.Agent = "a b" },
		"source":     func(r *conflict.Record) { r.Source = "/" },
		"cell":       func(r *conflict.Record) { r.Cell = "_" },
		"subject":    func(r *conflict.Record) { r.Subject = "" },
		"count":      func(r *conflict.Record) { r.Count = 0 },
		"long":       func(r *conflict.Record) { r.Why = strings.Repeat("x", 600) },
		"not UTF-8":  func(r *conflict.Record) { r.Why = "\xff" },
		"by nobody":  func(r *conflict.Record) { r.Event = conflict.EventReleased },
		"very large": func(r *conflict.Record) { r.Quarantined.Data = make([]byte, conflict.MaxRecordBytes) },
	} {
		r := record()
		change(&r)
		if data, err := r.Encode(); err == nil || name != "type" && !errors.Is(err, conflict.ErrInvalid) && !errors.Is(err, conflict.ErrNobody) {
			t.Errorf("%s: %s, %v", name, data, err)
		}
	}
}

func TestValueOf(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("ä", 300), strings.Repeat("x", 5000), "\xff\xfe"} {
		v := conflict.ValueOf(text)
		if !utf8.ValidString(v.Text) || len(v.Text) > 515 || (v.Text == text) != (v.SHA256 == "") || v.SHA256 != "" && v.Bytes != len(text) {
			t.Errorf("%.20q: %+v", text, v)
		}
	}
}

func TestKeyOf(t *testing.T) {
	seen := map[conflict.Key]bool{}
	for _, c := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "c", "b"}} {
		for _, kind := range conflict.Types() {
			seen[conflict.KeyOf(kind, c[0], c[1], c[2])] = true
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d keys of 25 conflicts", len(seen))
	}
}

func TestOfNames(t *testing.T) {
	a, b := conflict.OfNames("hall", "bot", "10.0.0.2:1", "10.0.0.1:1"), conflict.OfNames("hall", "bot", "10.0.0.1:1", "10.0.0.2:1")
	if a.Key() != b.Key() || a.Source != "bot" || a.Rule.Decided() {
		t.Errorf("%+v and %+v", a, b)
	}
}

// FuzzDecodeRecord: no bytes panic, and what is accepted can be logged again.
func FuzzDecodeRecord(f *testing.F) {
	r := record()
	data, err := r.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := conflict.DecodeRecord(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil && len(again) <= conflict.MaxRecordBytes && !errors.Is(err, conflict.ErrInvalid) {
			t.Fatalf("%+v: %v", r, err)
		}
	})
}
