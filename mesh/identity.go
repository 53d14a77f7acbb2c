package mesh

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewID makes a ULID: 26 characters that sort by time. Ids of the same
// millisecond are in no particular order; use IDs where that matters.
func NewID(at time.Time, entropy io.Reader) (string, error) {
	if at.Before(time.UnixMilli(0)) {
		return "", fmt.Errorf("make id: the wall clock says %s, before 1970: set the clock", at.Format(time.RFC3339))
	}
	id, err := ulid.New(ulid.Timestamp(at), entropy)
	if err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return id.String(), nil
}

// ValidID says whether s is a ULID as NewID writes it.
func ValidID(s string) bool {
	id, err := ulid.ParseStrict(s)
	return err == nil && id.String() == s
}

// IDTime gives the wall clock that an id was made at, in UTC; false if s is not
// an id.
func IDTime(s string) (time.Time, bool) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return time.Time{}, false
	}
	return ulid.Time(id.Time()).UTC(), true
}

// IDs makes ids that increase strictly, also within one millisecond and when
// the wall clock steps back. It is safe for use by several goroutines.
type IDs struct {
	mutex   sync.Mutex
	entropy *ulid.MonotonicEntropy
	last    uint64 // milliseconds of the newest id
}

// NewIDs makes a source of ids that draws from entropy, usually
// crypto/rand.Reader.
func NewIDs(entropy io.Reader) *IDs {
	return &IDs{entropy: ulid.Monotonic(entropy, 0)}
}

// After makes every id to come sort behind one that was made before, as the
// newest that is stored: the wall clock may have been set back since, and a store
// that deletes its lowest ids first would delete what comes now. What is no id
// changes nothing.
func (s *IDs) After(id string) {
	made, err := ulid.ParseStrict(id)
	if err != nil || made.Time() >= ulid.MaxTime() {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.last = max(s.last, made.Time()+1)
}

// Next gives the next id. It fails only if the entropy does, or if 2^79 ids were
// made in one millisecond.
func (s *IDs) Next(at time.Time) (string, error) {
	if at.Before(time.UnixMilli(0)) {
		return "", fmt.Errorf("make id: the wall clock says %s, before 1970: set the clock", at.Format(time.RFC3339))
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.last = max(s.last, ulid.Timestamp(at))
	id, err := ulid.New(s.last, s.entropy)
	if err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return id.String(), nil
}
