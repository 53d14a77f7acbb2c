package conflict

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key is what a conflict is about: equal conflicts have equal keys. A fleet fills
// it from its integers; the edge makes it with KeyOf.
type Key [16]byte

// KeyOf condenses the type, the subject and the two values into a key. Who
// reports is not in it: 30,000 agents that find the same are one conflict.
func KeyOf(t Type, subject, expected, received string) (k Key) {
	h := sha256.New()
	var n [8]byte
	h.Write([]byte{byte(t)})
	for _, text := range [...]string{subject, expected, received} {
		binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		h.Write([]byte(text))
	}
	copy(k[:], h.Sum(nil))
	return k
}
