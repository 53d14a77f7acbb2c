package spine

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stampsFD is where a measured program finds the memory of its stamps.
const stampsFD = 3

// stamps are what the measured program tells of each edge in memory that the
// source of the edges shares: CLOCK_MONOTONIC in ns.
type stamps struct {
	read    atomic.Int64 // its wake-up is over: the loop reads its port
	written atomic.Int64 // the output is in the pipe
	thread  atomic.Int64 // id of the loop's thread
}

// newStamps makes the memory and the file that the program inherits.
func newStamps() (*stamps, *os.File, error) {
	fd, err := unix.MemfdCreate("dancer-stamps", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("create stamps: %w", err)
	}
	file := os.NewFile(uintptr(fd), "dancer-stamps")
	if err := file.Truncate(int64(os.Getpagesize())); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	s, err := mapStamps(fd)
	return s, file, err
}

// mapStamps maps them; they stay until the process ends.
func mapStamps(fd int) (*stamps, error) {
	memory, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map stamps: %w", err)
	}
	return (*stamps)(unsafe.Pointer(&memory[0])), nil
}
