package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLoadRecorded: a robot can be loaded where none of its files is.
func TestLoadRecorded(t *testing.T) {
	for _, path := range []string{"../../examples/museum/robot-sim.yaml"} {
		there, problems := Load(path, Options{})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		here, problems := LoadRecorded(filepath.Join(t.TempDir(), "robot.yaml"), there.Bytes, there.ManualBytes, there.BoardName, there.Databases())
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		if here.Manual.Hash != there.Manual.Hash || len(here.Manual.Signals) != len(there.Manual.Signals) || here.Name != there.Name {
			t.Errorf("%s is another robot when it is loaded from a recording", path)
		}
	}
}

func TestRecordingSettings(t *testing.T) {
	text, err := os.ReadFile("../../examples/museum/robot-sim.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../examples/museum/manual.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line string
		want Recording
		bad  bool
	}{
		{line: "", want: Recording{10 * time.Minute, 256_000_000, 20, 1_000_000_000}},
		{line: "recording: {keep: 0s}", want: Recording{0, 256_000_000, 20, 1_000_000_000}},
		{line: "recording: {keep: 1h, megabytes: 1000, sealed: 3, sealed_megabytes: 50}", want: Recording{time.Hour, 1_000_000_000, 3, 50_000_000}},
		{line: "recording: {keep: 25h}", bad: true},
		{line: "recording: {megabytes: 0}", bad: true},
		{line: "recording: {sealed_megabytes: 0}", bad: true},
	} {
		r, problems := LoadRecorded("robot.yaml", append(text, c.line+"\n"...), manual, "sim", nil)
		if (problems.Err() != nil) != c.bad {
			t.Errorf("%q: %v", c.line, problems.Err())
		} else if !c.bad && r.Recording != c.want {
			t.Errorf("%q is %+v, want %+v", c.line, r.Recording, c.want)
		}
	}
}
