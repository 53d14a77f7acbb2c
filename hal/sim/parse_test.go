package sim

import (
	"errors"
	"strings"
	"testing"
)

func TestScenarioFaults(t *testing.T) {
	tests := []struct{ text, want string }{
		{"nonsense", `x:1:1: "nonsense" is unknown (a line begins with scenario, start, at, from, drop, noise or loop)`},
		{"\n  scenario 2", `x:2:12: version "2" of the format is unknown (this program reads version 1)`},
		{"loop 1s\nscenario 1", `x:2:1: the version must be the first line`},
		{"at", `x:1:3: a time is missing (write: at 2s NAME = VALUE [for 200ms])`},
		{"at 2 a = 1", `x:1:4: "2" is not a time (write a number and ms, s, m or h, such as 2s)`},
		{"at -2s a = 1", `x:1:4: "-2s" is not a time`},
		{"at 2s", `x:1:6: a signal's name is missing`},
		{"at 2s a 1", `x:1:9: "1" stands where "=" should`},
		{"at 2s a =", `x:1:10: a value is missing`},
		{"at 2s a = x", `x:1:11: "x" is not a number`},
		{"at 2s a = 0x10", ``}, // 0, unit x10: Check refuses it
		{"at 2s a = 1 for", `x:1:16: a time is missing`},
		{"at 2s a = 1 m for 1s more", `x:1:22: "more" is too much`},
		{"from 2s until 3s a = 1", `x:1:9: "until" stands where "to" should`},
		{"from 3s to 3s a = 1", `x:1:12: the end is not after the beginning`},
		{"from 2s to 3s a", `x:1:16: "" is not a change such as + 20/s`},
		{"from 2s to 3s a 20/s", `x:1:17: "20/s" is not a change such as + 20/s`},
		{"from 2s to 3s a + 20", `x:1:17: "+20" is not a change`},
		{"from 2s to 3s a + 20/h", `x:1:17: "+20/h" is not a change`},
		{"drop a 1s to 2s", `x:1:8: "1s" stands where "from" should`},
		{"noise a", `x:1:8: a value is missing`},
		{"noise a -1", `x:1:7: the amplitude is negative`},
		{"noise a nan", `x:1:9: "nan" is not a number`},
		{"loop 0s", `x:1:1: a scenario has one loop, of at least 100ms`},
		{"loop 1s\nloop 2s", `x:2:1: a scenario has one loop`},
		{"at 2s a = 1\nloop 1s", `x:1:7: 2s is never reached (line 2 begins again after 1s)`},
		{"drop a from 0s to 2s\nloop 1s", `x:1:6: 2s is never reached`},
		{"at 1s a = 1 for 2s\nfrom 2s to 4s a = 3", `x:2:15: "a" has a value for this time already (line 1 holds it from 1s to 3s)`},
		{strings.Repeat("#", MaxScenario+1), `x:1:1: the file has 1048577 bytes (at most 1048576 are read)`},
		{"bad\nworse\nat 1s a = 1 for 1s", "x:1:1: \"bad\" is unknown (a line begins with scenario, start, at, from, drop, noise or loop)\nx:2:1: \"worse\""},
		{"# only a comment\r\n\r\nscenario 1 # the version\r\nat 1s a=1\r\n", ``},
	}
	for _, test := range tests {
		_, err := ParseScenario("x", []byte(test.text))
		var faults Faults
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%q: %v", test.text, err)
		case test.want != "" && (!errors.As(err, &faults) || !strings.HasPrefix(err.Error(), test.want)):
			t.Errorf("%.60q: %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestScenarioCheck(t *testing.T) {
	tests := []struct{ text, want string }{
		{"at 1s smok = 1", `x:1:7: signal "smok" is unknown (the signals are range, smoke, bumper)`},
		{"start smoke = 1 m", `x:1:7: unit "m" does not fit signal "smoke" (it is in ppm)`},
		{"start bumper = 1 m", `x:1:7: unit "m" does not fit signal "bumper" (it has no unit: write the number alone)`},
		{"from 0s to 1s bumper + 1/s", `x:1:15: signal "bumper" is on or off and cannot change by degrees (write: at 2s bumper = 1 for 200ms)`},
		{"noise bumper 0.1", `x:1:7: signal "bumper" is on or off`},
		{"drop a from 0s to 1s\nat 1s b = 1", "x:1:6: signal \"a\" is unknown (the signals are range, smoke, bumper)\nx:2:7: signal \"b\""},
		{"start range = 3m\nfrom 0s to 1s range - 0.5 m/s\nnoise smoke 1ppm", ``},
	}
	for _, test := range tests {
		s, err := ParseScenario("x", []byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Check(signals)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%q: %v\nwant %s", test.text, err, test.want)
		}
	}
}

func FuzzScenario(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseScenario("x", text)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v and %v", s, err)
		}
		if err != nil || s.Check(signals) != nil {
			return
		}
		b := mustBoard(t, Config{Scenario: s})
		at(t, b, 0, 3*sec)
	})
}
