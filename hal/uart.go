package hal

// LineErrors is what a UART found wrong with a serial line, as the kernel counts it
// (struct serial_icounter_struct): since the driver took the port, and around at 32
// bits.
type LineErrors struct {
	Framing  uint32 // bytes whose stop bit is missing, as a wrong baud rate gives
	Parity   uint32 // bytes that fail their parity
	Breaks   uint32 // the line stayed low for longer than a byte: a baud rate far too high, or a loose wire
	Overruns uint32 // bytes lost because nobody fetched them in time
}

// Garbling is how many errors of a wrong baud rate came since an earlier count.
func (e LineErrors) Garbling(since LineErrors) uint32 {
	return e.Framing - since.Framing + e.Breaks - since.Breaks
}
