package gossip

import (
	"encoding/binary"
	"errors"

	"dancer/mesh"
)

// A message on the wire: version 1, length of the name, the name, a random
// number of the sender's start, its count of messages (both little endian), the
// bytes. Name, start and count are the key for de-duplication.
const messageVersion = 1

var errMessage = errors.New("not a gossip message")

type message struct {
	from  string
	start uint64
	count uint64
	body  []byte
}

func (m message) encode() []byte {
	data := append([]byte{messageVersion, byte(len(m.from))}, m.from...)
	data = binary.LittleEndian.AppendUint64(data, m.start)
	data = binary.LittleEndian.AppendUint64(data, m.count)
	return append(data, m.body...)
}

// parseMessage reads what a peer sent; body aliases data.
func parseMessage(data []byte) (message, error) {
	if len(data) < 2 || data[0] != messageVersion {
		return message{}, errMessage
	}
	n := int(data[1])
	if len(data) < 2+n+16 || len(data)-(2+n+16) > MaxMessageBytes {
		return message{}, errMessage
	}
	m := message{from: string(data[2 : 2+n]), start: binary.LittleEndian.Uint64(data[2+n:]),
		count: binary.LittleEndian.Uint64(data[10+n:]), body: data[18+n:]}
	if mesh.ValidSender(m.from) != nil {
		return message{}, errMessage
	}
	return m, nil
}

// seen remembers the newest messages of each sender, in bounded memory. It is
// not safe for use by several goroutines.
type seen struct {
	senders map[string]*heard
}

const (
	maxSenders = 256
	heardBits  = 512 // how far back a late copy is still told from a new message
)

// heard is a sliding window of counts: the highest, and which of the heardBits
// below it came.
type heard struct {
	start uint64
	top   uint64
	bits  [heardBits / 64]uint64
}

// first says whether the message is new, and remembers it.
func (s *seen) first(m message) bool {
	h := s.senders[m.from]
	if h == nil || h.start != m.start {
		if h == nil && len(s.senders) >= maxSenders {
			clear(s.senders) // rather a few repetitions than unbounded memory
		}
		h = &heard{start: m.start, top: m.count}
		s.senders[m.from] = h
		h.set(m.count)
		return true
	}
	if m.count > h.top {
		for n := h.top + 1; n < m.count && n-h.top <= heardBits; n++ {
			h.unset(n)
		}
		h.top = m.count
		h.set(m.count)
		return true
	}
	if h.top-m.count >= heardBits || h.has(m.count) {
		return false
	}
	h.set(m.count)
	return true
}

func (h *heard) set(n uint64)      { h.bits[n/64%(heardBits/64)] |= 1 << (n % 64) }
func (h *heard) unset(n uint64)    { h.bits[n/64%(heardBits/64)] &^= 1 << (n % 64) }
func (h *heard) has(n uint64) bool { return h.bits[n/64%(heardBits/64)]&(1<<(n%64)) != 0 }
