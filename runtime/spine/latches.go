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

	"golang.org/x/sys/unix"
)

// latchFile keeps the names of the latched reflexes over a restart.
type latchFile struct{ path string }

// latchesName is its name in the data folder.
const latchesName = "latches.json"

// ErrLatches is wrapped when the latch file cannot be trusted. The robot then
// starts with every latching reflex latched.
var ErrLatches = errors.New("latch file is damaged")

// latchRecord is the file's content. Check covers the names.
type latchRecord struct {
	Version int      `json:"version"` // 1
	Latches []string `json:"latches"`
	Check   uint32   `json:"check"` // CRC-32C of the names, each with its end
}

const latchVersion = 1

func latchCheck(names []string) uint32 {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
	}
	return h.Sum32()
}

// read gives the names in the file; none if there is no file yet.
func (f *latchFile) read() ([]string, error) {
	b, err := readOwn(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read latches: %w", err)
	}
	var r latchRecord
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("read latches: %w: %s: %w", ErrLatches, f.path, err)
	}
	if r.Version != latchVersion || r.Check != latchCheck(r.Latches) {
		return nil, fmt.Errorf("read latches: %w: %s: version or checksum", ErrLatches, f.path)
	}
	return r.Latches, nil
}

// readOwn reads a file that must not be a link, and does not wait for the writer
// of a pipe: a brain of our own user could have left either in an earlier life.
func readOwn(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maximumLatchFile))
}

// maximumLatchFile bounds what is read, in bytes: 4096 rules with long names.
const maximumLatchFile = 1 << 20

// write replaces the file and does not return before it is on the disk: a power
// cut leaves the old names or the new ones.
func (f *latchFile) write(names []string) (err error) {
	b, err := json.Marshal(latchRecord{latchVersion, names, latchCheck(names)})
	if err != nil {
		return fmt.Errorf("write latches: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write latches: %w", err)
		}
	}()
	next := f.path + ".next"
	if err := writeSynced(next, append(b, '\n')); err != nil {
		return err
	}
	if err := os.Rename(next, f.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
