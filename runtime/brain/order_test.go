package brain

import (
	"slices"
	"strings"
	"testing"
)

// TestParseOrder: what a command says is read as it stands, and what cannot be meant is
// refused.
func TestParseOrder(t *testing.T) {
	o, err := parseOrder(" go=1  speed=-0.5 ")
	if err != nil || !slices.Equal(o.set, []setting{{"go", 1}, {"speed", -0.5}}) || o.about != "" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseOrder("mode"); err != nil || o.about != "mode" || o.set != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for _, text := range []string{"", " ", "go", "go=", "go=fast", "go=NaN", "go=+Inf", "go=1 stop", "go=1 go=2", "go=1e999", strings.Repeat("x", 512) + "=y"} {
		o, err := parseOrder(text)
		if text == "go" {
			continue // a question
		}
		if err == nil {
			t.Errorf("%q: %+v", text, o)
		} else if len(err.Error()) > 100 {
			t.Errorf("%q: the answer is as long as the question: %v", text, err)
		}
	}
}

// FuzzParseOrder: nothing that comes over the network breaks it, and what it accepts
// are numbers.
func FuzzParseOrder(f *testing.F) {
	f.Add("go=1 speed=-0.5")
	f.Add("mode")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOrder(text)
		if err != nil {
			return
		}
		if (o.about == "") == (len(o.set) == 0) {
			t.Fatalf("%q: %+v", text, o)
		}
		for _, s := range o.set {
			if s.value != s.value || s.value-s.value != 0 {
				t.Fatalf("%q: %s is %g", text, s.name, s.value)
			}
		}
	})
}
