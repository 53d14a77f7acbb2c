package spine

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dancer/runtime/privilege"
)

// ownerOf gives the user of a path.
func ownerOf(t *testing.T, path ...string) int {
	t.Helper()
	id, err := privilege.Owner(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// earlier makes a data folder as versions left it that had no folder for the brain.
func earlier(t *testing.T, owner int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a [folder]*")
	for _, name := range []string{"recordings", "sealed/one"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"robot", "robot.copy", "robot.damaged-20250101T000000", "dancer.lock", "latches.json", "keys", "recordings/a.mcap"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "recordings/a.mcap"), filepath.Join(dir, "sealed/one/a.mcap")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, owner, owner)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSettleBrain: what earlier versions kept moves, everything else stays, and a
// second start changes nothing.
func TestSettleBrain(t *testing.T) {
	dir := earlier(t, os.Geteuid())
	var log bytes.Buffer
	for range 2 {
		user, err := settleBrain(dir, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		wanted := os.Geteuid()
		if user != nil {
			wanted = user.ID
		}
		if may := privilege.MayChange() == nil; may != (user != nil) {
			t.Errorf("user %v, may change %v", user, may)
		}
		for _, name := range []string{"", "robot", "robot.copy", "robot.damaged-20250101T000000", "dancer.lock", "recordings/a.mcap", "sealed/one/a.mcap"} {
			if id := ownerOf(t, dir, "brain", name); id != wanted {
				t.Errorf("brain/%s belongs to %d, want %d", name, id, wanted)
			}
		}
		for _, name := range []string{"latches.json", "keys"} {
			if id := ownerOf(t, dir, name); id != os.Geteuid() {
				t.Errorf("%s belongs to %d", name, id)
			}
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the data folder holds %v (%v), want brain, keys and latches.json", entries, err)
	}
}

// TestNewerRecordsStay: records of the brain's folder are never replaced.
func TestNewerRecordsStay(t *testing.T) {
	dir := earlier(t, os.Geteuid())
	if err := os.Mkdir(BrainFolder(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(BrainFolder(dir), "robot"), []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if _, err := settleBrain(dir, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"robot": "robot", "brain/robot": "newer", "brain/robot.copy": "robot.copy"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q (%v)", name, text, err)
		}
	}
	if !strings.Contains(log.String(), "left where they were") {
		t.Errorf("nothing is said: %s", log.String())
	}
}

// TestGiveBack: a robot of another user that root has run is that user's again.
func TestGiveBack(t *testing.T) {
	if err := privilege.MayChange(); err != nil {
		t.Skipf("needs root: %v", err)
	}
	const user = 60903
	dir := earlier(t, user)
	roots := filepath.Join(filepath.Dir(dir), "roots")
	if err := os.WriteFile(roots, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(roots, filepath.Join(dir, "robot.new")); err != nil { // planted
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	brain, err := settleBrain(dir, log)
	if err != nil || brain == nil {
		t.Fatal(brain, err)
	}
	if id := ownerOf(t, dir, "brain/recordings/a.mcap"); id != brain.ID {
		t.Errorf("the brain's records belong to %d", id)
	}
	if err := os.Lchown(filepath.Join(dir, LatchFile), 0, 0); err != nil { // as root's spine would have written it
		t.Fatal(err)
	}
	if err := giveBack(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"brain", "brain/robot", "brain/sealed/one/a.mcap", "latches.json"} {
		if id := ownerOf(t, dir, name); id != user {
			t.Errorf("%s belongs to %d", name, id)
		}
	}
	if id := ownerOf(t, roots); id != 0 {
		t.Errorf("root's file belongs to %d", id)
	}
}
