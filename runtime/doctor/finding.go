package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Severity says how much a finding matters. A higher one is worse.
type Severity uint8

// The severities. The zero value is no severity: a finding without one is a
// fault of this program and counts as Fault.
const (
	OK      Severity = iota + 1 // as it should be
	Note                        // worth knowing; nothing needs to be done
	Warning                     // the robot works, later or less surely than it could
	Fault                       // the robot will not work, or will lose what keeps it safe
)

var severityNames = [...]string{OK: "ok", Note: "note", Warning: "warning", Fault: "fault"}

// String is ok, note, warning or fault.
func (s Severity) String() string {
	if s < OK || s > Fault {
		return severityNames[Fault]
	}
	return severityNames[s]
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a severity's name.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames[:], string(text))
	if i < int(OK) {
		return fmt.Errorf("severity %q: want ok, note, warning or fault", text)
	}
	*s = Severity(i)
	return nil
}

// Finding is one thing that was looked at. The fields of its JSON are stable.
type Finding struct {
	ID       string   `json:"id"`                // kebab-case, stable: scripts may match it
	Severity Severity `json:"severity"`          // ok | note | warning | fault
	Subject  string   `json:"subject,omitempty"` // what it is about, where a check looks at several things: a device, an interface
	Found    string   `json:"found"`             // with the value
	Why      string   `json:"why,omitempty"`     // one sentence; empty when it is ok
	Cure     string   `json:"cure,omitempty"`    // a command to copy; empty when it is ok or there is none
}

// Report is everything that was found, the worst first.
type Report struct {
	Board    string         `json:"board"`  // as `dancer board` names it
	Model    string         `json:"model"`  // of the device tree; "" without one
	Kernel   string         `json:"kernel"` // release
	User     string         `json:"user"`   // whose permissions were looked at
	Robot    string         `json:"robot,omitempty"`
	Worst    Severity       `json:"worst"`
	Counts   map[string]int `json:"counts"` // of findings by severity; all four keys are there
	Findings []Finding      `json:"findings"`
}

// finish sorts and counts. Texts from files and devices lose their control
// characters: they go to a terminal.
func (r *Report) finish() {
	r.Worst, r.Counts = OK, map[string]int{"ok": 0, "note": 0, "warning": 0, "fault": 0}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Severity < OK || f.Severity > Fault {
			f.Severity = Fault
		}
		for _, text := range []*string{&f.Subject, &f.Found, &f.Why, &f.Cure} {
			*text = printable(*text)
		}
		r.Worst = max(r.Worst, f.Severity)
		r.Counts[f.Severity.String()]++
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
}

func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
}

// one is the usual result of a check.
func one(f Finding) ([]Finding, error) { return []Finding{f}, nil }

// ok is a finding of something that is as it should be.
func ok(id, format string, values ...any) Finding {
	return Finding{ID: id, Severity: OK, Found: fmt.Sprintf(format, values...)}
}

// AboveOK is the report without what is as it should be; the counts stay.
func (r Report) AboveOK() Report {
	kept := []Finding{}
	for _, f := range r.Findings {
		if f.Severity > OK {
			kept = append(kept, f)
		}
	}
	r.Findings = kept
	return r
}
