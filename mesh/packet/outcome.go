package packet

// Outcome is what an Admission made of a datagram. The zero Outcome is none: the
// datagram was not judged, and must not be used.
type Outcome uint8

// The outcomes. Each datagram has exactly one, and is counted under it; up to
// Unauthentic nothing that it says of itself is believed.
const (
	// Accepted: authentic, fresh, the first of its kind. Use it.
	Accepted Outcome = 1 + iota
	// Duplicate: authentic and fresh, but its id was accepted before: a copy that
	// was sent again. Never act on it; answer it again, the first answer may be lost.
	Duplicate
	// TooLarge: over MaxDatagramBytes, or cut off by the receiver's buffer.
	TooLarge
	// UnknownVersion: the first byte is no version that this program reads.
	UnknownVersion
	// Malformed: empty, cut off before its end, or a field is missing, out of its
	// range or not in its one form.
	Malformed
	// Unauthentic: the MAC is wrong: damaged, cut off, of another scope, or made
	// without the key.
	Unauthentic
	// Own: it bears this agent's own name: a reflection, or two agents of one name.
	Own
	// Misdirected: a copy for another agent.
	Misdirected
	// Forbidden: its source may not say this kind, or not without a signature.
	Forbidden
	// WrongOrigin: the source is registered at another address.
	WrongOrigin
	// FutureDated: sealed later than now by more than clocks may differ.
	FutureDated
	// Expired: its time to live is over, or it is older than this agent's start.
	Expired
	// OldEpoch: from before its source's last start; or of a second agent with the
	// same name that started earlier.
	OldEpoch
	// Replayed: this very datagram was accepted before, or is so old that it cannot
	// be told.
	Replayed
	// BadSignature: the signature is wrong, or there is no key to check it with.
	BadSignature
	// OverRate: its source sends more than ten times its normal rate.
	OverRate
	// WrongHash: the payload is not what its hash says.
	WrongHash
	// TooManySources: a source that is not registered, and no room to remember it.
	TooManySources

	outcomes // their number, with that of the zero Outcome
)

// String names the outcome as it appears in counters.
func (o Outcome) String() string {
	return nameAt(int(o), "none", "accepted", "duplicate", "too-large", "unknown-version", "malformed", "unauthentic", "own", "misdirected",
		"forbidden", "wrong-origin", "future-dated", "expired", "old-epoch", "replayed", "bad-signature", "over-rate", "wrong-hash", "too-many-sources")
}

// Dropped says whether the datagram must not be used at all.
func (o Outcome) Dropped() bool { return o != Accepted && o != Duplicate }

// named says whether a report of the outcome may name the source: not before the
// MAC was found right.
func (o Outcome) named() bool { return o > Unauthentic }

// advice is what a report says.
func (o Outcome) advice() string {
	return nameAt(int(o), "", "", "",
		"larger than a datagram may be",
		"of an unknown version: update the older of the two programs",
		"malformed",
		"not authentic: another cell's, another key, or damaged; look at mesh.key_file on both",
		"under this agent's own name: are there two agents of one name?",
		"meant for another agent",
		"more than its source may say: register it, or let it sign",
		"from another address than its source is registered at",
		"from the future: set the clock of one of the two",
		"too old: a slow network, or a clock that is behind",
		"from before its source's last start: a replay, or two agents of one name",
		"sent twice: a network that doubles, or a replay",
		"with a wrong signature, or one that no key is known for",
		"over ten times its source's normal rate",
		"with a payload that its hash does not fit: a fault of the sender, or an attack",
		"from more unregistered sources than are remembered")
}

// Counts has the number of datagrams of each outcome.
type Counts [outcomes]uint64

// Of gives one of them.
func (c *Counts) Of(o Outcome) uint64 {
	if o >= outcomes {
		return 0
	}
	return c[o]
}

// Dropped sums those that were not used.
func (c *Counts) Dropped() (n uint64) {
	for o := Outcome(1); o < outcomes; o++ {
		if o.Dropped() {
			n += c[o]
		}
	}
	return n
}

// Outcomes lists all of them in order, for whoever prints counters.
func Outcomes() []Outcome {
	list := make([]Outcome, 0, outcomes-1)
	for o := Accepted; o < outcomes; o++ {
		list = append(list, o)
	}
	return list
}
