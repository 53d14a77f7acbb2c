package conductor

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"dancer/mesh"
)

// Unknown is the connection of an agent that only gossip knows of; the other
// states are those of package mesh.
const Unknown = "UNKNOWN"

// Agent is one robot as its conductor sees it.
type Agent struct {
	Name       string          `json:"name"`
	Cell       string          `json:"cell"`
	Alive      bool            `json:"alive"`      // the mesh sees it, or it is online and was heard of within the silence limit
	Connection string          `json:"connection"` // ONLINE | OFFLINE | BROKEN | UNKNOWN
	State      *mesh.State     `json:"state"`      // null until the first one came
	Impedance  json.RawMessage `json:"impedance"`  // the mesh's record (package impedance), null when not gossiped
	SeenAt     time.Time       `json:"seen_at"`    // wall clock, display only
}

// agent is an Agent with what its life is judged by.
type agent struct {
	view   Agent
	heard  time.Duration // last message over MQTT
	member bool          // the mesh says alive
	parted time.Duration // since when its manual differs between MQTT and gossip; 0: it does not
}

// alive judges an agent's life at a moment.
func (a *agent) alive(now, silence time.Duration) bool {
	return a.member || (a.view.Connection == mesh.Online && now-a.heard <= silence)
}

// Member is one agent as the mesh of a cell sees it.
type Member struct {
	Name      string
	Alive     bool
	Impedance json.RawMessage // nil: none
	Context   string          // first digits of its manual's hash, as it says in gossip; "": not said
}

// Members takes the membership of a cell, as a whole: a member that is missing
// is no longer alive by gossip.
func (r *Register) Members(at Moment, cell string, members []Member) Effects {
	var effects Effects
	present := make(map[string]Member, len(members))
	for _, m := range members {
		present[m.Name] = m
	}
	for key, a := range r.agents {
		if a.view.Cell != cell {
			continue
		}
		if m, ok := present[key.name]; !ok || !m.Alive {
			a.member = false
		}
	}
	for _, m := range members {
		if strings.HasPrefix(m.Name, mesh.ConductorAgent) {
			continue // conductors are members too, and no agents
		}
		a := r.agent(agentKey{cell, m.Name})
		if a == nil {
			continue
		}
		if m.Alive {
			a.member = true
			a.view.SeenAt = at.Wall
		}
		if m.Impedance != nil {
			if string(a.view.Impedance) != string(m.Impedance) {
				effects.changedAgent(m.Name)
			}
			a.view.Impedance = m.Impedance
		}
		effects.Conflicts = append(effects.Conflicts, a.diverged(at.Monotonic, m.Context)...)
	}
	effects.merge(r.Tick(at))
	return effects
}

// Tick judges every agent's life anew; call it about once a second.
func (r *Register) Tick(at Moment) Effects {
	var effects Effects
	for _, a := range r.agents {
		if alive := a.alive(at.Monotonic, r.limits.Silence); alive != a.view.Alive {
			a.view.Alive = alive
			effects.changedAgent(a.view.Name)
		}
	}
	slices.Sort(effects.Agents)
	effects.Agents = slices.Compact(effects.Agents)
	return effects
}

// Agents lists every agent by cell and name.
func (r *Register) Agents() []Agent {
	list := make([]Agent, 0, len(r.agents))
	for _, a := range r.agents {
		list = append(list, a.view)
	}
	slices.SortFunc(list, func(a, b Agent) int {
		return cmp.Or(cmp.Compare(a.Cell, b.Cell), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Agent gives one agent by name. Names are unique within a cell; of two cells
// the first by name is given.
func (r *Register) Agent(name string) (Agent, bool) {
	for _, a := range r.Agents() {
		if a.Name == name {
			return a, true
		}
	}
	return Agent{}, false
}

// agent finds or makes an agent; nil when the register is full.
func (r *Register) agent(key agentKey) *agent {
	if a, ok := r.agents[key]; ok {
		return a
	}
	if len(r.agents) >= r.limits.Agents {
		r.counters.AgentsRefused++
		return nil
	}
	a := &agent{view: Agent{Name: key.name, Cell: key.cell, Connection: Unknown}}
	r.agents[key] = a
	return a
}

func (r *Register) applyConnection(at Moment, key agentKey, e mesh.Envelope) (Effects, error) {
	c, err := mesh.Body[mesh.Connection](e)
	if err != nil || c.Role == mesh.RoleConductor {
		return Effects{}, err
	}
	a := r.agent(key)
	if a == nil {
		return Effects{}, ErrFull
	}
	a.view.Connection = c.State
	if c.State == mesh.Online {
		a.hear(at)
	}
	return r.heard(at, a), nil
}

func (r *Register) applyState(at Moment, key agentKey, e mesh.Envelope) (Effects, error) {
	s, err := mesh.Body[mesh.State](e)
	if err != nil {
		return Effects{}, err
	}
	if s.Robot != key.name || s.Cell != key.cell {
		return Effects{}, invalid("read state of %s: it names %s/%s", key.name, s.Cell, s.Robot)
	}
	a := r.agent(key)
	if a == nil {
		return Effects{}, ErrFull
	}
	a.view.State = &s
	a.hear(at)
	return r.heard(at, a), nil
}

// Retire forgets an agent: its retained state was cleared.
func (r *Register) Retire(cell, name string) Effects {
	var effects Effects
	if _, ok := r.agents[agentKey{cell, name}]; ok {
		delete(r.agents, agentKey{cell, name})
		effects.changedAgent(name)
	}
	return effects
}

func (a *agent) hear(at Moment) {
	a.heard = at.Monotonic
	a.view.SeenAt = at.Wall
}

// heard judges an agent's life after a message and reports the change.
func (r *Register) heard(at Moment, a *agent) Effects {
	a.view.Alive = a.alive(at.Monotonic, r.limits.Silence)
	var effects Effects
	effects.changedAgent(a.view.Name)
	return effects
}
