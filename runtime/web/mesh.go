package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"dancer/mesh/operator"
)

// Mesh is a mesh that an operator sees and commands. All methods are safe for
// concurrent use. Errors are an operator.Fault, that of ctx, or a failure of ours.
type Mesh interface {
	Status(ctx context.Context) (operator.Status, error)
	Agents(ctx context.Context, f operator.Filter) (operator.Page, error)
	// Start takes an order. at is T by the wall clock; zero: Order.In says it.
	Start(ctx context.Context, o operator.Order, at time.Time) (operator.Operation, error)
	Operations(ctx context.Context) ([]operator.Operation, error)
	Operation(ctx context.Context, id string) (operator.Operation, error)
	Cancel(ctx context.Context, id string) (operator.Operation, error)
}

// MeshOptions of a mesh over a desk.
type MeshOptions struct {
	Desk *operator.Desk
	// Do runs f on the goroutine that owns the desk, and waits for it.
	Do func(ctx context.Context, f func()) error
	// Speed is how much faster than the wall clock the mesh's time runs; 0: 1.
	Speed float64
	// Show completes a status with what the desk does not know; nil: nothing.
	Show func(*operator.Status)
	Now  func() time.Time // default time.Now
}

// desked is a Mesh over a desk that one goroutine owns.
type desked struct{ o MeshOptions }

// NewMesh makes a Mesh of a desk.
func NewMesh(o MeshOptions) Mesh {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	return &desked{o}
}

// patience bounds the wait for the goroutine that owns a desk.
const patience = 10 * time.Second

// on runs f there, and gives what it gives.
func on[T any](ctx context.Context, d *desked, f func(*operator.Desk) (T, error)) (result T, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type answer struct {
		result T
		err    error
	}
	// Not to variables of ours: f may still run when we have given up.
	answers := make(chan answer, 1)
	if err := d.o.Do(ctx, func() {
		r, err := f(d.o.Desk)
		answers <- answer{r, err}
	}); err != nil {
		return result, fmt.Errorf("ask the mesh: %w", err)
	}
	a := <-answers
	return a.result, a.err
}

func (d *desked) Status(ctx context.Context) (operator.Status, error) {
	return on(ctx, d, func(desk *operator.Desk) (operator.Status, error) {
		s := desk.Status()
		if d.o.Show != nil {
			d.o.Show(&s)
		}
		return s, nil
	})
}

func (d *desked) Agents(ctx context.Context, f operator.Filter) (operator.Page, error) {
	return on(ctx, d, func(desk *operator.Desk) (operator.Page, error) { return desk.Agents(f) })
}

func (d *desked) Start(ctx context.Context, o operator.Order, at time.Time) (operator.Operation, error) {
	return on(ctx, d, func(desk *operator.Desk) (operator.Operation, error) {
		if !at.IsZero() {
			ahead := at.Sub(d.o.Now())
			if ahead <= 0 || o.In != 0 {
				return operator.Operation{}, &operator.Fault{Cause: operator.ErrInvalid, Detail: fmt.Sprintf("%s: at %s is past, or given beside in_ns", o.Kind, at.Format(time.RFC3339Nano)), Hint: "give one of both, ahead of now"}
			}
			o.In = time.Duration(float64(ahead) * d.o.Speed)
		}
		return desk.Start(o)
	})
}

func (d *desked) Operations(ctx context.Context) ([]operator.Operation, error) {
	return on(ctx, d, func(desk *operator.Desk) ([]operator.Operation, error) { return desk.Operations(), nil })
}

func (d *desked) Operation(ctx context.Context, id string) (operator.Operation, error) {
	return on(ctx, d, func(desk *operator.Desk) (operator.Operation, error) { return desk.Operation(id) })
}

func (d *desked) Cancel(ctx context.Context, id string) (operator.Operation, error) {
	return on(ctx, d, func(desk *operator.Desk) (operator.Operation, error) { return desk.Cancel(id) })
}

// ordersPerSecond bounds orders, of all callers together: they are given by people.
const ordersPerSecond = 20

// mesh serves Options.Mesh.
func (s *server) mesh(mux *http.ServeMux) {
	if s.options.Mesh == nil {
		return
	}
	s.orders = rate.NewLimiter(ordersPerSecond, ordersPerSecond)
	handle := func(pattern string, f http.HandlerFunc) { mux.Handle(pattern, s.private(f)) }
	handle("GET /api/v1/mesh", s.getMesh)
	handle("GET /api/v1/mesh/agents", s.getMeshAgents)
	handle("GET /api/v1/mesh/operations", s.getOperations)
	handle("GET /api/v1/mesh/operations/{id}", s.getOperation)
	handle("POST /api/v1/mesh/operations/{id}/cancel", s.postCancel)
	handle("POST /api/v1/mesh/{kind}", s.postOrder)
}

// MeshHandler serves a mesh alone, without a backend: of a simulated fleet.
func MeshHandler(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &server{options: o, sessions: newSessions(o.Token, o.Now), posts: newPosts()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /api/v1/status", s.private(http.HandlerFunc(s.getFleetStatus)))
	s.mesh(mux)
	mux.HandleFunc("POST /api/v1/session", s.postSession)
	mux.HandleFunc("DELETE /api/v1/session", s.deleteSession)
	return s.guard(jsonErrors(mux))
}

// RoleFleet is the role of a process that serves a mesh alone.
const RoleFleet = "fleet"

func (s *server) getFleetStatus(w http.ResponseWriter, r *http.Request) {
	m, err := s.options.Mesh.Status(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, Status{Role: RoleFleet, Name: m.Name, Version: s.options.Version, Now: s.options.Now().UTC(),
		Uptime: time.Duration(m.UpS * float64(time.Second)), Agents: m.Agents.Members, Alive: m.Agents.Active, Mesh: &m})
}

// withMesh adds the mesh to a process's status. What is wrong with it is no reason
// not to show the rest.
func (s *server) withMesh(ctx context.Context, st *Status) {
	if s.options.Mesh == nil {
		return
	}
	m, err := s.options.Mesh.Status(ctx)
	if errors.Is(err, operator.ErrNotLed) {
		return // a robot that follows: who leads can say
	}
	if err != nil {
		st.Problems = append(st.Problems, "the mesh does not say how it is: "+err.Error())
		return
	}
	st.Mesh = &m
}

func (s *server) getMesh(w http.ResponseWriter, r *http.Request) {
	m, err := s.options.Mesh.Status(r.Context())
	s.give(w, http.StatusOK, m, err)
}

func (s *server) give(w http.ResponseWriter, status int, body any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, status, body)
}

func (s *server) getMeshAgents(w http.ResponseWriter, r *http.Request) {
	f, err := filterOf(r.URL.Query())
	if err != nil {
		fail(w, problem(http.StatusBadRequest, "invalid", "list agents: "+err.Error(), "give scope, class, capability, state, flagged=true, limit 1-1000, after=NUMBER"))
		return
	}
	page, err := s.options.Mesh.Agents(r.Context(), f)
	s.give(w, http.StatusOK, page, err)
}

func filterOf(v url.Values) (operator.Filter, error) {
	f := operator.Filter{Scope: v.Get("scope"), Class: v.Get("class"), Capability: v.Get("capability"), State: v.Get("state"), After: -1}
	for name, into := range map[string]*int{"limit": &f.Limit, "after": &f.After} {
		if text := v.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < -1 {
				return f, fmt.Errorf("%s: %q is no number", name, clip(text))
			}
			*into = n
		}
	}
	if text := v.Get("flagged"); text != "" {
		flagged, err := strconv.ParseBool(text)
		if err != nil {
			return f, fmt.Errorf("flagged: %q is neither true nor false", clip(text))
		}
		f.Flagged = flagged
	}
	return f, nil
}

func (s *server) postOrder(w http.ResponseWriter, r *http.Request) {
	if !s.orders.Allow() {
		w.Header().Set("Retry-After", "1")
		fail(w, problem(http.StatusTooManyRequests, "rate", fmt.Sprintf("order: more than %d a second", ordersPerSecond), "wait a second"))
		return
	}
	var body struct {
		operator.Order
		At time.Time `json:"at,omitzero"`
	}
	if err := readBody(w, r, &body, true); err != nil {
		fail(w, err)
		return
	}
	body.Kind = operator.Kind(r.PathValue("kind"))
	o, err := s.options.Mesh.Start(r.Context(), body.Order, body.At)
	var f *operator.Fault
	if errors.As(err, &f) && errors.Is(f, operator.ErrUnknown) { // what the body names, not the address
		err = problem(http.StatusUnprocessableEntity, "unknown", f.Detail, f.Hint)
	}
	s.give(w, http.StatusAccepted, o, err)
}

func (s *server) getOperations(w http.ResponseWriter, r *http.Request) {
	list, err := s.options.Mesh.Operations(r.Context())
	s.give(w, http.StatusOK, map[string]any{"operations": list}, err)
}

// look is how often an operation that is waited for is looked at.
const look = 50 * time.Millisecond

// getOperation waits, with ?wait=2s&revision=7, until there is another revision.
func (s *server) getOperation(w http.ResponseWriter, r *http.Request) {
	wait, err := waitOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	seen := r.URL.Query().Get("revision")
	over := time.NewTimer(wait)
	defer over.Stop()
	every := time.NewTicker(look)
	defer every.Stop()
	for {
		o, err := s.options.Mesh.Operation(r.Context(), r.PathValue("id"))
		if err != nil || wait == 0 || o.Ended() || strconv.FormatUint(o.Revision, 10) != seen {
			s.give(w, http.StatusOK, o, err)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-over.C:
			reply(w, http.StatusOK, o)
			return
		case <-every.C:
		}
	}
}

func (s *server) postCancel(w http.ResponseWriter, r *http.Request) {
	var body struct {
		By string `json:"by"`
	}
	if err := readBody(w, r, &body, true); err != nil {
		fail(w, err)
		return
	}
	o, err := s.options.Mesh.Cancel(r.Context(), r.PathValue("id"))
	s.give(w, http.StatusOK, o, err)
}

// meshProblem translates a fault of a desk; false: it is none.
func meshProblem(err error) (Problem, bool) {
	var f *operator.Fault
	if !errors.As(err, &f) {
		return Problem{}, false
	}
	status, name := http.StatusUnprocessableEntity, "invalid"
	switch f.Cause {
	case operator.ErrUnknown:
		status, name = http.StatusNotFound, "unknown"
	case operator.ErrRefused:
		status, name = http.StatusConflict, "refused"
	case operator.ErrNotLed:
		status, name = http.StatusServiceUnavailable, "not-led"
	case operator.ErrBusy:
		status, name = http.StatusServiceUnavailable, "busy"
	case operator.ErrNobody:
		status, name = http.StatusConflict, "nobody"
	}
	return problem(status, name, f.Detail, f.Hint), true
}
