package bolt

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCopyDue: a clock that was set back does not put the next copy off.
func TestCopyDue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "robot.copy")
	now := time.Now()
	if wait := copyDue(path, now); wait != 0 {
		t.Errorf("without a copy: due in %v", wait)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		age, want time.Duration
	}{
		{"new", 0, copyAge},
		{"an hour old", time.Hour, copyAge - time.Hour},
		{"due", copyAge, 0},
		{"a year old: or the clock was set forward", 365 * 24 * time.Hour, 0},
		{"of this second, with a coarse time stamp", -time.Second, copyAge},
		{"from the future: the clock was set back", -time.Hour, 0},
		{"from next year", -365 * 24 * time.Hour, 0},
	} {
		at := now.Add(-c.age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if wait := copyDue(path, now); wait != c.want {
			t.Errorf("%s: due in %v, want %v", c.name, wait, c.want)
		}
	}
}
