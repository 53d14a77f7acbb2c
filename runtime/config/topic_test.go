package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "a": "[{a 0}]", "a.b[0].c": "[{a 0} {b 0} { 0} {c 0}]", "[3][12]": "[{ 3} { 12}]", "with-dash_9": "[{with-dash_9 0}]",
		strings.Repeat("a.", maxPath-1) + "a": fmt.Sprint(manySteps(maxPath)),
	} {
		got, err := ParsePath(text)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a[99999]", "a]", "$.a", "a[*]", "a b", "a[0]b", strings.Repeat("a.", maxPath) + "a"} {
		if got, err := ParsePath(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func manySteps(n int) []PathStep {
	var steps []PathStep
	for range n {
		steps = append(steps, PathStep{Member: "a"})
	}
	return steps
}
