package boards

import (
	"fmt"
	"io/fs"
)

func profiles() map[string]Profile { return map[string]Profile{"sim": {Name: "sim", Simulated: true}} }

// Get gives the profile of a board.
func Get(name string) (Profile, error) {
	p, ok := profiles()[name]
	if !ok {
		return Profile{}, fmt.Errorf("find board %s: not known", name)
	}
	return p, nil
}

// Detect names the board from its device tree.
func Detect(fsys fs.FS) (string, error) { return "linux", nil }

// Line finds a line by any of its names.
func (p Profile) Line(name string) (Line, error) { return Line{Name: name, Offset: -1}, nil }
