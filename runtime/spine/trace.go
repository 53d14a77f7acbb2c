package spine

import (
	"time"

	"dancer/runtime/link"
)

// trace tells the recording what went into the reflex table or came out of it,
// so that the rules can be replayed. Nobody is woken: whoever records looks on
// its own time.
func (c *core) trace(kind link.TraceKind, now time.Duration, index int, value float64, flags uint8) {
	c.segment.PutTrace(&link.Trace{Kind: kind, Flags: flags, Index: int32(index), Value: value, At: now, Now: now})
}

// traceReading tells the newest reading of a signal as it stands in the table, or
// what a derived one is now.
func (c *core) traceReading(kind link.TraceKind, now time.Duration, signal int, end uint8) {
	value := c.slots[signal]
	if signal < c.table.Len() {
		value = c.table.Raw(signal)
	}
	c.segment.PutTrace(&link.Trace{
		Kind: kind, Flags: uint8(c.validity(signal)) | end, Index: int32(signal),
		Value: value, At: c.stamp(signal), Now: now,
	})
}

// last marks the end of a list that is traced.
func last(i int, list []int) uint8 {
	if i == len(list)-1 {
		return link.TraceEnd
	}
	return 0
}
