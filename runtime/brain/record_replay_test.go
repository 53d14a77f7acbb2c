package brain

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/runtime/record"
	"dancer/runtime/replay"
	"dancer/storage/recording"
)

func replayed(t *testing.T, o replay.Options, paths ...string) *replay.Report {
	t.Helper()
	report, err := replay.Run(t.Context(), paths, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// describe fails with what a replay found.
func describe(t *testing.T, r *replay.Report) {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	t.Log(b.String())
}

// TestRecordingReplays: everything that happened to a robot comes out again from
// its recording. With DANCER_SOAK it is the ten minutes at 1,000
// readings a second; with DANCER_RECORDING the file stays, for other machines.
func TestRecordingReplays(t *testing.T) {
	path := simulatedRecording(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	before := digest(t, path)
	r := replayed(t, replay.Options{}, path)
	describe(t, r)
	t.Logf("%d bytes, %.1f a second", info.Size(), float64(info.Size())/r.Duration.Seconds())
	if !r.Identical() {
		t.Error("it differs")
	}
	seconds := r.Duration.Seconds()
	if perSecond := float64(r.Readings) / seconds; perSecond < 950 || perSecond > 1050 {
		t.Errorf("%.0f readings a second", perSecond)
	}
	if n := float64(r.Decisions.Replayed) / seconds; n < 9 || n > 11 {
		t.Errorf("%.1f decisions a second", n)
	}
	if r.Questions.Replayed != r.Decisions.Replayed || r.Rulings.Replayed == 0 || r.Reflexes.Replayed < 5 || r.Gaps != 0 {
		t.Error("not everything was replayed")
	}
	if after := digest(t, path); !bytes.Equal(before, after) {
		t.Error("the replay has changed the recording")
	}
}

func digest(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rewritten is a recording in which some messages are others. change gives the
// new data, or nil to leave the message out.
func rewritten(t *testing.T, path string, change func(topic string, data []byte) []byte) string {
	t.Helper()
	return rewrittenWith(t, path, nil, change)
}

// rewrittenWith is rewritten with another header and other attachments.
func rewrittenWith(t *testing.T, path string, alter func(*recording.Recording), change func(topic string, data []byte) []byte) string {
	t.Helper()
	r, done, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if alter != nil {
		alter(r)
	}
	p, err := recording.NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "rewritten.mcap")
	w, err := recording.Create(out, p, r.Header, r.Attachments, r.Topics)
	if err == nil {
		err = r.NewReader().Each(func(m *recording.Message) error {
			data := change(r.Topics[m.Topic].Name, m.Data)
			if data == nil {
				return nil
			}
			return w.Write(m.Topic, m.LogTime, data)
		})
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out
}

// once changes the n-th message of a topic.
func once(topic string, n int, change func([]byte) []byte) func(string, []byte) []byte {
	return func(name string, data []byte) []byte {
		if name == topic {
			if n--; n == -1 {
				return change(data)
			}
		}
		return data
	}
}

func swap(t *testing.T, old, with string) func([]byte) []byte {
	return func(data []byte) []byte {
		if !bytes.Contains(data, []byte(old)) {
			t.Fatalf("no %s in %s", old, data)
		}
		return bytes.Replace(data, []byte(old), []byte(with), 1)
	}
}

// TestReplayFindsDifferences: whatever is changed in a recording is found, and
// named.
func TestReplayFindsDifferences(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sound.mcap")
	simulate(t, 26*time.Second, path, "")
	drop := func([]byte) []byte { return nil }
	openState := func(topic, text string, change func([]byte) []byte) func(string, []byte) []byte {
		done := false
		return func(name string, data []byte) []byte {
			if !done && name == topic && bytes.Contains(data, []byte(text)) {
				done = true
				return change(data)
			}
			return data
		}
	}
	for _, c := range []struct {
		name   string
		change func(string, []byte) []byte
		what   string
		where  string
	}{
		{"an index", once(record.TopicDecision, 50, swap(t, `"expected":`, `"expected":1`)), "decision", "expected"},
		{"the budget", once(record.TopicDecision, 50, swap(t, `"budget":64`, `"budget":8`)), "decision", "assessments"},
		{"a field of another program", once(record.TopicDecision, 50, swap(t, `{"version":1`, `{"version":1,"mood":"good"`)), "decision", "mood"},
		{"what ran", openState(record.TopicDecision, `"running":"patrol","who":"command"`, swap(t, `"running":"patrol"`, `"running":"halt"`)), "question", "running"},
		{"a question that was not asked", openState(record.TopicQuestion, `"revision":1`, drop), "question", "change"},
		{"what was asked", openState(record.TopicQuestion, `"revision":1`, swap(t, `"revision":1`, `"revision":2`)), "question", "change"},
		{"who ruled", openState(record.TopicRuling, `"operator"`, swap(t, `"by":"operator"`, `"by":""`)), "ruling", "ruling"},
		{"a reflex that did not fire", openState(record.TopicTrace, `"move":"fired"`, drop), "reflex", ""},
		{"a reading", openState(record.TopicReading, `"name":"bumper","value":1`, swap(t, `"value":1`, `"value":0`)), "reflex", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := replayed(t, replay.Options{}, rewritten(t, path, c.change))
			if r.Identical() || r.First.What != c.what || !strings.Contains(r.First.Where, c.where) {
				describe(t, r)
				t.Errorf("want a difference of a %s in %q, got %+v", c.what, c.where, r.First)
			}
		})
	}
	same := replayed(t, replay.Options{}, rewritten(t, path, func(_ string, data []byte) []byte { return data }))
	if !same.Identical() {
		t.Error("a copy of the recording differs")
	}
}

// TestReplayOfAnotherManual shows the first verdict that is another, with both
// reasons.
func TestReplayOfAnotherManual(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sound.mcap")
	s := simulate(t, 25*time.Second, path, "")
	manual := s.brain.robot.ManualBytes
	if r := replayed(t, replay.Options{Manual: manual}, path); !r.Identical() || r.OtherManual != "" || r.Reflexes.Replayed == 0 {
		t.Error("the recorded manual, given by hand, is another one")
	}
	if r := replayed(t, replay.Options{Manual: append([]byte("# read again\n"), manual...)}, path); !r.Identical() || r.OtherManual == "" {
		t.Error("a comment changes a verdict")
	}
	braver := bytes.Replace(manual, []byte("smoke / 60 ppm"), []byte("smoke / 6000 ppm"), 1)
	r := replayed(t, replay.Options{Manual: braver}, path)
	describe(t, r)
	if r.Identical() || r.First.What != "verdict" || len(r.First.RecordedWhy) == 0 || len(r.First.ReplayedWhy) == 0 {
		t.Fatalf("smoke is a hundred times less harmful, and the first difference is %+v", r.First)
	}
	if d := r.Decisions; d.Differ == 0 || d.Differ == d.Replayed {
		t.Errorf("%+v", d)
	}
	if _, err := replay.Run(t.Context(), []string{path}, replay.Options{Manual: []byte("values: []\n")}); err == nil {
		t.Error("a manual with faults was replayed")
	}
	unknownManual(t, path, manual)
}

// unknownManual: a recording whose manual is missing, or is not the one that its
// robot had, is refused and not replayed as if another one were tried.
func unknownManual(t *testing.T, path string, manual []byte) {
	t.Helper()
	asItIs := func(_ string, data []byte) []byte { return data }
	for name, alter := range map[string]func(*recording.Recording){
		"no attachments":  func(r *recording.Recording) { r.Attachments = nil },
		"no manual":       func(r *recording.Recording) { r.Attachments = r.Attachments[:1] },
		"another manual":  func(r *recording.Recording) { r.Attachments[1].Data = append([]byte("# \n"), manual...) },
		"another in name": func(r *recording.Recording) { r.Header.Manual = "sha256:00" },
	} {
		other := rewrittenWith(t, path, alter, asItIs)
		if r, err := replay.Run(t.Context(), []string{other}, replay.Options{}); !errors.Is(err, recording.ErrDamaged) {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	without := rewrittenWith(t, path, func(r *recording.Recording) { r.Attachments = r.Attachments[:1] }, asItIs)
	if r := replayed(t, replay.Options{Manual: manual}, without); !r.Identical() || r.OtherManual != "" {
		t.Error("the missing manual, given by hand, is another one")
	}
	two := rewrittenWith(t, path, func(r *recording.Recording) { r.Header.Robot, r.Header.Run = "another", "another" }, asItIs)
	if r := replayed(t, replay.Options{}, path, two); !r.Identical() || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "is of another robot") {
		describe(t, r)
		t.Error("two robots in one folder")
	}
	middle := rewritten(t, path, func(topic string, data []byte) []byte {
		if topic == record.TopicTrace && bytes.Contains(data, []byte(`"kind":"start"`)) {
			return nil // as after a brain that was started again
		}
		return data
	})
	if r := replayed(t, replay.Options{}, middle); !r.Identical() || r.Reflexes.Skipped == 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "begins in the middle") {
		describe(t, r)
		t.Error("without the start of the rules")
	}
}

// TestReplayOfARing: the files of a ring are one recording, from any of them on,
// whatever the question's state at the cut, and a damaged one is refused.
func TestReplayOfARing(t *testing.T) {
	data := t.TempDir()
	length := 150 * time.Second
	if testing.Short() {
		length = 80 * time.Second // still three files
	}
	simulate(t, length, "", data)
	files, err := replay.Find(filepath.Join(data, "recordings"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	all := replayed(t, replay.Options{}, files...)
	if !all.Identical() || all.Questions.Replayed != all.Decisions.Replayed || all.Reflexes.Replayed == 0 || len(all.Notes) != 0 {
		describe(t, all)
		t.Error("the files together are not one recording")
	}
	decisions := uint64(0)
	for _, f := range files {
		r := replayed(t, replay.Options{}, f)
		if !r.Identical() || r.Questions.Replayed != r.Decisions.Replayed {
			describe(t, r)
			t.Errorf("%s alone", f)
		}
		decisions += r.Decisions.Replayed
	}
	if decisions != all.Decisions.Replayed {
		t.Errorf("%d decisions in the files, %d in all of them together", decisions, all.Decisions.Replayed)
	}
	sealed, err := filepath.Glob(filepath.Join(data, "sealed", "*", "*.mcap"))
	if err != nil || len(sealed) == 0 {
		t.Errorf("a reflex latched and a question was raised, and sealed is %v, %v", sealed, err)
	}
	refusedAndPartial(t, files)
}

func refusedAndPartial(t *testing.T, files []string) {
	b := digest(t, files[2])
	if err := os.WriteFile(files[2], b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var d *recording.Damage
	if _, err := replay.Run(t.Context(), files, replay.Options{}); !errors.As(err, &d) || d.Messages == 0 {
		t.Errorf("half a file: %v", err)
	}
	r := replayed(t, replay.Options{Partial: true}, files...)
	if !r.Identical() || r.Damage == "" {
		describe(t, r)
		t.Error("the good part is not replayed")
	}
	barely := filepath.Join(filepath.Dir(files[0]), "zz.mcap") // a file that was just begun
	if err := os.WriteFile(barely, b[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	if again := replayed(t, replay.Options{Partial: true}, append(files, barely)...); again.Decisions != r.Decisions {
		t.Errorf("beside a file without anything good: %+v, without it %+v", again.Decisions, r.Decisions)
	}
	if _, err := replay.Run(t.Context(), []string{barely}, replay.Options{Partial: true}); !errors.As(err, &d) {
		t.Errorf("nothing good at all: %v", err)
	}
	if after := digest(t, files[2]); !bytes.Equal(after, b[:len(b)/2]) {
		t.Error("the damaged recording was changed")
	}
}

// TestReplayWithGaps: what is missing is skipped and said, and what comes after
// is replayed as far as that is sound.
func TestReplayWithGaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sound.mcap")
	simulate(t, 26*time.Second, path, "")
	gap, err := json.Marshal(record.Gap{What: record.GapAll, Count: 3, Where: "disk"})
	if err != nil {
		t.Fatal(err)
	}
	const from, to = 195, 215 // the decisions around a hit
	n := 0
	out := rewritten(t, path, func(topic string, data []byte) []byte {
		if topic == record.TopicDecision {
			n++
		}
		if n >= from && n < to {
			return nil
		}
		return data
	})
	// Without a word about what is missing it differs; with one it is skipped.
	if r := replayed(t, replay.Options{}, out); r.Identical() {
		t.Error("what happened around a hit is missing and nothing was noticed")
	}
	r := replayed(t, replay.Options{}, withGap(t, out, from-1, gap))
	if r.Decisions.Differ != 0 || r.Gaps != 1 || r.Missing != 3 || r.Questions.Skipped == 0 || r.Reflexes.Skipped == 0 || !r.Identical() {
		describe(t, r)
		t.Error("the gap was not respected")
	}
}

// TestReplayOfAStoppedBrain: what the spine's ring lost while nobody took from it
// is a gap with its number, and the replay goes on behind it.
func TestReplayOfAStoppedBrain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stopped.mcap")
	var lost uint64
	s := simulateRobot(t, "../../examples/museum/robot-sim.yaml", 26*time.Second, path, "", func(s *simulation) {
		s.stopped = func(at time.Duration) bool { return at > 6*time.Second && at < 18*time.Second }
	})
	lost = s.brain.ends.Segment.TracesLost()
	r := replayed(t, replay.Options{}, path)
	if describe(t, r); lost == 0 || r.Gaps != 1 || r.Missing != lost || len(r.Notes) != 1 || !r.Identical() {
		t.Errorf("%d lost by the spine, %d gaps with %d, notes %q", lost, r.Gaps, r.Missing, r.Notes)
	}
	if r.Decisions.Replayed < 130 || r.Questions.Replayed != r.Decisions.Replayed || r.Reflexes.Skipped == 0 {
		t.Errorf("behind the gap: %+v", r)
	}
}

// withGap puts a gap after the n-th decision.
func withGap(t *testing.T, path string, after int, gap []byte) string {
	t.Helper()
	r, done, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	p, err := recording.NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "gap.mcap")
	w, err := recording.Create(out, p, r.Header, r.Attachments, r.Topics)
	if err != nil {
		t.Fatal(err)
	}
	topic := map[string]int{}
	for i := range r.Topics {
		topic[r.Topics[i].Name] = i
	}
	n := 0
	err = r.NewReader().Each(func(m *recording.Message) error {
		if err := w.Write(m.Topic, m.LogTime, m.Data); err != nil || m.Topic != topic[record.TopicDecision] {
			return err
		}
		if n++; n == after {
			return w.Write(topic[record.TopicGap], m.LogTime, gap)
		}
		return nil
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out
}
