package main

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fused are the instructions of arm64 that multiply and add with one rounding.
var fused = regexp.MustCompile(`\bF(N?MADD|N?MSUB)[SD]?\b`)

// TestNothingIsFused: a decision replays to the last bit on any machine, so no
// product that is added to something may be rounded together with the sum. The
// compiler does that on arm64, even across statements, wherever the product is
// not converted explicitly; what it did is in the program. See
// https://go.dev/ref/spec#Floating_point_operators.
func TestNothingIsFused(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program for another machine, which takes a minute the first time")
	}
	lookAtSources(t)
	binary := filepath.Join(t.TempDir(), "dancer")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build for arm64: %v\n%s", err, out)
	}
	dump := exec.CommandContext(t.Context(), "go", "tool", "objdump", "-s", "^dancer/", binary)
	out, err := dump.StdoutPipe()
	if err == nil {
		err = dump.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	where, multiplications := "", 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "TEXT "):
			where = line
		case fused.MatchString(line):
			t.Errorf("%s\n%s\nwrite float64(a*b) + c", where, line)
		case strings.Contains(line, "FMUL"):
			multiplications++
		}
	}
	if err := dump.Wait(); err != nil {
		t.Fatal(err)
	}
	if multiplications < 100 {
		t.Errorf("only %d multiplications seen: the listing has changed its form", multiplications)
	}
}

// lookAtSources looks at every source file, so that go test runs the test again
// after a change of one: a missing conversion does not change this machine's test
// program.
func lookAtSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
