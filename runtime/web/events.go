package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Kinds of the events that the hub itself is fed with by a backend. Every other
// kind is one of design part 8 (reflex, output, lease, ...) and passes through.
const (
	EventAgent      = "agent"      // Data: conductor.Agent
	EventEscalation = "escalation" // Data: conductor.Question
	EventRuling     = "ruling"     // Data: conductor.Ruling, new or acknowledged
	EventStatus     = "status"     // Data: Status
	EventSnapshot   = "snapshot"   // Data: Snapshot; the first event of every stream
)

// Event is one server-sent event: its kind is the SSE event name, and the whole
// of it is the data, one JSON object a line.
type Event struct {
	At    time.Time       `json:"at"`
	Kind  string          `json:"kind"`
	Agent string          `json:"agent,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// Bounds of the hub.
const (
	hubWatchers = 64  // streams at once; more get 503
	hubQueue    = 512 // events that wait for one slow watcher; then it is cut off and comes back
	heartbeat   = 15 * time.Second
	retryMillis = 1000
)

// Hub hands events to everybody who watches. Publish never blocks: a watcher
// that falls behind is cut off, connects again and starts from a snapshot, so
// that nobody ever sees a list with holes.
type Hub struct {
	mutex    sync.Mutex
	watchers map[*watcher]struct{}
	closed   bool
	cut      uint64
	sent     uint64
}

type watcher struct {
	queue chan Event // closed when the watcher is cut off or the hub closes
}

// NewHub makes a hub without watchers.
func NewHub() *Hub { return &Hub{watchers: map[*watcher]struct{}{}} }

// Publish hands one event to all watchers.
func (h *Hub) Publish(e Event) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for w := range h.watchers {
		select {
		case w.queue <- e:
			h.sent++
		default:
			h.cut++
			h.remove(w)
		}
	}
}

// PublishJSON is Publish with data of any type.
func (h *Hub) PublishJSON(at time.Time, kind, agent string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", kind, err)
	}
	h.Publish(Event{At: at.UTC(), Kind: kind, Agent: agent, Data: raw})
	return nil
}

// Watchers is the number of open streams; Cut how many fell behind so far.
func (h *Hub) Watchers() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.watchers)
}

// Cut is the number of watchers that fell behind and were cut off.
func (h *Hub) Cut() uint64 {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.cut
}

// Close ends every stream; later ones end at once.
func (h *Hub) Close() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.closed = true
	for w := range h.watchers {
		h.remove(w)
	}
}

func (h *Hub) remove(w *watcher) {
	if _, ok := h.watchers[w]; ok {
		delete(h.watchers, w)
		close(w.queue)
	}
}

func (h *Hub) subscribe() (*watcher, bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed || len(h.watchers) >= hubWatchers {
		return nil, false
	}
	w := &watcher{queue: make(chan Event, hubQueue)}
	h.watchers[w] = struct{}{}
	return w, true
}

func (h *Hub) unsubscribe(w *watcher) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.remove(w)
}

// stream serves GET /api/v1/events until the peer goes, falls behind, or the hub
// closes.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	sub, ok := s.options.Hub.subscribe()
	if !ok {
		w.Header().Set("Retry-After", "5")
		fail(w, problem(http.StatusServiceUnavailable, "too-many-watchers", fmt.Sprintf("watch events: %d streams are open already", hubWatchers), "close a page"))
		return
	}
	defer s.options.Hub.unsubscribe(sub)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // a stream reads nothing more
	send := func(e Event) bool {
		data, err := json.Marshal(e)
		if err != nil {
			return false
		}
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", oneLine(e.Kind), data); err != nil {
			return false
		}
		return true
	}
	fmt.Fprintf(w, "retry: %d\n\n", retryMillis)
	if !send(s.snapshot()) || out.Flush() != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-sub.queue:
			if !ok || !send(e) {
				return
			}
			if len(sub.queue) > 0 {
				continue // flush once for a burst
			}
		case <-beat.C:
			if !send(s.event(EventStatus, s.status())) {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

// oneLine keeps a kind from a peer from breaking the framing of the stream.
func oneLine(kind string) string {
	for _, c := range []byte(kind) {
		if !(c >= 'a' && c <= 'z' || c == '-' || c == '_') {
			return "event"
		}
	}
	return kind
}

// Snapshot is all that a page shows, at one moment.
type Snapshot struct {
	Status      Status `json:"status"`
	Agents      any    `json:"agents"`
	Escalations any    `json:"escalations"`
	Rulings     any    `json:"rulings"`
}

func (s *server) snapshot() Event {
	b := s.options.Backend
	closed := b.Questions("closed")
	questions := append(b.Questions("open"), closed[:min(len(closed), snapshotClosed)]...)
	rulings := b.Rulings()
	return s.event(EventSnapshot, Snapshot{s.status(), b.Agents(), questions, rulings[:min(len(rulings), snapshotRulings)]})
}

// How much of the past a page starts with.
const (
	snapshotClosed  = 50
	snapshotRulings = 200
)

func (s *server) event(kind string, data any) Event {
	raw, err := json.Marshal(data)
	if err != nil {
		raw = json.RawMessage(`null`)
	}
	return Event{At: s.options.Now().UTC(), Kind: kind, Data: raw}
}

// eventKind is the kind inside the body of a robot's event (design part 8), by
// which the page and scripts tell events apart. The hub's own kinds carry data
// of ours: a robot's event of such a name goes by "event".
func eventKind(body json.RawMessage) string {
	var e struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal(body, &e) != nil || e.Kind == "" {
		return "event"
	}
	switch e.Kind {
	case EventAgent, EventEscalation, EventRuling, EventStatus, EventSnapshot:
		return "event"
	}
	return oneLine(e.Kind)
}

// eventData is what the event says: the "data" of a robot's message, or all of a
// body that has none.
func eventData(body json.RawMessage) json.RawMessage {
	var e struct {
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &e) != nil || len(e.Data) == 0 || e.Data[0] != '{' {
		return body
	}
	return e.Data
}
