package spine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"dancer/dancer"
)

// latchFile is what one run leaves to the next: the latched reflexes by name, and
// how the run ended.
type latchFile struct{ durable }

// LatchFile is its name in the data folder; a second file, NAME.next, is beside it.
const LatchFile = "latches.json"

// ErrLatches is wrapped when the latch file cannot be trusted. The robot then
// starts with every latching reflex latched.
var ErrLatches = errors.New("latch file is damaged")

// runRecord is the file's content. The zero value is that of a first run.
type runRecord struct {
	Latches   []string `json:"latches"`
	Boot      string   `json:"boot"`       // the kernel's boot id during the run
	Ended     bool     `json:"ended"`      // in order, with safe outputs
	ResetTold bool     `json:"reset_told"` // that the hardware watchdog began this boot
}

// oldLatchRecord is the whole file of version 1, which has been written by
// releases before the envelope.
type oldLatchRecord struct {
	Version int      `json:"version"` // 1
	Latches []string `json:"latches"`
	Check   uint32   `json:"check"` // CRC-32C of the names, each with its end
}

func latchCheck(names []string) uint32 {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
	}
	return h.Sum32()
}

// newLatchFile keeps room for every name of the manual at once.
func newLatchFile(path string, m *dancer.Manual) *latchFile {
	room := durableBlock
	for i := range m.Rules {
		room += 6*len(m.Rules[i].Name) + 8 // escaped at worst
	}
	return &latchFile{durable{path: path, room: (room + durableBlock - 1) / durableBlock * durableBlock}}
}

// read gives what the last run left, nil if there was none.
func (f *latchFile) read() (*runRecord, error) {
	body, old, err := f.durable.read()
	if err != nil {
		return nil, fmt.Errorf("read latches: %w: %w", ErrLatches, err)
	}
	if body == nil {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if old {
		var r oldLatchRecord
		if err := decoder.Decode(&r); err != nil || r.Check != latchCheck(r.Latches) {
			return nil, fmt.Errorf("read latches: %w: %s: checksum of version 1", ErrLatches, f.path)
		}
		return &runRecord{Latches: r.Latches, Ended: true}, nil
	}
	var r runRecord
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("read latches: %w: %s: %w", ErrLatches, f.path, err)
	}
	return &r, nil
}

// write replaces the file and does not return before it is on the disk.
func (f *latchFile) write(r *runRecord) error {
	body, err := json.Marshal(r)
	if err == nil {
		err = f.durable.write(body)
	}
	if err != nil {
		return fmt.Errorf("write latches: %w", err)
	}
	return nil
}

func writeLatches(f *latchFile, r runRecord, names []string) error {
	r.Latches = names
	return f.write(&r)
}
