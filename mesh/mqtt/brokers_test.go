package mqtt_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/mesh/broker"
)

// patience is the deadline of every poll: only a broken program reaches it.
const patience = 60 * time.Second

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// testBroker is a broker that can be stopped and started at one address.
type testBroker interface {
	url() string
	start(*testing.T)
	stop(*testing.T)
}

// eachBroker runs a test against both brokers.
func eachBroker(t *testing.T, test func(t *testing.T, b testBroker)) {
	t.Run("nats", func(t *testing.T) { test(t, newNATS(t)) })
	t.Run("mosquitto", func(t *testing.T) { test(t, newMosquitto(t, "allow_anonymous true")) })
}

type nats struct {
	dir, listen string
	running     *broker.Broker
}

func newNATS(t *testing.T) *nats {
	n := &nats{dir: t.TempDir(), listen: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	n.start(t)
	t.Cleanup(func() { n.stop(t) })
	return n
}

func (n *nats) url() string { return "mqtt://" + n.listen }

func (n *nats) start(t *testing.T) {
	t.Helper()
	b, err := broker.Start(broker.Options{Listen: n.listen, Dir: n.dir})
	if err != nil {
		t.Fatal(err)
	}
	n.running = b
}

func (n *nats) stop(t *testing.T) {
	t.Helper()
	if n.running == nil {
		return
	}
	if err := n.running.Shutdown(); err != nil {
		t.Error(err)
	}
	n.running = nil
}

type mosquitto struct {
	program, config string
	port            int
	running         *exec.Cmd
	output          bytes.Buffer
}

func findMosquitto(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("mosquitto is not installed")
	return ""
}

// newMosquitto starts a Mosquitto of the test's own: never the system's service.
func newMosquitto(t *testing.T, lines ...string) *mosquitto {
	t.Helper()
	m := &mosquitto{program: findMosquitto(t), port: freePort(t), config: filepath.Join(t.TempDir(), "mosquitto.conf")}
	config := append([]string{fmt.Sprintf("listener %d 127.0.0.1", m.port), "persistence false", "user root"}, lines...)
	if err := os.WriteFile(m.config, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	t.Cleanup(func() { m.stop(t) })
	return m
}

func (m *mosquitto) url() string { return fmt.Sprintf("mqtt://127.0.0.1:%d", m.port) }

func (m *mosquitto) start(t *testing.T) {
	t.Helper()
	m.output.Reset()
	m.running = exec.Command(m.program, "-c", m.config)
	m.running.Stdout, m.running.Stderr = &m.output, &m.output
	if err := m.running.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) stop(t *testing.T) {
	t.Helper()
	if m.running == nil {
		return
	}
	_ = m.running.Process.Kill()
	_ = m.running.Wait()
	m.running = nil
	if t.Failed() {
		t.Log(m.output.String())
	}
}
