package impedance

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// Errors of the registry.
var (
	// ErrAgent: no agent of this number has a place in a cell, or no such cell.
	ErrAgent = errors.New("unknown agent, cell or region")
	// ErrReport: a report says something of an agent that it cannot say.
	ErrReport = errors.New("bad impedance report")
)

// MaxAgents is the largest capacity of a registry.
const MaxAgents = 1 << 24

// Registry is the impedance of all agents (mesh-30k 2.3): dense numbers, names at
// the edge (Names). It takes 192 bytes an agent, and nothing that is called per
// heartbeat or query allocates.
//
// One goroutine owns it and calls what changes it, and what summarizes. Read and
// FindBest may be called by any number of others at the same time. They wait for
// nobody, not even for an owner that lost its processor in the middle of a
// change: an entry has two copies, of which the owner writes the one that nobody
// reads, and tells by a version number. A mutex would be a little faster, half of
// the memory being touched, and as slow as the scheduler at worst; immutable
// snapshots would be old, or 12 MB of garbage a second at 6,000 updates.
type Registry struct {
	agents  []agent
	links   links
	index   [MaxCapabilityKinds]atomic.Pointer[ranking] // nil until an agent has the capability
	cells   []cell
	regions [][]CellID
	oldest  uint32 // of those heard and not yet offline, agent number + 1; 0: nobody
	newest  uint32
	latest  time.Duration // the registry's time never goes back
	scores  []uint16      // scratch of the summaries
}

// agent is one agent, in two cache lines. The copies and the version are what
// readers see.
type agent struct {
	version  atomic.Uint32 // 0: never placed; its last bit says which copy holds
	cell     CellID
	even     words
	older    uint32 // neighbours by the time of the last heartbeat, agent number + 1
	newer    uint32
	odd      words
	baseline Baseline
	awaited  bool // in the list of those whose heartbeats are awaited
}

// words are a copy of an entry.
type words [len(packed{})]atomic.Uint64

// holding is the copy that holds with a version.
func (a *agent) holding(version uint32) *words {
	if version&1 == 0 {
		return &a.even
	}
	return &a.odd
}

// cell is a cell and its members in the order in which they came.
type cell struct {
	region  RegionID
	members []AgentID
}

// NewRegistry makes a registry for agents 0 to capacity - 1, none of which has a
// place yet. ErrFull when capacity is negative or over MaxAgents.
func NewRegistry(capacity int) (*Registry, error) {
	if capacity < 0 || capacity > MaxAgents {
		return nil, fmt.Errorf("%w: %d agents, the limit is %d", ErrFull, capacity, MaxAgents)
	}
	nodes := capacity*MaxCapabilities + 1
	r := &Registry{agents: make([]agent, capacity), links: links{next: make([]atomic.Uint32, nodes), last: make([]uint32, nodes)}}
	for i := range r.agents {
		r.agents[i].cell = NoCell
	}
	return r, nil
}

// AddCell makes a cell, the next number, of a region that is there or the next
// new one. ErrAgent: another region. ErrFull past MaxAgents cells.
func (r *Registry) AddCell(region RegionID) (CellID, error) {
	if uint64(region) > uint64(len(r.regions)) {
		return NoCell, fmt.Errorf("%w: region %d, %d is the next", ErrAgent, region, len(r.regions))
	}
	if len(r.cells) >= MaxAgents {
		return NoCell, fmt.Errorf("%w: %d cells", ErrFull, len(r.cells))
	}
	id := CellID(len(r.cells))
	r.cells = append(r.cells, cell{region: region})
	if int(region) == len(r.regions) {
		r.regions = append(r.regions, nil)
	}
	r.regions[region] = append(r.regions[region], id)
	return id, nil
}

// Place puts an agent into a cell, moves it to another or, with NoCell, retires
// it. One that is new or was retired is Offline until its first heartbeat; one
// that moves keeps what is known of it. A quarantined one that is retired and
// comes back is still quarantined.
func (r *Registry) Place(id AgentID, to CellID) error {
	if uint64(id) >= uint64(len(r.agents)) || (to != NoCell && uint64(to) >= uint64(len(r.cells))) {
		return fmt.Errorf("%w: agent %d, cell %d", ErrAgent, id, to)
	}
	a := &r.agents[id]
	if a.cell == to {
		return nil
	}
	e := a.current()
	if a.cell != NoCell {
		members := r.cells[a.cell].members
		r.cells[a.cell].members = slices.Delete(members, slices.Index(members, id), slices.Index(members, id)+1)
	}
	if to != NoCell {
		r.cells[to].members = append(r.cells[to].members, id)
	}
	if to == NoCell && e.Operation != Quarantined {
		r.forget(id)
		e = Entry{Class: e.Class}
	}
	a.cell, e.Cell = to, to
	e.judge()
	r.publish(id, e)
	return nil
}

// Update takes the report of a heartbeat and gives the agent's flags. ErrAgent:
// it has no place. ErrReport: nothing is taken over, and the heartbeat does not
// count.
func (r *Registry) Update(id AgentID, now time.Duration, report Report) (Flags, error) {
	if uint64(id) >= uint64(len(r.agents)) || r.agents[id].cell == NoCell {
		return 0, fmt.Errorf("%w: agent %d", ErrAgent, id)
	}
	if (report.Operation != Active && report.Operation != Degraded) || report.Class > ClassHuman || report.Capabilities.Len() > MaxCapabilities {
		return 0, fmt.Errorf("%w: agent %d, class %d, state %v, %d capabilities", ErrReport, id, report.Class, report.Operation, report.Capabilities.Len())
	}
	a := &r.agents[id]
	r.latest = max(r.latest, now)
	e := entryOf(report, a.cell, r.latest)
	if !permitted(ByAgent, a.current().Operation, e.Operation) {
		e.Operation = Quarantined
	}
	e.judge()
	if e.Operation != Quarantined && a.baseline.Observe(e.Score) {
		e.Flags |= FlagSpike
	}
	r.heard(id)
	r.publish(id, e)
	return e.Flags, nil
}

// Set changes the operational state of an agent. ErrAuthority: who says it may
// not; what agents say of themselves comes by Update.
func (r *Registry) Set(id AgentID, to Operation, by Authority) error {
	if uint64(id) >= uint64(len(r.agents)) || r.agents[id].cell == NoCell {
		return fmt.Errorf("%w: agent %d", ErrAgent, id)
	}
	e := r.agents[id].current()
	if by == ByAgent {
		return fmt.Errorf("%w: an agent reports", ErrAuthority)
	}
	if err := Permitted(by, e.Operation, to); err != nil {
		return err
	}
	e.Operation = to
	e.judge()
	r.publish(id, e)
	return nil
}

// Sweep marks the agents that have missed MissedSuspect heartbeats as degraded
// and those that have missed MissedOffline as offline, and appends those that
// changed to dst. It costs as much as there are silent agents. A quarantined one
// stays so.
func (r *Registry) Sweep(now time.Duration, dst []AgentID) []AgentID {
	r.latest = max(r.latest, now)
	for next := r.oldest; next != 0; {
		id := AgentID(next - 1)
		a := &r.agents[id]
		next = a.newer
		e := a.current()
		missed := MissedHeartbeats(r.latest - e.Heard)
		if missed < MissedSuspect {
			break
		}
		to := Degraded
		if missed >= MissedOffline {
			to = Offline
			r.forget(id)
		}
		if e.Operation == to || !permitted(ByLead, e.Operation, to) {
			continue
		}
		e.Operation = to
		e.judge()
		r.publish(id, e)
		dst = append(dst, id)
	}
	return dst
}

// heard moves an agent to the end of the list by the time of the heartbeat.
func (r *Registry) heard(id AgentID) {
	r.forget(id)
	a := &r.agents[id]
	a.older, a.newer, a.awaited = r.newest, 0, true
	if r.newest != 0 {
		r.agents[r.newest-1].newer = uint32(id) + 1
	} else {
		r.oldest = uint32(id) + 1
	}
	r.newest = uint32(id) + 1
}

// forget takes an agent out of the list.
func (r *Registry) forget(id AgentID) {
	a := &r.agents[id]
	if !a.awaited {
		return
	}
	a.awaited = false
	if a.older != 0 {
		r.agents[a.older-1].newer = a.newer
	} else {
		r.oldest = a.newer
	}
	if a.newer != 0 {
		r.agents[a.newer-1].older = a.older
	} else {
		r.newest = a.older
	}
}

// current is the entry, for the owner.
func (a *agent) current() Entry {
	if a.version.Load() == 0 {
		return Entry{Cell: NoCell}
	}
	return a.copied(a.version.Load()).unpack()
}

func (a *agent) copied(version uint32) (p packed) {
	from := a.holding(version)
	for i := range p {
		p[i] = from[i].Load()
	}
	return p
}

// publish makes an entry the one that readers see and moves the agent in the
// rankings.
func (r *Registry) publish(id AgentID, e Entry) {
	a := &r.agents[id]
	before := a.current()
	version := a.version.Load() + 1
	if version == 0 {
		version = 2 // 0 is for agents that never had a place
	}
	to := a.holding(version)
	for i, word := range e.pack() {
		to[i].Store(word)
	}
	a.version.Store(version)
	r.rank(id, before, e)
}

// rank moves an agent in the rankings of its capabilities.
func (r *Registry) rank(id AgentID, before, after Entry) {
	was, is := before.ranked(), after.ranked()
	if was == is && before.Score == after.Score {
		return
	}
	for rest := uint64(was | is); rest != 0; rest &= rest - 1 {
		c := Capability(bits.TrailingZeros64(rest))
		x := r.ranking(c)
		x.sequence.Add(1)
		if was.Has(c) {
			x.remove(&r.links, node(id, was, c), before.Score)
		}
		if is == was {
			x.append(&r.links, node(id, is, c), after.Score)
		}
		x.sequence.Add(1)
	}
	if is == was {
		return
	}
	// Other capabilities, other nodes: all are out before the first goes in.
	for rest := uint64(is); rest != 0; rest &= rest - 1 {
		c := Capability(bits.TrailingZeros64(rest))
		x := r.ranking(c)
		x.sequence.Add(1)
		x.append(&r.links, node(id, is, c), after.Score)
		x.sequence.Add(1)
	}
}

// ranking of a capability, made when there is none.
func (r *Registry) ranking(c Capability) *ranking {
	x := r.index[c].Load()
	if x == nil {
		x = new(ranking)
		r.index[c].Store(x)
	}
	return x
}

// node is the number of one capability of an agent.
func node(id AgentID, set Capabilities, c Capability) uint32 {
	place := (set & (1<<c - 1)).Len()
	return uint32(id)*MaxCapabilities + uint32(place) + 1
}
