package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// firstDifference finds where two JSON records differ first, in the order of
// their parts' names, and gives both parts.
func firstDifference(recorded, replayed []byte) (where, a, b string) {
	x, y := tree(recorded), tree(replayed)
	where, p, q := compare("", x, y)
	if where == "" {
		return "the order or the spelling of its parts", string(recorded), string(replayed)
	}
	return where, short(p), short(q)
}

func tree(data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(data)
	}
	return v
}

func compare(path string, a, b any) (where string, x, y any) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			return compareObjects(path, a, b)
		}
	case []any:
		if b, ok := b.([]any); ok {
			return compareLists(path, a, b)
		}
	default:
		if a == b {
			return "", nil, nil
		}
	}
	if path == "" {
		path = "."
	}
	return path, a, b
}

func compareObjects(path string, a, b map[string]any) (string, any, any) {
	names := slices.Sorted(maps.Keys(a))
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		below := name
		if path != "" {
			below = path + "." + name
		}
		if where, x, y := compare(below, a[name], b[name]); where != "" {
			return where, x, y
		}
	}
	return "", nil, nil
}

func compareLists(path string, a, b []any) (string, any, any) {
	for i := range min(len(a), len(b)) {
		if where, x, y := compare(fmt.Sprintf("%s[%d]", path, i), a[i], b[i]); where != "" {
			return where, x, y
		}
	}
	if len(a) != len(b) {
		return path + " (length)", len(a), len(b)
	}
	return "", nil, nil
}

// short is a part for people.
func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if v == nil {
		return "nothing"
	}
	if s, ok := v.(string); ok {
		return s
	}
	const most = 200
	if len(b) > most {
		return string(b[:most]) + "..."
	}
	return string(b)
}
