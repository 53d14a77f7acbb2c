package privilege

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Users of the tests, who need no names.
var (
	first  = User{ID: 60901, Group: 60901}
	second = User{ID: 60902, Group: 60902}
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root can give files away (CI is root)")
	}
}

// owners lists who the entries of a folder belong to, by their paths in it.
func owners(t *testing.T, folder string) map[string]int {
	t.Helper()
	found := map[string]int{}
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		id, err := Owner(path)
		name, _ := filepath.Rel(folder, path)
		found[name] = id
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHand: only what belonged to the former owner changes hands, and no link is
// followed.
func TestHand(t *testing.T) {
	needRoot(t)
	outside, folder := t.TempDir(), filepath.Join(t.TempDir(), "brain")
	secret := filepath.Join(outside, "secret")
	at := func(name string) string { return filepath.Join(folder, name) }
	must(t,
		os.WriteFile(secret, nil, 0o600), os.MkdirAll(at("deep/er"), 0o700), os.WriteFile(at("deep/er/file"), nil, 0o600),
		os.WriteFile(at("mine"), nil, 0o600), os.WriteFile(at("of-root"), nil, 0o600), os.Symlink(secret, at("link")),
		os.Symlink(outside, at("folder-link")), os.Link(secret, at("hard")), unix.Mkfifo(at("fifo"), 0o600),
	)
	for _, name := range []string{"deep/er/file", "deep/er", "deep", "mine", "link", "folder-link", "fifo", ""} {
		must(t, os.Lchown(at(name), first.ID, first.Group))
	}
	done, err := Hand(folder, second, false)
	if err != nil || done != (Handed{Given: 7, Skipped: 2}) {
		t.Errorf("handed over %+v, %v", done, err)
	}
	want := map[string]int{
		".": second.ID, "deep": second.ID, "deep/er": second.ID, "deep/er/file": second.ID, "mine": second.ID,
		"link": second.ID, "folder-link": second.ID, "fifo": second.ID, "of-root": 0, "hard": 0,
	}
	if got := owners(t, folder); !reflect.DeepEqual(got, want) {
		t.Errorf("owners %v, want %v", got, want)
	}
	if id, _ := Owner(secret); id != 0 {
		t.Errorf("the file outside belongs to %d", id)
	}
	if id, _ := Owner(outside); id != 0 {
		t.Errorf("the folder outside belongs to %d", id)
	}
	must(t, os.Lchown(at("mine"), first.ID, first.Group))
	if done, err = Hand(folder, second, false); err != nil || done != (Handed{}) {
		t.Errorf("a folder that is handed over already: %+v, %v", done, err)
	}
}

// TestHandOfRoot: files of root's with a second name are given away only where
// nobody else could have linked them.
func TestHandOfRoot(t *testing.T) {
	needRoot(t)
	for _, ours := range []bool{false, true} {
		folder := filepath.Join(t.TempDir(), "brain")
		one, two := filepath.Join(folder, "one"), filepath.Join(folder, "two")
		must(t, os.Mkdir(folder, 0o700), os.WriteFile(one, nil, 0o600), os.Link(one, two))
		if _, err := Hand(folder, first, ours); err != nil {
			t.Fatal(err)
		}
		want := 0
		if ours {
			want = first.ID
		}
		if got := owners(t, folder); got["one"] != want || got["two"] != want || got["."] != first.ID {
			t.Errorf("ours %v: owners %v", ours, got)
		}
	}
}

// TestHandIsBounded: a folder without end costs a bounded time.
func TestHandIsBounded(t *testing.T) {
	needRoot(t)
	folder := filepath.Join(t.TempDir(), "brain")
	must(t, os.Mkdir(folder, 0o700))
	path := folder
	for i := range maximumDepth + 5 {
		path = filepath.Join(path, fmt.Sprint(i))
		must(t, os.Mkdir(path, 0o700))
	}
	done, err := Hand(folder, first, false)
	if err != nil || done != (Handed{Given: maximumDepth, Skipped: 1}) {
		t.Errorf("handed over %+v, %v", done, err)
	}
}

func TestMakeFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "brain")
	must(t, MakeFolder(path), MakeFolder(path))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(path, link))
	if err := MakeFolder(link); err == nil {
		t.Error("a link passes for a folder")
	}
}

// TestMove: what is there already is never replaced.
func TestMove(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t,
		os.WriteFile(filepath.Join(from, "robot"), []byte("old"), 0o600), os.WriteFile(filepath.Join(to, "robot"), []byte("new"), 0o600),
		os.WriteFile(filepath.Join(from, "robot.copy"), []byte("copy"), 0o600),
		os.MkdirAll(filepath.Join(from, "sealed", "one"), 0o700),
	)
	stayed, err := Move(from, to, []string{"robot", "robot.copy", "sealed", "absent"})
	if err != nil || !slices.Equal(stayed, []string{"robot"}) {
		t.Errorf("stayed %v, %v", stayed, err)
	}
	for path, want := range map[string]string{
		filepath.Join(to, "robot"): "new", filepath.Join(from, "robot"): "old", filepath.Join(to, "robot.copy"): "copy",
	} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v", path, text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "sealed", "one")); err != nil {
		t.Error(err)
	}
}
