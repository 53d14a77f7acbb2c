package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var rewrite = flag.Bool("rewrite", false, "write what is found into the testdata files")

// machine is the file system that device checks see: a robot with one serial
// port and no device tree.
var machine = fstest.MapFS{
	"dev/serial/by-id/usb-nav-0":             {},
	"dev/ttyUSB0":                            {},
	"dev/ttyUSB1":                            {},
	"dev/ttyS0":                              {},
	"dev/input/event1":                       {},
	"dev/input/by-id/usb-pad-event-joystick": {},
	"sys/class/net/can0/type":                {Data: []byte("280\n")},
	"sys/class/net/can1/type":                {Data: []byte("280\n")},
	"sys/class/net/eth0/type":                {Data: []byte("1\n")},
}

// TestFaults reads the robots of testdata/*.txtar and compares every message
// with the file's "want" part, in order and to the letter. A comment line
// "run" or "board NAME" gives an option; "conductor" reads conductor.yaml.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { checkGolden(t, file) })
	}
}

func checkGolden(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, want, ok := strings.Cut(string(data), "-- want --\n")
	if !ok {
		t.Fatalf("%s has no part want", file)
	}
	options, parts := split(head)
	got := found(parts, options)
	if got == want {
		return
	}
	if !*rewrite {
		t.Errorf("found:\n%s\nwant:\n%s", got, want)
		return
	}
	if err := os.WriteFile(file, []byte(head+"-- want --\n"+got), 0o644); err != nil {
		t.Fatal(err)
	}
}

// split takes a text of "-- name --" lines and the files between them apart.
func split(text string) (comment string, parts map[string][]byte) {
	parts = map[string][]byte{}
	name := ""
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(rest, " --\n") {
			name = strings.TrimSuffix(rest, " --\n")
			parts[name] = []byte{}
		} else if name == "" {
			comment += line
		} else {
			parts[name] = append(parts[name], line...)
		}
	}
	return comment, parts
}

// found loads the parts as files and gives the messages, one a line.
func found(parts map[string][]byte, options string) string {
	problems := problemsOf(parts, options)
	if len(problems) == 0 {
		return "sound\n"
	}
	return strings.ReplaceAll(problems.Error(), "no-such-folder/", "") + "\n"
}

// problemsOf loads the parts as files.
func problemsOf(parts map[string][]byte, options string) Problems {
	read := func(path string) ([]byte, *Problem) {
		if data, ok := parts[path]; ok {
			return data, nil
		}
		return readFile(filepath.Join("no-such-folder", path))
	}
	opt := Options{Root: machine}
	var problems Problems
	conductor := false
	for line := range strings.Lines(options) {
		switch words := strings.Fields(line); {
		case len(words) == 1 && words[0] == "run":
			opt.Run = true
		case len(words) == 1 && words[0] == "conductor":
			conductor = true
		case len(words) == 2 && words[0] == "board":
			opt.Board = words[1]
		}
	}
	if conductor {
		_, problems = loadConductor("conductor.yaml", parts["conductor.yaml"], read)
	} else {
		_, problems = load("robot.yaml", parts["robot.yaml"], opt, read)
	}
	return problems
}
