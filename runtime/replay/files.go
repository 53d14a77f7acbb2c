package replay

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"dancer/storage/recording"
)

// file is one checked recording.
type file struct {
	path      string
	recording *recording.Recording
	closer    func() error
	damage    string
}

type files []file

func (all files) close() {
	for i := range all {
		_ = all[i].closer() // it was only read
	}
}

// follows says whether a file goes on where another one ends.
func (f *file) follows(before *file) bool {
	a, b := &before.recording.Header, &f.recording.Header
	return a.Run == b.Run && a.Run != "" && b.Part == a.Part+1 && before.damage == ""
}

// Find gives the recordings of a path: itself, or those in a folder.
func Find(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	found, err := filepath.Glob(filepath.Join(path, "*.mcap"))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("open recording: no *.mcap in %s", path)
	}
	return found, err
}

// openAll checks every file before any of them is replayed, and gives them in
// the order in which they were recorded.
// With partial, what is good of a damaged one counts, and one without anything
// good is left out of several.
func openAll(paths []string, partial bool) (files, error) {
	var all files
	var empty error
	for _, path := range paths {
		r, closer, err := recording.Open(path)
		var damage *recording.Damage
		if err != nil && !errors.As(err, &damage) {
			return all, err
		}
		if damage != nil && partial && damage.Messages == 0 && len(paths) > 1 {
			empty = errors.Join(fmt.Errorf("%s: %w", path, err), closer())
			continue
		}
		all = append(all, file{path: path, recording: r, closer: closer})
		if damage == nil {
			continue
		}
		if !partial || damage.Messages == 0 {
			return all, fmt.Errorf("%s: %w", path, err)
		}
		all[len(all)-1].damage = err.Error()
	}
	if len(all) == 0 {
		return all, empty
	}
	slices.SortStableFunc(all, func(a, b file) int {
		x, y := &a.recording.Header, &b.recording.Header
		return cmp.Or(x.Wall.Compare(y.Wall), cmp.Compare(x.Run, y.Run), cmp.Compare(x.Part, y.Part))
	})
	return all, nil
}
