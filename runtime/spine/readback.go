package spine

// suspendReadBacks keeps the reflexes of read_back from firing in a dry run: no
// line follows what is not driven, and a latch would hide every decision after it.
// The past of an output is awaited for ever, as it is before the first reading.
func (c *core) suspendReadBacks() {
	if !c.status.DryRun {
		return
	}
	for i := range c.readBacks {
		for _, slot := range c.rules[c.readBacks[i].Rule].When.Reads() {
			if slot >= c.table.Len() && slot < len(c.signals) {
				c.suspended[slot] = true
			}
		}
	}
}
