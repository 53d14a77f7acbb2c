package recording

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Version is the version of what is in a recording: its channels, their schemas
// and the metadata. A reader refuses every other one.
const Version = 1

// Bounds of what a reader takes. A writer stays far below them.
const (
	maxRecord      = 16 << 20 // bytes of one record of the file
	maxChunk       = 4 << 20  // bytes of one chunk when it is unpacked
	maxMessage     = 2 << 20  // bytes of one message
	maxAttachments = 16
	maxTopics      = 256
	maxMetadata    = 64 // entries
)

const (
	profile     = "dancer"
	compression = "zstd"
	encoding    = "json"
	schemas     = "jsonschema"
	metadata    = "dancer" // name of the metadata record
)

// Header says where a recording is from. It is the metadata record "dancer",
// which carries a checksum of its own.
type Header struct {
	Robot  string // name
	Board  string // resolved, never auto
	Binary string // version of the program that wrote it
	Manual string // hash of the manual
	Boot   string // id of this start of the machine
	Run    string // one start of the brain; recordings of one run can be joined
	Part   int    // place in the run, from 0; part n+1 goes on where part n ends

	// Wall and Monotonic are one moment on both clocks: a message's log time is
	// Wall plus the time that has passed on the monotonic clock since then.
	Wall      time.Time
	Monotonic time.Duration
}

// clock names what the monotonic times are read from.
const clock = "CLOCK_MONOTONIC"

// LogTime is the wall time of a moment on the monotonic clock, in nanoseconds
// since 1970; 0 for what lies before.
func (h *Header) LogTime(at time.Duration) uint64 {
	return uint64(max(0, h.Wall.UnixNano()+int64(at-h.Monotonic)))
}

// Attachment is a file that travels in a recording.
type Attachment struct {
	Name  string
	Media string // media type
	Data  []byte
}

// Topic is one channel: JSON objects of one shape.
type Topic struct {
	Name   string // with a leading slash
	Title  string // name of the schema
	Schema []byte // JSON Schema
}

// entries gives the header as the metadata record has it.
func (h *Header) entries() map[string]string {
	m := map[string]string{
		"recording_version": strconv.Itoa(Version),
		"robot":             h.Robot, "board": h.Board, "binary_version": h.Binary,
		"manual_hash": h.Manual, "boot_id": h.Boot, "clock": clock,
		"run": h.Run, "part": strconv.Itoa(h.Part),
		"wall_ns":      strconv.FormatInt(h.Wall.UnixNano(), 10),
		"monotonic_ns": strconv.FormatInt(int64(h.Monotonic), 10),
	}
	m["check"] = checkOf(m)
	return m
}

// checkOf is the CRC-32 of all entries but itself, in the order of their names.
func checkOf(m map[string]string) string {
	sum := crc32.NewIEEE()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name != "check" {
			fmt.Fprintf(sum, "%s\x00%s\x00", name, m[name])
		}
	}
	return fmt.Sprintf("%08x", sum.Sum32())
}

// headerOf reads the entries. The error says what is wrong with them.
func headerOf(m map[string]string) (Header, error) {
	var h Header
	if m["check"] != checkOf(m) {
		return h, fmt.Errorf("the metadata does not match its checksum")
	}
	if v := m["recording_version"]; v != strconv.Itoa(Version) {
		return h, fmt.Errorf("%w: it is of version %q, this program reads %d", ErrVersion, v, Version)
	}
	part, err := strconv.Atoi(m["part"])
	if err != nil || part < 0 {
		return h, fmt.Errorf("part %q of the metadata is no number", m["part"])
	}
	wall, err := strconv.ParseInt(m["wall_ns"], 10, 64)
	if err != nil {
		return h, fmt.Errorf("wall_ns %q of the metadata is no number", m["wall_ns"])
	}
	monotonic, err := strconv.ParseInt(m["monotonic_ns"], 10, 64)
	if err != nil {
		return h, fmt.Errorf("monotonic_ns %q of the metadata is no number", m["monotonic_ns"])
	}
	return Header{
		Robot: m["robot"], Board: m["board"], Binary: m["binary_version"], Manual: m["manual_hash"],
		Boot: m["boot_id"], Run: m["run"], Part: part, Wall: time.Unix(0, wall).UTC(), Monotonic: time.Duration(monotonic),
	}, nil
}
