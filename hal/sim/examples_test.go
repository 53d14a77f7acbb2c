package sim

import (
	"os"
	"path/filepath"
	"testing"
)

// TestExamplesParse reads the scenarios that the examples come with.
func TestExamplesParse(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/*.scenario")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseScenario(file, data); err != nil {
			t.Error(err)
		}
	}
}
