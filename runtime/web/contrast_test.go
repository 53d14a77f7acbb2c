package web

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast computes the contrast (WCAG 2.2, 1.4.3 and 1.4.11) of the colours
// of both themes: 4.5 for text on every ground that it stands on, 3 for bars,
// marks and the edges of fields.
func TestContrast(t *testing.T) {
	sheet, err := assets.ReadFile("assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, theme := range []string{"dark", "light"} {
		colours := themeColours(t, string(sheet), theme)
		pairs := []struct {
			front, back []string
			least       float64
		}{
			{[]string{"text", "muted", "accent", "ok", "warn", "bad"}, []string{"ground", "surface", "raised"}, 4.5},
			{[]string{"on-accent"}, []string{"accent"}, 4.5},
			{[]string{"ground"}, []string{"warn"}, 4.5},
			{[]string{"bar", "bar-bad", "floor", "accent"}, []string{"surface", "raised", "track"}, 3},
		}
		for _, p := range pairs {
			for _, front := range p.front {
				for _, back := range p.back {
					if got := contrast(colours[front], colours[back]); got < p.least {
						t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", theme, front, back, got, p.least)
					}
				}
			}
		}
	}
}

// themeColours reads the opaque colours of one theme.
func themeColours(t *testing.T, sheet, theme string) map[string][3]float64 {
	t.Helper()
	_, block, ok := strings.Cut(sheet, fmt.Sprintf("[data-theme=%q] {", theme))
	if !ok {
		t.Fatalf("no theme %s", theme)
	}
	block, _, _ = strings.Cut(block, "}")
	colours := map[string][3]float64{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
		n, err := strconv.ParseUint(m[2], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		colours[m[1]] = [3]float64{float64(n >> 16), float64(n >> 8 & 255), float64(n & 255)}
	}
	return colours
}

func contrast(a, b [3]float64) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(c [3]float64) float64 {
	linear := func(v float64) float64 {
		v /= 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}
