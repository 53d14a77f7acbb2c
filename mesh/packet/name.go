package packet

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"dancer/mesh"
)

// MaxNameBytes bounds a name: mesh.MaxNameBytes, and what stands before it in a
// conductor's.
const MaxNameBytes = mesh.MaxNameBytes + len(mesh.ConductorAgent) + 1

// Name is who sends, who receives, or what an order is about: what
// mesh.ValidSender accepts, in place, so that names are compared and looked up
// without an allocation. The zero Name is none.
type Name struct {
	length uint8
	text   [MaxNameBytes]byte
}

// NewName takes what mesh.ValidSender accepts.
func NewName(s string) (Name, error) {
	if err := mesh.ValidSender(s); err != nil {
		return Name{}, err
	}
	return nameOf([]byte(s)), nil
}

// nameOf takes a text that was checked.
func nameOf(text []byte) (n Name) {
	n.length = uint8(copy(n.text[:], text))
	return n
}

// IsZero says whether there is no name.
func (n *Name) IsZero() bool { return n.length == 0 }

// String gives the name, "" for none.
func (n Name) String() string { return string(n.bytes()) }

func (n *Name) bytes() []byte { return n.text[:n.length] }

// validSender is mesh.ValidSender for bytes: that one would make a string of
// every name that arrives.
func validSender(text []byte) bool {
	if string(text) == mesh.ConductorAgent {
		return true
	}
	const before = mesh.ConductorAgent + "-"
	if len(text) >= len(before) && string(text[:len(before)]) == before {
		text = text[len(before):]
	}
	if len(text) == 0 || len(text) > mesh.MaxNameBytes || !alphanumeric(text[0]) {
		return false
	}
	for _, c := range text[1:] {
		if !alphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Bounds of a list of capabilities, those of the impedance record.
const (
	MaxCapabilities    = 8
	MaxCapabilityBytes = 16
)

// Capability names something that an agent can do: 1 to 16 bytes of UTF-8
// without NUL, filled up with NUL.
type Capability [MaxCapabilityBytes]byte

// NewCapability checks s.
func NewCapability(s string) (c Capability, err error) {
	if !validCapability([]byte(s)) {
		return c, fmt.Errorf("%w: capability %.40q: want 1 to %d bytes of UTF-8", mesh.ErrName, s, MaxCapabilityBytes)
	}
	copy(c[:], s)
	return c, nil
}

func validCapability(text []byte) bool {
	return len(text) > 0 && len(text) <= MaxCapabilityBytes && utf8.Valid(text) && bytes.IndexByte(text, 0) < 0
}

// String gives the text.
func (c Capability) String() string { return string(c.bytes()) }

func (c *Capability) bytes() []byte {
	if end := bytes.IndexByte(c[:], 0); end >= 0 {
		return c[:end]
	}
	return c[:]
}

// Capabilities is a list in its sender's order.
type Capabilities struct {
	Count uint8 // of List, 0 to MaxCapabilities
	List  [MaxCapabilities]Capability
}

// Has says whether the list names c.
func (l *Capabilities) Has(c Capability) bool {
	for i := range l.Count {
		if l.List[i] == c {
			return true
		}
	}
	return false
}

// Add appends c; false if the list is full.
func (l *Capabilities) Add(c Capability) bool {
	if l.Count >= MaxCapabilities {
		return false
	}
	l.List[l.Count] = c
	l.Count++
	return true
}
