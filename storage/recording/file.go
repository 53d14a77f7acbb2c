package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// reserve is what a recording leaves free on its disk for what matters more:
// decisions, questions and latches.
const reserve = 64 << 20

// ErrDiskFull is wrapped when a recording would leave too little room on its
// disk.
var ErrDiskFull = errors.New("the disk is full")

// File is a recording on a disk.
type File struct {
	*Writer
	file   *os.File
	buffer *bufio.Writer
}

// Create begins a recording in a new file; one that exists is never overwritten.
func Create(path string, p *Packer, h Header, files []Attachment, topics []Topic) (*File, error) {
	f, err := Make(path)
	if err != nil {
		return nil, err
	}
	return Begin(f, p, h, files, topics)
}

// Make makes the file of a recording, for Begin: a process that will not be
// allowed to make it later makes it first.
func Make(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	return f, nil
}

// Begin begins a recording in a file from Make, which it closes when it fails.
func Begin(f *os.File, p *Packer, h Header, files []Attachment, topics []Topic) (*File, error) {
	err := roomFor(f)
	r := &File{file: f, buffer: bufio.NewWriterSize(f, 32<<10)}
	if err == nil {
		r.Writer, err = NewWriter(r.buffer, p, h, files, topics)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create recording: %w", err), f.Close(), os.Remove(f.Name())) // it is ours, and nothing is in it
	}
	return r, nil
}

// room says whether the folder's disk has room for a recording.
func room(folder string) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return err
	}
	return enough(&s, folder)
}

// roomFor asks the file itself: its folder may be closed to us by now.
func roomFor(f *os.File) error {
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", f.Name(), err)
	}
	var file syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &file); err != nil {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	if file.Nlink == 0 {
		return fmt.Errorf("%s: %w: it was deleted while it was written", f.Name(), fs.ErrNotExist)
	}
	return enough(&s, filepath.Dir(f.Name()))
}

func enough(s *syscall.Statfs_t, folder string) error {
	if free := s.Bavail * uint64(s.Bsize); free < reserve {
		return fmt.Errorf("%w: %d MB are left in %s, a recording leaves %d to others", ErrDiskFull, free>>20, folder, reserve>>20)
	}
	return nil
}

// Path of the file.
func (f *File) Path() string { return f.file.Name() }

// Sync writes a message, ends the chunk with it, and returns when all of it is
// on the disk: a power cut later on loses nothing of it.
func (f *File) Sync(topic int, at uint64, data []byte) error {
	if err := roomFor(f.file); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	if err := f.WriteLast(topic, at, data); err != nil {
		return err
	}
	return f.settle()
}

func (f *File) settle() error {
	if err := f.buffer.Flush(); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	if err := syscall.Fdatasync(int(f.file.Fd())); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

// Close ends the recording. After an error of what it is written to the file has
// what was written.
func (f *File) Close() error {
	err := f.Writer.Close()
	if err == nil {
		err = f.settle()
	}
	return errors.Join(err, f.file.Close())
}
