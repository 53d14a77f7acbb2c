package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEndToEndReadme checks the robot of the README as a reader would who
// copied it, and TestDocLinks that the documents lead somewhere.
func TestEndToEndReadme(t *testing.T) {
	w := newWorld(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d YAML blocks in the README, want robot and manual", len(blocks))
	}
	w.file("manual.yaml", blocks[1][1])
	robot := w.file("robot.yaml", strings.Replace(blocks[0][1], "board: auto", "board: raspberry-pi-4", 1))
	if code, stdout, stderr := w.once("check", robot); code != 0 {
		t.Errorf("dancer check: exit code %d\n%s%s", code, stdout, stderr)
	}
	examples, err := filepath.Glob("../../examples/*/robot*.yaml")
	if err != nil || len(examples) < 4 {
		t.Fatalf("examples: %v %v", examples, err)
	}
	for _, example := range examples {
		// On a machine that is no board, auto is resolved as the README says.
		if code, stdout, stderr := w.once("check", "--board", boardOf(t, example), example); code != 0 {
			t.Errorf("dancer check %s: exit code %d\n%s%s", example, code, stdout, stderr)
		}
	}
}

// boardOf gives the board an example is written for, a Raspberry Pi for auto.
func boardOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	board := regexp.MustCompile(`(?m)^board: ([\w-]+)`).FindSubmatch(text)
	if board == nil || string(board[1]) == "auto" {
		return "raspberry-pi-4"
	}
	return string(board[1])
}

func TestDocLinks(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, document := range append(documents, "../../README.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range link.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), string(l[1]))); err != nil {
				t.Errorf("%s links to %s: %v", document, l[1], err)
			}
		}
	}
}
