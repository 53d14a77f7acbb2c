package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/partner"
	"dancer/runtime/record"
	"dancer/storage/recording"
)

// event is one message that matters to a replay; one field is set.
type event struct {
	reading  reading
	trace    *record.Trace
	decision *dancer.Decision
	question *record.Question
	ruling   *record.Ruling
	gap      *record.Gap
	err      error

	difference *Difference // of the decision, made again
}

// reading is a record.Reading without what would have to be allocated: there are
// a hundred of them for every decision.
type reading struct {
	is       bool // there is one
	end      bool
	overtook bool
	lost     bool  // no reading need come that confirms it: Validity.TimedOut
	slot     int32 // of the signal, -1 for a name that the manual does not have
	now      time.Duration
	value    float64 // as rules read it: NaN unless it is valid
}

// batch is what one chunk holds.
type batch struct {
	events   []event
	messages uint64
}

// worker decodes chunks and makes their decisions again.
func (r *run) worker(ctx context.Context, f *file) func() func(job int) *batch {
	return func() func(job int) *batch {
		w := &maker{ctx: ctx, run: r, reader: f.recording.NewReader(), topics: f.recording.Topics, signals: r.reflexes.signals}
		w.partner.Cut = func() bool { return ctx.Err() != nil } // nobody wants it any more
		return w.chunk
	}
}

// maker is one worker, with a forecaster of its own.
type maker struct {
	ctx     context.Context
	run     *run
	reader  *recording.Reader
	topics  []recording.Topic
	signals map[string]int
	partner partner.Partner
}

func (w *maker) chunk(job int) *batch {
	b := &batch{}
	err := w.reader.Chunk(job, func(m *recording.Message) error {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		b.messages++
		e, err := w.event(w.topics[m.Topic].Name, m.Data)
		if err != nil {
			return fmt.Errorf("message %d of %s at %s: %w", m.Sequence, w.topics[m.Topic].Name, time.Unix(0, int64(m.LogTime)).UTC().Format(time.RFC3339Nano), err)
		}
		if e != (event{}) {
			b.events = append(b.events, e)
		}
		return nil
	})
	if err != nil {
		b.events = append(b.events, event{err: err})
	}
	return b
}

func (w *maker) event(topic string, data []byte) (e event, err error) {
	switch topic {
	case record.TopicReading:
		if !w.quick(data, &e.reading) {
			err = w.slow(data, &e.reading)
		}
	case record.TopicTrace:
		e.trace = &record.Trace{}
		err = decode(data, e.trace)
	case record.TopicDecision:
		e.decision = &dancer.Decision{}
		if err = decode(data, e.decision); err == nil {
			e.difference, err = w.again(data, e.decision)
		}
	case record.TopicQuestion:
		e.question = &record.Question{}
		err = decode(data, e.question)
	case record.TopicRuling:
		e.ruling = &record.Ruling{}
		err = decode(data, e.ruling)
	case record.TopicGap:
		e.gap = &record.Gap{}
		err = decode(data, e.gap)
	}
	return e, err
}

// decode reads a message into what it is. A field of a newer program is no
// error: what it would change shows as a difference.
func decode(data []byte, into any) error { return json.Unmarshal(data, into) }

// maxBudget bounds what a hostile recording can ask for.
const maxBudget = 1 << 12

// again makes one decision again. What the caller of Decide fills in is taken
// from the record.
func (w *maker) again(data []byte, d *dancer.Decision) (*Difference, error) {
	if d.Budget > maxBudget {
		return nil, fmt.Errorf("decision %s: a budget of %d roll-outs, at most %d are made again", d.ID, d.Budget, maxBudget)
	}
	m := w.run.robot.Manual
	in := d.Input()
	if w.run.other {
		in = inputFor(m, d)
	}
	again := dancer.Decide(m, in, w.partner.Corners, w.partner.Forecast)
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	again.ID, again.At, again.Question, again.Running, again.Who, again.Elapsed = d.ID, d.At, d.Question, d.Running, d.Who, d.Elapsed
	if w.run.other {
		return verdicts(d, &again), nil
	}
	replayed, err := json.Marshal(&again)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(replayed, data) {
		return nil, nil
	}
	diff := verdicts(d, &again)
	if diff == nil {
		diff = &Difference{}
	}
	diff.What, diff.Decision, diff.Monotonic = "decision", d.ID, d.Monotonic
	diff.Where, diff.Recorded, diff.Replayed = firstDifference(data, replayed)
	return diff, nil
}

// verdicts compares what two decisions rule.
func verdicts(recorded, replayed *dancer.Decision) *Difference {
	a, b := &recorded.Verdict, &replayed.Verdict
	for _, part := range []struct{ where, recorded, replayed string }{
		{"verdict.option", a.Option, b.Option},
		{"verdict.outcome", a.Outcome, b.Outcome},
		{"verdict.escalate", fmt.Sprint(a.Escalate), fmt.Sprint(b.Escalate)},
	} {
		if part.recorded != part.replayed {
			return &Difference{
				What: "verdict", Decision: recorded.ID, Monotonic: recorded.Monotonic,
				Where: part.where, Recorded: part.recorded, Replayed: part.replayed,
				RecordedWhy: a.Why, ReplayedWhy: b.Why,
			}
		}
	}
	return nil
}

// inputFor gives a decision's input to another manual, whose signals and outputs
// can be others: those that the recording does not have were never seen.
func inputFor(m *dancer.Manual, d *dancer.Decision) dancer.Input {
	from := d.Input()
	in := from
	in.Values, in.Validity, in.Age = nil, nil, nil
	for i := range m.Signals {
		value, validity, age := math.NaN(), hal.NeverSeen, time.Duration(0)
		for k := range d.Signals {
			if d.Signals[k].Name == m.Signals[i].Name {
				value, validity, age = from.Values[k], from.Validity[k], from.Age[k]
			}
		}
		in.Values, in.Validity, in.Age = append(in.Values, value), append(in.Validity, validity), append(in.Age, age)
	}
	for i := range m.Outputs {
		value := m.Outputs[i].Safe
		for k := range d.Outputs {
			if d.Outputs[k].Name == m.Outputs[i].Name {
				value = d.Outputs[k].Value
			}
		}
		in.Values = append(in.Values, value)
	}
	return in
}

// slow reads a reading however it is spelled.
func (w *maker) slow(data []byte, out *reading) error {
	var m record.Reading
	if err := decode(data, &m); err != nil {
		return err
	}
	*out = reading{is: true, end: m.End, overtook: m.Kind != "", slot: w.slot([]byte(m.Name)), now: m.Monotonic, value: math.NaN()}
	out.lost = m.Validity == stale || m.Validity == stuck
	if m.Usable() {
		out.value = *m.Value
	}
	return nil
}

func (w *maker) slot(name []byte) int32 {
	if i, ok := w.signals[string(name)]; ok {
		return int32(i)
	}
	return -1
}

// quick reads a reading as package record writes it, ten times as fast as
// encoding/json; false for anything else.
func (w *maker) quick(data []byte, out *reading) bool {
	q := scanner{rest: data}
	*out = reading{is: true, now: time.Duration(q.integer(`{"monotonic":`)), value: math.NaN()}
	q.integer(`,"at":`)
	out.slot = w.slot(q.word(`,"name":"`))
	value := math.NaN()
	if number := `,"value":`; bytes.HasPrefix(q.rest, []byte(number)) {
		value = q.number(number)
	}
	switch string(q.word(`,"validity":"`)) {
	case valid:
		out.value = value
	case stale, stuck:
		out.lost = true
	}
	if kind := `,"kind":"`; bytes.HasPrefix(q.rest, []byte(kind)) {
		q.word(kind)
		out.overtook = true
	}
	out.end = q.skip(`,"end":true`)
	return !q.bad && string(q.rest) == "}"
}

var valid, stale, stuck = hal.Valid.String(), hal.Stale.String(), hal.Stuck.String() // the last two are Validity.TimedOut

// scanner takes known text from the front of a message.
type scanner struct {
	rest []byte
	bad  bool
}

func (q *scanner) skip(text string) bool {
	if len(q.rest) < len(text) || string(q.rest[:len(text)]) != text {
		return false
	}
	q.rest = q.rest[len(text):]
	return true
}

// until takes what follows text, up to the first of two bytes.
func (q *scanner) until(text string, a, b byte) []byte {
	if q.bad || !q.skip(text) {
		q.bad = true
		return nil
	}
	for i, c := range q.rest {
		if c == a || c == b {
			found := q.rest[:i]
			q.rest = q.rest[i:]
			return found
		}
	}
	q.bad = true
	return nil
}

func (q *scanner) integer(text string) int64 {
	n := int64(0)
	digits := q.until(text, ',', '}')
	for _, c := range digits {
		q.bad = q.bad || c < '0' || c > '9'
		n = 10*n + int64(c-'0')
	}
	q.bad = q.bad || len(digits) == 0 || len(digits) > 18
	return n
}

func (q *scanner) number(text string) float64 {
	x, err := strconv.ParseFloat(string(q.until(text, ',', '}')), 64)
	q.bad = q.bad || err != nil
	return x
}

// word takes a string without anything to unescape.
func (q *scanner) word(text string) []byte {
	b := q.until(text, '"', '\\')
	q.bad = q.bad || !q.skip(`"`)
	return b
}
