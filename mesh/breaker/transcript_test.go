package breaker

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into testdata; review it as a diff")

// transcript runs a text file of blocks: lines of input, a line of dashes, the
// output that is wanted, an empty line. Comments start with #.
func transcript(t *testing.T, path string, run func(t *testing.T, words []string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		input, want, found := strings.Cut(block, "\n----")
		if !found {
			t.Fatalf("%s: a block without dashes:\n%s", path, block)
		}
		got := strings.TrimRight(runLines(t, input, run), "\n")
		if got != strings.Trim(want, "\n") && !*rewrite {
			t.Errorf("%s, block\n%s\n---- got\n%s\n---- want\n%s", path, input, got, want)
		}
		out = append(out, input+"\n----\n"+got)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func runLines(t *testing.T, input string, run func(t *testing.T, words []string) string) string {
	var out strings.Builder
	for _, line := range strings.Split(input, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			out.WriteString(run(t, words))
		}
	}
	return out.String()
}
