package expr

import (
	"fmt"
	"unicode/utf8"
)

// Error is a fault in the source text of an expression or a unit.
type Error struct {
	Offset int    // byte at which the fault begins, from 0
	What   string // what is wrong
	Hint   string // what to write instead; may be empty
}

// Error gives "column N: what (hint)"; the column counts bytes from 1.
func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("column %d: %s", e.Offset+1, e.What)
	}
	return fmt.Sprintf("column %d: %s (%s)", e.Offset+1, e.What, e.Hint)
}

// nearest gives the candidate that differs least from the name, if it is near
// enough to be a slip of the keyboard. Ties go to the first in the alphabet.
func nearest(name string, candidates []string) (string, bool) {
	best, least := "", 1+max(1, utf8.RuneCountInString(name)/3)
	for _, c := range candidates {
		d := distance(name, c)
		if d < least || d == least && best != "" && c < best {
			best, least = c, d
		}
	}
	return best, best != ""
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours (Damerau's, restricted) between two names.
func distance(from, to string) int {
	a, b := []rune(from), []rune(to)
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
