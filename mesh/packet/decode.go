package packet

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Version is the first byte of every datagram: the integer 1 in CBOR, so that a
// datagram is a CBOR sequence (RFC 8742) which any tool can print. Versions stop
// at 23 for the same reason.
const Version = 1

// macBytes is HMAC-SHA256 cut to 128 bits, as RFC 4868 does for IPsec; half of the
// hash is the least that RFC 2104 section 5 advises.
const macBytes = 16

// sealBytes end every datagram: the key, the head and the bytes of the MAC.
const sealBytes = 2 + macBytes

// minDatagramBytes is less than any message has.
const minDatagramBytes = 64

// Errors of Decode and Seal, by what the caller can do about them.
var (
	// ErrVersion: made by another version of the program. Update the older one.
	ErrVersion = errors.New("unknown version of a datagram")
	// ErrTooLarge: over MaxDatagramBytes. Send less, or over MQTT.
	ErrTooLarge = errors.New("datagram too large")
	// ErrMalformed: a field is missing, out of its range or not in its one form.
	// Drop it and count, or mend the message that was to be sealed.
	ErrMalformed = errors.New("malformed datagram")
)

// Decode reads a datagram into m, whose slices then alias it. It checks the form
// of everything and the truth of nothing: neither MAC, signature, payload hash nor
// time. Only an Admission does; Decode is for tools and tests.
func Decode(datagram []byte, m *Message) error {
	outcome, f := decode(datagram, m)
	switch outcome {
	case Accepted:
		return nil
	case UnknownVersion:
		return fmt.Errorf("%w: version %d, this program reads version %d: update the older of the two", ErrVersion, datagram[0], Version)
	case TooLarge:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(datagram), MaxDatagramBytes)
	}
	return fmt.Errorf("%w: at byte %d: key %d %s", ErrMalformed, f.at, f.key, f.what)
}

// decode is Decode without an allocation. It gives Accepted for what has the form.
func decode(datagram []byte, m *Message) (Outcome, fault) {
	*m = Message{}
	if outcome := frame(datagram); outcome != Accepted {
		return outcome, fault{what: "is not the MAC: the datagram is cut off or no datagram of ours", key: keyMAC, at: len(datagram)}
	}
	c := coder{data: datagram, at: 1}
	c.envelope(m)
	c.proof(m)
	if c.fault.what == "" && c.at != len(datagram) {
		c.fail("is followed by more bytes")
	}
	if c.fault.what != "" {
		return Malformed, c.fault
	}
	return Accepted, fault{}
}

// frame checks what can be told from outside: size, version, and that a MAC ends
// it.
func frame(datagram []byte) Outcome {
	switch n := len(datagram); {
	case n > MaxDatagramBytes:
		return TooLarge
	case n == 0:
		return Malformed
	case datagram[0] != Version:
		return UnknownVersion
	case n < minDatagramBytes || datagram[n-sealBytes] != keyMAC || datagram[n-sealBytes+1] != majorBytes<<5|macBytes:
		return Malformed
	}
	return Accepted
}

// proof reads the ends of the envelope: the signature, if there is one, and the
// MAC.
func (c *coder) proof(m *Message) {
	if c.has(keySig) {
		m.Signed = true
		if s := c.string(keySig, majorBytes, nil, ed25519.SignatureSize); c.fault.what == "" && len(s) != ed25519.SignatureSize {
			c.fail("has the wrong length")
		}
	}
	c.need(keyMAC, c.next == keyMAC)
	if s := c.string(keyMAC, majorBytes, nil, macBytes); c.fault.what == "" && len(s) != macBytes {
		c.fail("has the wrong length")
	}
	c.shut(level{})
}

// signature gives the parts of a signed datagram that decode accepted: the bytes
// that are signed, and the signature.
func signature(datagram []byte) (signed, sig []byte) {
	end := len(datagram) - sealBytes
	start := end - ed25519.SignatureSize
	return datagram[:start-signatureHead], datagram[start:end]
}

// signatureHead is the key and the head of a signature.
const signatureHead = 3
