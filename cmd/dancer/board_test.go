package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"dancer/boards"
)

const museumRobot = "../../examples/museum/robot.yaml"

func TestBoardCommand(t *testing.T) {
	for _, name := range boards.Names() {
		out, code := runCommand(t, newBoard(), name)
		if code != 0 || !strings.HasPrefix(out, name+": ") {
			t.Errorf("board %s: exit code %d: %s", name, code, out)
		}
		for line := range strings.Lines(out) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("board %s: over 80 columns: %s", name, line)
			}
		}
	}
	out, code := runCommand(t, newBoard(), "mars")
	if code != exitUsage || !strings.Contains(out, "find board mars: no such board (boards: ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := runCommand(t, newBoard(), "--board", "sim", "raspberry-pi-4"); code != exitUsage || !strings.Contains(out, "--board is for a robot's file") {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, code = runCommand(t, newBoard(), "no-such-robot.yaml")
	if code != exitUsage || !strings.Contains(out, "no-such-robot.yaml") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestBoardCommandJSON(t *testing.T) {
	out, code := runCommand(t, newBoard(), "--json", "raspberry-pi-4")
	var s shownBoard
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || len(s.Lines) != 28 || s.Uses == nil || len(s.Free) != 26 || s.Robot != "" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	out, code = runCommand(t, newBoard(), "--json")
	var d detected
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || d.Board == "" || d.By == "" || d.Devices == nil || d.Chips == nil {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

// TestBoardOfRobot: the pins that a robot's file names are marked, in the drawing
// and in JSON.
func TestBoardOfRobot(t *testing.T) {
	out, code := runCommand(t, newBoard(), "--board", "raspberry-pi-4", museumRobot)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "board-museum.golden"))
	if err != nil || out != string(want) {
		t.Errorf("%v: drawn\n%s\nwant\n%s", err, out, want)
	}
	out, code = runCommand(t, newBoard(), "--json", "--board", "raspberry-pi-5", museumRobot)
	var s shownBoard
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || s.Robot != "gallery-bot-1" || s.Name != "raspberry-pi-5" {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	drive := boards.Use{Pin: "12", Line: "GPIO18", By: "output drive", As: "pwm"}
	if len(s.Uses) != 5 || !slices.Contains(s.Uses, drive) || slices.Contains(s.Free, "GPIO18") {
		t.Errorf("uses %+v, free %v", s.Uses, s.Free)
	}
}

// TestBoardOfFaultyRobot: a file with faults is not drawn, and the faults are said.
func TestBoardOfFaultyRobot(t *testing.T) {
	text, err := os.ReadFile(museumRobot)
	if err != nil {
		t.Fatal(err)
	}
	robot := filepath.Join(t.TempDir(), "robot.yaml")
	manual, err := filepath.Abs("../../examples/museum/manual.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.NewReplacer("manual.yaml", manual, "GPIO17", "pin 6").Replace(string(text))
	if err := os.WriteFile(robot, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := runCommand(t, newBoard(), "--board", "raspberry-pi-4", robot)
	if code != exitJob || !strings.Contains(out, "pin 6 of board raspberry-pi-4 is ground") || strings.Contains(out, "1|2") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
