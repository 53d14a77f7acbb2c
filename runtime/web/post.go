package web

import (
	"encoding/json"
	"fmt"
	"net/http"

	"golang.org/x/time/rate"
)

// postsPerSecond bounds the posts of readings, of all callers together.
const postsPerSecond = 100

func newPosts() *rate.Limiter { return rate.NewLimiter(postsPerSecond, postsPerSecond) }

// postSignals takes {"signal": number, true or false, ...}.
func (s *server) postSignals(w http.ResponseWriter, r *http.Request) {
	if !s.posts.Allow() {
		fail(w, problem(http.StatusTooManyRequests, "rate", fmt.Sprintf("post signals: more than %d a second", postsPerSecond), "put several signals into one post, or use post.sock in the data folder"))
		return
	}
	var body map[string]json.RawMessage
	if err := readBody(w, r, &body, false); err != nil {
		fail(w, err)
		return
	}
	values := make(map[string]float64, len(body))
	for name, raw := range body {
		value, ok := number(raw)
		if !ok {
			fail(w, problem(http.StatusUnprocessableEntity, "invalid", fmt.Sprintf("post signals: %s is %s", name, raw), "give a number, true or false"))
			return
		}
		values[name] = value
	}
	if err := s.options.Backend.(Poster).Post(values); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// number reads a JSON number or a boolean, which is 1 or 0.
func number(raw json.RawMessage) (float64, bool) {
	var truth bool
	if json.Unmarshal(raw, &truth) == nil && raw[0] != 'n' { // not null
		return flag(truth), true
	}
	var value float64
	err := json.Unmarshal(raw, &value)
	return value, err == nil && raw[0] != 'n'
}
