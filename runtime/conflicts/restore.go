package conflicts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"dancer/mesh/conflict"
	"dancer/storage/segment"
)

// takeUp brings the index up to date and puts the conflicts that are open back
// into the queue, with what they brought in quarantine.
func (k *Keeper) takeUp() error {
	from, renewed := uint64(0), false
	if k.index != nil {
		from, renewed = k.index.begin(k.records.Head())
	}
	t := past{keeper: k, from: from, confirmed: k.records.Head().Count, open: map[string]*conflict.Record{}}
	report, err := segment.Walk(k.records.Dir(), segment.ReadOptions{Visit: t.visit})
	if errors.Is(err, errOtherIndex) {
		renewed = k.index.renew(k.records.Head())
		t.from, t.order = 0, nil
		clear(t.open)
		report, err = segment.Walk(k.records.Dir(), segment.ReadOptions{Visit: t.visit})
	}
	if err != nil {
		return fmt.Errorf("read log of conflicts: %w", err)
	}
	if len(report.Findings) > 0 {
		k.log.Error("the log of conflicts is damaged: dancer conflicts verify says all of it", "finding", report.Findings[0].String(), "findings", len(report.Findings)+report.More)
	}
	if k.index != nil {
		k.index.end(k.records.Head())
	}
	if renewed {
		k.log.Warn("index of conflicts was missing or not of this log: made anew", "records", report.Records)
	}
	for _, id := range t.order {
		if r := t.open[id]; r != nil {
			k.restore(r)
		}
	}
	return nil
}

// errOtherIndex ends a walk that has found that the index is of another log.
var errOtherIndex = errors.New("the index is of another log")

// past gathers from the log what is open.
type past struct {
	keeper    *Keeper
	from      uint64 // first record that the index does not have
	confirmed uint64 // records that are stored: what follows is not ours
	open      map[string]*conflict.Record
	order     []string
}

func (t *past) visit(e segment.Entry) error {
	index := t.keeper.index
	switch {
	case e.Index >= t.confirmed:
		return nil
	case index != nil && index.disagrees(&e):
		return errOtherIndex
	case e.Kind != segment.KindData:
		return nil
	}
	r, err := conflict.DecodeRecord(e.Payload)
	if err != nil {
		return nil // of another version: the command says so
	}
	if index != nil && e.Index >= t.from {
		index.add(segment.Position{Index: e.Index, Segment: e.Segment, Offset: e.Offset, Hash: e.Hash}, &r)
	}
	before := t.open[r.ID]
	switch {
	case r.Closed():
		delete(t.open, r.ID)
		return nil
	case before == nil:
		t.order = append(t.order, r.ID)
	case r.Quarantined == nil:
		r.Quarantined = before.Quarantined
	}
	t.open[r.ID] = &r
	return nil
}

// restore puts one open conflict back; its deadline begins anew.
func (k *Keeper) restore(r *conflict.Record) {
	var key conflict.Key
	if n, err := hex.Decode(key[:], []byte(r.Key)); err != nil || n != len(key) {
		return
	}
	now := k.options.Clock()
	detail := conflict.Detail{Type: r.Type}
	if err := k.queue.Restore(now, conflict.Report{Key: key, Agent: k.nameOf(r.Agent), Detail: detail}, r.Priority, r.Count); err != nil {
		return // the log has more open conflicts than the queue: the rest is history
	}
	if q := r.Quarantined; q != nil && q.Data != nil {
		source := r.Source
		if source == "" {
			source = r.Agent
		}
		_, _ = k.held.Hold(now, key, k.nameOf(source), q.Data)
	}
	kept := *r
	kept.Quarantined = nil
	k.open[key] = &kept
}

// Decision of a person on a conflict.
const (
	DecideResolve = "resolve" // it is settled; what it brought is discarded
	DecideRelease = "release" // what it brought may act
	DecideDiscard = "discard" // what it brought is dropped
)

// Decide ends an open conflict by somebody's decision and returns when that is
// logged. Errors are those of package conflict.
func (k *Keeper) Decide(ctx context.Context, id, decision, by, why string) error {
	events := map[string]string{DecideResolve: conflict.EventResolved, DecideRelease: conflict.EventReleased, DecideDiscard: conflict.EventDiscarded}
	event, known := events[decision]
	switch {
	case !known:
		return fmt.Errorf("%w: %q is no decision: resolve, release or discard", conflict.ErrInvalid, decision)
	case by == "":
		return conflict.ErrNobody
	case len(by) > 100 || len(why) > 500:
		return fmt.Errorf("%w: by has up to 100 bytes, why up to 500", conflict.ErrInvalid)
	}
	answer := make(chan error, 1)
	call := func() {
		for key, r := range k.open {
			if r.ID == id {
				k.close(key, event, "", by, why)
				answer <- nil
				return
			}
		}
		answer <- fmt.Errorf("%s %s: %w, or it is closed", decision, id, conflict.ErrUnknown)
	}
	select {
	case k.calls <- call:
		return <-answer
	case <-k.done:
		return segment.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// FolderIn is where the log of a data folder is.
func FolderIn(data string) string { return filepath.Join(data, folderName) }
