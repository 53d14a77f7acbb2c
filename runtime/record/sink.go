package record

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"dancer/storage/recording"
)

// sink is one thing that is written to: the file that the operator asked for, or
// the ring.
type sink struct {
	r      *Recorder
	log    *slog.Logger
	file   *recording.File
	ring   *recording.Ring                                  // nil: the file is all there is, or the folder cannot be opened
	open   func(now time.Duration) (*recording.Ring, error) // the ring, again; nil: a file
	told   bool                                             // where the question stands
	failed time.Duration                                    // when the disk last failed
	full   bool                                             // and whether it was full
	silent bool                                             // its failure was said
	missed uint64                                           // messages since then
	seals  int                                              // deleted, as far as it was said
}

// newFile begins the recording that the operator asked for, in the file that was
// made for it, if there is one.
func (r *Recorder) newFile(path string, made *os.File) *sink {
	s := &sink{r: r, log: r.config.Log.With("recording", path)}
	packer, err := recording.NewPacker()
	if err == nil && made == nil {
		made, err = recording.Make(path)
	}
	if err == nil {
		s.file, err = recording.Begin(made, packer, r.config.Header, r.attachments(), r.topics)
	}
	if err != nil {
		s.file = nil
		s.log.Error("nothing is recorded there", "error", err)
	}
	return s
}

// creator makes files that share the memory of one packer, one at a time.
func (r *Recorder) creator() (func(path string, part int) (*recording.File, error), error) {
	packer, err := recording.NewPacker()
	if err != nil {
		return nil, err
	}
	return func(path string, part int) (*recording.File, error) {
		h := r.config.Header
		h.Part = part
		return recording.Create(path, packer, h, r.attachments(), r.topics)
	}, nil
}

// newRing opens the ring of the last minutes. What cannot be opened now is tried
// again after a while.
func (r *Recorder) newRing(now time.Duration) *sink {
	folder := filepath.Join(r.config.Folder, recentName)
	s := &sink{r: r, log: r.config.Log.With("recording", folder)}
	create, err := r.creator()
	if err != nil {
		s.log.Error("the last minutes are not recorded", "error", err)
		return s
	}
	s.open = func(now time.Duration) (*recording.Ring, error) {
		settings := r.config.Robot.Recording
		return recording.OpenRing(recording.RingOptions{
			Folder: folder, Sealed: filepath.Join(r.config.Folder, sealedName),
			Keep: settings.Keep, Limit: settings.Bytes, Seals: settings.Sealed, SealLimit: settings.SealedBytes,
			Create: create, Wall: r.config.Wall,
		}, now)
	}
	s.begin(now)
	return s
}

// begin turns the ring to a new file.
func (s *sink) begin(now time.Duration) {
	err := error(nil)
	if s.ring == nil {
		s.ring, err = s.open(now)
	}
	if err == nil {
		err = s.ring.Turn(now)
		s.tellSeals()
	}
	if err != nil {
		s.fail(now, err)
		return
	}
	s.file, s.told = s.ring.File(), false
	if s.silent {
		s.silent = false
		s.log.Info("recording goes on", "missed", s.missed)
		s.put(s.r.index[TopicGap], now, s.r.encoded(Gap{now, GapAll, s.missed, reasonDisk}))
		s.missed = 0
	}
}

// turn goes on in a new file when it is time to. It is called before a decision,
// so that no file begins between a decision and what followed from it.
func (s *sink) turn(now time.Duration) {
	if s.ring != nil && s.file != nil && s.ring.Due(now) {
		s.begin(now)
	}
}

func (s *sink) put(topic int, at time.Duration, data []byte) {
	if s.file == nil {
		s.missed++
		s.r.lost.Add(1)
		return
	}
	err := s.file.Write(topic, s.r.config.Header.LogTime(at), data)
	if errors.Is(err, recording.ErrTooLong) {
		s.log.Warn("a message is missing in the recording", "error", err)
		s.leftOut(topic, at)
		return
	}
	if err == nil {
		s.r.written.Add(1)
	}
	s.check(at, err)
}

// leftOut tells of a message that no recording takes.
func (s *sink) leftOut(topic int, at time.Duration) {
	what := GapEvents
	switch s.r.topics[topic].Name {
	case TopicReading, TopicTrace:
		what = GapReadings
	case TopicDecision, TopicQuestion, TopicRuling:
		what, s.told = GapDecisions, false
	}
	s.r.lost.Add(1)
	s.put(s.r.index[TopicGap], at, s.r.encoded(Gap{at, what, 1, reasonLength}))
}

// sync puts everything so far on the disk.
func (s *sink) sync(now time.Duration, topic int, data []byte) {
	if s.file == nil {
		return
	}
	if s.ring != nil && s.ring.Overdue(now) {
		s.begin(now) // nothing decides any more
	}
	if s.file != nil {
		s.check(now, s.file.Sync(topic, s.r.config.Header.LogTime(now), data))
	}
}

// check ends a recording that its disk refuses.
func (s *sink) check(now time.Duration, err error) {
	if err != nil {
		s.fail(now, err)
	}
}

// fail is said once; the ring tries again.
func (s *sink) fail(now time.Duration, err error) {
	s.failed, s.full = now, errors.Is(err, recording.ErrDiskFull)
	if !s.silent {
		s.log.Error("recording stops; everything else goes on", "error", err)
	}
	s.silent = true
	if s.ring != nil {
		s.ring.Fail(now)
	} else if s.file != nil {
		_ = s.file.Close() // the error that matters came before
	}
	s.file = nil
}

func (s *sink) tryAgain(now time.Duration) {
	pause := tryAgain
	if s.full {
		pause = roomAgain
	}
	if s.open != nil && s.file == nil && now-s.failed >= pause {
		s.begin(now)
	}
}

func (s *sink) seal(now time.Duration, cause string) {
	if s.ring == nil {
		return
	}
	folder, err := s.ring.Seal(now, cause)
	s.tellSeals()
	if err != nil {
		s.log.Error("seal recording", "cause", cause, "error", err)
		return
	}
	s.r.sealed.Add(1)
	s.log.Info("sealed", "cause", cause, "folder", folder)
}

// tellSeals says which seals had to go.
func (s *sink) tellSeals() {
	if lost := s.ring.SealsLost(); lost != s.seals {
		s.seals = lost
		settings := s.r.config.Robot.Recording
		s.log.Warn("the oldest sealed recordings were deleted: there are too many, or they are too large",
			"kept", settings.Sealed, "megabytes", settings.SealedBytes/1_000_000, "deleted", lost)
	}
}

func (s *sink) close(now time.Duration) {
	var err error
	switch {
	case s.ring != nil:
		err = s.ring.Close(now)
	case s.file != nil:
		err = s.file.Close()
	}
	if err != nil {
		s.log.Error("end recording", "error", err)
	}
}
