package packet

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrSource tells of a registration that cannot be made.
var ErrSource = errors.New("bad source")

// NoSource is the index of what comes from nobody that is known.
const NoSource = -1

// Source is what is known of a sender before it sends: from the cell's membership,
// or from the configuration.
type Source struct {
	// Origin is the only address it may send from; the zero value: any. It keeps a
	// member that has the cell's key from speaking in another's name, as far as the
	// network keeps it from borrowing addresses.
	Origin netip.Addr
	// Kinds it may send; 0 means PeerKinds, which order nothing: being discovered
	// confers no authority.
	Kinds Kinds
	// Key checks its signatures; nil: it signs nothing.
	Key ed25519.PublicKey
	// Signed are the kinds that are refused without its signature. Needs Key.
	Signed Kinds
	// Rate is what it normally sends, in messages a second, 1 to MaxRate; 0 means
	// NormalRate. Ten times as much is its limit.
	Rate uint32
}

func (s Source) check() error {
	switch {
	case s.Key != nil && len(s.Key) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: public key of %d bytes, want %d", ErrSource, len(s.Key), ed25519.PublicKeySize)
	case s.Signed != 0 && s.Key == nil:
		return fmt.Errorf("%w: must sign, and has no key to check it with", ErrSource)
	case s.Rate > MaxRate:
		return fmt.Errorf("%w: rate %d, the limit is %d a second", ErrSource, s.Rate, MaxRate)
	}
	return nil
}

func (s Source) withDefaults() Source {
	if s.Kinds == 0 {
		s.Kinds = PeerKinds
	}
	if s.Rate == 0 {
		s.Rate = NormalRate
	}
	s.Origin = s.Origin.Unmap()
	return s
}

// source is what is remembered of one sender: about 1 KiB.
type source struct {
	Source
	name       Name
	registered bool
	used       bool       // the place in the table is taken
	from       netip.Addr // where a newcomer first came from
	heard      bool       // something was accepted, at last
	last       time.Duration
	epoch      uint64
	window     window
	recent     recent
	rate       bucket
	failures   bucket // signatures that were checked in vain
	clock      clock
}

// clock is what was measured of a source's clock in one epoch.
type clock struct {
	epoch  uint64        // 0: nothing was measured
	offset time.Duration // it minus ours
	bound  time.Duration // how wrong that may be
	at     time.Duration // when it was measured
}

// drift is how fast the bound of a measured offset grows, one in so many: 500 ppm,
// twenty times what a crystal does.
const drift = 2000

// reading gives the offset to judge a message by, and how wrong it may be. What was
// measured holds for its epoch alone, and as long as the source is heard: a peer
// whose clock was set meanwhile must not be shut out by what was measured before,
// since then nothing would ever be measured again.
func (s *source) reading(now, after, tolerance time.Duration, epoch uint64) (offset, bound time.Duration) {
	if c := s.clock; c.epoch == epoch && !s.forgotten(now, after) {
		return c.offset, min(c.bound+(now-c.at)/drift, tolerance)
	}
	return 0, tolerance
}

// forgotten says whether so long nothing was accepted from it that all it ever
// said has expired: then its window protects nothing any more. This is how a peer
// comes back whose clock was set back, so that its new epoch looks old.
func (s *source) forgotten(now, after time.Duration) bool { return !s.heard || now-s.last > after }

// replayed judges epoch and sequence number. It changes nothing.
func (s *source) replayed(now, after time.Duration, m *Message) Outcome {
	switch {
	case s.forgotten(now, after) || m.Epoch > s.epoch:
		return Accepted
	case m.Epoch < s.epoch:
		return OldEpoch
	case !s.window.fresh(m.Seq):
		return Replayed
	}
	return Accepted
}

// accept remembers the message, and says whether its id is new.
func (s *source) accept(now, after time.Duration, m *Message) Outcome {
	if s.forgotten(now, after) || m.Epoch != s.epoch {
		s.epoch, s.window = m.Epoch, window{}
	}
	s.window.mark(m.Seq)
	s.heard, s.last = true, now
	if s.recent.has(m.ID) {
		return Duplicate
	}
	s.recent.add(m.ID)
	return Accepted
}

// maxFailures is how many wrong signatures a source is allowed a second: checking
// one takes some 90 us. Only who has the scope's key can make one.
const maxFailures = 200
