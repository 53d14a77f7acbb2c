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
