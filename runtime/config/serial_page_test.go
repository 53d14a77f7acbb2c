package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"dancer/hal"
)

// TestSerialPage: every robot of docs/serial.md is sound, and the page names every
// framing and every field that a framing has by name.
func TestSerialPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/serial.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("%d robots in docs/serial.md", len(blocks))
	}
	for _, b := range blocks {
		robot := "robot: bot\nboard: linux\nmanual: manual.yaml\n" + b[1]
		if !strings.Contains(robot, "outputs:") {
			robot += "outputs: {drive: {pin: gpiochip0/17, safe: 0}}\n"
		}
		manual := "values: [{name: task}]\nimpact: {task: \"10 * drive\"}\nactions: [{name: halt, set: safe, fallback: true}]\n"
		if _, problems := loadText(robot, manual, Options{}); problems.Faults() > 0 {
			t.Errorf("%s\n%v", b[1], problems)
		}
	}
	for _, framing := range hal.Framings() {
		if !strings.Contains(string(text), "| `"+framing+"` |") {
			t.Errorf("docs/serial.md says nothing of framing %s", framing)
		}
		for _, f := range hal.KnownFields(hal.FramerConfig{Framing: framing}) {
			name := f.Name
			if framing == "nmea" || framing == "mavlink" {
				_, name, _ = strings.Cut(name, ".")
			}
			if strings.Contains(name, ".") {
				continue // numbered ones are described
			}
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/serial.md does not name field %s of %s", f.Name, framing)
			}
		}
	}
}
