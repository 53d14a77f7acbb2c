package mqtt

import (
	"errors"
	"strings"
	"testing"
)

func TestParseBroker(t *testing.T) {
	for _, c := range []struct {
		in, host string
		secure   bool
		fault    string
	}{
		{"mqtt://127.0.0.1:1883", "127.0.0.1:1883", false, ""},
		{"mqtt://localhost", "localhost:1883", false, ""},
		{"tcp://[::1]:99", "[::1]:99", false, ""},
		{"mqtts://broker.example", "broker.example:8883", true, ""},
		{"mqtt://10.0.0.5:1883", "", false, "is on another host: use mqtts://"},
		{"mqtt://broker.example", "", false, "is on another host: use mqtts://"},
		{"mqtt://bot:secret@127.0.0.1", "", false, "use username and password_file"},
		{"127.0.0.1:1883", "", false, "want mqtt://host:port"},
		{"http://127.0.0.1", "", false, "want mqtt or mqtts"},
		{"", "", false, "want mqtt://host:port"},
	} {
		u, secure, err := parseBroker(c.in)
		if c.fault != "" {
			if err == nil || !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: have %v, want %q", c.in, err, c.fault)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: the password is in the error: %v", c.in, err)
			}
			continue
		}
		if err != nil || u.Host != c.host || secure != c.secure {
			t.Errorf("%q: have %v %v %v", c.in, u, secure, err)
		}
	}
}

func TestTLSConfigRefuses(t *testing.T) {
	for _, c := range []struct{ ca, fingerprint, fault string }{
		{"not pem", "", "no PEM certificate"},
		{"", "12:34", "64 hex digits"},
		{"", "zz", "64 hex digits"},
	} {
		if _, err := TLSConfig([]byte(c.ca), c.fingerprint); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%q %q: have %v, want %q", c.ca, c.fingerprint, err, c.fault)
		}
	}
	if config, err := TLSConfig(nil, ""); err != nil || config.InsecureSkipVerify {
		t.Errorf("default: %v, skips verification", err)
	}
}

// FuzzParseBroker: a broker's address from a file is refused with its cause, or it
// is one of ours or one with TLS, and its error never shows a password.
func FuzzParseBroker(f *testing.F) {
	for _, s := range []string{"mqtt://127.0.0.1:1883", "mqtts://broker.example", "mqtt://bot:secret@127.0.0.1", "tcp://[::1]:99", "mqtt://[fe80::1%25lo]:1", "127.0.0.1:1883", "mqtts://:8883", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, broker string) {
		u, secure, err := parseBroker(broker)
		if err != nil {
			if !errors.Is(err, ErrOptions) {
				t.Fatalf("%q: refused without a cause: %v", broker, err)
			}
			return
		}
		if u.User != nil || u.Host == "" || !secure && !loopback(u.Hostname()) {
			t.Fatalf("%q: %v %v", broker, u, secure)
		}
	})
}
