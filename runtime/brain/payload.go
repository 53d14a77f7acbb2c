package brain

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"dancer/runtime/config"
)

// maxPayload bounds what is parsed of one message, in bytes.
const maxPayload = 64 << 10

// payload is one message of a topic.
type payload struct {
	text []byte
	json any // once it is needed
	bad  bool
	done bool
}

func parsePayload(text []byte) *payload { return &payload{text: text} }

// value gives what a message says of a signal: NaN for what is no number, and whether it
// says anything of it. A message that should be JSON and is not says NaN.
func (p *payload) value(t *config.Topic) (value float64, there bool) {
	if len(p.text) > maxPayload {
		return math.NaN(), true
	}
	if len(t.Path) == 0 {
		return wordValue(string(p.text), t), true
	}
	if !p.done {
		p.done = true
		p.bad = json.Unmarshal(p.text, &p.json) != nil
	}
	if p.bad {
		return math.NaN(), true
	}
	found, there := walk(p.json, t.Path)
	switch v := found.(type) {
	case float64:
		return v, true
	case bool:
		return truth(v), true
	case string:
		return wordValue(v, t), true
	}
	return math.NaN(), there
}

// walk follows a path; false when it leads out of the value.
func walk(value any, path []config.PathStep) (any, bool) {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[step.Member]
			if !ok || step.Member == "" {
				return nil, false
			}
			value = inner
		case []any:
			if step.Member != "" || step.Index >= len(v) {
				return nil, false
			}
			value = v[step.Index]
		default:
			return nil, false
		}
	}
	return value, true
}

// wordValue reads a bare text: the words of the topic, true and false, or a number.
func wordValue(text string, t *config.Topic) float64 {
	text = strings.TrimSpace(text)
	switch {
	case strings.EqualFold(text, t.On):
		return 1
	case strings.EqualFold(text, t.Off):
		return 0
	case strings.EqualFold(text, "true"):
		return 1
	case strings.EqualFold(text, "false"):
		return 0
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return value
}

func truth(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
