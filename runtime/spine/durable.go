package spine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// durable is a small file that survives a kill, a power cut and a full disk, as a
// whole or not at all. There are two of it, NAME and NAME.next, both with room on
// the disk: what is new is written over the older one, synchronised, and the two
// change names at once. So a full disk refuses nothing (where the file system
// writes in place: ext4, f2fs, xfs), and a kill between the two steps loses
// nothing, because the reader takes the newer of two sound files.
type durable struct {
	path string
	room int // bytes, a multiple of durableBlock

	sequence uint64               // of the newest content
	damaged  bool                 // one of the two: the next write replaces it
	sync     func(*os.File) error // tests; default (*os.File).Sync
}

// durableBlock is what disks write at once.
const durableBlock = 4096

// durableLimit bounds what is read of a damaged file.
const durableLimit = 4 << 20

// durableVersion of the envelope. Version 1 was the latch file without one.
const durableVersion = 2

// errDurable means that a file, or what it says, is not what was written.
var errDurable = errors.New("version, sequence or checksum")

// envelope is what stands in the file. Blanks follow up to the file's room.
type envelope struct {
	Version  int             `json:"version"`
	Sequence uint64          `json:"sequence"` // counts the contents, from 1
	Check    uint32          `json:"check"`    // CRC-32C of version, sequence and body
	Body     json.RawMessage `json:"body"`
}

func (e *envelope) sum() uint32 {
	b := strconv.AppendInt(nil, int64(e.Version), 10)
	b = strconv.AppendUint(append(b, ' '), e.Sequence, 10)
	b = append(append(b, ' '), e.Body...)
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// state of one of the two files.
type durableState uint8

const (
	durableMissing durableState = iota // or it has never been written
	durableSound
	durableDamaged
	durableOld // sound JSON of version 1
)

// look reads one of the two files.
func (d *durable) look(path string) (e envelope, raw []byte, s durableState, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil, durableMissing, nil
	}
	if err != nil {
		return e, nil, durableDamaged, err
	}
	raw, err = io.ReadAll(io.LimitReader(f, durableLimit))
	if err = errors.Join(err, f.Close()); err != nil {
		return e, nil, durableDamaged, err
	}
	if len(raw) > 0 && len(bytes.Trim(raw, "\x00")) == 0 {
		return e, nil, durableMissing, nil // room, never written
	}
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return e, nil, durableDamaged, fmt.Errorf("%s: %w", path, err)
	}
	if version.Version == 1 {
		return e, raw, durableOld, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return e, nil, durableDamaged, fmt.Errorf("%s: %w", path, err)
	}
	if e.Version != durableVersion || e.Sequence == 0 || e.Check != e.sum() {
		return e, nil, durableDamaged, fmt.Errorf("%s: %w", path, errDurable)
	}
	return e, e.Body, durableSound, nil
}

// read gives the newest content, nil if nothing was ever written. old says that
// it is a whole file of version 1. An error means that the newest content is not
// known: a file is damaged, or was when the power went.
func (d *durable) read() (body []byte, old bool, err error) {
	body, old, err = d.newest()
	d.damaged = err != nil
	return body, old, err
}

func (d *durable) newest() (body []byte, old bool, err error) {
	now, raw, state, err := d.look(d.path)
	next, nextRaw, nextState, nextErr := d.look(d.path + ".next")
	d.sequence = max(now.Sequence, next.Sequence)
	switch {
	case state == durableDamaged:
		return nil, false, err
	case nextState == durableDamaged: // its writer was interrupted: it said something new
		return nil, false, nextErr
	case nextState == durableSound && state == durableSound && next.Sequence > now.Sequence,
		nextState == durableSound && state != durableSound && next.Sequence == 1:
		return nextRaw, false, nil // killed before the two changed names
	case state == durableMissing && nextState != durableMissing:
		return nil, false, fmt.Errorf("%s: %w", d.path, fs.ErrNotExist)
	}
	return raw, state == durableOld, nil
}

// write replaces the content, and does not return before it is on the disk. After
// an error the old content still stands, or the new one; call it again.
func (d *durable) write(body []byte) error {
	e := envelope{Version: durableVersion, Sequence: d.sequence + 1, Body: body}
	e.Check = e.sum()
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	next := d.path + ".next"
	if err := d.put(next, append(text, '\n')); err != nil {
		return err
	}
	if err := d.exchange(next); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(d.path)); err != nil {
		return err
	}
	d.sequence++
	d.damaged = false
	return nil
}

// reserve gives both files their room, so that a disk that fills up later cannot
// refuse them. Call it after the first write.
func (d *durable) reserve() error {
	next := d.path + ".next"
	if info, err := os.Stat(next); err == nil && info.Size() >= int64(d.room) {
		return nil
	}
	if err := d.put(next, make([]byte, 0)); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(d.path))
}

// put writes over a file, in place, and synchronises it.
func (d *durable) put(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	room := max(d.room, (len(text)+durableBlock-1)/durableBlock*durableBlock)
	filler := byte(' ')
	if len(text) == 0 {
		filler = 0
	}
	text = append(text, bytes.Repeat([]byte{filler}, room-len(text))...)
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Truncate(int64(room))
	}
	if err == nil {
		err = d.synchronise(f)
	}
	return errors.Join(err, f.Close())
}

func (d *durable) synchronise(f *os.File) error {
	if d.sync != nil {
		return d.sync(f)
	}
	return f.Sync()
}

// exchange changes the names of the two files. Where the file system cannot, or
// there is only one, or the other is damaged, the new one takes the name.
func (d *durable) exchange(next string) error {
	if d.damaged {
		return os.Rename(next, d.path)
	}
	err := unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, d.path, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return os.Rename(next, d.path)
	}
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
