package config

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What the loader takes for a name is what the schema says.
func TestNamesMatchTheirPatterns(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		is            func(string) bool
		most          int
	}{
		{"name", namePattern, isName, 63},
		{"identifier", identifierPattern, isIdentifier, 64},
	} {
		pattern := regexp.MustCompile(c.pattern)
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.OneOf(
				rapid.StringMatching(`[A-Za-z0-9_.\-]{0,6}`), rapid.String(), rapid.StringMatching(`[a-z09_. é\x{0}\n-]{0,5}`),
				rapid.Custom(func(t *rapid.T) string {
					return strings.Repeat("a", rapid.IntRange(c.most-1, c.most+1).Draw(t, "length"))
				}),
			).Draw(t, "text")
			if got, want := c.is(text), pattern.MatchString(text); got != want {
				t.Errorf("%s %q: %v, the pattern says %v", c.name, text, got, want)
			}
		})
	}
}
