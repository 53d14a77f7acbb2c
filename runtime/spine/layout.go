package spine

import (
	"fmt"

	"dancer/runtime/config"
	"dancer/runtime/link"
)

// Layout is the layout of the segment that spine and brain share for this
// robot. Both call it, each with the files as it read them; when those differ,
// the hash does, and the brain is refused.
func Layout(r *config.Robot) link.Layout {
	m := r.Manual
	parts := []string{r.Name, m.Hash}
	for i := range m.Signals {
		parts = append(parts, fmt.Sprintf("signal %+v", m.Signals[i]))
	}
	for i := range m.Outputs {
		parts = append(parts, fmt.Sprintf("output %+v", m.Outputs[i]))
	}
	sources := r.Sources()
	for i := range sources {
		parts = append(parts, "port "+sources[i])
	}
	for i := range m.Rules {
		parts = append(parts, "rule "+m.Rules[i].Name)
	}
	return link.Layout{
		Signals: len(m.Signals), Outputs: len(m.Outputs), Ports: len(sources), Rules: len(m.Rules),
		Hash: link.Hash(parts...),
	}
}
