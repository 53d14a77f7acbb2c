package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Kinds of file that Check tells apart.
const (
	KindRobot     = "robot"
	KindManual    = "manual"
	KindConductor = "conductor"
	KindUnknown   = "unknown"
)

// Check reads a robot's, a manual's or a conductor's file, whichever it is, and
// gives everything that is wrong with it. A manual is checked against the robot
// files beside it that name it.
func Check(path string, opt Options) (kind string, problems Problems) {
	data, problem := readFile(path)
	if problem != nil {
		return KindUnknown, Problems{*problem}
	}
	switch kind = kindOf(path, data); kind {
	case KindRobot:
		_, problems = load(path, data, opt, readFile)
	case KindManual:
		problems = checkManual(path, data, opt)
	case KindConductor:
		_, problems = loadConductor(path, data, readFile)
	default:
		problems = unknownKind(path, data)
	}
	return kind, problems
}

// kindOf tells by the keys that only one kind of file has. Keys are looked for
// in the text when it cannot be parsed.
func kindOf(path string, data []byte) string {
	keys := topKeys(path, data)
	for _, k := range keys {
		switch k {
		case "robot", "signals", "outputs", "ports":
			return KindRobot
		case "values", "impact", "actions", "reflexes":
			return KindManual
		case "scope", "broker", "broker_listen":
			return KindConductor
		}
	}
	if len(keys) == 0 || nearestKind(keys) == "" {
		return KindUnknown
	}
	return nearestKind(keys)
}

// nearestKind is the kind whose keys a file's keys are mostly meant as.
func nearestKind(keys []string) string {
	best, most := "", 0
	for _, c := range []struct {
		kind string
		spec *section
	}{{KindRobot, &robotSection}, {KindManual, &manualSection}, {KindConductor, &conductorSection}} {
		n := 0
		for _, k := range keys {
			if c.spec.field(k) != nil {
				n++
			}
		}
		if n > most {
			best, most = c.kind, n
		}
	}
	return best
}

func topKeys(path string, data []byte) []string {
	var keys []string
	if root := newReader(path).parse(data); root != nil {
		for _, e := range root.entries {
			keys = append(keys, e.key.text)
		}
		return keys
	}
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, ":"); ok && isIdentifier(name) {
			keys = append(keys, name)
		}
	}
	return keys
}

func unknownKind(path string, data []byte) Problems {
	r := newReader(path)
	if r.parse(data) != nil || len(r.problems) == 0 {
		r.fault(nil, "this is neither a robot, nor a manual, nor a conductor", "a robot's file has robot:, a manual has values:, a conductor's file has scope:")
	}
	return r.sorted()
}

// checkManual compiles a manual for every robot beside it that names it.
func checkManual(path string, data []byte, opt Options) Problems {
	var problems Problems
	robots := robotsOf(path)
	for _, robot := range robots {
		_, found := Load(robot, opt)
		problems = merge(problems, found)
	}
	if len(robots) > 0 {
		return problems
	}
	_, r := readManual(path, data, &world{broken: map[string]bool{}, partial: true})
	r.warn(nil, "no robot in this folder names this manual, so its expressions, signals and outputs are not checked", "check the robot's file instead")
	return r.sorted()
}

// merge adds what is not there yet: two robots can have one faulty manual.
func merge(all, more Problems) Problems {
	for _, p := range more {
		known := false
		for _, q := range all {
			known = known || p == q
		}
		if !known {
			all = append(all, p)
		}
	}
	return all
}

// robotsOf lists the robot files in a manual's folder that name it.
func robotsOf(manual string) []string {
	folder := filepath.Dir(manual)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(folder, e.Name())
		data, problem := readFile(path)
		if problem == nil && names(path, data, manual) {
			out = append(out, path)
		}
	}
	sort.Strings(out)
	return out
}

func names(path string, data []byte, manual string) bool {
	r := newReader(path)
	root := r.parse(data)
	if root == nil || root.kind != kindMapping {
		return false
	}
	robot, named := false, false
	for _, e := range root.entries {
		robot = robot || e.key.text == "robot"
		named = named || e.key.text == "manual" && filepath.Join(filepath.Dir(path), e.value.text) == filepath.Clean(manual)
	}
	return robot && named
}

// Summary is one line for a file: what it is and what was found.
func Summary(path, kind string, problems Problems) string {
	faults := problems.Faults()
	warnings := len(problems) - faults
	text := "sound"
	if faults > 0 {
		text = count(faults, "fault")
	}
	if warnings > 0 {
		text += ", " + count(warnings, "warning")
	}
	return fmt.Sprintf("%s: %s: %s", path, kind, text)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
