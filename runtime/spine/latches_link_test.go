package spine

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLatchFileIsNoLink: links and pipes in the place of the files that the spine
// writes are not followed, and not waited for.
func TestLatchFileIsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"latches.json", "latches.json.next", "spine.lock"} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := &latchFile{durable{path: filepath.Join(dir, "latches.json"), room: durableBlock}}
	if names, err := f.read(); err == nil {
		t.Errorf("read %v through a link", names)
	}
	if err := f.write(&runRecord{Latches: []string{"bump"}}); err == nil {
		t.Error("wrote through a link")
	}
	if lock, err := lockFolder(dir); err == nil {
		lock.close()
		t.Error("locked through a link")
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
		t.Errorf("the file behind the links is %q, %v", text, err)
	}
	pipe := &latchFile{durable{path: filepath.Join(dir, "pipe"), room: durableBlock}}
	if err := unix.Mkfifo(pipe.path, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := pipe.read(); err == nil {
		t.Errorf("read %v from a pipe", names)
	}
}
