package impedance

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func sample() Record {
	return Record{
		Agent: "gallery-bot-1", Class: ClassLocal, Region: "north", Cell: "gallery-east", RoundTripMS: 1.25, ProcessingMS: 3.5,
		QueueDepth: 2, Heartbeat: 1795258800000, Score: 362, Reliability: 0.998, Drift: 0.25, Operation: Active,
		Context: "0123456789abcdef", Capabilities: []string{"extinguish", "lift"},
	}
}

// largest is the record that fills every bound.
func largest() Record {
	r := Record{
		Agent: strings.Repeat("a", MaxNameBytes), Class: ClassHuman, Region: strings.Repeat("r", MaxNameBytes), Cell: strings.Repeat("c", MaxNameBytes),
		RoundTripMS: math.MaxFloat32, DelayMS: math.MaxFloat32, ProcessingMS: math.Inf(1), QueueDepth: math.MaxUint32, Heartbeat: math.MaxInt64, Score: MaxScore,
		Reliability: 1, Drift: 10, Operation: Quarantined, Context: strings.Repeat("x", MaxContextBytes), Port: math.MaxUint16,
	}
	for range MaxCapabilities {
		r.Capabilities = append(r.Capabilities, strings.Repeat("y", MaxCapabilityBytes))
	}
	return r
}

// TestGolden holds the bytes that members of another version read: what they
// wrote before one-way delays were known, and with them.
func TestGolden(t *testing.T) {
	delayed := sample()
	delayed.DelayMS = 0.5
	ported := delayed
	ported.Port = 8946
	for name, record := range map[string]Record{"record-1.hex": sample(), "record-1-delay.hex": delayed, "record-1-port.hex": ported} {
		data, err := record.Encode()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if have := hex.EncodeToString(data); have != strings.TrimSpace(string(text)) {
			t.Errorf("have %s\nwant %s", have, text)
		}
		golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Decode(golden); err != nil || !reflect.DeepEqual(r, record) {
			t.Errorf("have %+v, %v\nwant %+v", r, err, record)
		}
		t.Logf("%d bytes", len(data))
	}
}

// TestSizeBound: the library that carries a record panics over 512 bytes.
func TestSizeBound(t *testing.T) {
	data, err := largest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > MaxRecordBytes || MaxRecordBytes > 512 {
		t.Errorf("%d bytes, the bound is %d", len(data), MaxRecordBytes)
	}
	if _, err := Decode(data); err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes at most", len(data))
}

func TestRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Record){
		"no agent":        func(r *Record) { r.Agent = "" },
		"no cell":         func(r *Record) { r.Cell = "" },
		"long agent":      func(r *Record) { r.Agent = strings.Repeat("a", MaxNameBytes+1) },
		"long region":     func(r *Record) { r.Region = strings.Repeat("a", MaxNameBytes+1) },
		"not UTF-8":       func(r *Record) { r.Agent = "\xff" },
		"class":           func(r *Record) { r.Class = ClassHuman + 1 },
		"operation":       func(r *Record) { r.Operation = Quarantined + 1 },
		"score":           func(r *Record) { r.Score = MaxScore + 1 },
		"reliability":     func(r *Record) { r.Reliability = 1.1 },
		"reliability NaN": func(r *Record) { r.Reliability = math.NaN() },
		"drift":           func(r *Record) { r.Drift = -1 },
		"round trip":      func(r *Record) { r.RoundTripMS = -1 },
		"delay":           func(r *Record) { r.DelayMS = math.NaN() },
		"processing NaN":  func(r *Record) { r.ProcessingMS = math.NaN() },
		"context":         func(r *Record) { r.Context = strings.Repeat("x", MaxContextBytes+1) },
		"capability":      func(r *Record) { r.Capabilities = []string{strings.Repeat("x", MaxCapabilityBytes+1)} },
		"capabilities":    func(r *Record) { r.Capabilities = make([]string, MaxCapabilities+1) },
	} {
		r := sample()
		spoil(&r)
		if _, err := r.Encode(); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, data := range [][]byte{nil, {0}, {0xa0}, make([]byte, MaxRecordBytes+1), []byte("\xa1\x00\x01"), []byte("\xa2\x00\x01\x00\x01")} {
		if _, err := Decode(data); err == nil {
			t.Errorf("%x accepted", data)
		}
	}
	other := wire{Version: 2, Agent: "a", Cell: "c"}
	data, err := encoder.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(data); !errors.Is(err, ErrVersion) {
		t.Errorf("version 2: %v", err)
	}
}

func TestJSON(t *testing.T) {
	data, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"class":"E"`, `"operation":"active"`, `"score":362`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("%s is not in %s", part, data)
		}
	}
	var zero Record
	if zero.Class.String() != "?" || zero.Operation.String() != "offline" || Operation(9).String() != "invalid" || Class(9).String() != "?" {
		t.Error("names of zero and unknown values")
	}
}

// FuzzDecode: whatever a peer sends does not panic, and what is accepted is
// within the bounds and encodes again to the same record.
func FuzzDecode(f *testing.F) {
	for _, r := range []Record{sample(), largest()} {
		data, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || len(again) > MaxRecordBytes {
			t.Fatalf("accepted, but encodes to %d bytes: %v", len(again), err)
		}
		second, err := Decode(again)
		if err != nil || !reflect.DeepEqual(r, second) {
			t.Fatalf("round trip: %v\n%+v\n%+v", err, r, second)
		}
	})
}
