package breaker

import (
	"fmt"
	"iter"
	"math"
)

// bits of a cluster's mask.
const (
	frozenItself uint8 = 1 << iota
	frozenSector
	frozenGlobal
)

// order is the newest command about one scope.
type order struct {
	sequence uint64
	frozen   bool
}

// Freezes remembers what is frozen: a cluster (in a small mesh the cell), a
// sector, everything. Scopes nest: thawing the mesh leaves a cluster frozen that
// was frozen itself. A frozen scope never acts, and only a command thaws it.
//
// Commands carry a sequence number that their issuer raises with each, and may
// come late, repeated and in any order: of a scope's commands the one with the
// highest number holds, and of equal ones the freeze. 21 bytes a cluster; Frozen
// is one look-up. It is not safe for use by several goroutines.
type Freezes struct {
	sectorOf []int32
	cluster  []order
	sector   []order
	global   order
	mask     []uint8
}

// NewFreezes makes a mesh in which nothing is frozen, given the sector of each
// cluster.
func NewFreezes(sectorOf []int32, sectors int32) (*Freezes, error) {
	for c, s := range sectorOf {
		if s < 0 || s >= sectors {
			return nil, fmt.Errorf("make freezes: %w: cluster %d is in sector %d of %d", ErrConfig, c, s, sectors)
		}
	}
	if len(sectorOf) > math.MaxInt32 || sectors < 0 {
		return nil, fmt.Errorf("make freezes: %w: %d clusters, %d sectors", ErrConfig, len(sectorOf), sectors)
	}
	return &Freezes{sectorOf: sectorOf, cluster: make([]order, len(sectorOf)), sector: make([]order, sectors), mask: make([]uint8, len(sectorOf))}, nil
}

// Frozen says whether a cluster is frozen, itself or with what it belongs to. A
// cluster that is not there is.
func (f *Freezes) Frozen(cluster int32) bool {
	return cluster < 0 || int(cluster) >= len(f.mask) || f.mask[cluster] != 0
}

// Freeze freezes a scope; it reports whether that changed anything.
func (f *Freezes) Freeze(scope Scope, index int32, sequence uint64) bool {
	return f.command(scope, index, order{sequence, true})
}

// Thaw thaws what a Freeze of the same scope froze; it reports whether that
// changed anything.
func (f *Freezes) Thaw(scope Scope, index int32, sequence uint64) bool {
	return f.command(scope, index, order{sequence, false})
}

func (f *Freezes) command(scope Scope, index int32, o order) bool {
	held := f.held(scope, index)
	if held == nil || o.sequence < held.sequence || (o.sequence == held.sequence && !o.frozen) {
		return false
	}
	changed := held.frozen != o.frozen
	*held = o
	if changed {
		f.refresh(scope, index, o.frozen)
	}
	return changed
}

// held gives the newest command of a scope; nil for one that is not there.
func (f *Freezes) held(scope Scope, index int32) *order {
	switch {
	case scope == ScopeCluster && index >= 0 && int(index) < len(f.cluster):
		return &f.cluster[index]
	case scope == ScopeSector && index >= 0 && int(index) < len(f.sector):
		return &f.sector[index]
	case scope == ScopeGlobal && index == 0:
		return &f.global
	}
	return nil
}

// Held says whether a scope is frozen itself.
func (f *Freezes) Held(scope Scope, index int32) bool {
	o := f.held(scope, index)
	return o != nil && o.frozen
}

// Command is the newest one about a scope.
type Command struct {
	Scope    Scope
	Index    int32
	Sequence uint64
	Frozen   bool
}

// Commands gives the newest command of every scope that ever had one, for the
// caller to store: a restart must not thaw anything. Restore takes them back.
func (f *Freezes) Commands() iter.Seq[Command] {
	return func(yield func(Command) bool) {
		say := func(scope Scope, index int, o order) bool {
			return o == (order{}) || yield(Command{scope, int32(index), o.sequence, o.frozen})
		}
		for i, o := range f.cluster {
			if !say(ScopeCluster, i, o) {
				return
			}
		}
		for i, o := range f.sector {
			if !say(ScopeSector, i, o) {
				return
			}
		}
		say(ScopeGlobal, 0, f.global)
	}
}

// Restore takes a stored command; it reports whether that changed anything.
func (f *Freezes) Restore(c Command) bool {
	return f.command(c.Scope, c.Index, order{c.Sequence, c.Frozen})
}

// refresh sets the bit of a scope in all its clusters. A freeze is rare and looks
// at each.
func (f *Freezes) refresh(scope Scope, index int32, frozen bool) {
	for c := range f.mask {
		switch {
		case scope == ScopeCluster && int32(c) == index:
			f.mark(c, frozenItself, frozen)
		case scope == ScopeSector && f.sectorOf[c] == index:
			f.mark(c, frozenSector, frozen)
		case scope == ScopeGlobal:
			f.mark(c, frozenGlobal, frozen)
		}
	}
}

func (f *Freezes) mark(cluster int, bit uint8, frozen bool) {
	f.mask[cluster] &^= bit
	if frozen {
		f.mask[cluster] |= bit
	}
}
