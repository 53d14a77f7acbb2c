package conflict

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"dancer/mesh"
)

// RecordVersion is the version of Record. A reader refuses every other one.
const RecordVersion = 1

// Bounds of a record, in bytes.
const (
	MaxRecordBytes = 16 << 10
	maxValueText   = 512
	maxText        = 512
)

// What happened to a conflict.
const (
	EventOpened    = "opened"    // first report
	EventAgain     = "again"     // reported so often by now: 2, 4, 8, ...
	EventRaised    = "raised"    // its priority rose: more agents, or the deadline ran out
	EventResolved  = "resolved"  // a rule or somebody decided
	EventReleased  = "released"  // what it brought may act
	EventDiscarded = "discarded" // what it brought is dropped
	EventUnqueued  = "unqueued"  // told and logged, and no task: the queue or its reporter's share was full
)

// Record is one line of the conflict log. Each is complete by itself: all records
// of a conflict have its id, and the newest says how it stands.
type Record struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`            // ULID of the conflict
	Key      string    `json:"key,omitempty"` // Key in hexadecimal digits
	Event    string    `json:"event"`
	At       time.Time `json:"at"`               // wall clock of the log's owner
	Agent    string    `json:"agent"`            // who found it
	Source   string    `json:"source,omitempty"` // who sent the received value, where that is known
	Cell     string    `json:"cell,omitempty"`
	Message  string    `json:"message,omitempty"` // id of the message that brought it
	Type     Type      `json:"type"`
	Priority Priority  `json:"priority"`
	Subject  string    `json:"subject"` // what the two values are of
	Expected Value     `json:"expected"`
	Received Value     `json:"received"`
	Context  string    `json:"context,omitempty"` // hash of what the finder had loaded: its manual
	Count    uint64    `json:"count"`             // reports so far
	Agents   int       `json:"agents"`            // different reporters, exact up to 128
	DueAt    time.Time `json:"due_at,omitzero"`   // when the priority rises, by the wall clock; none: it does not

	Quarantined *Quarantined `json:"quarantined,omitempty"`

	Strategy  string   `json:"strategy"`
	Escalated []string `json:"escalated,omitempty"` // who was told with this record
	Outcome   string   `json:"outcome,omitempty"`   // of a decision, see Outcome
	By        string   `json:"by,omitempty"`        // who decided: a name, or rule
	Why       string   `json:"why,omitempty"`
}

// ByRule is who decided where a rule did.
const ByRule = "rule"

// Value is one of two values that do not agree.
type Value struct {
	Text   string `json:"text"`             // up to 512 bytes of it
	Bytes  int    `json:"bytes,omitempty"`  // of all of it, where Text is cut
	SHA256 string `json:"sha256,omitempty"` // of all of it, where Text is cut
}

// ValueOf makes a value of any text.
func ValueOf(text string) Value {
	if len(text) <= maxValueText && utf8.ValidString(text) {
		return Value{Text: text}
	}
	sum := sha256.Sum256([]byte(text))
	return Value{Text: clip(strings.ToValidUTF8(text, "\uFFFD"), maxValueText), Bytes: len(text), SHA256: hex.EncodeToString(sum[:])}
}

// Quarantined says what of a conflict is held back.
type Quarantined struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	Data   []byte `json:"data,omitempty"` // none: too large or no room, its hash is all there is
}

// Closed says whether the conflict needs nobody any more.
func (r *Record) Closed() bool {
	switch r.Event {
	case EventResolved, EventReleased, EventDiscarded, EventUnqueued:
		return true
	}
	return false
}

// Encode gives the JSON of a valid record.
func (r *Record) Encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode conflict %s: %w", r.ID, err)
	}
	if len(data) > MaxRecordBytes {
		return nil, fmt.Errorf("%w: record of %d bytes, the limit is %d", ErrInvalid, len(data), MaxRecordBytes)
	}
	return data, nil
}

// DecodeRecord reads and checks one.
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if len(data) > MaxRecordBytes {
		return r, fmt.Errorf("%w: record of %d bytes, the limit is %d", ErrInvalid, len(data), MaxRecordBytes)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return r, r.Validate()
}

// Validate reports the first field that is missing or out of its range.
func (r *Record) Validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: record: %s", ErrInvalid, what) }
	switch {
	case r.Version != RecordVersion:
		return bad(fmt.Sprintf("version %d, this program reads %d", r.Version, RecordVersion))
	case !mesh.ValidID(r.ID):
		return bad("its id is not a ULID")
	case !validEvent(r.Event):
		return bad(fmt.Sprintf("event %q", clip(r.Event, 40)))
	case r.At.IsZero() || r.At.Year() < 1970 || r.At.Year() > 9999:
		return bad("no time")
	case !r.Type.Valid() || !r.Priority.Valid():
		return bad("type or priority")
	case mesh.ValidSender(r.Agent) != nil || r.Source != "" && mesh.ValidSender(r.Source) != nil || r.Cell != "" && mesh.ValidName(r.Cell) != nil:
		return bad("agent, source or cell")
	case r.Subject == "" || r.Count == 0 || r.Agents < 1:
		return bad("subject or count")
	case r.decision() && r.By == "":
		return ErrNobody
	}
	for _, text := range []string{r.Message, r.Subject, r.Context, r.Strategy, r.Outcome, r.By, r.Why, r.Expected.Text, r.Received.Text} {
		if len(text) > maxText+3 || !utf8.ValidString(text) {
			return bad("a text is too long or not UTF-8")
		}
	}
	return nil
}

func (r *Record) decision() bool {
	return r.Event == EventResolved || r.Event == EventReleased || r.Event == EventDiscarded
}

func validEvent(e string) bool {
	switch e {
	case EventOpened, EventAgain, EventRaised, EventResolved, EventReleased, EventDiscarded, EventUnqueued:
		return true
	}
	return false
}

// clip bounds text of a peer, at the end of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
