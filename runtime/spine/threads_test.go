package spine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestThreads: in a spine at work each thread has the loop's policy and priority,
// but for the one that starts the brain; the loop and what hands it its turn are on one
// processor; and the brain has none of it.
func TestThreads(t *testing.T) {
	if err := MayRunRealTime(); err != nil {
		t.Skipf("real-time priority is refused here, so that no thread gets it: %v", err)
	}
	folder := t.TempDir()
	brain, told := filepath.Join(folder, "brain"), filepath.Join(folder, "pid")
	writeFile(t, brain, fmt.Sprintf("#!/bin/sh\necho $$ > %s.new\nmv %s.new %s\nexec sleep 1000\n", told, told, told))
	if err := os.Chmod(brain, 0o700); err != nil {
		t.Fatal(err)
	}
	edges, answers, files, err := pipes()
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Close()
	cmd := measuredSpec{CPU: -1, Binary: brain}.command()
	cmd.Stdin, cmd.Stdout = files[0], files[1]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, f := range append(files[:], edges) {
			f.Close()
		}
		_ = cmd.Wait() // it tells what the brain was, which has made no decision
	}()
	var pid int
	for end := time.Now().Add(patient); pid == 0; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(told)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		if time.Now().After(end) {
			t.Fatal("the brain was not started")
		}
	}
	if a := attributesOf(t, pid); a.Policy != unix.SCHED_NORMAL || a.Nice != brainNice {
		t.Errorf("the brain has policy %d, nice %d", a.Policy, a.Nice)
	}
	var all, allowed unix.CPUSet
	if err := errors.Join(unix.SchedGetaffinity(0, &all), unix.SchedGetaffinity(pid, &allowed)); err != nil || allowed != all {
		t.Errorf("the brain may run on %v, want %v: %v", allowed, all, err)
	}
	// Threads that it has just started are on their way there.
	var wrong error
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if wrong = threadsOf(cmd.Process.Pid, &all); wrong == nil {
			return
		}
	}
	t.Error(wrong)
}

// threadsOf says what is wrong with the threads of a spine that may run on all of these
// processors.
func threadsOf(pid int, all *unix.CPUSet) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return err
	}
	ordinary, free, beside := 0, 0, 0
	for _, path := range threads {
		tid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return err
		}
		a, err := unix.SchedGetAttr(tid, 0)
		var allowed unix.CPUSet
		if err := errors.Join(err, unix.SchedGetaffinity(tid, &allowed)); err != nil {
			return err
		}
		switch {
		case a.Policy == unix.SCHED_NORMAL:
			ordinary++
		case a.Policy != unix.SCHED_FIFO || a.Priority != priority:
			return fmt.Errorf("a thread has policy %d, priority %d", a.Policy, a.Priority)
		}
		switch {
		case allowed == *all:
			free++
		case !allowed.IsSet(lastOf(all)):
			beside++
		case allowed != lastAlone(all):
			return fmt.Errorf("a thread may run on %v of %v", allowed, *all)
		}
	}
	// The supervisor; the keeper, the opener, the feeder and Go's watcher.
	if all.Count() > 1 && (free != 1 || beside != 4) {
		return fmt.Errorf("of %d threads %d may run on every processor and %d on the others, want 1 and 4", len(threads), free, beside)
	}
	if len(threads) < 4 || ordinary != 1 {
		return fmt.Errorf("%d of %d threads have normal priority, want the supervisor's alone", ordinary, len(threads))
	}
	return nil
}

func attributesOf(t *testing.T, tid int) *unix.SchedAttr {
	t.Helper()
	a, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// lastAlone is the set of the last processor of a set.
func lastAlone(set *unix.CPUSet) (alone unix.CPUSet) {
	alone.Set(lastOf(set))
	return alone
}

func TestLastListed(t *testing.T) {
	for list, want := range map[string]int{"": -1, "\n": -1, "3\n": 3, "2-3\n": 3, "1,4-5,7\n": 7, "99999999999999999999": -1} {
		if got := lastListed(list); got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
}

func TestLastOf(t *testing.T) {
	for _, want := range []int{-1, 0, 1, 5, 63, 64, 1023} {
		var set unix.CPUSet
		if want >= 0 {
			set.Set(0)
			set.Set(want)
		}
		if got := lastOf(&set); got != want {
			t.Errorf("last processor %d, want %d", got, want)
		}
	}
}
