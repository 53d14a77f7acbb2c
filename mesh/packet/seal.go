package packet

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"dancer/mesh"
)

// How a datagram proves where it comes from.
//
// A MAC, always and last, over every byte before it: HMAC-SHA256 with a key that is
// derived from the cell's gossip key and the scope's name. It costs well under a
// microsecond, so that a core carries over 100,000 messages a second; it is checked
// before anything is parsed; and two cells do not hear each other even with one key.
// Whoever has the cell's key can make it, in any member's name.
//
// An Ed25519 signature beside it, where that is not enough: between tiers, and for
// whatever a source is registered to sign. It proves the sender itself and costs
// some 40 us to make and 90 us to check, so it is only checked for datagrams whose
// MAC is right. It covers the envelope and the body, not the body alone: a body
// under another sequence number would be a replay that no window finds. The scope's
// name is its context (RFC 8032, Ed25519ctx): an order to one cell is none to another.

// ErrKey tells of a key that cannot be used.
var ErrKey = errors.New("bad key")

// minSecretBytes of a gossip key; shorter ones can be guessed.
const minSecretBytes = 16

// Key seals and opens the datagrams of one scope.
type Key struct {
	scope  string
	secret [sha256.Size]byte
}

// NewKey derives the key of a scope (the name of a cell or a region) from the
// secret that its members share: 16 bytes or more. Without a secret the MAC only
// tells damage and other scopes apart, and anybody can make it: for loopback.
func NewKey(scope string, secret []byte) (Key, error) {
	if err := mesh.ValidName(scope); err != nil {
		return Key{}, fmt.Errorf("%w: scope: %w", ErrKey, err)
	}
	if n := len(secret); n != 0 && n < minSecretBytes {
		return Key{}, fmt.Errorf("%w: %d bytes, want at least %d: make one with dancer doctor keys", ErrKey, n, minSecretBytes)
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, context(scope), sha256.Size)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Key{scope: scope, secret: [sha256.Size]byte(derived)}, nil
}

// String names the scope and never the secret.
func (k Key) String() string { return "key of " + k.scope }

// GoString is String, so that %#v does not print the secret either.
func (k Key) GoString() string { return k.String() }

// context keeps what is derived for datagrams apart from all other uses of a key.
func context(scope string) string { return "dancer datagram 1 " + scope }

// sealing makes MACs without an allocation. It is not safe for use by several
// goroutines.
type sealing struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func (k Key) sealing() sealing { return sealing{mac: hmac.New(sha256.New, k.secret[:])} }

// of gives the MAC of data, valid until the next call.
func (s *sealing) of(data []byte) []byte {
	s.mac.Reset()
	s.mac.Write(data)
	return s.mac.Sum(s.sum[:0])[:macBytes]
}

// opens says whether the MAC at the end of a datagram with a right frame is right.
func (s *sealing) opens(datagram []byte) bool {
	end := len(datagram) - macBytes
	return hmac.Equal(s.of(datagram[:end]), datagram[end:])
}

// Sealer makes one agent's datagrams. It is not safe for use by several
// goroutines, and there is one for each agent and start: two would use a sequence
// number twice.
type Sealer struct {
	seal   sealing
	scope  string
	from   Name
	epoch  uint64
	seq    uint64
	sign   ed25519.PrivateKey
	signed Kinds
}

// NewSealer makes the sealer of an agent that starts now: started is its wall
// clock, and must not be later than the moments that Seal is given.
func NewSealer(key Key, from string, started Wall) (*Sealer, error) {
	name, err := NewName(from)
	if err != nil {
		return nil, fmt.Errorf("make sealer: %w", err)
	}
	epoch := uint64(max(started, 0)) / uint64(millisecond)
	if epoch == 0 {
		return nil, fmt.Errorf("make sealer of %s: the wall clock says %s, before 1970: set the clock", from, started.Time())
	}
	return &Sealer{seal: key.sealing(), scope: key.scope, from: name, epoch: epoch}, nil
}

const millisecond = Wall(1e6)

// Sign makes the sealer sign every message of these kinds with the agent's own
// key. It fails if the key is not a private one.
func (s *Sealer) Sign(key ed25519.PrivateKey, kinds Kinds) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: private key of %d bytes, want %d", ErrKey, len(key), ed25519.PrivateKeySize)
	}
	s.sign, s.signed = key, kinds
	return nil
}

// Seal appends the datagram of m to dst, at most MaxDatagramBytes, and counts it:
// the same message sealed again has the same id and another sequence number. at is
// the agent's clock. It fills in From, Epoch, Seq, At, Signed and Hash. A message
// that cannot be sealed leaves dst and the count as they were; the error says which
// key of which field is wrong (docs/messages.md has the keys). With room in dst and
// without a signature nothing is allocated.
func (s *Sealer) Seal(dst []byte, at Wall, m *Message) ([]byte, error) {
	m.From, m.Epoch, m.Seq, m.At = s.from, s.epoch, s.seq+1, at
	m.Signed = s.signed.Has(m.Kind)
	m.Hash = [sha256.Size]byte{}
	if len(m.Payload) > 0 {
		m.Hash = sha256.Sum256(m.Payload)
	}
	c := coder{data: append(dst, Version), writing: true}
	c.envelope(m)
	if c.fault.what != "" {
		return dst, fmt.Errorf("seal %s: %w: key %d %s", m.Kind, ErrMalformed, c.fault.key, c.fault.what)
	}
	sealed, err := s.prove(c.data, len(dst), c.head, c.pairs, m.Signed)
	if err != nil {
		return dst, fmt.Errorf("seal %s: %w", m.Kind, err)
	}
	if n := len(sealed) - len(dst); n > MaxDatagramBytes {
		return dst, fmt.Errorf("seal %s: %w: %d bytes, the limit is %d", m.Kind, ErrTooLarge, n, MaxDatagramBytes)
	}
	s.seq++
	return sealed, nil
}

// prove appends signature and MAC to the datagram that begins at start, whose map
// has its head at head and so many pairs.
func (s *Sealer) prove(data []byte, start, head, pairs int, signed bool) ([]byte, error) {
	pairs++
	if signed {
		pairs++
	}
	data[head] |= byte(pairs)
	if signed {
		sig, err := s.sign.Sign(nil, data[start:], &ed25519.Options{Context: context(s.scope)})
		if err != nil {
			return nil, err
		}
		data = append(appendHead(append(data, keySig), majorBytes, ed25519.SignatureSize), sig...)
	}
	data = append(data, keyMAC, majorBytes<<5|macBytes)
	return append(data, s.seal.of(data[start:])...), nil
}

// verify says whether the signature of a datagram that decode accepted is that of
// the owner of key.
func verify(scope string, key ed25519.PublicKey, datagram []byte) bool {
	signed, sig := signature(datagram)
	return ed25519.VerifyWithOptions(key, signed, sig, &ed25519.Options{Context: context(scope)}) == nil
}
