package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// Event is something that QEMU tells of the machine, such as RESET or WATCHDOG
// (QEMU: interop/qemu-qmp-ref.html).
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
	At   time.Time       `json:"-"` // when it came, on this machine's clock
}

// keptEvents bounds the events of one machine; what follows is dropped.
const keptEvents = 1024

// Monitor is the machine's monitor (QMP). Its methods may be called by several
// goroutines.
type Monitor struct {
	conn    net.Conn
	asked   sync.Mutex // one question at a time: they are answered in order
	answers chan answer
	mutex   sync.Mutex
	events  []Event
	changed chan struct{}
	done    chan struct{}
}

// answer is an answer of QMP.
type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class, Desc string
	} `json:"error"`
}

// newMonitor takes the greeting and leaves the negotiation.
func newMonitor(conn net.Conn) (*Monitor, error) {
	m := &Monitor{conn: conn, answers: make(chan answer, 1), changed: make(chan struct{}), done: make(chan struct{})}
	go m.read()
	if _, err := m.Do("qmp_capabilities", nil); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Monitor) read() {
	defer close(m.done)
	for d := json.NewDecoder(m.conn); ; {
		var message struct {
			Event
			answer
			Greeting json.RawMessage `json:"QMP"`
		}
		if err := d.Decode(&message); err != nil {
			return
		}
		switch {
		case message.Greeting != nil:
		case message.Name != "":
			m.keep(message.Event)
		default:
			select {
			case m.answers <- message.answer:
			default: // to a question that was given up
			}
		}
	}
}

func (m *Monitor) keep(e Event) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if len(m.events) < keptEvents {
		e.At = time.Now()
		m.events = append(m.events, e)
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

// Do carries out a command and gives what it returns.
func (m *Monitor) Do(command string, arguments any) (json.RawMessage, error) {
	m.asked.Lock()
	defer m.asked.Unlock()
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return nil, err
	}
	if _, err := m.conn.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("monitor: %s: %w", command, err)
	}
	select {
	case a := <-m.answers:
		if a.Error != nil {
			return nil, fmt.Errorf("monitor: %s: %s", command, a.Error.Desc)
		}
		return a.Return, nil
	case <-m.done:
		return nil, fmt.Errorf("monitor: %s: QEMU has closed it", command)
	case <-time.After(callWithin):
		return nil, fmt.Errorf("monitor: %s: no answer", command)
	}
}

// Events gives the events of a name so far, the oldest first.
func (m *Monitor) Events(name string) []Event {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var found []Event
	for _, e := range m.events {
		if e.Name == name {
			found = append(found, e)
		}
	}
	return found
}

// Await waits for the n-th event of a name, the first being 1.
func (m *Monitor) Await(ctx context.Context, name string, n int) (Event, error) {
	for {
		m.mutex.Lock()
		changed := m.changed
		m.mutex.Unlock()
		if found := m.Events(name); len(found) >= n {
			return found[n-1], nil
		}
		select {
		case <-changed:
		case <-m.done:
			if found := m.Events(name); len(found) >= n {
				return found[n-1], nil
			}
			return Event{}, fmt.Errorf("monitor: QEMU ended before event %s", name)
		case <-ctx.Done():
			return Event{}, fmt.Errorf("monitor: event %s: %w", name, ctx.Err())
		}
	}
}
