package config

import (
	"fmt"
	"sort"
	"strings"
)

// reader collects what is wrong with one file.
type reader struct {
	file     string
	lines    []string
	problems Problems
	blanked  map[place]bool // values that prescan took out and reported
}

func newReader(file string) *reader {
	return &reader{file: file, blanked: map[place]bool{}}
}

func (r *reader) at(line, column int, what, hint string) {
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Column: column, What: what, Hint: hint})
}

// fault reports at a node, or for the whole file when there is none.
func (r *reader) fault(n *node, what, hint string) {
	if n == nil {
		r.at(0, 0, what, hint)
		return
	}
	r.at(n.line, n.column, what, hint)
}

func (r *reader) faultf(n *node, hint, format string, args ...any) {
	r.fault(n, fmt.Sprintf(format, args...), hint)
}

func (r *reader) warn(n *node, what, hint string) {
	r.fault(n, what, hint)
	r.problems[len(r.problems)-1].Warning = true
}

// sorted gives the problems in the order of the file.
func (r *reader) sorted() Problems {
	sort.SliceStable(r.problems, func(i, j int) bool {
		a, b := r.problems[i], r.problems[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return r.problems
}

// nearest gives the known name that is closest to a mistyped one, or "".
func nearest(name string, known []string) string {
	for _, k := range known {
		if len(k) > 2 && len(name) > 2 && (strings.HasPrefix(name, k) || strings.HasPrefix(k, name)) {
			return k
		}
	}
	best, distance := "", min(len(name)/3+1, len(name)-1)
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d <= distance && (best == "" || d < distance) {
			best, distance = k, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		last := row[0]
		row[0] = i + 1
		for j := range y {
			cost := last
			if x[i] != y[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(y)]
}

// suggest is the hint for a name that is not among the known ones.
func suggest(name string, known []string, what string) string {
	if k := nearest(name, known); k != "" {
		return fmt.Sprintf("did you mean %s?", k)
	}
	if len(known) == 0 {
		return "there are no " + what
	}
	return what + ": " + strings.Join(known, ", ")
}
