package coordination

import (
	"dancer/mesh/quorum"
	"time"
)

// A small tree: an orchestrator, sectors, clusters and agents, each on its own node.
const (
	treeSectors  = 2
	treeClusters = 2
)

func tree(n *network, agents int) (members int32) { return 0 }

func (w *world) cascade(ahead time.Duration, wave bool) {
	_, _ = w.coordinate(w.root, ahead, func(at time.Duration) Task {
		if wave && w.s.shape == "tree" {
			return Task{Phases: quorum.Wave(at), Priority: 2}
		}
		return Task{Phases: quorum.PriorityFirst(at), Priority: 2}
	})
}
