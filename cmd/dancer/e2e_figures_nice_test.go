package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFiguresNice compares priorities of the brain where the robot has a serial
// line: its bytes pass through a kernel worker at normal priority (kworker/u of the
// unbound queue, nice 0), which a brain at nice -10 delays when both want one
// processor, while a brain at nice 0 loses its lease earlier. Beside these, the
// brain at -10 with the kernel's workers at -20. In turns, three of each, busy as in
// TestFiguresLatency; overruns and lost leases of each run are told as well.
//
//	DANCER_FIGURES=20 go test -count=1 -timeout 60m -v -run TestFiguresNice ./cmd/dancer
func TestFiguresNice(t *testing.T) {
	w := figures(t)
	probe := filepath.Join(w.dir, "probe")
	if out, err := exec.Command("gcc", "-O2", "-o", probe, "../../tools/probe/probe.c").CombinedOutput(); err != nil {
		t.Skipf("compile the probe: %v: %s", err, out)
	}
	for range 3 {
		for _, c := range []struct {
			name    string
			nice    int
			workers bool
		}{{"brain at 0", 0, false}, {"brain at -5", -5, false}, {"brain at -10", -10, false}, {"brain at -10, workers at -20", -10, true}} {
			t.Log(c.name)
			measureLatency(w, probe, "dancer", true, func(p *process) func() {
				renice(t, p.brain(), c.nice)
				undo := func() {}
				if c.workers {
					undo = raiseWorkers(t, -20)
				}
				return func() {
					undo()
					lost := strings.Count(p.stderr.String(), `"lease":"expired"`)
					t.Logf("%s: %d leases lost", c.name, lost)
				}
			})
		}
	}
}

// renice gives each thread of a process a nice value; those that come later have it
// from them.
func renice(t *testing.T, pid, nice int) {
	t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if len(tasks) == 0 {
		t.Fatalf("process %d has no threads", pid)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(filepath.Base(task))
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil && err != unix.ESRCH {
			t.Fatalf("set priority of the brain: %v", err)
		}
	}
}

// raiseWorkers gives the kernel's unbound workers a nice value until undo. The
// kernel makes more of them when it likes, so that it is done again and again.
func raiseWorkers(t *testing.T, nice int) (undo func()) {
	t.Helper()
	each := func(value int) (found int) {
		names, _ := filepath.Glob("/proc/[0-9]*/comm")
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil || !strings.HasPrefix(string(text), "kworker/u") || strings.HasSuffix(strings.TrimSpace(string(text)), "H") {
				continue // ended meanwhile, or something else; H has a priority of its own
			}
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if unix.Setpriority(unix.PRIO_PROCESS, pid, value) == nil {
				found++
			}
		}
		return found
	}
	if each(nice) == 0 {
		t.Log("no kernel worker could be raised")
	}
	stop := make(chan struct{})
	var raising sync.WaitGroup
	raising.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				each(nice)
			}
		}
	})
	return func() {
		close(stop)
		raising.Wait()
		each(0)
	}
}
