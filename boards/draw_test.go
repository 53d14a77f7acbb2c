package boards

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var rewrite = flag.Bool("rewrite", false, "write what is drawn into the testdata files")

// robotUses are pins of a robot on a Raspberry Pi.
var robotUses = []Use{
	{Pin: "11", Line: "GPIO17", By: "signal bumper", As: "input"},
	{Pin: "12", Line: "GPIO18", By: "output drive", As: "pwm"},
	{Pin: "16", Line: "GPIO23", By: "output a_name_that_is_longer_than_the_cell", As: "output"},
	{Pin: "33", Line: "GPIO13", By: "output steering", As: "servo"},
	{Pin: "8", By: "port gps", As: "/dev/serial0"},
	{Pin: "10", By: "port gps", As: "/dev/serial0"},
}

func draw(t *testing.T, d Drawing, board string, uses []Use) string {
	t.Helper()
	p, err := Get(board)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := d.Write(&b, p, uses); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDrawingGolden(t *testing.T) {
	for _, c := range []struct {
		file, board string
		uses        []Use
		color       bool
	}{
		{"raspberry-pi-4-robot", "raspberry-pi-4", robotUses, false},
		{"raspberry-pi-4-robot-color", "raspberry-pi-4", robotUses, true},
		{"raspberry-pi-5", "raspberry-pi-5", nil, false},
		{"jetson-orin-nano", "jetson-orin-nano", nil, false},
		{"beaglebone-black-robot", "beaglebone-black", []Use{{Pin: "P9_12", Line: "P9_12", By: "signal bumper", As: "input"}}, false},
	} {
		got := draw(t, Drawing{Color: c.color}, c.board, c.uses)
		file := filepath.Join("testdata", c.file+".golden")
		if *rewrite {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s, %v: drawn\n%s\nwant\n%s", c.file, err, got, want)
		}
	}
}

// TestDrawingFits: every pin of every board is drawn once, in 80 columns, and
// without colours there is no control character.
func TestDrawingFits(t *testing.T) {
	for _, name := range Names() {
		p, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		text := draw(t, Drawing{}, name, nil)
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		if strings.ContainsRune(text, 0x1b) {
			t.Errorf("%s: escape in %q", name, text)
		}
		words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' || r == '^' })
		for _, l := range p.Lines {
			if n := count(words, l.Name) + count(words, l.Name+"_"); n != 1 {
				t.Errorf("%s: %s is drawn %d times", name, l.Name, n)
			}
		}
	}
}

func count(words []string, word string) int {
	n := 0
	for _, w := range words {
		if w == word {
			n++
		}
	}
	return n
}

func TestFree(t *testing.T) {
	p, err := Get("raspberry-pi-4")
	if err != nil {
		t.Fatal(err)
	}
	if free := p.Free(nil); len(free) != 26 || slices.Contains(free, "GPIO0") {
		t.Errorf("free without a robot: %v", free)
	}
	free := p.Free(robotUses)
	for _, taken := range []string{"GPIO17", "GPIO14", "GPIO15", "GPIO1"} {
		if slices.Contains(free, taken) {
			t.Errorf("%s is free", taken)
		}
	}
	if len(free) != 20 {
		t.Errorf("%d free: %v", len(free), free)
	}
}

func TestDrawingReportsAWriteError(t *testing.T) {
	p, err := Get("raspberry-pi-4")
	if err != nil {
		t.Fatal(err)
	}
	if err := (Drawing{}).Write(full{}, p, nil); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
