package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Healing after a full or failing disk.
const (
	healRetry  = 2 * time.Second
	probeBytes = 1 << 20 // room for the first writes after a restart
)

// heal starts the library's server anew once the disk can be written again: a
// write error is final for its store, and without this a disk that was full for
// a minute would silence a cell until somebody restarts the conductor. Clients
// connect again by themselves, and what must arrive waits in their outboxes.
func (b *Broker) heal() {
	defer b.joined.Done()
	for {
		select {
		case <-b.stop:
			return
		case <-b.logger.sick:
		}
		b.options.Log.Error(fmt.Sprintf("write %s: %s: robots cannot publish until then", b.options.Dir, cause(probe(b.options.Dir))))
		for !b.restart() {
			if !b.pause(healRetry) {
				return
			}
		}
	}
}

// restart says whether the disk works and the server runs again.
func (b *Broker) restart() bool {
	if probe(b.options.Dir) != nil {
		return false
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err := end(b.server); err != nil {
		b.options.Log.Error(err.Error())
	}
	b.server = nil
	b.logger.isSick.Store(false)
	select {
	case <-b.logger.sick: // of the server that has ended
	default:
	}
	next, err := b.launch()
	if err != nil {
		b.options.Log.Error(err.Error())
		return false
	}
	b.server = next
	b.healed.Add(1)
	b.options.Log.Info("the disk works again: broker started anew", "folder", b.options.Dir)
	return true
}

// cause names what an operator can do.
func cause(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "no space left: free space, nothing stored so far is lost"
	case err != nil:
		return err.Error()
	}
	return "the disk failed for a moment"
}

// probe writes and removes a file.
func probe(dir string) error {
	path := filepath.Join(dir, "broker.probe")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// pause waits and says whether the broker is still wanted.
func (b *Broker) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.stop:
		return false
	}
}
