package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dancer/runtime/doctor"
)

// doctorExit is the exit code that a report must end with.
func doctorExit(worst doctor.Severity) int {
	return map[doctor.Severity]int{doctor.Fault: 1, doctor.Warning: 3}[worst]
}

// TestDoctorCommand runs the command on this machine, whatever it has: the exit
// code follows the worst finding, and JSON and text say the same.
func TestDoctorCommand(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	out, code := runCommand(t, newDoctor(), "--json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if code != doctorExit(report.Worst) || len(report.Findings) < 20 || report.Kernel == "" || report.Robot != "" {
		t.Errorf("exit code %d of worst %s, %d findings: %s", code, report.Worst, len(report.Findings), out)
	}
	quiet, quietCode := runCommand(t, newDoctor(), "--quiet")
	if quietCode != code || strings.Contains(quiet, "\nok ") || strings.Contains(quiet, "\x1b") {
		t.Errorf("exit code %d: %s", quietCode, quiet)
	}
	for _, f := range report.AboveOK().Findings {
		if !strings.Contains(quiet, f.ID) {
			t.Errorf("%s is not in the text: %s", f.ID, quiet)
		}
	}
	for _, bad := range [][]string{{"--user", "no such user"}, {"no-such-robot.yaml"}, {"a.yaml", "b.yaml"}, {"--nonsense"}} {
		if out, code := runCommand(t, newDoctor(), bad...); code != exitUsage || out == "" {
			t.Errorf("%v: exit code %d: %s", bad, code, out)
		}
	}
}

// TestDoctorCommandWithRobot: a robot whose port is not there, and the same on
// the simulated board, whose data folder and broker are looked at all the same.
func TestDoctorCommandWithRobot(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"robot.yaml": "robot: bot\nboard: linux\nmanual: manual.yaml\nports:\n  nav: {device: /dev/does-not-exist, framing: json}\n" +
			"signals: {range: {port: nav, unit: m, range: [0, 8]}}\noutputs: {drive: {port: nav, format: \"M {value}\", range: [0, 1], safe: 0}}\nconductor: {broker: off}\n",
		"manual.yaml": "values: [{name: human_safety}]\nimpact: {human_safety: \"10\"}\nactions: [{name: halt, set: safe, fallback: true}]\n",
		"broken.yaml": "robot: bot\nsignal: {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	robot := filepath.Join(dir, "robot.yaml")
	out, code := runCommand(t, newDoctor(), "--quiet", "--data", dir, robot)
	if code != exitJob || !strings.Contains(out, "port-device          nav /dev/does-not-exist: is not there\n") || !strings.Contains(out, "robot bot, board ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, _ = runCommand(t, newDoctor(), "--json", "--board", "sim", "--data", dir, robot)
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Robot != "bot" {
		t.Fatalf("%v: %s", err, out)
	}
	seen := map[string]string{}
	for _, f := range report.Findings {
		seen[f.ID] = f.Subject + ": " + f.Found
	}
	if seen["port-device"] != "" || seen["broker"] != ": off" || !strings.HasPrefix(seen["data-folder"], dir) || !strings.HasPrefix(seen["data-file-system"], dir) {
		t.Errorf("%v", seen)
	}
	if out, code := runCommand(t, newDoctor(), filepath.Join(dir, "broken.yaml")); code != exitUsage || !strings.Contains(out, "unknown key signal") {
		t.Errorf("broken file: exit code %d: %s", code, out)
	}
}

// TestDoctorKeysCommand: what it prints is what a conductor's file takes.
func TestDoctorKeysCommand(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "keys")
	out, code := runCommand(t, newDoctor(), "keys", folder, "--host", "127.0.0.1")
	conductor, _, found := strings.Cut(out, "# robot.yaml of every robot")
	if code != 0 || !found {
		t.Fatalf("exit code %d: %s", code, out)
	}
	path := filepath.Join(dir, "conductor.yaml")
	text := conductor + "name: lead\nlisten: 0.0.0.0:8420\nbroker_listen: 0.0.0.0:8883\nmesh: {bind: 0.0.0.0:7946, key_file: " + filepath.Join(folder, "gossip.key") + "}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := runCommand(t, newCheck(), path); code != 0 {
		t.Errorf("check of a conductor with these keys: exit code %d: %s", code, out)
	}
	if out, code := runCommand(t, newDoctor(), "keys", folder); code != exitJob || !strings.Contains(out, "never overwritten") {
		t.Errorf("a second time: exit code %d: %s", code, out)
	}
	if out, code := runCommand(t, newDoctor(), "keys"); code != exitUsage {
		t.Errorf("no folder: exit code %d: %s", code, out)
	}
}
