package guest

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// tester speaks QEMU's test protocol, beside the accelerator that runs the guest (QEMU:
// devel/testing/qtest.html). Its methods may be called by several goroutines.
type tester struct {
	conn    net.Conn
	changed func(line int, high bool) // of what is intercepted; called by one goroutine
	asked   sync.Mutex
	answers chan string
	done    chan struct{}
}

func newTester(conn net.Conn, changed func(line int, high bool)) *tester {
	t := &tester{conn: conn, changed: changed, answers: make(chan string, 1), done: make(chan struct{})}
	go t.read()
	return t
}

func (t *tester) read() {
	defer close(t.done)
	for lines := bufio.NewScanner(t.conn); lines.Scan(); {
		var what string
		var line int
		if n, _ := fmt.Sscanf(lines.Text(), "IRQ %s %d", &what, &line); n == 2 {
			if t.changed != nil {
				t.changed(line, what == "raise")
			}
			continue
		}
		select {
		case t.answers <- lines.Text():
		default: // to a question that was given up
		}
	}
}

// do sends a command and gives what stands behind the OK of its answer.
func (t *tester) do(command string) (string, error) {
	t.asked.Lock()
	defer t.asked.Unlock()
	if _, err := fmt.Fprintln(t.conn, command); err != nil {
		return "", fmt.Errorf("qtest: %s: %w", command, err)
	}
	select {
	case answer := <-t.answers:
		said, ok := strings.CutPrefix(answer, "OK")
		if !ok {
			return "", fmt.Errorf("qtest: %s: %s", command, answer)
		}
		return strings.TrimSpace(said), nil
	case <-t.done:
		return "", fmt.Errorf("qtest: %s: QEMU has closed it", command)
	case <-time.After(callWithin):
		return "", fmt.Errorf("qtest: %s: no answer", command)
	}
}

// Registers are the registers of the machine's devices, from outside.
type Registers struct{ tester *tester }

// Read32 reads a register of 32 bits at a physical address.
func (r *Registers) Read32(address uint64) (value uint32, err error) {
	said, err := r.tester.do(fmt.Sprintf("readl %#x", address))
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(said, "0x%x", &value); err != nil {
		return 0, fmt.Errorf("qtest: register %#x is %q: %w", address, said, err)
	}
	return value, nil
}
