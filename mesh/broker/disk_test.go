package broker

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk: while the disk is full the log says so once; when there is space
// again the broker serves as before, and keeps what it had.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a small tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	var log lines
	store := filepath.Join(dir, "broker")
	b := start1(t, Options{Dir: store, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := publish(t, b, "kept", 1000); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(f, zeros{})
	_ = f.Close()
	_ = publish(t, b, "lost", 200_000) // the library confirms what it could not store: outboxes wait for the /ack
	want := "write " + store + ": no space left: free space, nothing stored so far is lost: robots cannot publish until then"
	until(t, "the log says so", func() bool { return strings.Contains(log.String(), want) })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	until(t, "the broker is started anew", func() bool { return b.Healed() == 1 })
	if err := publish(t, b, "again", 1000); err != nil {
		t.Errorf("after the disk works again: %v", err)
	}
	if topics := retained(t, b, "t/+", 2); topics["t/kept"] == "" || topics["t/again"] == "" {
		t.Errorf("retained: %v", slices.Collect(maps.Keys(topics)))
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors in the log:\n%s", n, log.String())
	}
}

// publish sends one retained message with a connection of its own.
func publish(t *testing.T, b *Broker, name string, size int) error {
	t.Helper()
	c, err := client(t, b, "", "")
	if err != nil {
		return err
	}
	defer c.Disconnect(100)
	token := c.Publish("t/"+name, 1, true, make([]byte, size))
	if !token.WaitTimeout(8 * time.Second) {
		return os.ErrDeadlineExceeded
	}
	return token.Error()
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// lines is a buffer for several goroutines.
type lines struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.Buffer.String()
}
