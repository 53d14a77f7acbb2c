package record

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/reflex"
	"dancer/runtime/link"
	"dancer/storage/recording"
)

// Names of the channels that a replay reads. Every message has the time on the
// robot's monotonic clock, in nanoseconds, in "monotonic".
const (
	TopicReading  = "/reading"
	TopicTrace    = "/trace"
	TopicDecision = "/decision"
	TopicQuestion = "/question"
	TopicRuling   = "/ruling"
	TopicOutcome  = "/outcome"
	TopicGap      = "/gap"
	TopicRecorder = "/recorder"
)

// Reading is one value of one signal that entered the spine.
type Reading struct {
	Monotonic time.Duration `json:"monotonic"` // when the rules were told of it
	At        time.Duration `json:"at"`        // of the reading, on the same clock
	Name      string        `json:"name"`
	Value     *float64      `json:"value,omitempty"` // as it came; absent when it is no finite number
	Validity  string        `json:"validity"`
	End       bool          `json:"end,omitempty"`  // the last of its frame
	Kind      string        `json:"kind,omitempty"` // overtook: another reading came in the same frame
}

// Trace is what else went into the reflex table, or came out of it.
type Trace struct {
	Monotonic time.Duration `json:"monotonic"`
	Kind      string        `json:"kind"`            // see link.TraceKind
	Name      string        `json:"name,omitempty"`  // of the signal, output or rule
	Value     *float64      `json:"value,omitempty"` // of an output
	Move      string        `json:"move,omitempty"`  // what a rule did: fired, ended, latched, cleared
	End       bool          `json:"end,omitempty"`   // the last of its pass
}

// Question is something about the robot's question: what must be told of it, or
// where it stands just before the decision that follows.
type Question struct {
	Monotonic time.Duration          `json:"monotonic"`
	Change    *Change                `json:"change,omitempty"`
	Snapshot  *dancer.QuestionRecord `json:"snapshot,omitempty"`
}

// Change is dancer.Change.
type Change struct {
	ID        string        `json:"id"`
	Revision  int           `json:"revision"`
	State     string        `json:"state"`
	RaisedAt  time.Duration `json:"raised_at"`
	Due       time.Duration `json:"due"`
	Situation string        `json:"situation"`
	Because   []string      `json:"because,omitempty"`
	Hold      string        `json:"hold"`
	OnTimeout string        `json:"on_timeout"`
	Proposed  string        `json:"proposed"`
	Running   string        `json:"running"`
	Who       string        `json:"who"`
}

// ChangeOf gives a change as it is recorded.
func ChangeOf(c *dancer.Change) *Change {
	return &Change{
		ID: c.ID, Revision: c.Revision, State: c.State.String(), RaisedAt: c.RaisedAt, Due: c.Due,
		Situation: c.Situation, Because: c.Because, Hold: c.Hold, OnTimeout: c.OnTimeout,
		Proposed: c.Proposed, Running: c.Running, Who: c.Who,
	}
}

// Ruling is a ruling as the question was told of it, and what became of it.
type Ruling struct {
	Monotonic time.Duration `json:"monotonic"`
	Question  string        `json:"question"`
	Verdict   string        `json:"verdict"`
	Option    string        `json:"option,omitempty"`
	By        string        `json:"by"`
	Outcome   string        `json:"outcome"`
	Why       string        `json:"why,omitempty"`
	Running   string        `json:"running"`
}

// Outcome is what followed a decision.
type Outcome struct {
	Monotonic time.Duration `json:"monotonic"`
	dancer.Outcome
}

// What a Gap can be of.
const (
	GapReadings  = "readings"  // readings and traces
	GapDecisions = "decisions" // decisions, questions and rulings
	GapEvents    = "events"    // everything else
	GapAll       = "all"       // messages of every kind
)

// Gap stands where something is missing.
type Gap struct {
	Monotonic time.Duration `json:"monotonic"`
	What      string        `json:"what"`
	Count     uint64        `json:"count"`
	Where     string        `json:"where"` // spine: its ring was full; queue: the disk did not keep up; disk: it was full or broken; length: too long to be recorded
}

// Pulse says every few seconds that the recording goes on.
type Pulse struct {
	Monotonic time.Duration `json:"monotonic"`
	Lost      uint64        `json:"lost"`   // by this recorder, all that gaps tell of
	Queued    int           `json:"queued"` // waiting when it was written
}

// Event is a kind of event of the robot and a body of it, for its schema.
type Event struct {
	Kind string
	Body any
	Soon bool // it tells why the robot stands as it does: on the disk within a second, whatever becomes of this process
}

// topics gives the channels: those above, and one for each kind of event.
func topics(events []Event) []recording.Topic {
	all := []recording.Topic{}
	for _, t := range []struct {
		name, title string
		body        any
	}{
		{TopicReading, "dancer.Reading", Reading{}}, {TopicTrace, "dancer.Trace", Trace{}},
		{TopicDecision, "dancer.Decision", dancer.Decision{}}, {TopicQuestion, "dancer.Question", Question{}},
		{TopicRuling, "dancer.Ruling", Ruling{}}, {TopicOutcome, "dancer.Outcome", Outcome{}},
		{TopicGap, "dancer.Gap", Gap{}}, {TopicRecorder, "dancer.Recorder", Pulse{}},
	} {
		all = append(all, recording.Topic{Name: t.name, Title: t.title, Schema: recording.Schema(t.title, t.body)})
	}
	for _, e := range events {
		title := "dancer.event." + e.Kind
		all = append(all, recording.Topic{Name: "/" + e.Kind, Title: title, Schema: recording.Schema(title, e.Body, recording.Property{Name: "monotonic", Type: "integer"})})
	}
	return all
}

// eventMessage adds the time to an event's body, which encodes as an object.
func eventMessage(at time.Duration, body any) ([]byte, error) {
	fields, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if len(fields) < 2 || fields[0] != '{' {
		return nil, fmt.Errorf("%s is no object", fields)
	}
	b := strconv.AppendInt([]byte(`{"monotonic":`), int64(at), 10)
	if len(fields) > len("{}") {
		b = append(b, ',')
	}
	return append(b, fields[1:]...), nil
}

// names are those of a manual as JSON strings, because a trace has an index.
type names struct{ signals, outputs, rules []string }

func namesOf(m *dancer.Manual) names {
	var n names
	for i := range m.Signals {
		n.signals = append(n.signals, quoted(m.Signals[i].Name))
	}
	for i := range m.Outputs {
		n.outputs = append(n.outputs, quoted(m.Outputs[i].Name))
	}
	for i := range m.Rules {
		n.rules = append(n.rules, quoted(m.Rules[i].Name))
	}
	return n
}

func quoted(name string) string {
	b, err := json.Marshal(name)
	if err != nil {
		return `""`
	}
	return string(b)
}

// at gives a name, "" for an index that another process made up.
func at(list []string, i int32) string {
	if i < 0 || int(i) >= len(list) {
		return `""`
	}
	return list[i]
}

// appendTrace encodes a trace and says which of the two topics it belongs to. It
// is what encoding/json makes of Reading and Trace, without its cost.
func (n *names) appendTrace(b []byte, t *link.Trace) (out []byte, reading bool) {
	b = strconv.AppendInt(append(b, `{"monotonic":`...), int64(t.Now), 10)
	if t.Kind == link.TraceReading || t.Kind == link.TraceOvertook {
		return n.appendReading(b, t), true
	}
	b = append(append(append(b, `,"kind":"`...), t.Kind.String()...), '"')
	switch t.Kind {
	case link.TraceOutput, link.TraceSettled:
		b = append(append(b, `,"name":`...), at(n.outputs, t.Index)...)
		b = appendValue(b, t.Value)
	case link.TraceSeen:
		b = append(append(b, `,"name":`...), at(n.signals, t.Index)...)
	case link.TraceRestore, link.TraceClear:
		b = append(append(b, `,"name":`...), at(n.rules, t.Index)...)
	case link.TraceMove:
		b = append(append(b, `,"name":`...), at(n.rules, t.Index)...)
		b = append(append(append(b, `,"move":"`...), reflex.Kind(t.Flags).String()...), '"')
	}
	return appendEnd(b, t.Kind != link.TraceMove && t.End()), false
}

func (n *names) appendReading(b []byte, t *link.Trace) []byte {
	b = strconv.AppendInt(append(b, `,"at":`...), int64(t.At), 10)
	b = append(append(b, `,"name":`...), at(n.signals, t.Index)...)
	b = appendValue(b, t.Value)
	b = append(append(append(b, `,"validity":"`...), t.Validity().String()...), '"')
	if t.Kind == link.TraceOvertook {
		b = append(b, `,"kind":"overtook"`...)
	}
	return appendEnd(b, t.End())
}

func appendEnd(b []byte, end bool) []byte {
	if end {
		b = append(b, `,"end":true`...)
	}
	return append(b, '}')
}

// appendValue leaves out what JSON has no number for.
func appendValue(b []byte, x float64) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return b
	}
	return strconv.AppendFloat(append(b, `,"value":`...), x, 'g', -1, 64)
}

// Usable says whether a recorded reading was valid.
func (r *Reading) Usable() bool { return r.Validity == hal.Valid.String() && r.Value != nil }
