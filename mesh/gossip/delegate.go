package gossip

import (
	"bytes"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. Nothing here may block: it runs in the
// library's receive loop.
type delegate struct{ g *Gossip }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
	_ memberlist.PingDelegate     = delegate{}
	_ memberlist.NamedBroadcast   = broadcast{}
)

// NodeMeta gives the newest record. The limit is checked because the library
// panics past it.
func (d delegate) NodeMeta(limit int) []byte {
	meta := *d.g.meta.Load()
	if len(meta) > limit {
		return nil
	}
	return meta
}

// NotifyMsg takes a message of Broadcast, passes it on if it is new, and hands
// it to the worker. The library passes user messages one hop only.
func (d delegate) NotifyMsg(data []byte) {
	m, err := parseMessage(data)
	if err != nil {
		d.g.counters.malformed.Add(1)
		return
	}
	if m.from == d.g.options.Name || !d.g.isNew(m) {
		return
	}
	m.body = bytes.Clone(m.body) // the buffer is the library's
	d.g.spread(m)
	if d.g.options.OnMessage != nil {
		d.g.post(func() { d.g.options.OnMessage(m.from, m.body) })
	}
}

// GetBroadcasts gives what fits into the next packet.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.g.queue.GetBroadcasts(overhead, limit)
}

// LocalState and MergeRemoteState carry nothing: the records travel as meta.
func (delegate) LocalState(bool) []byte        { return nil }
func (delegate) MergeRemoteState([]byte, bool) {}

// NotifyJoin notes a member that came.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.alive(n) }

// NotifyUpdate notes a new record.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.alive(n) }

func (d delegate) alive(n *memberlist.Node) {
	m, came := d.g.register.put(n, time.Now())
	if came && m.Name != d.g.options.Name {
		d.g.options.Log.Info("member joined", "member", m.Name, "address", m.Addr)
		d.changed(m)
	}
}

// NotifyLeave notes a member that said goodbye or was found dead: the library
// does not say which. Presence on MQTT does.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	m := d.g.register.drop(n)
	if m.Name == d.g.options.Name {
		return
	}
	d.g.options.Log.Warn("member gone", "member", m.Name, "address", m.Addr)
	d.changed(m)
}

func (d delegate) changed(m Member) {
	if d.g.options.OnChange != nil {
		d.g.post(func() { d.g.options.OnChange(m) })
	}
}

// NotifyConflict says which two machines bear one name: usually a cloned card.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	text := fmt.Sprintf("two members of cell %s are called %s, at %s and %s: give one of them another name",
		d.g.options.Cell, existing.Name, existing.Address(), other.Address())
	if d.g.options.OnConflict != nil {
		name, first, second := existing.Name, existing.Address(), other.Address()
		d.g.post(func() { d.g.options.OnConflict(name, first, second) })
	}
	if old := d.g.conflict.Swap(&text); old == nil || *old != text {
		d.g.options.Log.Error(text)
	}
}

// AckPayload carries nothing.
func (delegate) AckPayload() []byte { return nil }

// NotifyPingComplete hands on a measured round trip.
func (d delegate) NotifyPingComplete(n *memberlist.Node, roundTrip time.Duration, _ []byte) {
	if d.g.options.OnRoundTrip != nil {
		name := n.Name
		d.g.post(func() { d.g.options.OnRoundTrip(name, roundTrip) })
	}
}

// broadcast is one message on its way to the others.
type broadcast struct {
	name string
	data []byte
}

// Invalidates is for broadcasts without a name.
func (b broadcast) Invalidates(memberlist.Broadcast) bool { return false }

// Name tells copies of one message apart from others.
func (b broadcast) Name() string { return b.name }

// Message gives the bytes.
func (b broadcast) Message() []byte { return b.data }

// Finished is called when the message was passed on often enough.
func (b broadcast) Finished() {}
