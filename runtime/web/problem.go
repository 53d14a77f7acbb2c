package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"dancer/mesh"
	"dancer/mesh/conductor"
)

// Problem is an error document of RFC 9457.
type Problem struct {
	Type   string `json:"type"` // "about:blank", or "urn:dancer:problem:<name>"
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // what to do
}

func (p Problem) Error() string {
	if p.Hint == "" {
		return p.Detail
	}
	return fmt.Sprintf("%s (%s)", p.Detail, p.Hint)
}

// problem makes a document; name becomes its type.
func problem(status int, name, detail, hint string) Problem {
	return Problem{Type: "urn:dancer:problem:" + name, Title: http.StatusText(status), Status: status, Detail: detail, Hint: hint}
}

// problemOf translates an error of a backend by its cause.
func problemOf(err error) Problem {
	var p Problem
	if p, ok := meshProblem(err); ok {
		return p
	}
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, conductor.ErrUnknown):
		return problem(http.StatusNotFound, "unknown", err.Error(), "list what there is with GET /api/v1/agents, /api/v1/decisions or /api/v1/escalations?state=all")
	case errors.Is(err, conductor.ErrStands):
		return problem(http.StatusConflict, "stricter-ruling", err.Error(), "")
	case errors.Is(err, conductor.ErrNotThere):
		return problem(http.StatusConflict, "not-connected", err.Error(), "ask again when the agent is online, or start it at the robot itself with `dancer start`")
	case errors.Is(err, conductor.ErrNoBroker):
		return problem(http.StatusServiceUnavailable, "no-broker", err.Error(), "nothing was sent: try again when GET /api/v1/status says that the broker is connected")
	case errors.Is(err, conductor.ErrFull):
		return problem(http.StatusServiceUnavailable, "full", err.Error(), "")
	case errors.Is(err, mesh.ErrInvalid), errors.Is(err, mesh.ErrMalformed):
		return problem(http.StatusUnprocessableEntity, "invalid", err.Error(), "")
	}
	return problem(http.StatusInternalServerError, "internal", err.Error(), "the log of this process says more")
}

// fail writes an error document.
func fail(w http.ResponseWriter, err error) {
	p := problemOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the peer is gone: nobody is left to tell
}

// reply writes JSON.
func reply(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		fail(w, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the peer is gone: nobody is left to tell
}
