package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dancer/runtime/guest"
)

// Bounds of what one call moves, and of the endings that wait to be asked for.
const (
	partLength  = 1 << 20
	keptEndings = 4096
)

// service is what the test calls. Its methods have the shape of package net/rpc
// and run concurrently.
type service struct {
	mutex   sync.Mutex
	endings map[int]guest.Ending
	changed chan struct{} // closed and replaced when a process has ended
}

// Start starts a program and gives its process id.
func (s *service) Start(p guest.Program, pid *int) error {
	if len(p.Arguments) == 0 {
		return fmt.Errorf("start: no program")
	}
	output, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if p.Output != "" {
		output, err = os.OpenFile(p.Output, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	if err != nil {
		return err
	}
	defer output.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer nothing.Close()
	folder := p.Folder
	if folder == "" {
		folder = "/tmp"
	}
	process, err := os.StartProcess(p.Arguments[0], p.Arguments, &os.ProcAttr{
		Dir: folder, Files: []*os.File{nothing, output, output},
		Env: append([]string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp"}, p.Environment...),
	})
	if err != nil {
		return err
	}
	*pid = process.Pid
	return process.Release() // reap waits for it
}

// reap collects every process that ends: the test's and those that became
// orphans, whose parent is the first process.
func (s *service) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.ECHILD {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil || !status.Exited() && !status.Signaled() {
			continue
		}
		ending := guest.Ending{Ended: true, Code: status.ExitStatus()}
		if status.Signaled() {
			ending = guest.Ending{Ended: true, Code: -1, Signal: int(status.Signal())}
		}
		s.mutex.Lock()
		if len(s.endings) < keptEndings {
			s.endings[pid] = ending
		}
		close(s.changed)
		s.changed = make(chan struct{})
		s.mutex.Unlock()
	}
}

// Wait waits until a process of Start has ended, or for the time given.
func (s *service) Wait(a guest.Awaited, ending *guest.Ending) error {
	timer := time.NewTimer(a.AtMost)
	defer timer.Stop()
	for {
		s.mutex.Lock()
		found, ok := s.endings[a.PID]
		changed := s.changed
		s.mutex.Unlock()
		if ok {
			*ending = found
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		}
	}
}

// Signal sends a signal.
func (s *service) Signal(signaled guest.Signaled, _ *struct{}) error {
	return unix.Kill(signaled.PID, unix.Signal(signaled.Signal))
}

// Read reads a part of a file, of /proc and /sys as well.
func (s *service) Read(p guest.Part, data *[]byte) error {
	f, err := os.Open(p.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	length := p.Length
	if length <= 0 || length > partLength {
		length = partLength
	}
	if p.Offset > 0 {
		if _, err := f.Seek(p.Offset, io.SeekStart); err != nil {
			return err
		}
	}
	*data, err = io.ReadAll(io.LimitReader(f, int64(length)))
	return err
}

// Write writes a file; one of /sys is written with one call.
func (s *service) Write(w guest.Written, _ *struct{}) error {
	return os.WriteFile(w.Path, w.Data, 0o755)
}

// Load loads a kernel module.
func (s *service) Load(m guest.Module, _ *struct{}) error {
	f, err := os.Open(m.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), m.Parameters, 0); err != nil {
		return fmt.Errorf("load %s: %w", m.Path, err)
	}
	return nil
}

// List gives the names that match a pattern, as filepath.Glob.
func (s *service) List(pattern string, names *[]string) (err error) {
	*names, err = filepath.Glob(pattern)
	return err
}

// SetClock sets the wall clock by so much.
func (s *service) SetClock(by time.Duration, jump *guest.Jump) error {
	wall := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &wall); err != nil {
		return err
	}
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	*jump = guest.Jump{By: by, At: time.Duration(now.Nano())}
	return err
}
