package recording

import (
	"errors"
	"fmt"
	"time"
)

// ErrVersion is wrapped when a recording is of another version.
var ErrVersion = errors.New("the recording is of another version")

// ErrNotRecording is wrapped when a file is no MCAP file, or one that dancer did
// not write.
var ErrNotRecording = errors.New("not a recording of dancer")

// ErrDamaged is wrapped when a recording ends too early or a byte of it is not
// as it was written.
var ErrDamaged = errors.New("the recording is damaged")

// ErrTooLong refuses a message that no reader would take. The recording goes on
// without it.
var ErrTooLong = errors.New("the message is too long for a recording")

// Damage is the error of a recording that is refused. Every message before Good
// is as it was written. (A bit of a packed chunk can be without effect on what is
// unpacked. That is found by the sum at the end of the chunks, and Good is there.)
type Damage struct {
	Offset   int64     // of the record that is refused, in bytes from the start
	Good     int64     // end of the last good record
	Messages uint64    // in the good part
	Last     time.Time // log time of the last of them; zero without one
	Err      error     // what is wrong, wrapping one of the errors above
}

// Error says what and where.
func (d *Damage) Error() string {
	last := "no message before it"
	if d.Messages > 0 {
		last = fmt.Sprintf("%d messages before it, the last at %s", d.Messages, d.Last.UTC().Format(time.RFC3339Nano))
	}
	return fmt.Sprintf("%v at byte %d; good up to byte %d (%s)", d.Err, d.Offset, d.Good, last)
}

// Unwrap gives the cause.
func (d *Damage) Unwrap() error { return d.Err }
