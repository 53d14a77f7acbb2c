package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"dancer/mesh"
	"dancer/mesh/conductor"
)

// Options of a handler. Backend and Hub are needed, but where Mesh is all that is
// served; the rest has defaults.
type Options struct {
	Backend  Backend
	Hub      *Hub
	Token    string               // empty: no token is asked for; only right on loopback
	Hosts    []string             // host names to answer to besides loopback names (see Server)
	Registry *prometheus.Registry // default: a new one; /metrics serves it with the figures of the handler
	Now      func() time.Time     // wall clock, display only; default time.Now

	Conflicts Conflicts // the log of conflicts; nil: it is not served
	Mesh      Mesh      // the mesh that this process belongs to; nil: it is not served
	Version   string    // of this program, where there is no backend that says it
}

// Bounds of requests.
const (
	maxBody = 16 << 10
	maxWait = 30 * time.Second
)

type server struct {
	options  Options
	sessions *sessions
	metrics  *metrics
	posts    *rate.Limiter
	orders   *rate.Limiter
}

// Handler serves the API and the dashboard.
func Handler(o Options) http.Handler {
	if o.Backend == nil {
		return MeshHandler(o)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	s := &server{options: o, sessions: newSessions(o.Token, o.Now), posts: newPosts()}
	s.metrics = newMetrics(o.Registry, o.Backend, o.Hub)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", s.private(promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})))
	mux.Handle("GET /api/v1/status", s.private(http.HandlerFunc(s.getStatus)))
	mux.Handle("GET /api/v1/agents", s.private(http.HandlerFunc(s.getAgents)))
	mux.Handle("GET /api/v1/agents/{name}", s.private(http.HandlerFunc(s.getAgent)))
	mux.Handle("POST /api/v1/agents/{name}/{do}", s.private(http.HandlerFunc(s.postRequest)))
	mux.Handle("GET /api/v1/escalations", s.private(http.HandlerFunc(s.getQuestions)))
	mux.Handle("GET /api/v1/escalations/{id}", s.private(http.HandlerFunc(s.getQuestion)))
	mux.Handle("POST /api/v1/escalations/{id}/ruling", s.private(http.HandlerFunc(s.postRuling)))
	mux.Handle("GET /api/v1/rulings", s.private(http.HandlerFunc(s.getRulings)))
	mux.Handle("GET /api/v1/events", s.private(http.HandlerFunc(s.stream)))
	if _, ok := o.Backend.(Decisions); ok {
		mux.Handle("GET /api/v1/decisions", s.private(http.HandlerFunc(s.getDecisions)))
		mux.Handle("GET /api/v1/decisions/{id}", s.private(http.HandlerFunc(s.getDecision)))
	}
	if _, ok := o.Backend.(Whys); ok {
		mux.Handle("GET /api/v1/decisions/{id}/why", s.private(http.HandlerFunc(s.getWhy)))
	}
	if _, ok := o.Backend.(Measurer); ok {
		mux.Handle("GET /api/v1/latency.svg", s.private(http.HandlerFunc(s.getPlot)))
	}
	if _, ok := o.Backend.(Poster); ok {
		mux.Handle("POST /api/v1/signals", s.private(http.HandlerFunc(s.postSignals)))
	}
	if _, ok := o.Backend.(Coordinator); ok {
		mux.Handle("POST /api/v1/coordination", s.private(http.HandlerFunc(s.postCommand)))
	}
	s.conflicts(mux)
	s.mesh(mux)
	mux.HandleFunc("POST /api/v1/session", s.postSession)
	mux.HandleFunc("DELETE /api/v1/session", s.deleteSession)
	s.page(mux)
	return s.guard(s.metrics.count(jsonErrors(mux)))
}

// jsonErrors turns the mux's own 404 and 405 into problem documents.
func jsonErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &recorder{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if allow := probe.header.Get("Allow"); probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", allow)
			fail(w, problem(probe.status, "method", fmt.Sprintf("%s %s: method not allowed", r.Method, r.URL.Path), "allowed: "+allow))
			return
		}
		fail(w, problem(http.StatusNotFound, "unknown", fmt.Sprintf("%s %s: no such address", r.Method, r.URL.Path), "the addresses are in docs/http-api.md: /api/v1/status, /agents, /escalations, /rulings, /events, of a robot also /decisions"))
	})
}

// recorder takes the mux's refusal: its header and status.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

func (s *server) status() Status {
	st := s.options.Backend.Status()
	st.Watchers, st.Now = s.options.Hub.Watchers(), s.options.Now().UTC()
	return st
}

func (s *server) getStatus(w http.ResponseWriter, r *http.Request) {
	st := s.status()
	s.withMesh(r.Context(), &st)
	reply(w, http.StatusOK, st)
}

func (s *server) getAgents(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"agents": s.options.Backend.Agents()})
}

func (s *server) getAgent(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	for _, a := range s.options.Backend.Agents() {
		if a.Name == name {
			reply(w, http.StatusOK, a)
			return
		}
	}
	fail(w, fmt.Errorf("show %q: %w agent", name, conductor.ErrUnknown))
}

func (s *server) getQuestions(w http.ResponseWriter, r *http.Request) {
	state := r.URL.Query().Get("state")
	switch state {
	case "":
		state = "open"
	case "open", "closed", "all":
	default:
		fail(w, problem(http.StatusBadRequest, "invalid", fmt.Sprintf("list escalations: unknown state %q", state), "give state=open, closed or all"))
		return
	}
	reply(w, http.StatusOK, map[string]any{"escalations": s.options.Backend.Questions(state)})
}

func (s *server) getQuestion(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if q, ok := s.question(id); ok {
		reply(w, http.StatusOK, q)
		return
	}
	fail(w, fmt.Errorf("show %q: %w question", id, conductor.ErrUnknown))
}

func (s *server) question(id string) (conductor.Question, bool) {
	if r, ok := s.options.Backend.(Recaller); ok {
		return r.Question(id)
	}
	for _, q := range s.options.Backend.Questions("all") {
		if q.ID == id {
			return q, true
		}
	}
	return conductor.Question{}, false
}

func (s *server) getRulings(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"rulings": s.options.Backend.Rulings()})
}

// Receipt answers a ruling or a request: it is stored; Ack is there when the
// robot answered within ?wait.
type Receipt struct {
	ID  string    `json:"id"`
	Ack *mesh.Ack `json:"ack,omitempty"`
}

func (s *server) postRuling(w http.ResponseWriter, r *http.Request) {
	var ruling struct {
		Verdict string `json:"verdict"`
		Option  string `json:"option"`
		By      string `json:"by"`
		Note    string `json:"note"`
	}
	if err := readBody(w, r, &ruling, true); err != nil {
		fail(w, err)
		return
	}
	s.carry(w, r, func(ctx context.Context) (string, error) {
		return s.options.Backend.Rule(ctx, r.PathValue("id"), mesh.Ruling{Verdict: ruling.Verdict, Option: ruling.Option, By: ruling.By, Note: ruling.Note})
	})
}

func (s *server) postRequest(w http.ResponseWriter, r *http.Request) {
	do := r.PathValue("do")
	if do != "start" && do != "stop" && do != "clear" {
		fail(w, problem(http.StatusNotFound, "unknown", fmt.Sprintf("POST %s: no such address", r.URL.Path), "give start, stop or clear"))
		return
	}
	var body struct {
		By    string `json:"by"`
		Latch string `json:"latch"`
	}
	if err := readBody(w, r, &body, true); err != nil {
		fail(w, err)
		return
	}
	s.carry(w, r, func(ctx context.Context) (string, error) {
		return s.options.Backend.Request(ctx, r.PathValue("name"), mesh.Request{Do: do, By: body.By, Latch: body.Latch})
	})
}

// carry does what stores a ruling or request, then waits for its answer as long
// as the caller asked.
func (s *server) carry(w http.ResponseWriter, r *http.Request, store func(context.Context) (string, error)) {
	wait, err := waitOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	id, err := store(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	receipt := Receipt{ID: id}
	if wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		defer cancel()
		if ack, ok := s.options.Backend.Await(ctx, id); ok {
			receipt.Ack = &ack
		}
	}
	reply(w, http.StatusAccepted, receipt)
}

func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, problem(http.StatusBadRequest, "invalid", fmt.Sprintf("read wait: %q is no duration from 0 to %s", text, maxWait), "write wait=2s")
	}
	return wait, nil
}

// readBody reads a small JSON object. It must be declared as JSON: a form of
// another site cannot do that without asking first.
func readBody(w http.ResponseWriter, r *http.Request, into any, strict bool) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, "content-type", "read body: it is not declared as JSON", "send Content-Type: application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return problem(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("read body: it is larger than %d bytes", maxBody), "")
		}
		return problem(http.StatusBadRequest, "invalid", fmt.Sprintf("read body: %v", err), `send one JSON object, e.g. {"verdict": "approve", "by": "your name"}`)
	}
	if d.More() {
		return problem(http.StatusBadRequest, "invalid", "read body: more than one JSON value", "send one JSON object")
	}
	return nil
}

func (s *server) getDecisions(w http.ResponseWriter, r *http.Request) {
	limit := 50
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			fail(w, problem(http.StatusBadRequest, "invalid", fmt.Sprintf("read limit: %q is no number from 1 to 1000", text), ""))
			return
		}
		limit = n
	}
	list, err := s.options.Backend.(Decisions).Decisions(limit)
	if err != nil {
		fail(w, err)
		return
	}
	if list == nil {
		list = []json.RawMessage{}
	}
	reply(w, http.StatusOK, map[string]any{"decisions": list})
}

func (s *server) getDecision(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	d, ok, err := s.options.Backend.(Decisions).Decision(id)
	switch {
	case err != nil:
		fail(w, err)
	case !ok:
		fail(w, fmt.Errorf("show decision %q: %w decision", id, conductor.ErrUnknown))
	default:
		reply(w, http.StatusOK, d)
	}
}

func (s *server) getWhy(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	why, ok, err := s.options.Backend.(Whys).Why(r.Context(), id)
	switch {
	case err != nil:
		fail(w, err)
	case !ok:
		fail(w, fmt.Errorf("explain decision %q: %w decision", id, conductor.ErrUnknown))
	default:
		reply(w, http.StatusOK, why)
	}
}
