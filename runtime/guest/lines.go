package guest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
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

// Lines are the machine's GPIO lines from outside, over QEMU's test protocol
// (QEMU: devel/testing/qtest.html). Its methods may be called by several
// goroutines.
type Lines struct {
	conn    net.Conn
	path    string // of the controller
	asked   sync.Mutex
	answers chan string
	done    chan struct{}

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
	l := &Lines{conn: conn, path: path, answers: make(chan string, 1), done: make(chan struct{}), changed: make(chan struct{})}
	go l.read()
	return l, l.do("irq_intercept_out " + path)
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

func (l *Lines) read() {
	defer close(l.done)
	for lines := bufio.NewScanner(l.conn); lines.Scan(); {
		var what string
		var line int
		if n, _ := fmt.Sscanf(lines.Text(), "IRQ %s %d", &what, &line); n == 2 {
			l.heard(line, what == "raise")
			continue
		}
		select {
		case l.answers <- lines.Text():
		default: // to a question that was given up
		}
	}
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

// do sends a command and waits for its answer.
func (l *Lines) do(command string) error {
	l.asked.Lock()
	defer l.asked.Unlock()
	if _, err := fmt.Fprintln(l.conn, command); err != nil {
		return fmt.Errorf("qtest: %s: %w", command, err)
	}
	select {
	case answer := <-l.answers:
		if !strings.HasPrefix(answer, "OK") {
			return fmt.Errorf("qtest: %s: %s", command, answer)
		}
		return nil
	case <-l.done:
		return fmt.Errorf("qtest: %s: QEMU has closed it", command)
	case <-time.After(callWithin):
		return fmt.Errorf("qtest: %s: no answer", command)
	}
}

// Drive sets the level of an input line.
func (l *Lines) Drive(line int, high bool) error {
	level := 0
	if high {
		level = 1
	}
	return l.do(fmt.Sprintf("set_irq_in %s unnamed-gpio-in %d %d", l.path, line, level))
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
		case <-l.done:
			return fmt.Errorf("line %d: QEMU has ended", line)
		case <-timer.C:
			return fmt.Errorf("line %d is not %s within %v", line, map[bool]string{true: "high", false: "low"}[high], atMost)
		}
	}
}
