package spine

import "dancer/runtime/link"

// restore makes the shared segment whole again after a brain has ended: it may
// have written over any of it, and the next one believes what it reads there.
func (l *loop) restore() {
	l.core.segment.Restore()
	l.core.republish()
	for i := range l.hardware.ports {
		l.storePort(i)
	}
}

// republish stores again what is stored only when it changes.
func (c *core) republish() {
	for i := range c.signals {
		c.segment.StoreSignal(i, c.raw(i), c.stamp(i), c.validity(i))
	}
	for o, w := range c.written {
		c.segment.StoreOutput(o, w.value, c.since[o], w.who, int(w.rule))
	}
	for i := range c.rules {
		c.segment.StoreRule(i, c.reflex.Active(i), c.reflex.Latched(i))
	}
	for k := range c.latencies.kinds {
		c.segment.StoreLatencies(link.LatencyKind(k), &c.latencies.kinds[k])
	}
}

// raw is the newest reading of a signal, valid or not.
func (c *core) raw(signal int) float64 {
	if signal < c.table.Len() {
		return c.table.Raw(signal)
	}
	return c.slots[signal]
}
