package recording

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// together is how close two causes must be to be one seal.
const together = time.Minute

// causesFile says why a folder was sealed.
const causesFile = "causes.json"

// maxCauses are listed in it; what follows is counted.
const maxCauses = 100

// Cause is why a recording was sealed.
type Cause struct {
	At   time.Time `json:"at"`   // wall clock
	What string    `json:"what"` // such as latch-bump or escalation
}

// seal is a folder of recordings that are kept.
type seal struct {
	folder string
	causes causes
	first  time.Duration // of the first cause
	last   time.Duration // of the last one
	until  string        // the file with which it ends
	has    map[string]bool
	later  []string // files that must be copied when they are complete
	over   bool
}

// causes is what causesFile says. Number counts the seals of a ring: their names
// have the wall's time, which can be set back, and do not say which is the
// oldest.
type causes struct {
	Version int     `json:"version"`
	Number  uint64  `json:"number"`
	Causes  []Cause `json:"causes"`
	More    int     `json:"more,omitempty"` // causes that followed
}

// Seal keeps the files of the last minutes, the current one to its end included,
// whatever happens to the ring. Causes within a minute of each other share one
// folder, for as long as the ring keeps. It gives the folder.
func (r *Ring) Seal(now time.Duration, what string) (string, error) {
	cause := Cause{r.o.Wall().UTC(), what}
	if r.seal == nil || now-r.seal.last > together || now-r.seal.first > r.o.Keep {
		if r.seal != nil {
			if err := r.seal.finish(); err != nil {
				return "", err
			}
		}
		s, err := r.newSeal(cause)
		if err != nil {
			return "", err
		}
		s.first, r.seal = now, s
	}
	s := r.seal
	s.last, s.over, s.until = now, false, ""
	if r.current != nil {
		s.until = r.current.Path()
	}
	var errs []error // what can be kept is kept
	for _, path := range r.past(now) {
		errs = append(errs, s.add(path))
	}
	errs = append(errs, s.because(cause), r.boundSeals(0))
	return s.folder, errors.Join(errs...)
}

// findSeals takes over the seals of earlier runs.
func (r *Ring) findSeals() error {
	entries, err := os.ReadDir(r.o.Sealed) // sorted by name, which begins with the time
	if err != nil {
		return fmt.Errorf("open recordings: %w", err)
	}
	numbers := map[string]uint64{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		var c causes
		folder := filepath.Join(r.o.Sealed, e.Name())
		if b, err := os.ReadFile(filepath.Join(folder, causesFile)); err == nil {
			_ = json.Unmarshal(b, &c) // without a number it is among the oldest
		}
		numbers[folder] = c.Number
		r.number = max(r.number, c.Number)
		r.seals = append(r.seals, folder)
	}
	slices.SortStableFunc(r.seals, func(a, b string) int { return cmp.Compare(numbers[a], numbers[b]) })
	_ = r.boundSeals(0) // what cannot be deleted is tried again with the next seal
	return nil
}

// newSeal makes a folder, and room for it among those that are kept.
func (r *Ring) newSeal(c Cause) (*seal, error) {
	if err := os.MkdirAll(r.o.Sealed, 0o700); err != nil { // somebody may have deleted it
		return nil, fmt.Errorf("seal recording: %w", err)
	}
	if err := r.boundSeals(1); err != nil {
		return nil, err
	}
	name := filepath.Join(r.o.Sealed, stamp(c.At)+"-"+safeName(c.What))
	folder := name
	err := os.Mkdir(folder, 0o700)
	for i := 2; errors.Is(err, fs.ErrExist) && i < 100; i++ { // the wall's clock was set back
		folder = fmt.Sprintf("%s-%d", name, i)
		err = os.Mkdir(folder, 0o700)
	}
	if err == nil {
		err = syncFolder(r.o.Sealed)
	}
	if err != nil {
		return nil, fmt.Errorf("seal recording: %w", err)
	}
	r.number++
	r.seals = append(r.seals, folder)
	return &seal{folder: folder, has: map[string]bool{}, causes: causes{Version: Version, Number: r.number}}, nil
}

// boundSeals deletes the oldest seals: those too many with so many to come, and
// what is too much for SealLimit. The newest stays, whatever its size.
func (r *Ring) boundSeals(coming int) error {
	r.seals = slices.DeleteFunc(r.seals, func(folder string) bool {
		_, err := os.Lstat(folder)
		return errors.Is(err, fs.ErrNotExist) // somebody has deleted it
	})
	excess := max(0, len(r.seals)+coming-max(1, r.o.Seals), r.tooLarge())
	for excess > 0 {
		if err := os.RemoveAll(r.seals[0]); err != nil {
			return fmt.Errorf("seal recording: delete the oldest: %w", err)
		}
		r.seals = r.seals[1:]
		excess--
		r.lost++
	}
	return nil
}

// tooLarge is how many of the oldest seals must go for SealLimit.
func (r *Ring) tooLarge() int {
	if r.o.SealLimit <= 0 {
		return 0
	}
	total, counted := int64(0), map[uint64]bool{} // by inode: seals share files
	for i := len(r.seals) - 1; i >= 0; i-- {
		entries, err := os.ReadDir(r.seals[i])
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue
			}
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				if counted[s.Ino] {
					continue
				}
				counted[s.Ino] = true
			}
			total += info.Size()
		}
		if total > r.o.SealLimit && i < len(r.seals)-1 {
			return i + 1
		}
	}
	return 0
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
	if s.has[path] {
		return nil
	}
	to := filepath.Join(s.folder, filepath.Base(path))
	err := os.Link(path, to)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		s.has[path] = true
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil // somebody has deleted it; or the folder, which because finds
	case path == s.until:
		if !slices.Contains(s.later, path) {
			s.later = append(s.later, path)
		}
		return nil
	}
	if err := copyFile(path, to); err != nil {
		return err
	}
	s.has[path] = true
	return nil
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
	if s.causes.More > 0 {
		errs = append(errs, s.describe())
	}
	return errors.Join(errs...)
}

// because adds a cause. Of a storm the first causes are written at once, and the
// number of the others when the seal is over.
func (s *seal) because(c Cause) error {
	if len(s.causes.Causes) == maxCauses {
		s.causes.More++
		return nil
	}
	s.causes.Causes = append(s.causes.Causes, c)
	return s.describe()
}

func (s *seal) describe() error {
	b, err := json.MarshalIndent(s.causes, "", "  ")
	if err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	next := filepath.Join(s.folder, causesFile+".next")
	out, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
	_, err = out.Write(append(b, '\n'))
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
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

// copyFile leaves others on the disk what a recording leaves them.
func copyFile(from, to string) error {
	if err := room(filepath.Dir(to)); err != nil {
		return fmt.Errorf("seal recording: %w", err)
	}
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
