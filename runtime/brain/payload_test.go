package brain

import (
	"math"
	"strings"
	"testing"

	"dancer/runtime/config"
)

// What the makers' own pages show of their messages: Zigbee2MQTT (a contact sensor, a
// climate sensor) and ESPHome (a bare number, ON and OFF).
func TestPayload(t *testing.T) {
	none := math.NaN()
	for _, c := range []struct {
		payload, path string
		want          float64
		there         bool
	}{
		{`{"battery":100,"contact":false,"linkquality":65,"voltage":3025}`, "contact", 0, true},
		{`{"battery":100,"contact":false,"linkquality":65,"voltage":3025}`, "voltage", 3025, true},
		{`{"state":"ON","brightness":254}`, "state", 1, true},
		{`{"state":"off"}`, "state", 0, true},
		{`{"state":"open"}`, "state", none, true},
		{`{"a":{"b":[{"c":1.5},{"c":-2}]}}`, "a.b[1].c", -2, true},
		{`[[1,2],[3,4]]`, "[1][0]", 3, true},
		{`{"a":"21.5"}`, "a", 21.5, true},
		{`{"temperature":null}`, "temperature", none, true},
		{`{"a":{"b":1}}`, "a", none, true},
		{`{"battery":100}`, "contact", 0, false}, // says nothing of it
		{`{"a":[1]}`, "a[1]", 0, false},
		{`{"a":[1]}`, "a.b", 0, false},
		{`{"a":1`, "a", none, true},
		{``, "a", none, true},
		{`21.5`, "", 21.5, true},
		{" 21.5\n", "", 21.5, true},
		{`ON`, "", 1, true}, {`off`, "", 0, true}, {`true`, "", 1, true}, {`False`, "", 0, true},
		{`unavailable`, "", none, true}, {``, "", none, true}, {`nan`, "", none, true},
		{strings.Repeat("[", maxPayload+1), "a", none, true},
		{strings.Repeat("[", 20000), "[0]", none, true}, // deeper than the standard library goes
	} {
		path, err := config.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		got, there := parsePayload([]byte(c.payload)).value(&config.Topic{Path: path, On: "ON", Off: "OFF"})
		if there != c.there || there && got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%.40q at %q is %v, %v; want %v, %v", c.payload, c.path, got, there, c.want, c.there)
		}
	}
	words := &config.Topic{On: "open", Off: "closed"}
	if v, _ := parsePayload([]byte("Open")).value(words); v != 1 {
		t.Errorf("open is %v", v)
	}
	if v, _ := parsePayload([]byte("ON")).value(words); !math.IsNaN(v) {
		t.Errorf("ON is %v where the words are others", v)
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[{"c":1.5}]}}`), "a.b[0].c")
	f.Add([]byte(`ON`), "")
	f.Fuzz(func(t *testing.T, text []byte, where string) {
		path, err := config.ParsePath(where)
		if err != nil {
			return
		}
		_, _ = parsePayload(text).value(&config.Topic{Path: path, On: "ON", Off: "OFF"})
	})
}
