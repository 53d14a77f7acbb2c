package operator

import (
	"slices"
	"time"

	"dancer/mesh/impedance"
)

// Bounds of a page.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// Filter selects agents; what is empty selects all. They come in the order of their
// numbers.
type Filter struct {
	Scope      string // all, sector-N, cluster-N, an agent
	Class      string // A to F
	Capability string
	State      string // unknown, active, degraded, offline, quarantined
	Flagged    bool   // remarkable: slow, spiking, or in no state to be asked
	After      int    // number after which the page begins; -1 or less: from the first
	Limit      int    // agents of a page; 0: DefaultPage
}

// Page is one page of a list.
type Page struct {
	Version int     `json:"version"`
	Name    string  `json:"name"` // of the mesh
	Total   int     `json:"total"`
	Agents  []Agent `json:"agents"`
	Next    int     `json:"next"` // for After of the next page; -1: this is the last
}

// Agent is one agent as its lead knows it.
type Agent struct {
	Number       int      `json:"number"`
	Name         string   `json:"name"`
	Class        string   `json:"class"`
	State        string   `json:"state"`
	Flags        []string `json:"flags"` // slow, spiking, frozen
	Sector       string   `json:"sector"`
	Cluster      string   `json:"cluster"`
	DelayMS      float64  `json:"delay_ms"` // one way; 0: not measured
	ProcessingMS float64  `json:"processing_ms"`
	Queue        int      `json:"queue"`
	ReadyMS      float64  `json:"ready_ms"`  // until it has processed a standard payload
	Score        int      `json:"score"`     // 0 to 1000
	SilentMS     float64  `json:"silent_ms"` // since its lead has heard it; 0: never heard
	Capabilities []string `json:"capabilities"`
}

// Agents gives a page of those that a filter selects.
func (d *Desk) Agents(f Filter) (Page, error) {
	p := Page{Version: Version, Name: d.shape.Name, Agents: []Agent{}, Next: -1}
	s, err := d.selection(&f)
	if err != nil {
		return p, err
	}
	d.refresh()
	last := -1
	for agent := range int32(len(d.view.states)) {
		if !s.has(d, agent) {
			continue
		}
		if p.Total++; int(agent) <= f.After {
			continue
		}
		if len(p.Agents) < f.Limit {
			p.Agents, last = append(p.Agents, d.agent(agent)), int(agent)
		} else {
			p.Next = last
		}
	}
	return p, nil
}

// selection is a filter that has been read.
type selection struct {
	place    Place
	classes  uint8
	requires uint64
	state    AgentState
	any      bool
	flagged  bool
}

func (d *Desk) selection(f *Filter) (s selection, err error) {
	bad := func(hint, format string, args ...any) error {
		return fault(ErrInvalid, hint, "list agents: "+format, args...)
	}
	if s.place, err = d.shape.Find(f.Scope); err != nil {
		return s, err
	}
	if f.Limit == 0 {
		f.Limit = DefaultPage
	}
	if f.Limit < 1 || f.Limit > MaxPage {
		return s, bad("give 1 to 1000", "a page of %d", f.Limit)
	}
	if f.Class != "" {
		c := classOf(f.Class)
		if c == impedance.ClassUnknown {
			return s, bad("give A to F", "no class %q", clip(f.Class))
		}
		s.classes = 1 << c
	}
	if f.Capability != "" {
		bit, err := d.shape.capability(f.Capability)
		if err != nil {
			return s, err
		}
		s.requires = 1 << bit
	}
	at := slices.Index(stateNames[:], f.State)
	if s.any = f.State == ""; !s.any && at < 0 {
		return s, bad("give unknown, active, degraded, offline or quarantined", "no state %q", clip(f.State))
	}
	s.state, s.flagged = AgentState(max(at, 0)), f.Flagged
	return s, nil
}

func (s *selection) has(d *Desk, agent int32) bool {
	v := d.view
	switch {
	case !d.shape.has(s.place, agent),
		s.classes != 0 && s.classes>>v.class(agent)&1 == 0,
		!s.any && v.states[agent] != s.state:
		return false
	}
	e, _ := v.registry.Read(agentID(agent))
	if s.requires&^uint64(e.Capabilities) != 0 {
		return false
	}
	return !s.flagged || v.states[agent] != Active || v.spiking[agent] || e.Flags&impedance.FlagSlow != 0
}

// agent is one row.
func (d *Desk) agent(i int32) Agent {
	v := d.view
	e, _ := v.registry.Read(agentID(i))
	cluster := d.shape.Topology.AgentCluster[i]
	a := Agent{Number: int(i), Name: d.shape.NameOf(Place{AtAgent, i}), Class: v.class(i).String(), State: v.states[i].String(), Flags: []string{},
		Sector: d.shape.NameOf(Place{InSector, d.shape.Topology.ClusterSector[cluster]}), Cluster: d.shape.NameOf(Place{InCluster, cluster}),
		DelayMS: ms(e.Delay), ProcessingMS: ms(e.Processing), Queue: int(e.Queue), Score: int(e.Score), Capabilities: []string{}}
	if v.asked(i) {
		a.ReadyMS = ms(e.Ready(1))
	}
	if v.heard[i] > 0 {
		a.SilentMS = ms(max(v.at-v.heard[i], 0).Round(time.Millisecond))
	}
	if e.Flags&impedance.FlagSlow != 0 {
		a.Flags = append(a.Flags, "slow")
	}
	if v.spiking[i] {
		a.Flags = append(a.Flags, "spiking")
	}
	if v.frozen(i) {
		a.Flags = append(a.Flags, "frozen")
	}
	for bit, name := range d.shape.Capabilities {
		if e.Capabilities.Has(impedance.Capability(bit)) {
			a.Capabilities = append(a.Capabilities, name)
		}
	}
	return a
}
