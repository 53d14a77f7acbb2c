package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"dancer/mesh/conflict"
	"dancer/runtime/conflicts"
)

// Conflicts is the log of conflicts that a handler serves.
type Conflicts interface {
	Query(conflicts.Query) (*conflicts.Listed, error)
	// Decide ends an open conflict. Errors: conflict.ErrUnknown, ErrInvalid and
	// ErrNobody; anything else is a failure of ours.
	Decide(ctx context.Context, id, decision, by, why string) error
}

// maxListed bounds the conflicts of one answer.
const maxListed = 1000

func (s *server) conflicts(mux *http.ServeMux) {
	if s.options.Conflicts == nil {
		return
	}
	mux.Handle("GET /api/v1/conflicts", s.private(http.HandlerFunc(s.getConflicts)))
	mux.Handle("POST /api/v1/conflicts/{id}/{decision}", s.private(http.HandlerFunc(s.postDecision)))
}

func (s *server) getConflicts(w http.ResponseWriter, r *http.Request) {
	q, err := queryOf(r.URL.Query())
	if err != nil {
		fail(w, problem(http.StatusBadRequest, "invalid", "list conflicts: "+err.Error(), "give since and until in RFC 3339, agent, type, priority 0-4, id, limit 1-1000"))
		return
	}
	found, err := s.options.Conflicts.Query(q)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, found)
}

func queryOf(v url.Values) (q conflicts.Query, err error) {
	q = conflicts.Query{Agent: v.Get("agent"), ID: v.Get("id"), Limit: 50}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if text := v.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return q, fmt.Errorf("%s: %q is no time", name, text)
			}
		}
	}
	if text := v.Get("type"); text != "" {
		if q.Type, err = conflict.ParseType(text); err != nil {
			return q, err
		}
	}
	if text := v.Get("priority"); text != "" {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil || !conflict.Priority(n).Valid() {
			return q, fmt.Errorf("priority: %q is none", text)
		}
		q.Priority = conflict.Priority(n)
	}
	if text := v.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > maxListed {
			return q, fmt.Errorf("limit: %q is no number from 1 to %d", text, maxListed)
		}
	}
	return q, nil
}

func (s *server) postDecision(w http.ResponseWriter, r *http.Request) {
	var body struct {
		By  string `json:"by"`
		Why string `json:"why"`
	}
	if err := readBody(w, r, &body, true); err != nil {
		fail(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	err := s.options.Conflicts.Decide(ctx, r.PathValue("id"), r.PathValue("decision"), body.By, body.Why)
	switch {
	case errors.Is(err, conflict.ErrUnknown):
		fail(w, problem(http.StatusNotFound, "unknown", err.Error(), "GET /api/v1/conflicts lists them"))
	case errors.Is(err, conflict.ErrInvalid), errors.Is(err, conflict.ErrNobody):
		fail(w, problem(http.StatusUnprocessableEntity, "invalid", err.Error(), `POST .../resolve, release or discard with {"by": "your name", "why": "..."}`))
	case err != nil:
		fail(w, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
