package gossip

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"dancer/mesh/impedance"
)

// maxGone bounds the dead members that are remembered.
const maxGone = 256

// Member is one agent of the cell, this one included.
type Member struct {
	Name   string
	Alive  bool
	Addr   string
	Record *impedance.Record // nil: none sent yet, or not readable
	SeenAt time.Time         // when it last told something new
}

// register holds the members. It is safe for use by several goroutines.
type register struct {
	mutex   sync.Mutex
	members map[string]Member
}

// put notes a member that is alive, and says whether it was not before. A
// record that is not readable or of another agent is ignored.
func (r *register) put(node *memberlist.Node, now time.Time) (m Member, came bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	old, known := r.members[node.Name]
	m = Member{Name: node.Name, Alive: true, Addr: node.Address(), Record: old.Record, SeenAt: now}
	if record, err := impedance.Decode(node.Meta); err == nil && record.Agent == node.Name {
		m.Record = &record
	}
	r.members[node.Name] = m
	return m, !known || !old.Alive
}

// drop notes that a member is gone.
func (r *register) drop(node *memberlist.Node) Member {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	m := r.members[node.Name]
	m.Name, m.Alive = node.Name, false
	r.members[node.Name] = m
	r.forget()
	return m
}

// forget drops the dead that were seen longest ago, past the bound.
func (r *register) forget() {
	var gone []Member
	for _, m := range r.members {
		if !m.Alive {
			gone = append(gone, m)
		}
	}
	if len(gone) <= maxGone {
		return
	}
	slices.SortFunc(gone, func(a, b Member) int { return a.SeenAt.Compare(b.SeenAt) })
	for _, m := range gone[:len(gone)-maxGone] {
		delete(r.members, m.Name)
	}
}

// list copies the members in order of their names.
func (r *register) list() []Member {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	out := make([]Member, 0, len(r.members))
	for _, m := range r.members {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// addresses of those alive.
func (r *register) addresses() map[string]bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	out := map[string]bool{}
	for _, m := range r.members {
		if m.Alive {
			out[m.Addr] = true
		}
	}
	return out
}
