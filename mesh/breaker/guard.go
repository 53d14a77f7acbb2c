package breaker

// Guard joins what has to be asked before anything is sent or done, so that
// nobody asks one and forgets another.
type Guard struct {
	Modes    *Modes
	Freezes  *Freezes
	Breakers *Breakers
}

// May says whether an operation on a cluster may run: a frozen scope never acts,
// whoever asks, and is not repaired either; nothing but what is essential goes
// behind an open breaker; then the mode decides. key is the message's, for
// Breakers.Admit.
func (g Guard) May(o Operation, cluster int32, key uint64) Ruling {
	switch {
	case !o.valid():
		return Ruling{Refused, Malformed}
	case o.Kind == Safety || o.Kind == Telemetry:
		return Ruling{Allowed, Essential}
	case g.Freezes.Frozen(cluster):
		return Ruling{Refused, Frozen}
	case o.Kind == Recovery:
		return Ruling{Allowed, Essential}
	case !g.Breakers.Admit(cluster, key):
		return Ruling{Refused, Cut}
	}
	o.Ailing = o.Ailing || g.Breakers.ailing(cluster)
	return g.Modes.Mode().May(o)
}

// ailing says whether the sector of a cluster that is there is not whole.
func (b *Breakers) ailing(cluster int32) bool {
	return b.tiers[1].records[b.sectorOf[cluster]].state != Closed
}
