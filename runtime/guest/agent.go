package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"strings"
	"sync"
	"syscall"
	"time"
)

// callWithin bounds a call that does not wait for something in the guest.
const callWithin = 60 * time.Second

// Agent asks the guest's first process. Its methods may be called by several
// goroutines.
type Agent struct {
	conn    net.Conn
	mutex   sync.Mutex
	boots   int
	release string
	client  *rpc.Client
	inward  *io.PipeWriter // to the client
	outward *io.PipeReader // its end of that
	changed chan struct{}  // closed and replaced at each boot
	done    chan struct{}  // closed when nothing more comes
}

func newAgent(conn net.Conn) *Agent {
	a := &Agent{conn: conn, changed: make(chan struct{}), done: make(chan struct{})}
	go a.read()
	return a
}

// read takes the guest's lines: a greeting begins a new client, all others are
// the present client's.
func (a *Agent) read() {
	defer close(a.done)
	lines := bufio.NewReader(a.conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			a.drop(err)
			return
		}
		if release, ok := strings.CutPrefix(strings.TrimSpace(line), Greeting); ok {
			a.greeted(release)
			continue
		}
		if a.inward != nil && line != "\n" {
			_, _ = io.WriteString(a.inward, line) // fails when this side is closed
		}
	}
}

// errReset is the error of what was asked before a reset.
var errReset = errors.New("the guest was reset")

func (a *Agent) greeted(release string) {
	a.drop(errReset)
	reader, writer := io.Pipe()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.inward, a.outward = writer, reader
	a.client = jsonrpc.NewClient(struct {
		io.Reader
		io.Writer
		io.Closer
	}{reader, a.conn, reader})
	a.release = release
	a.boots++
	close(a.changed)
	a.changed = make(chan struct{})
}

// drop ends the present client; its pending calls get the error.
func (a *Agent) drop(err error) {
	if a.inward != nil {
		_ = a.inward.CloseWithError(err)
	}
}

// close waits until nothing more comes. A client that has given up reads no more: what
// is still written to it goes nowhere.
func (a *Agent) close() {
	a.mutex.Lock()
	if a.outward != nil {
		_ = a.outward.Close()
	}
	a.mutex.Unlock()
	<-a.done
}

// Booted waits for the n-th boot of this machine, the first being 1, and gives the
// release of its kernel.
func (a *Agent) Booted(ctx context.Context, n int) (release string, err error) {
	for {
		a.mutex.Lock()
		boots, release, changed := a.boots, a.release, a.changed
		a.mutex.Unlock()
		if boots >= n {
			return release, nil
		}
		select {
		case <-changed:
		case <-a.done:
			return "", fmt.Errorf("boot %d: the guest is gone", n)
		case <-ctx.Done():
			return "", fmt.Errorf("boot %d: no greeting: %w", n, ctx.Err())
		}
	}
}

// Boots is how often the machine has greeted so far.
func (a *Agent) Boots() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.boots
}

// call asks and waits for the answer.
func (a *Agent) call(ctx context.Context, method string, question, answer any) error {
	a.mutex.Lock()
	client := a.client
	a.mutex.Unlock()
	if client == nil {
		return fmt.Errorf("%s: the guest has not greeted", method)
	}
	done := client.Go(ServiceName+"."+method, question, answer, make(chan *rpc.Call, 1)).Done
	select {
	case c := <-done:
		if c.Error != nil {
			return fmt.Errorf("guest: %s: %w", strings.ToLower(method), c.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("guest: %s: %w", strings.ToLower(method), ctx.Err())
	}
}

func (a *Agent) soon(method string, question, answer any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	return a.call(ctx, method, question, answer)
}

// Start starts a program and gives its process id.
func (a *Agent) Start(p Program) (pid int, err error) {
	return pid, a.soon("Start", p, &pid)
}

// Wait waits until a program of Start has ended, or for atMost on the guest's
// clock (the answer then says that it has not), or until the context ends.
func (a *Agent) Wait(ctx context.Context, pid int, atMost time.Duration) (e Ending, err error) {
	return e, a.call(ctx, "Wait", Awaited{pid, atMost}, &e)
}

// Signal sends a signal to a process.
func (a *Agent) Signal(pid int, signal syscall.Signal) error {
	return a.soon("Signal", Signaled{pid, int(signal)}, &struct{}{})
}

// ReadFile gives up to 1 MiB of a file.
func (a *Agent) ReadFile(path string) (data []byte, err error) {
	return data, a.soon("Read", Part{Path: path}, &data)
}

// ReadAll gives a whole file that is not written any more.
func (a *Agent) ReadAll(path string) (data []byte, err error) { return a.ReadFrom(path, 0) }

// ReadFrom gives what a file has behind an offset.
func (a *Agent) ReadFrom(path string, offset int64) (data []byte, err error) {
	for {
		var part []byte
		if err := a.soon("Read", Part{Path: path, Offset: offset + int64(len(data))}, &part); err != nil || len(part) == 0 {
			return data, err
		}
		data = append(data, part...)
	}
}

// WriteFile writes a file of at most 1 MiB.
func (a *Agent) WriteFile(path string, data []byte) error {
	return a.soon("Write", Written{path, data}, &struct{}{})
}

// Load loads a kernel module that is in the initramfs.
func (a *Agent) Load(path, parameters string) error {
	return a.soon("Load", Module{path, parameters}, &struct{}{})
}

// List gives the names that match a pattern, as filepath.Glob.
func (a *Agent) List(pattern string) (names []string, err error) {
	return names, a.soon("List", pattern, &names)
}

// SetClock sets the guest's wall clock by so much.
func (a *Agent) SetClock(by time.Duration) (j Jump, err error) {
	return j, a.soon("SetClock", by, &j)
}

// Uptime is the guest's CLOCK_BOOTTIME, in steps of 10 ms (proc_uptime(5)). It
// starts anew with each boot.
func (a *Agent) Uptime() (time.Duration, error) {
	text, err := a.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	var seconds float64
	if _, err := fmt.Sscan(string(text), &seconds); err != nil {
		return 0, fmt.Errorf("guest: uptime %q: %w", text, err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
