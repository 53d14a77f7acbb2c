package conflicts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dancer/mesh/conflict"
	"dancer/storage/segment"
)

// Query chooses conflicts. Zero fields choose everything.
type Query struct {
	Since, Until time.Time // of a record; Until itself is not in it
	Agent        string    // who found it, or who sent the received value
	Type         conflict.Type
	Priority     conflict.Priority // this one or a more urgent one
	ID           string
	Limit        int // conflicts; 0: all
}

// matches says whether a record is chosen.
func (q *Query) matches(r *conflict.Record) bool {
	switch {
	case !q.Since.IsZero() && r.At.Before(q.Since),
		!q.Until.IsZero() && !r.At.Before(q.Until),
		q.Agent != "" && r.Agent != q.Agent && r.Source != q.Agent,
		q.Type.Valid() && r.Type != q.Type,
		r.Priority < q.Priority,
		q.ID != "" && r.ID != q.ID:
		return false
	}
	return true
}

// Listed is what a query found.
type Listed struct {
	Conflicts []conflict.Record `json:"conflicts"` // the newest chosen record of each, the newest first
	History   []conflict.Record `json:"history,omitempty"`
	// Unread counts records of another version; Damaged what verify would find.
	Unread  int `json:"unread,omitempty"`
	Damaged int `json:"damaged,omitempty"`
}

// ErrNoLog says that a folder has no log of conflicts.
var ErrNoLog = errors.New("no log of conflicts")

// Read lists conflicts from the log of a data folder, without its owner: a folder
// of a robot, of a conductor, or the log's own. It may run beside the owner, and
// never writes. With an id the history has every record of that conflict.
func Read(data string, q Query) (*Listed, error) {
	dir, err := Find(data)
	if err != nil {
		return nil, err
	}
	found := &Listed{Conflicts: []conflict.Record{}}
	newest := map[string]int{}
	report, err := segment.Walk(dir, segment.ReadOptions{Visit: func(e segment.Entry) error {
		if e.Kind != segment.KindData {
			return nil
		}
		r, err := conflict.DecodeRecord(e.Payload)
		if err != nil {
			found.Unread++
			return nil
		}
		if !q.matches(&r) {
			return nil
		}
		if q.ID != "" {
			found.History = append(found.History, r)
		}
		if i, known := newest[r.ID]; known {
			found.Conflicts[i] = r
			return nil
		}
		newest[r.ID] = len(found.Conflicts)
		found.Conflicts = append(found.Conflicts, r)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	for _, f := range report.Findings {
		if f.Kind != segment.FindingTorn {
			found.Damaged++
		}
	}
	found.order(q.Limit)
	return found, nil
}

// order puts the newest first and keeps as many as are asked for.
func (l *Listed) order(limit int) {
	slices.SortStableFunc(l.Conflicts, func(a, b conflict.Record) int { return b.At.Compare(a.At) })
	if limit > 0 && len(l.Conflicts) > limit {
		l.Conflicts = l.Conflicts[:limit]
	}
}

// Query lists conflicts of a running keeper through its index, or without one
// from the log.
func (k *Keeper) Query(q Query) (*Listed, error) {
	if k.index == nil || k.index.behind.Load() {
		return Read(k.options.Data, q)
	}
	found := &Listed{Conflicts: []conflict.Record{}}
	seen := map[string]bool{}
	var failed error
	err := k.index.find(&q, func(p place) bool {
		e, err := segment.ReadAt(k.records.Dir(), p.segment, p.offset)
		if errors.Is(err, os.ErrNotExist) {
			return true // pruned since
		}
		if err == nil && e.Index != p.index {
			err = fmt.Errorf("record %d: %w: the index has another", p.index, segment.ErrDamaged)
		}
		if err != nil {
			failed = err
			return false
		}
		r, err := conflict.DecodeRecord(e.Payload)
		if err != nil {
			found.Unread++
			return true
		}
		if !q.matches(&r) {
			return true
		}
		if q.ID != "" {
			found.History = append(found.History, r)
		}
		if !seen[r.ID] {
			seen[r.ID] = true
			found.Conflicts = append(found.Conflicts, r)
		}
		return q.ID != "" || q.Limit <= 0 || len(found.Conflicts) < q.Limit
	})
	if err = errors.Join(err, failed); err != nil {
		k.log.Warn("the index of conflicts does not fit its log: reading the log", "error", err)
		return Read(k.options.Data, q)
	}
	slices.Reverse(found.History)
	found.order(q.Limit)
	return found, nil
}

// Find gives the folder of the log that a folder has: its own, that of a
// conductor's or a brain's data, or that of a robot's.
func Find(data string) (string, error) {
	if _, err := os.Stat(data); err != nil {
		return "", fmt.Errorf("read log of conflicts: %w", err)
	}
	for _, dir := range []string{data, FolderIn(data), FolderIn(filepath.Join(data, "brain"))} {
		if segment.IsLog(dir) {
			return dir, nil
		}
		if _, err := os.Stat(segment.HeadOf(dir)); err == nil && dir != data {
			return dir, nil // its segments are gone: verify says so
		}
	}
	return "", fmt.Errorf("%w in %s: give the data folder of a robot or a conductor", ErrNoLog, data)
}

// Verify checks all of the log of a data folder. known is a head that was noted
// elsewhere; nil: none. Beside a running owner it looks again where it has met
// the record in hand.
func Verify(data string, known *segment.Head) (*segment.Report, string, error) {
	dir, err := Find(data)
	if err != nil {
		return nil, "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return &segment.Report{Findings: []segment.Finding{{Kind: segment.FindingMissing, File: filepath.Base(dir), Problem: "the folder of the log is not there, and its head is"}}}, dir, nil
	}
	var report *segment.Report
	for try := range 4 {
		if try > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		report, err = segment.Walk(dir, segment.ReadOptions{Head: segment.HeadOf(dir), Known: known, Visit: nil})
		if err != nil || !inHand(report) {
			break
		}
	}
	return report, dir, err
}

// inHand says that all findings are those that a reader meets while a record is
// being written.
func inHand(r *segment.Report) bool {
	for _, f := range r.Findings {
		if f.Kind != segment.FindingTorn && f.Kind != segment.FindingUnconfirmed {
			return false
		}
	}
	return len(r.Findings) > 0
}
