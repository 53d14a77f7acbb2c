package mqtt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/broker"
	"dancer/mesh/mqtt"
)

// certificate makes a self-signed one for 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestTLS: a pinned fingerprint or a CA connects, another fingerprint or the
// system's CAs do not.
func TestTLS(t *testing.T) {
	cert, ca := certificate(t)
	b, err := broker.Start(broker.Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		Username: "bot", Password: "word"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Shutdown() })
	for _, c := range []struct {
		name, fingerprint string
		ca                []byte
		fault             string
	}{
		{"pinned", fmt.Sprintf("%x", sha256.Sum256(cert.Certificate[0])), nil, ""},
		{"authority", "", ca, ""},
		{"both", fmt.Sprintf("sha256:%X", sha256.Sum256(cert.Certificate[0])), ca, ""},
		{"another pin", strings.Repeat("00", 32), nil, "another broker answers there"},
		{"system", "", nil, "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := mqtt.TLSConfig(c.ca, c.fingerprint)
			if err != nil {
				t.Fatal(err)
			}
			client := run(t, mqtt.Options{Broker: b.URL(), ClientID: "bot", Username: "bot", Password: "word", TLS: config}, nil)
			if c.fault == "" {
				until(t, "connected", client.Connected)
				return
			}
			until(t, "an error", func() bool { return client.Status().LastError != nil })
			if err := client.Status().LastError; !strings.Contains(err.Error(), c.fault) || client.Connected() {
				t.Errorf("have %v, want %q", err, c.fault)
			}
		})
	}
}

// TestLastWill: a client that is killed is BROKEN to the others.
func TestLastWill(t *testing.T) {
	if url := os.Getenv("DANCER_TEST_WILL"); url != "" {
		c, err := mqtt.New(mqtt.Options{Broker: url, ClientID: "victim", Presence: mqtt.Presence{
			Topic: "dancer/v1/hall/victim/connection", Message: func(state string) []byte { return []byte(state) }}})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Run(context.Background())
		return
	}
	eachBroker(t, func(t *testing.T, b testBroker) {
		states := make(chan string, 16)
		watcher := run(t, mqtt.Options{Broker: b.url(), ClientID: "watcher"}, func(c *mqtt.Client) {
			_ = c.Subscribe("dancer/v1/hall/victim/connection", func(_ string, p []byte) error {
				states <- string(p)
				return nil
			})
		})
		until(t, "watcher connected", watcher.Connected)
		victim := exec.Command(os.Args[0], "-test.run=^TestLastWill$")
		victim.Env = append(os.Environ(), "DANCER_TEST_WILL="+b.url())
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = victim.Wait() }()
		expect(t, states, mesh.Online)
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		expect(t, states, mesh.Broken)
	})
}
