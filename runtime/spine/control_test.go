package spine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestControlAnswers(t *testing.T) {
	g := newRig(t, "")
	// Longer than the 108 bytes that the name of a socket can have.
	g.cfg.DataDir = filepath.Join(t.TempDir(), strings.Repeat("long/", 40), "data")
	g.cfg.RunDir = filepath.Join(t.TempDir(), "run")
	g.run()
	g.status("waiting=false")
	for _, c := range []struct{ line, want string }{
		{"start me", "refused start: no live lease: the brain has not completed a decision"},
		{"stop me", "ok stop"},
		{"clear me", "ok clear latches=-"},
		{"clear me bump", "refused clear: no such latch latches=-"},
		{"clear me nonsense", "refused clear: no such latch"},
		{"status", "ok mode=safe lease=none started=false dry-run=false waiting=false latches=- reflexes=-"},
		{"  status  \n", "ok mode=safe lease=none started=false dry-run=false waiting=false latches=- reflexes=-"},
		{"dance", "refused: unknown request (say start BY, stop BY, clear BY [LATCH] or status)"},
		{"", "refused: unknown request (say start BY, stop BY, clear BY [LATCH] or status)"},
		{strings.Repeat("x", 2000), "refused: the request is too long"},
	} {
		if got := g.control(c.line); got != c.want {
			t.Errorf("%.20q says %q, want %q", c.line, got, c.want)
		}
	}

	info, err := os.Stat(filepath.Join(g.cfg.DataDir, ControlSocket))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v %v, want mode 0600", info, err)
	}
	link := filepath.Join(g.cfg.RunDir, "test-bot.sock")
	if answer, err := Control(link, "status", patient); err != nil || !strings.HasPrefix(answer, "ok ") {
		t.Errorf("through the run folder: %q %v", answer, err)
	}
	g.end()
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
	if _, err := Control(g.cfg.DataDir, "status", time.Second); !errors.Is(err, ErrNoSpine) {
		t.Errorf("after the end: %v", err)
	}
}

func TestControlReplacesStaleSocket(t *testing.T) {
	g := newRig(t, "")
	stale, err := listenControl(g.cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer stale.close()
	g.run()
	g.status("mode=safe")
}
