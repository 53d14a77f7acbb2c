package dancer_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into testdata; review it as a diff")

// transcript runs a text file of blocks: lines of input, a line of dashes, the
// output that is wanted, an empty line. Comments start with #.
func transcript(t *testing.T, path string, run func(t *testing.T, input []string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	blocks := 0
	for _, block := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		input, want, found := strings.Cut(block, "\n----")
		out.WriteString(input)
		if found {
			blocks++
			want = strings.TrimSpace(want)
			got := strings.TrimSpace(run(t, inputLines(input)))
			out.WriteString("\n----\n" + got)
			if got != want && !*rewrite {
				t.Errorf("%s, block\n%s\n---- got\n%s\n---- want\n%s", path, input, got, want)
			}
		} else {
			run(t, inputLines(input))
		}
		out.WriteString("\n\n")
	}
	if blocks == 0 {
		t.Fatalf("%s has no block", path)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func inputLines(text string) []string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if at := strings.Index(line, "#"); at >= 0 {
			line = line[:at]
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
