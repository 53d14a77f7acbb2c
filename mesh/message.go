package mesh

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// MaxEnvelopeBytes bounds an encoded envelope. It is below the payload limit of
// the brokers in use (1 MiB) and far above an escalation with eight options
// (about 8 KiB).
const MaxEnvelopeBytes = 256 << 10

// Errors of New and Parse, by what the caller can do about them.
var (
	// ErrTooLarge: the message is over MaxEnvelopeBytes. Send less.
	ErrTooLarge = errors.New("message too large")
	// ErrMalformed: the bytes are not an envelope. Drop them and count.
	ErrMalformed = errors.New("malformed message")
	// ErrInvalid: an envelope or a body with a field that is missing or out of
	// its range. Drop it and count.
	ErrInvalid = errors.New("invalid message")
	// ErrUnknownKind: a kind that this version does not know, perhaps of a later
	// one. Ignore it.
	ErrUnknownKind = errors.New("unknown kind of message")
)

// Known says whether this version knows the kind.
func (k Kind) Known() bool {
	switch k {
	case KindConnection, KindState, KindEvent, KindEscalation, KindRuling, KindAck, KindRequest:
		return true
	}
	return false
}

// New makes an envelope with a fresh id around body, which is any value that
// encoding/json accepts. at is the wall clock; entropy feeds the id (see IDs for
// ids that also sort within one millisecond). seq counts the sender's messages.
func New(kind Kind, from string, seq uint64, at time.Time, entropy io.Reader, body any) (Envelope, error) {
	id, err := NewID(at, entropy)
	if err != nil {
		return Envelope{}, err
	}
	return NewWithID(id, kind, from, seq, at, body)
}

// NewWithID is New with an id that the caller made.
func NewWithID(id string, kind Kind, from string, seq uint64, at time.Time, body any) (Envelope, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Envelope{}, fmt.Errorf("encode %s body: %w", kind, err)
	}
	e := Envelope{ID: id, Kind: kind, From: from, Seq: seq, At: at.UTC(), Body: raw}
	if err := e.Validate(); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// Validate reports the first field that is missing or out of its range.
func (e Envelope) Validate() error {
	switch {
	case !ValidID(e.ID):
		return fmt.Errorf("%w: id %q is not a ULID", ErrInvalid, clip(e.ID))
	case !e.Kind.Known():
		return fmt.Errorf("%w: %q", ErrUnknownKind, clip(string(e.Kind)))
	case len(e.Body) == 0:
		return fmt.Errorf("%w: %s without a body", ErrInvalid, e.Kind)
	case e.At.IsZero() || e.At.Year() > 9999:
		return fmt.Errorf("%w: %s without a time", ErrInvalid, e.Kind)
	}
	if err := ValidSender(e.From); err != nil {
		return fmt.Errorf("%w: from: %w", ErrInvalid, err)
	}
	return nil
}

// Encode gives the JSON of a valid envelope, at most MaxEnvelopeBytes long.
func (e Envelope) Encode() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Kind, err)
	}
	if len(data) > MaxEnvelopeBytes {
		return nil, fmt.Errorf("%w: %s of %d bytes, the limit is %d", ErrTooLarge, e.Kind, len(data), MaxEnvelopeBytes)
	}
	return data, nil
}

// Parse reads an envelope from a peer. Unknown fields are ignored, so that a
// later version can add some; everything that this version reads is checked.
// The body is checked by Body.
func Parse(data []byte) (Envelope, error) {
	if len(data) > MaxEnvelopeBytes {
		return Envelope{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(data), MaxEnvelopeBytes)
	}
	if !utf8.Valid(data) {
		return Envelope{}, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	var e Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := e.Validate(); err != nil {
		return Envelope{}, err
	}
	e.At = e.At.UTC()
	e.Body = bytes.Clone(e.Body) // the caller's buffer may be reused
	return e, nil
}

// validator is a body that can check itself.
type validator interface{ Validate() error }

// Body decodes and checks the body of an envelope:
//
//	question, err := mesh.Body[mesh.Escalation](envelope)
func Body[T any](e Envelope) (T, error) {
	var body T
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return body, fmt.Errorf("%w: %s body: %w", ErrMalformed, e.Kind, err)
	}
	if v, ok := any(body).(validator); ok {
		if err := v.Validate(); err != nil {
			return body, err
		}
	}
	return body, nil
}

// clip keeps error texts short when a peer sends something long.
func clip(s string) string {
	const limit = 40
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "..."
}
