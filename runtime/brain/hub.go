package brain

import (
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Event kinds, as `dancer run --events` writes them.
const (
	kindSignal     = "signal"
	kindReflex     = "reflex"
	kindLatch      = "latch"
	kindDecision   = "decision"
	kindOutput     = "output"
	kindEscalation = "escalation"
	kindRuling     = "ruling"
	kindLease      = "lease"
	kindMode       = "mode"
	kindOverrun    = "overrun"
	kindMarker     = "marker"
	kindPort       = "port"
	kindBrain      = "brain"
	kindModel      = "model"
	kindRestart    = "restart"
	kindClock      = "clock"
	kindCell       = "cell"
	kindConflict   = "conflict"
)

// hubQueue bounds what one slow reader may leave unread: at ten decisions a
// second about a minute.
const hubQueue = 1024

// hub hands each event to every reader. It never waits for one: a full reader
// loses the event and the loss is counted.
type hub struct {
	now     func() time.Time
	lost    atomic.Uint64
	mutex   sync.Mutex
	readers map[chan []byte]struct{}
	closed  bool
}

func newHub(now func() time.Time) *hub {
	return &hub{now: now, readers: map[chan []byte]struct{}{}}
}

// emit writes {"at":...,"kind":kind, fields of body...} to every reader. body is
// a struct or map that encodes as a JSON object.
func (h *hub) emit(kind string, body any) error {
	line, err := eventLine(h.now(), kind, body)
	if err != nil {
		return err
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for reader := range h.readers {
		select {
		case reader <- line:
		default:
			h.lost.Add(1)
		}
	}
	return nil
}

// eventLine is one line of the event stream, without its line feed.
func eventLine(at time.Time, kind string, body any) ([]byte, error) {
	fields, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		At   time.Time `json:"at"`
		Kind string    `json:"kind"`
	}{at.UTC(), kind})
	if err != nil {
		return nil, err
	}
	if len(fields) <= len("{}") {
		return head, nil
	}
	line := append(head[:len(head)-1], ',')
	return append(line, fields[1:]...), nil
}

// subscribe gives a reader's channel and the function that ends it. The channel
// is closed when the hub closes.
func (h *hub) subscribe() (<-chan []byte, func()) {
	reader := make(chan []byte, hubQueue)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed {
		close(reader)
		return reader, func() {}
	}
	h.readers[reader] = struct{}{}
	return reader, func() { h.drop(reader) }
}

func (h *hub) drop(reader chan []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if _, ok := h.readers[reader]; ok {
		delete(h.readers, reader)
		close(reader)
	}
}

func (h *hub) close() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.closed = true
	for reader := range h.readers {
		delete(h.readers, reader)
		close(reader)
	}
}

// copyTo writes every event as a line to w until the hub closes, and gives the
// first error of w. It goes on reading after one, so that nothing else suffers.
func (h *hub) copyTo(events <-chan []byte, w io.Writer) error {
	var first error
	for line := range events {
		if first != nil {
			h.lost.Add(1)
			continue
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			first = err
		}
	}
	return first
}
