package bolt

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// keepCopy renews the copy when it is a day old. A store that has just been
// opened was checked, so a missing copy is made at once.
func (s *Store) keepCopy() {
	defer s.joined.Done()
	for {
		timer := time.NewTimer(copyDue(copyOf(s.path), time.Now()))
		select {
		case <-timer.C:
			if err := s.Copy(); err != nil {
				s.log.Warn(err.Error())
				if !s.pause(time.Hour) {
					return
				}
			}
		case <-s.stop:
			timer.Stop()
			return
		}
	}
}

// copyDue is how long the copy is good for. Its age is the wall clock's, and one
// from the future says that the clock was set back: what it is good for is not
// known, so it is renewed.
func copyDue(path string, now time.Time) time.Duration {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	age := now.Sub(info.ModTime())
	if age < -time.Minute {
		return 0
	}
	return min(max(copyAge-age, 0), copyAge)
}

// pause waits and says whether the store is still open.
func (s *Store) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// Copy writes the copy that a damaged file is replaced by, beside the file.
func (s *Store) Copy() error {
	if err := s.Flush(context.Background()); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	err := replaceFile(copyOf(s.path), func(w io.Writer) error {
		return s.db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(w)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("copy %s: %w", s.path, writeError(copyOf(s.path), err))
	}
	s.counters.copied.Store(uint64(time.Now().Unix()))
	return nil
}
