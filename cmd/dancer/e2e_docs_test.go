package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
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
	if err != nil || len(examples) < 6 {
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

// shown finds a command with its flags in a document, in a code block or between
// backquotes.
var shown = regexp.MustCompile("(?m)(?:^|[ `(])(?:bin/)?dancer ([a-z]+)([^`\\n#|]*)")

// TestDocCommands: every command that a document shows exists, with every flag.
func TestDocCommands(t *testing.T) {
	commands := map[string]*cobra.Command{}
	for _, c := range newRoot().Commands() {
		commands[c.Name()] = c
	}
	flags, found := regexp.MustCompile(`--[a-z][a-z-]*`), 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codeOf(string(text)) {
			for _, s := range shown.FindAllStringSubmatch(code, -1) {
				found++
				c := commands[s[1]]
				if c == nil {
					t.Errorf("%s shows %q, and there is no command %s", document, s[0], s[1])
					continue
				}
				if below, _, err := c.Find(strings.Fields(s[2])); err == nil {
					c = below // doctor keys
				}
				for _, flag := range flags.FindAllString(s[2], -1) {
					if c.Flags().Lookup(flag[2:]) == nil {
						t.Errorf("%s shows %q, and %s has no flag %s", document, s[0], s[1], flag)
					}
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("%d commands were found in the documents: is the pattern right?", found)
	}
}

// codeOf gives what a document has between backquotes, in fences and indented by
// four.
func codeOf(text string) []string {
	return regexp.MustCompile("(?s)```.*?```|`[^`\\n]+`|(?m)^    [^\\n]*").FindAllString(text, -1)
}

// documents are all that a reader finds.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../examples/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) < 4 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		all = append(all, found...)
	}
	return all
}

func TestDocLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^):]+))?\)`)
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range link.FindAllSubmatch(text, -1) {
			to := filepath.Join(filepath.Dir(document), string(l[1]))
			if len(l[1]) == 0 {
				to = document
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", document, l[1], err)
			}
			if len(l[2]) == 0 {
				continue
			}
			if target, err := os.ReadFile(to); err != nil || !slices.Contains(anchors(string(target)), string(l[2])) {
				t.Errorf("%s links to %s#%s, and that has the headings %v, %v", document, l[1], l[2], anchors(string(target)), err)
			}
		}
	}
}

// anchors gives the names by which a page's headings are linked to.
func anchors(text string) (all []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")
		all = append(all, regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(name, ""))
	}
	return all
}
