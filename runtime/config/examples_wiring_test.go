package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dancer/boards"
)

// drawing is the wiring of an example as its README draws it.
type drawing struct {
	board string   // named in the heading
	lines []string // of the fenced blocks without a language
}

var (
	wiringHeading = regexp.MustCompile("(?m)^## Wiring[^`\n]*`([a-z0-9-]+)`")
	boardLine     = regexp.MustCompile(`(?m)^board: ([\w-]+)`)
	fences        = regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```")
	lineAtPin     = regexp.MustCompile(`\b(GPIO[0-9]+) pin ([0-9]+)\b`)
	powerAtPin    = regexp.MustCompile(`\b(GND|3V3|5V) pin ([0-9]+)\b`)
	anyPin        = regexp.MustCompile(`\bpin ([0-9]+)\b`)
)

// supplies is what a drawing calls the pins that are no lines.
var supplies = map[string]string{"GND": "ground", "3V3": "3.3 V", "5V": "5 V"}

func readDrawing(t *testing.T, path string) drawing {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := drawing{}
	if heading := wiringHeading.FindSubmatch(text); heading != nil {
		d.board = string(heading[1])
	}
	for _, block := range fences.FindAllSubmatch(text, -1) {
		if len(block[1]) == 0 {
			d.lines = append(d.lines, strings.Split(string(block[2]), "\n")...)
		}
	}
	return d
}

// has says whether one line of the drawing names all of these, each as a word.
func (d *drawing) has(names ...string) bool {
	return slices.ContainsFunc(d.lines, func(line string) bool {
		for _, name := range names {
			if !nameAlone(name).MatchString(line) {
				return false
			}
		}
		return true
	})
}

// nameAlone finds a name that is not a part of a longer one.
func nameAlone(name string) *regexp.Regexp {
	return regexp.MustCompile(`(^|[^\w./-])` + regexp.QuoteMeta(name) + `($|[^\w/-])`)
}

// TestDrawingsAreTrue holds the wiring of every example against its robot.yaml and the
// board's header: what the file uses is drawn where it is, with the name that it has in the
// file beside it, and what is drawn exists.
func TestDrawingsAreTrue(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/robot.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("examples: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			for _, wrong := range drawnWrong(t, file) {
				t.Errorf("%s: %s", filepath.Join(filepath.Dir(file), "README.md"), wrong)
			}
		})
	}
}

// drawnWrong says what is not true in the drawing of one robot.
func drawnWrong(t *testing.T, file string) []string {
	t.Helper()
	d := readDrawing(t, filepath.Join(filepath.Dir(file), "README.md"))
	if d.board == "" || len(d.lines) == 0 {
		return []string{"it has no drawing below a heading such as: ## Wiring (Raspberry Pi 4, `raspberry-pi-4`)"}
	}
	r, problems := Load(file, Options{Board: d.board})
	if err := problems.Err(); err != nil {
		return []string{"on the board that it names: " + err.Error()}
	}
	var wrong []string
	if own := boardLine.FindSubmatch(r.Bytes); own != nil && string(own[1]) != "auto" && string(own[1]) != d.board {
		wrong = append(wrong, fmt.Sprintf("it draws a %s, and the file is for a %s", d.board, own[1]))
	}
	wrong = append(wrong, d.missing(r)...)
	return append(wrong, d.invented(r)...)
}

// missing lists what the robot uses and the drawing does not show.
func (d *drawing) missing(r *Robot) (wrong []string) {
	want := func(what string, names ...string) {
		if !d.has(names...) {
			wrong = append(wrong, fmt.Sprintf("%s: no line of the drawing has %s", what, strings.Join(names, ", ")))
		}
	}
	for _, u := range r.PinUses() {
		kind, name, _ := strings.Cut(u.By, " ")
		line, err := r.Board.Line(placeName(u))
		switch {
		case err != nil || u.Pin == "":
			wrong = append(wrong, fmt.Sprintf("%s is on no pin of the header: %v", u.By, err))
		case kind == "I2C":
			want(u.By, line.SoC, "pin "+u.Pin, u.As)
		default:
			want(u.By, line.SoC, "pin "+u.Pin, name)
		}
	}
	for i := range r.Ports {
		if p := &r.Ports[i]; len(devicePins(&r.Board, p.Device)) == 0 {
			want("port "+p.Name, p.Name, p.Device)
		} else {
			want("port "+p.Name, "port "+p.Name, p.Device)
		}
	}
	for i := range r.Joysticks {
		want("joystick "+r.Joysticks[i].Name, r.Joysticks[i].Name, r.Joysticks[i].Device+r.Joysticks[i].DeviceName)
	}
	for _, b := range r.Buses {
		for _, c := range b.Devices {
			want("i2c device "+c.Name, c.Name, fmt.Sprintf("0x%02x", c.Address))
		}
	}
	return wrong
}

func placeName(u boards.Use) string {
	if u.Line != "" {
		return u.Line
	}
	return "pin " + u.Pin
}

// invented lists what the drawing shows and is not so: a line on a pin that is another's,
// ground where there is none, a line that the robot does not use, a pin without what it is.
func (d *drawing) invented(r *Robot) (wrong []string) {
	used := map[string]bool{}
	for _, u := range r.PinUses() {
		if line, err := r.Board.Line(placeName(u)); err == nil {
			used[line.SoC] = true
		}
	}
	for _, text := range d.lines {
		named := lineAtPin.FindAllStringSubmatch(text, -1)
		for _, m := range named {
			line, err := r.Board.Line("pin " + m[2])
			switch {
			case err != nil || line.SoC != m[1]:
				wrong = append(wrong, fmt.Sprintf("%s is not on pin %s of %s: %s", m[1], m[2], r.BoardName, text))
			case !used[m[1]]:
				wrong = append(wrong, fmt.Sprintf("%s is drawn and not used: %s", m[1], text))
			}
		}
		supplied := powerAtPin.FindAllStringSubmatch(text, -1)
		for _, m := range supplied {
			if r.Board.Power[m[2]] != supplies[m[1]] {
				wrong = append(wrong, fmt.Sprintf("pin %s of %s is not %s: %s", m[2], r.BoardName, m[1], text))
			}
		}
		if len(anyPin.FindAllString(text, -1)) != len(named)+len(supplied) {
			wrong = append(wrong, "a pin without what it is, such as GPIO17 pin 11, GND pin 9, 3V3 pin 1 or 5V pin 2: "+text)
		}
	}
	return wrong
}

// TestDrawingsAreRead: the test above fails where a drawing is not true.
func TestDrawingsAreRead(t *testing.T) {
	const example = "../../examples/museum/"
	readme, err := os.ReadFile(example + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"another pin":    {"GPIO17 pin 11", "GPIO17 pin 15", "GPIO17 is not on pin 15"},
		"another line":   {"GPIO17 pin 11", "GPIO22 pin 15", "GPIO22 is drawn and not used"},
		"another signal": {"── bumper (NC)", "── button (NC)", "signal bumper: no line of the drawing has GPIO17, pin 11, bumper"},
		"no ground":      {"GND pin 9", "GND pin 10", "pin 10 of raspberry-pi-4 is not GND"},
		"a bare pin":     {"GND pin 9", "pin 9", "a pin without what it is"},
		"another device": {"/dev/ttyUSB0", "/dev/ttyUSB1", "port nav: no line of the drawing has nav, /dev/ttyUSB0"},
		"no board":       {", `raspberry-pi-4`;", ";", "it has no drawing"},
		"another board":  {"`raspberry-pi-4`", "`jetson-orin-nano`", "GPIO17"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.Replace(string(readme), c.from, c.to, 1)
			if text == string(readme) {
				t.Fatalf("the README has no %q", c.from)
			}
			if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"robot.yaml", "manual.yaml", "night.scenario"} {
				data, err := os.ReadFile(example + file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			wrong := drawnWrong(t, filepath.Join(dir, "robot.yaml"))
			if !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, c.says) }) {
				t.Errorf("it says %q, not %q", wrong, c.says)
			}
		})
	}
}
