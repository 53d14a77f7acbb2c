package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"dancer/runtime/config"
	"dancer/runtime/record"
	"dancer/storage/recording"
)

// Options of a replay.
type Options struct {
	Robot, Manual []byte // in place of the recorded files; nil: as recorded
	Partial       bool   // replay the good part of a damaged recording
	Workers       int    // decisions at a time; 0: one a processor
	// Progress, if there is one, is called now and then with the messages
	// replayed and those there are.
	Progress func(done, all uint64)
}

// Difference is something that did not come out as recorded.
type Difference struct {
	What      string        `json:"what"`               // decision | verdict | question | ruling | reflex
	Decision  string        `json:"decision,omitempty"` // id
	At        time.Time     `json:"at"`                 // wall clock, from the recording's anchor
	Monotonic time.Duration `json:"monotonic"`          // on the robot's clock
	File      string        `json:"file"`
	Where     string        `json:"where"`    // the part that differs, as a path into the record
	Recorded  string        `json:"recorded"` // what it was
	Replayed  string        `json:"replayed"` // what it is now

	// Of a verdict: both in plain words.
	RecordedWhy []string `json:"recorded_why,omitempty"`
	ReplayedWhy []string `json:"replayed_why,omitempty"`
}

// Count says how much of one kind was replayed and how much differs.
type Count struct {
	Replayed uint64 `json:"replayed"`
	Differ   uint64 `json:"differ"`
	Skipped  uint64 `json:"skipped"` // could not be replayed, because something before it is missing
}

// Report is what a replay found.
type Report struct {
	Result      string        `json:"result"` // identical | differs | nothing (no decision to replay)
	Files       int           `json:"files"`
	Robot       string        `json:"robot"`
	Recorded    string        `json:"recorded_by"` // version of the program
	Manual      string        `json:"manual"`      // hash, as recorded
	OtherManual string        `json:"other_manual,omitempty"`
	From        time.Time     `json:"from"`
	Duration    time.Duration `json:"duration"` // recorded
	Took        time.Duration `json:"took"`
	Speed       float64       `json:"speed"` // recorded time over the time it took

	Messages  uint64 `json:"messages"`
	Readings  uint64 `json:"readings"`
	Decisions Count  `json:"decisions"`
	Questions Count  `json:"questions"` // decisions after which the question was compared
	Rulings   Count  `json:"rulings"`
	Reflexes  Count  `json:"reflexes"` // transitions of rules

	Gaps    uint64   `json:"gaps"`    // places where something is missing
	Missing uint64   `json:"missing"` // messages that are
	Notes   []string `json:"notes,omitempty"`
	Damage  string   `json:"damage,omitempty"` // where the replay of a damaged recording ended

	First *Difference `json:"first_difference,omitempty"`
}

// Identical says whether everything that was replayed came out as recorded.
func (r *Report) Identical() bool { return r.First == nil }

// ErrNothing is wrapped when there is no decision to replay.
var ErrNothing = errors.New("nothing to replay")

// Run replays recordings in their order. A file that is damaged or of another
// version is refused, unless Options say to replay what is good of it.
func Run(ctx context.Context, paths []string, o Options) (*Report, error) {
	began := time.Now()
	all, err := openAll(paths, o.Partial)
	defer all.close()
	if err != nil {
		return nil, err
	}
	r := &run{options: o, files: all, report: &Report{Files: len(all)}}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	r.report.Took = time.Since(began)
	r.report.Result = "identical"
	if !r.report.Identical() {
		r.report.Result = "differs"
	}
	r.report.Speed = r.report.Duration.Seconds() / max(r.report.Took.Seconds(), 1e-9)
	if r.report.Decisions.Replayed == 0 {
		r.report.Result = "nothing"
		return r.report, fmt.Errorf("%w: there is no decision in %s", ErrNothing, paths[0])
	}
	return r.report, nil
}

// run is one replay.
type run struct {
	options Options
	files   files
	report  *Report
	done    uint64

	file     *file
	robot    *config.Robot
	other    bool // the manual is not the recorded one
	reflexes reflexes
	question question
}

func (r *run) all(ctx context.Context) error {
	for i := range r.files {
		f := &r.files[i]
		if r.file == nil || !f.follows(r.file) {
			if err := r.begin(f); err != nil {
				return err
			}
		}
		r.file = f
		if err := r.one(ctx, f); err != nil {
			return err
		}
	}
	if r.file.damage == "" {
		r.question.missing(r)
	}
	return nil
}

// begin loads the robot of a file that does not go on where the last one ended.
func (r *run) begin(f *file) error {
	robot, manual := r.options.Robot, r.options.Manual
	for _, a := range []struct {
		name string
		data *[]byte
	}{{record.RobotFile, &robot}, {record.ManualFile, &manual}} {
		if *a.data != nil {
			continue
		}
		var found bool
		if *a.data, found = f.recording.Attachment(a.name); !found {
			return fmt.Errorf("%s: %w: it has no %s: give one with --%s", f.path, recording.ErrDamaged, a.name, strings.TrimSuffix(a.name, ".yaml"))
		}
	}
	h := &f.recording.Header
	loaded, problems := config.LoadRecorded(record.RobotFile, robot, manual, h.Board, record.Databases(f.recording))
	if err := problems.Err(); err != nil {
		if r.options.Manual != nil && r.options.Robot == nil {
			err = fmt.Errorf("%w\nthe manual was held against the robot.yaml in the recording; where its signals and outputs are others, give --robot too", err)
		}
		return err
	}
	r.robot, r.other = loaded, loaded.Manual.Hash != h.Manual || r.options.Robot != nil
	if r.options.Manual == nil && loaded.Manual.Hash != h.Manual {
		return fmt.Errorf("%s: %w: its %s is %s, its metadata says %s", f.path, recording.ErrDamaged, record.ManualFile, loaded.Manual.Hash, h.Manual)
	}
	r.from(f)
	if r.other {
		r.report.OtherManual = loaded.Manual.Hash
	}
	r.reflexes = newReflexes(loaded.Manual)
	r.question = question{m: loaded.Manual}
	return nil
}

// from says what the recordings are of: the first, and what is otherwise later.
func (r *run) from(f *file) {
	h := &f.recording.Header
	if r.report.Manual == "" {
		r.report.Robot, r.report.Recorded, r.report.Manual = h.Robot, h.Binary, h.Manual
		return
	}
	if h.Robot != r.report.Robot {
		r.note(fmt.Sprintf("%s is of another robot, %s", f.path, h.Robot))
	}
	if h.Manual != r.report.Manual {
		r.note(fmt.Sprintf("%s is of another manual, %s", f.path, h.Manual))
	}
	if h.Binary != r.report.Recorded {
		r.note(fmt.Sprintf("%s was recorded by dancer %s", f.path, h.Binary))
	}
}

// note says something once.
func (r *run) note(text string) {
	for _, n := range r.report.Notes {
		if n == text {
			return
		}
	}
	r.report.Notes = append(r.report.Notes, text)
}

// one replays a file: its chunks are decoded, and its decisions made, on all
// processors; what follows from them is taken in order.
func (r *run) one(ctx context.Context, f *file) error {
	if r.report.From.IsZero() {
		r.report.From = time.Unix(0, int64(f.recording.First)).UTC()
	}
	r.report.Duration += f.recording.Duration()
	r.report.Messages += f.recording.Messages
	if f.damage != "" {
		r.report.Damage = f.damage
	}
	workers := r.options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return ordered(ctx, workers, f.recording.Chunks(), r.worker(ctx, f), r.take)
}

// difference counts and keeps the first.
func (r *run) difference(count *Count, d *Difference) {
	count.Differ++
	if r.report.First == nil {
		h := &r.file.recording.Header
		d.At = time.Unix(0, int64(h.LogTime(d.Monotonic))).UTC()
		d.File = r.file.path
		r.report.First = d
	}
}

// take replays what one chunk holds, in order.
func (r *run) take(b *batch) error {
	for i := range b.events {
		e := &b.events[i]
		if e.err != nil {
			return fmt.Errorf("%s: %w", r.file.path, e.err)
		}
		r.event(e)
	}
	if r.done += b.messages; r.options.Progress != nil {
		all := uint64(0)
		for i := range r.files {
			all += r.files[i].recording.Messages
		}
		r.options.Progress(r.done, all)
	}
	return nil
}

func (r *run) event(e *event) {
	switch {
	case e.reading.is:
		r.report.Readings++
		if !r.other {
			r.reflexes.reading(r, &e.reading)
		}
	case e.trace != nil:
		if !r.other {
			r.reflexes.trace(r, e.trace)
		}
	case e.decision != nil:
		r.decided(e)
	case e.question != nil && !r.other:
		r.question.told(r, e.question)
	case e.ruling != nil && !r.other:
		r.question.ruled(r, e.ruling)
	case e.gap != nil:
		r.gap(e.gap)
	}
}

func (r *run) decided(e *event) {
	r.report.Decisions.Replayed++
	if e.difference != nil {
		r.difference(&r.report.Decisions, e.difference)
	}
	if !r.other {
		r.question.decided(r, e.decision)
	}
}

func (r *run) gap(g *record.Gap) {
	r.report.Gaps++
	r.report.Missing += g.Count
	if g.What == record.GapReadings || g.What == record.GapAll {
		r.reflexes.lost(r)
	}
	if g.What == record.GapDecisions || g.What == record.GapAll {
		r.question.lost()
	}
}
