package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a file, and what to do about it.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // 1-based; 0: the whole file
	Column  int    `json:"column"` // 1-based, in characters; 0: the whole line
	What    string `json:"what"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"` // does not stop a run
	Unread  bool   `json:"unread,omitempty"`  // the file could not be read at all
}

// Error gives file:line:column: what (hint).
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.What)
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", p.Hint)
	}
	return b.String()
}

// Problems is everything found in one run, in the order of the files.
type Problems []Problem

// Error gives one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Faults counts the problems that stop a run.
func (ps Problems) Faults() int {
	n := 0
	for _, p := range ps {
		if !p.Warning {
			n++
		}
	}
	return n
}

// Unreadable says whether a file could not be read at all.
func (ps Problems) Unreadable() bool {
	for _, p := range ps {
		if p.Unread {
			return true
		}
	}
	return false
}

// Err is nil when nothing stops a run, and the problems otherwise.
func (ps Problems) Err() error {
	if ps.Faults() == 0 {
		return nil
	}
	return ps
}
