package breaker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustModes(t testing.TB) *Modes {
	t.Helper()
	m, err := NewModes(DefaultModeConfig())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestModesTranscript(t *testing.T) {
	m := mustModes(t)
	transcript(t, "testdata/mode.txt", func(t *testing.T, words []string) string {
		var n []int32
		for _, w := range words[1:] {
			n = append(n, int32(integer(t, w)))
		}
		line := strings.Join(words, " ")
		switch words[0] {
		case "start":
			return fmt.Sprintf("%s: %s\n", line, m.Start(n[0], n[1]))
		case "acknowledge":
			return fmt.Sprintf("%s: %v\n", line, m.Acknowledge())
		}
		changed := m.Observe(time.Duration(n[2])*time.Second, n[0], n[1])
		return fmt.Sprintf("%s: %s%s\n", line, m.Mode(), map[bool]string{true: " (changed)"}[changed])
	})
}

// TestModesHysteresis: the mode is never better than the share, goes up by one at a
// time with a dwell between, and comes back to the best when the share stays.
func TestModesHysteresis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := DefaultModeConfig()
		config.Resume = rapid.Bool().Draw(t, "resume")
		m, err := NewModes(config)
		if err != nil {
			t.Fatal(err)
		}
		m.Start(100, 100)
		now, rose := time.Duration(0), -config.Dwell
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(1, 40).Draw(t, "pause")) * time.Second
			active, before := rapid.Int32Range(0, 100).Draw(t, "active"), m.Mode()
			changed := m.Observe(now, active, 100)
			switch {
			case int(active) < config.From[m.Mode()]:
				t.Fatalf("%s with %d%%", m.Mode(), active)
			case changed != (m.Mode() != before):
				t.Fatalf("changed %v from %s to %s", changed, before, m.Mode())
			case m.Mode() > before+1 || m.Mode() > before && now-rose < config.Dwell:
				t.Fatalf("from %s to %s at %s, risen at %s", before, m.Mode(), now, rose)
			}
			if m.Mode() > before {
				rose = now
			}
		}
		m.Acknowledge()
		for range 10 {
			now += config.Dwell
			m.Observe(now, 100, 100)
		}
		if m.Mode() != Full {
			t.Fatalf("%s with everybody there", m.Mode())
		}
	})
}

func TestModeConfig(t *testing.T) {
	for name, change := range map[string]func(*ModeConfig){
		"emergency from 1%": func(c *ModeConfig) { c.From[Emergency] = 1 },
		"out of order":      func(c *ModeConfig) { c.From[Full] = 80 },
		"over 100%":         func(c *ModeConfig) { c.From[Full] = 101 },
		"negative margin":   func(c *ModeConfig) { c.Margin = -1 },
		"negative dwell":    func(c *ModeConfig) { c.Dwell = -1 },
	} {
		c := DefaultModeConfig()
		change(&c)
		if _, err := NewModes(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m := mustModes(t); m.Mode() != Emergency || m.Mode().May(Operation{Kind: Direct, Priority: 3, Size: 1, Members: 5}).Permission != Refused {
		t.Error("a mesh of which nothing is known does something")
	}
}

func TestMay(t *testing.T) {
	transcript(t, "testdata/may.txt", func(t *testing.T, words []string) string {
		o := Operation{Priority: uint8(integer(t, words[1])), Size: int32(integer(t, words[2])), Members: int32(integer(t, words[3])),
			Ailing: slices.Contains(words, "ailing"), Operator: slices.Contains(words, "operator"), Approved: slices.Contains(words, "approved")}
		for k := range kinds {
			if k.String() == words[0] {
				o.Kind = k
			}
		}
		out := strings.Join(words, " ") + "\n"
		for mode := int(Full); mode >= 0; mode-- {
			r := Mode(mode).May(o)
			out += fmt.Sprintf("  %-17s %s: %s\n", Mode(mode), r.Permission, r.Why)
		}
		return out
	})
}

func drawOperation(t *rapid.T) Operation {
	return Operation{Kind: Kind(rapid.IntRange(0, int(kinds)).Draw(t, "kind")), Priority: uint8(rapid.IntRange(0, 4).Draw(t, "priority")), Size: rapid.Int32Range(-1, 2000).Draw(t, "size"),
		Members: rapid.Int32Range(-1, 3000).Draw(t, "members"), Ailing: rapid.Bool().Draw(t, "ailing"), Operator: rapid.Bool().Draw(t, "operator"), Approved: rapid.Bool().Draw(t, "approved")}
}

// TestMayIsMonotonic: a worse mode, a lower priority, a larger size, an ailing
// sector or a missing approval never permits more; and what nothing restricts in
// the best mode is what makes sense.
func TestMayIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOperation(t)
		for mode := DegradedSevere; mode < modes; mode++ {
			if worse := (mode - 1).May(o); worse.Permission > mode.May(o).Permission {
				t.Fatalf("%+v: %s in %s, %s in %s", o, worse.Permission, mode-1, mode.May(o).Permission, mode)
			}
		}
		if r := Full.May(o); (r.Permission == Allowed) != o.valid() {
			t.Fatalf("%+v in FULL: %+v", o, r)
		}
		if !o.valid() {
			return
		}
		for name, change := range map[string]func(*Operation){
			"lower priority": func(o *Operation) { o.Priority -= min(o.Priority, 1) }, "larger": func(o *Operation) { o.Size++ },
			"ailing": func(o *Operation) { o.Ailing = true }, "not approved": func(o *Operation) { o.Approved = false }, "automatic": func(o *Operation) { o.Operator = false },
		} {
			worse := o
			change(&worse)
			for mode := range modes {
				if a, b := mode.May(worse).Permission, mode.May(o).Permission; a > b {
					t.Fatalf("%s in %s: %+v is %s, was %s", name, mode, worse, a, b)
				}
			}
		}
	})
}

func TestDuties(t *testing.T) {
	if d := Full.Duties(); d != (Duties{RetryFactor: 1}) {
		t.Errorf("%+v", d)
	}
	if d := DegradedLight.Duties(); d != (Duties{RetryFactor: 2}) {
		t.Errorf("%+v", d)
	}
	if d := Emergency.Duties(); d != (Duties{RetryFactor: 8, HealthyOnly: true, PrepareShutdown: true, Persist: true, AlertOperators: true}) {
		t.Errorf("%+v", d)
	}
	if d := Mode(200).Duties(); d.RetryFactor != 1 || Mode(200).String() != "invalid" {
		t.Errorf("%+v", d)
	}
}
