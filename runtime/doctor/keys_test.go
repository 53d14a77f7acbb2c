package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/mesh/broker"
	"dancer/mesh/gossip"
)

// TestMakeKeys: what is made is what broker, client and mesh take.
func TestMakeKeys(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	k, err := MakeKeys(folder, []string{"cell.example", "10.0.0.7"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{k.Token: 0o600, k.Password: 0o600, k.Gossip: 0o600, k.Key: 0o600, k.Certificate: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode || info.Size() < 32 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	pair, err := tls.LoadX509KeyPair(k.Certificate, k.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"cell.example", "10.0.0.7", "localhost", "127.0.0.1", "::1"} {
		if err := pair.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	password, err := os.ReadFile(k.Password)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Start(broker.Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), Username: "robot", Password: strings.TrimSpace(string(password)),
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for name, link := range map[string]Broker{"fingerprint": {Fingerprint: k.Fingerprint}, "authority": {CAFile: k.Certificate}} {
		link.URL, link.Username, link.PasswordFile = b.URL(), "robot", k.Password
		if err := reach(ctx, link); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := reach(ctx, Broker{URL: b.URL(), Username: "robot", PasswordFile: k.Password}); err == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
	key, err := os.ReadFile(k.Gossip)
	if err != nil {
		t.Fatal(err)
	}
	cell, err := gossip.Start(gossip.Options{Name: "a", Cell: "c", Bind: "127.0.0.1:0", Join: []string{}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := cell.Leave(ctx); err != nil {
		t.Error(err)
	}
}

// TestMakeKeysKeepsWhatIsThere: one file in the way, and nothing is written or
// changed; two calls never make the same key.
func TestMakeKeysKeepsWhatIsThere(t *testing.T) {
	folder := t.TempDir()
	mine := filepath.Join(folder, "key.pem") // the last to be written
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeKeys(folder, nil, time.Now()); !errors.Is(err, ErrKeysExist) || !strings.Contains(err.Error(), mine) {
		t.Errorf("a file in the way: %v", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v is left", err, entries)
	}
	if data, err := os.ReadFile(mine); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
	a, b := secretText(), secretText()
	if string(a) == string(b) || len(a) != 44 {
		t.Errorf("%q and %q", a, b)
	}
}
