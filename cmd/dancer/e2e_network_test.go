package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lan is a network of namespaces: one for each machine, and one with the switches
// that they hang on. Nothing of it touches the machine's own network.
type lan struct {
	*world
	name     string
	machines int
}

// newLAN makes the namespaces; machines come with add. It needs root and iproute2.
func newLAN(w *world) *lan {
	w.Helper()
	if os.Geteuid() != 0 {
		w.Skip("makes network namespaces: run it as root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		w.Skip("makes network namespaces: install iproute2")
	}
	l := &lan{world: w, name: fmt.Sprintf("dancer%d", os.Getpid())}
	w.Cleanup(l.remove)
	l.ip("netns", "add", l.hub())
	for _, bridge := range []string{"one", "two"} {
		l.ip("-n", l.hub(), "link", "add", bridge, "type", "bridge")
		l.ip("-n", l.hub(), "link", "set", bridge, "up")
	}
	return l
}

func (l *lan) hub() string            { return l.name + "-hub" }
func (l *lan) namespace(i int) string { return fmt.Sprintf("%s-%d", l.name, i) }
func (l *lan) address(i int) string   { return fmt.Sprintf("10.77.0.%d", i+1) }
func (l *lan) port(i int) string      { return fmt.Sprintf("v%d", i) }
func (l *lan) run(i int, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", l.namespace(i), l.binary}, args...)...)
}

func (l *lan) ip(args ...string) {
	l.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// add makes the next machine, on the first switch.
func (l *lan) add() (machine int) {
	l.Helper()
	i := l.machines
	l.machines++
	l.ip("netns", "add", l.namespace(i))
	l.ip("-n", l.hub(), "link", "add", l.port(i), "type", "veth", "peer", "name", "eth0", "netns", l.namespace(i))
	l.ip("-n", l.namespace(i), "address", "add", l.address(i)+"/24", "dev", "eth0")
	for _, device := range []string{"lo", "eth0"} {
		l.ip("-n", l.namespace(i), "link", "set", device, "up")
	}
	l.attach(i, "one")
	return i
}

// attach puts a machine on a switch, and cut on none.
func (l *lan) attach(i int, bridge string) {
	l.Helper()
	l.ip("-n", l.hub(), "link", "set", l.port(i), "master", bridge, "up")
}

func (l *lan) cut(i int) {
	l.Helper()
	l.ip("-n", l.hub(), "link", "set", l.port(i), "nomaster")
}

// remove ends it. Processes were stopped before: they were started later.
func (l *lan) remove() {
	for i := range l.machines {
		_ = exec.Command("ip", "netns", "delete", l.namespace(i)).Run()
	}
	if out, err := exec.Command("ip", "netns", "delete", l.hub()).CombinedOutput(); err != nil {
		l.Errorf("remove the switches: %v: %s", err, out)
	}
}

// client speaks HTTP on a machine's own loopback: a socket belongs to the namespace of
// the thread that makes it.
func (l *lan) client(i int) *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		type dialed struct {
			conn net.Conn
			err  error
		}
		done := make(chan dialed, 1)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			conn, err := dialIn(ctx, l.namespace(i), network, address)
			done <- dialed{conn, err}
		}()
		d := <-done
		return d.conn, d.err
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

func dialIn(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	file, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
