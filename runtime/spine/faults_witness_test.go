package spine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/runtime/link"
	"dancer/storage/recording"
)

// said is one line of a log, or one message of the broker, and when it came.
type said struct {
	at   time.Duration
	text string
}

// witness keeps what was said, in order.
type witness struct {
	mutex sync.Mutex
	all   []said
}

func (w *witness) add(text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.all = append(w.all, said{link.Now(), text})
}

// heard says whether one message from a time on has all the words.
func (w *witness) heard(from time.Duration, words []string) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for i := len(w.all) - 1; i >= 0 && w.all[i].at >= from; i-- {
		if hasAll(w.all[i].text, words) {
			return true
		}
	}
	return false
}

func hasAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// tail is the end of what was said, for a failure.
func (w *witness) tail(from time.Duration, n int) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var b strings.Builder
	for _, s := range w.all[max(0, len(w.all)-n):] {
		if s.at >= from {
			fmt.Fprintf(&b, "%12v %s\n", s.at-from, s.text)
		}
	}
	return b.String()
}

// lineWitness takes a log, a line at a time.
type lineWitness struct {
	*witness
	rest []byte
}

func (l *lineWitness) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, after, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.add(string(line))
		l.rest = after
	}
}

// Packets of MQTT 3.1.1 (sections 3.1, 3.3 and 3.8), as far as a subscriber with
// QoS 0 needs them.
const (
	mqttConnect   = 0x10
	mqttConnack   = 0x20
	mqttPublish   = 0x30
	mqttSubscribe = 0x82
	mqttPing      = 0xc0
)

// subscribe hears everything that a broker passes on, until the connection ends.
func subscribe(address string, w *witness) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	hello := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0}, mqttText("fault-witness")...) // clean session, no keep-alive
	ask := append([]byte{0, 1}, append(mqttText("#"), 0)...)
	in := bufio.NewReader(conn)
	_, err = conn.Write(append(mqttPacket(mqttConnect, hello), mqttPacket(mqttSubscribe, ask)...))
	if err == nil {
		err = mqttAccepted(in)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go func() { // ends with the connection
		for {
			kind, body, err := mqttRead(in)
			if err != nil {
				return
			}
			if kind&0xf0 == mqttPublish && len(body) > 2 {
				w.add(string(body[2:]))
			}
		}
	}()
	return conn, nil
}

func mqttAccepted(in *bufio.Reader) error {
	kind, body, err := mqttRead(in)
	if err == nil && (kind != mqttConnack || len(body) < 2 || body[1] != 0) {
		err = fmt.Errorf("the broker refuses a subscriber: %x %x", kind, body)
	}
	return err
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func mqttPacket(kind byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...) // its remaining length is a uvarint
}

func mqttRead(in *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(in)
	if err != nil || length > 1<<28 {
		return 0, nil, errors.Join(err, errors.New("no MQTT packet"))
	}
	body = make([]byte, length)
	_, err = io.ReadFull(in, body)
	return kind, body, err
}

// recorded is one message of a recording.
type recorded struct {
	at    time.Duration // on the monotonic clock
	topic string
	text  string
}

// recordedEvents gives the events in all recordings of a data folder, as far as
// they are whole: a brain that was killed leaves its file without an end. The
// many are left out: readings, traces and decisions.
func recordedEvents(t *testing.T, folder string) []recorded {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(BrainFolder(folder), "recordings", "*.mcap"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for _, path := range paths {
		r, done, err := recording.Open(path)
		var damage *recording.Damage
		if r == nil || err != nil && !errors.As(err, &damage) {
			t.Logf("recording %s: %v", filepath.Base(path), err)
			continue
		}
		_ = r.NewReader().Each(func(m *recording.Message) error {
			topic := r.Topics[m.Topic].Name
			switch topic {
			case "/reading", "/trace", "/decision", "/outcome", "/reflex", "/output", "/question":
				return nil
			}
			var at struct {
				Monotonic time.Duration `json:"monotonic"`
			}
			if json.Unmarshal(m.Data, &at) == nil {
				all = append(all, recorded{at.Monotonic, topic, string(m.Data)})
			}
			return nil
		})
		if err := done(); err != nil {
			t.Error(err)
		}
	}
	return all
}

// inRecording says whether an event is there between two times.
func inRecording(all []recorded, from, to time.Duration, topic string, words []string) bool {
	for i := range all {
		if m := &all[i]; m.topic == topic && m.at >= from && m.at <= to && hasAll(m.text, words) {
			return true
		}
	}
	return false
}
