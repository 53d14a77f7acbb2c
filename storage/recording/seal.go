package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// together is how close two causes must be to be one seal.
const together = time.Minute

// causesFile says why a folder was sealed.
const causesFile = "causes.json"

// Cause is why a recording was sealed.
type Cause struct {
	At   time.Time `json:"at"`   // wall clock
	What string    `json:"what"` // such as latch-bump or escalation
}

// seal is a folder of recordings that are kept.
type seal struct {
	folder string
	causes []Cause
	last   time.Duration // of the last cause
	until  string        // the file with which it ends
	later  []string      // files that must be copied when they are complete
	over   bool
}

// Seal keeps the files of the last minutes, the current one to its end included,
// whatever happens to the ring. Causes within a minute of each other share one
// folder. It gives the folder.
func (r *Ring) Seal(now time.Duration, what string) (string, error) {
	cause := Cause{r.o.Wall().UTC(), what}
	if r.seal == nil || now-r.seal.last > together {
		if r.seal != nil {
			if err := r.seal.finish(); err != nil {
				return "", err
			}
		}
		s, err := r.newSeal(cause)
		if err != nil {
			return "", err
		}
		r.seal = s
	}
	s := r.seal
	s.last, s.over, s.until = now, false, ""
	s.causes = append(s.causes, cause)
	if r.current != nil {
		s.until = r.current.Path()
	}
	for _, path := range r.past(now) {
		if err := s.add(path); err != nil {
			return s.folder, err
		}
	}
	return s.folder, s.describe()
}

// newSeal makes a folder, and room for it among those that are kept.
func (r *Ring) newSeal(c Cause) (*seal, error) {
	entries, err := os.ReadDir(r.o.Sealed) // sorted by name, which begins with the time
	if err != nil {
		return nil, fmt.Errorf("seal recording: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() })
	for len(entries) >= max(1, r.o.Seals) {
		if err := os.RemoveAll(filepath.Join(r.o.Sealed, entries[0].Name())); err != nil {
			return nil, fmt.Errorf("seal recording: delete the oldest: %w", err)
		}
		entries = entries[1:]
		r.lost++
	}
	folder := filepath.Join(r.o.Sealed, stamp(c.At)+"-"+safeName(c.What))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, fmt.Errorf("seal recording: %w", err)
	}
	return &seal{folder: folder}, nil
}

// safeName is a cause as part of a folder's name.
func safeName(what string) string {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, what)
	return name[:min(len(name), 64)]
}

// add links a file. What is written to it later is in the seal too. Where the
// file system has no links it is copied, a file in use once it is complete.
func (s *seal) add(path string) error {
	to := filepath.Join(s.folder, filepath.Base(path))
	err := os.Link(path, to)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case path == s.until:
		if !slices.Contains(s.later, path) {
			s.later = append(s.later, path)
		}
		return nil
	}
	return copyFile(path, to)
}

// ended is told of each file that is complete.
func (s *seal) ended(path string) error {
	if path == s.until {
		return s.finish()
	}
	return nil
}

// finish copies what waits. The seal may still grow by a cause that is close to
// the last one.
func (s *seal) finish() error {
	s.over = true
	var errs []error
	for _, path := range s.later {
		errs = append(errs, copyFile(path, filepath.Join(s.folder, filepath.Base(path))))
	}
	s.later = nil
	return errors.Join(errs...)
}

func (s *seal) describe() error {
	b, err := json.MarshalIndent(struct {
		Version int     `json:"version"`
		Causes  []Cause `json:"causes"`
	}{Version, s.causes}, "", "  ")
	if err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	next := filepath.Join(s.folder, causesFile+".next")
	if err := os.WriteFile(next, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	if err := os.Rename(next, filepath.Join(s.folder, causesFile)); err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	return syncFolder(s.folder)
}

// syncFolder makes names last through a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	return nil
}
