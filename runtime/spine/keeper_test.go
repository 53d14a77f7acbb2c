package spine

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLatchIsStoredLater: a latch that cannot be stored is stored when it can be,
// though nothing else happens, and what is wrong is said once.
func TestLatchIsStoredLater(t *testing.T) {
	robot := loadRobot(t, wiredRobot("/dev/null"), testManual)
	folder := filepath.Join(t.TempDir(), "away")
	var log lockedBuffer
	file := &latchFile{filepath.Join(folder, "latches.json")}
	k, err := newKeeper(robot, file, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer k.wake.Close()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { k.run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	k.latched(0, true)
	k.poke()
	until := func(what string, is func() bool) {
		for deadline := time.Now().Add(patient); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s\n%s", what, log.String())
			}
		}
	}
	until("it says that the latch is not stored", func() bool { return strings.Contains(log.String(), "not stored") })
	for range 3 { // it is asked to try again
		k.poke()
		_ = k.wake.Signal()
		time.Sleep(10 * time.Millisecond)
	}
	if n := strings.Count(log.String(), "not stored"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	until("the latch is stored", func() bool { names, err := file.read(); return err == nil && len(names) == 1 })
	until("it says so", func() bool { return strings.Contains(log.String(), "stored again") })
}
