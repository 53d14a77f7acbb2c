package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// LineCount is how many GPIO lines the machine has: those of its PL061, which
// Linux calls gpiochip0. Line 3 is the power button and is driven low.
const LineCount = 8

// lineController is the type of the controller in QEMU's tree of devices.
const lineController = "child<pl061>"

// Change is a change of an output line as the outside of the machine sees it.
type Change struct {
	Line int
	High bool
	At   time.Time // when it was heard of, on this machine's clock
}

// keptChanges bounds the changes of one machine; what follows is counted.
const keptChanges = 1 << 20

// Lines are the machine's GPIO lines from outside. Its methods may be called by several
// goroutines.
type Lines struct {
	tester *tester
	path   string // of the controller

	mutex   sync.Mutex
	changes []Change
	lost    int
	high    [LineCount]bool
	changed chan struct{}
}

// openLines finds the controller and listens to its outputs.
func openLines(conn net.Conn, monitor *Monitor) (*Lines, error) {
	path, err := findController(monitor)
	if err != nil {
		return nil, err
	}
	l := &Lines{path: path, changed: make(chan struct{})}
	l.tester = newTester(conn, l.heard)
	_, err = l.tester.do("irq_intercept_out " + path)
	return l, err
}

func findController(monitor *Monitor) (string, error) {
	const parent = "/machine/unattached"
	listed, err := monitor.Do("qom-list", map[string]string{"path": parent})
	if err != nil {
		return "", err
	}
	var children []struct{ Name, Type string }
	if err := json.Unmarshal(listed, &children); err != nil {
		return "", err
	}
	for _, c := range children {
		if c.Type == lineController {
			return parent + "/" + c.Name, nil
		}
	}
	return "", errors.New("the machine has no GPIO controller")
}

func (l *Lines) heard(line int, high bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if line < 0 || line >= LineCount {
		return
	}
	l.high[line] = high
	if len(l.changes) < keptChanges {
		l.changes = append(l.changes, Change{line, high, time.Now()})
	} else {
		l.lost++
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Drive sets the level of an input line.
func (l *Lines) Drive(line int, high bool) error {
	level := 0
	if high {
		level = 1
	}
	_, err := l.tester.do(fmt.Sprintf("set_irq_in %s unnamed-gpio-in %d %d", l.path, line, level))
	return err
}

// High is the level of an output line; low until it was first driven.
func (l *Lines) High(line int) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.high[line]
}

// Changes gives the changes of the output lines so far, the oldest first, and how
// many are missing behind them.
func (l *Lines) Changes() (changes []Change, lost int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return append([]Change(nil), l.changes...), l.lost
}

// Await waits until an output line has a level.
func (l *Lines) Await(line int, high bool, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	for {
		l.mutex.Lock()
		is, changed := l.high[line], l.changed
		l.mutex.Unlock()
		if is == high {
			return nil
		}
		select {
		case <-changed:
		case <-l.tester.done:
			return fmt.Errorf("line %d: QEMU has ended", line)
		case <-timer.C:
			return fmt.Errorf("line %d is not %s within %v", line, map[bool]string{true: "high", false: "low"}[high], atMost)
		}
	}
}
