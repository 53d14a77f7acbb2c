package spine

import (
	"sync/atomic"

	"dancer/runtime/config"
)

type portConfig = config.Port

// brokenStream panics in Read when it is told to.
type brokenStream struct {
	stream
	now atomic.Bool
}

func (s *brokenStream) Read(b []byte) (int, error) {
	if s.now.Load() {
		panic("broken")
	}
	return s.stream.Read(b)
}

// breakable gives the rig's port the ability to panic; what it gives is there
// once the port is open.
func (g *rig) breakable() **brokenStream {
	how, broken := defaultOpeners(), new(*brokenStream)
	open := how.port
	how.port = func(p *portConfig) (stream, error) {
		s, err := open(p)
		*broken = &brokenStream{stream: s}
		return *broken, err
	}
	g.cfg.openers = &how
	return broken
}
