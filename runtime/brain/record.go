package brain

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dancer/dancer"
	"dancer/dancer/swarm"
	"dancer/mesh"
	"dancer/runtime/link"
	"dancer/runtime/record"
	"dancer/storage/recording"
)

// traceBatch is how many traces go to the recorder at once.
const traceBatch = 256

// newRecorder opens the recordings. path is the one that the operator asked for,
// which was made with what else only its owner can make.
func (b *brain) newRecorder(folder, path string) *record.Recorder {
	if b.opened.recordingErr != nil {
		b.log.Error("nothing is recorded there", "recording", path, "error", b.opened.recordingErr)
		path = ""
	}
	file := b.opened.recording
	b.opened.recording = nil // the recorder's now
	boot, now := bootID(), b.clock()
	return record.New(record.Config{
		Robot: b.robot, Folder: folder, Path: path, File: file,
		Header: recording.Header{
			Robot: b.robot.Name, Board: b.robot.BoardName, Binary: b.version, Manual: b.manual.Hash,
			Boot: boot, Run: b.newID(), Wall: b.wall(), Monotonic: now,
		},
		Events: recordedEvents(), Clock: b.clock, Wall: b.wall, Log: b.log,
	})
}

// recordPath is the file of this brain. One that was started again does not
// write to the file of the one before, which has no end.
func (b *brain) recordPath(path string) string {
	status, ok := b.ends.Segment.LoadStatus()
	if path == "" || !ok || status.BrainStarts <= 1 {
		return path
	}
	extension := filepath.Ext(path)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, extension), status.BrainStarts, extension)
}

// recordedEvents are the kinds of events that are recorded as they are told.
// Decisions and rulings have messages of their own.
func recordedEvents() []record.Event {
	events := []record.Event{
		{Kind: kindSignal, Body: signalEvent{}}, {Kind: kindReflex, Body: reflexEvent{}}, {Kind: kindLatch, Body: latchEvent{}},
		{Kind: kindOutput, Body: outputEvent{}}, {Kind: kindLease, Body: leaseEvent{}}, {Kind: kindMode, Body: modeEvent{}},
		{Kind: kindOverrun, Body: overrunEvent{}}, {Kind: kindPort, Body: portEvent{}}, {Kind: kindBrain, Body: brainEvent{}},
		{Kind: kindMarker, Body: swarm.DecisionMarker{}}, {Kind: kindEscalation, Body: mesh.Escalation{}},
		{Kind: kindModel, Body: modelEvent{}}, {Kind: kindRestart, Body: restartEvent{}}, {Kind: kindClock, Body: clockEvent{}},
	}
	for i := range events {
		events[i].Soon = isReason(events[i].Kind)
	}
	return events
}

// recordEvent records an event of the spine, and seals the last minutes when a
// reflex has latched.
func (b *brain) recordEvent(kind string, e *link.Event, body any) {
	b.recorder.Event(kind, e.At, body)
	if e.Kind == link.EventLatch && e.Flags == 1 {
		b.recorder.Seal(e.At, "latch-"+b.ruleName(int(e.Index)))
	}
}

// takeTraces hands what the spine has traced to the recorder.
func (b *brain) takeTraces() {
	for {
		n := 0
		for n < len(b.traces) && b.ends.Segment.TakeTrace(&b.traces[n]) {
			n++
		}
		if b.recorder != nil {
			b.recorder.Traces(slices.Clone(b.traces[:n]))
		}
		if n < len(b.traces) {
			return
		}
	}
}

func rulingMessage(now time.Duration, r *mesh.Ruling, result dancer.RulingResult, running string) record.Ruling {
	return record.Ruling{
		Monotonic: now, Question: r.Escalation, Verdict: r.Verdict, Option: r.Option, By: r.By,
		Outcome: result.Outcome, Why: result.Why, Running: running,
	}
}
