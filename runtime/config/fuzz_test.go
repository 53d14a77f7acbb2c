package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzRobot feeds any bytes as a robot's file. Load must end, must not panic,
// and must give either a usable robot or a fault with a place inside the file.
func FuzzRobot(f *testing.F) {
	seedExamples(f, "robot*.yaml")
	f.Add([]byte(testRobot))
	f.Add([]byte("robot: !x\nsignals: {a: held(x, 3), b}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, problems := loadText(string(data), testManual, Options{Board: "sim"})
		checkFuzzed(t, r, problems)
	})
}

// FuzzManual feeds any bytes as a manual, which conductors send.
func FuzzManual(f *testing.F) {
	seedExamples(f, "manual.yaml")
	f.Add([]byte(testManual))
	f.Add([]byte(windowedManual))
	f.Add([]byte("reflexes:\n  - {when: held(range, 300ms), until: !bumper, set: safe}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, problems := loadText(testRobot, string(data), Options{})
		checkFuzzed(t, r, problems)
	})
}

// FuzzConductor feeds any bytes as a conductor's file.
func FuzzConductor(f *testing.F) {
	f.Add([]byte("name: lead\nlisten: 0.0.0.0:8420\nmesh: {join: [127.0.0.1:7946]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := loadConductor("conductor.yaml", data, func(path string) ([]byte, *Problem) {
			return nil, &Problem{What: "file does not exist"}
		})
		if (c == nil) != (problems.Faults() > 0) {
			t.Errorf("conductor %v with %v", c, problems)
		}
	})
}

func seedExamples(f *testing.F, pattern string) {
	files, err := filepath.Glob(filepath.Join("../../examples/*", pattern))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

func checkFuzzed(t *testing.T, r *Robot, problems Problems) {
	t.Helper()
	if (r == nil) != (problems.Faults() > 0) {
		t.Fatalf("robot %v with %v", r, problems)
	}
	for _, p := range problems {
		if p.What == "" || p.Line < 0 || p.Column < 0 {
			t.Errorf("problem says nothing: %+v", p)
		}
	}
	if r != nil {
		checkRobot(t, r)
	}
}
