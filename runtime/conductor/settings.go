package conductor

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"dancer/mesh"
	"dancer/mesh/mqtt"
	"dancer/runtime/config"
	"dancer/runtime/web"
)

// clientOptions says how the broker is reached.
func (s *service) clientOptions() (mqtt.Options, error) {
	c := s.config.Settings
	o := mqtt.Options{
		Broker: s.brokerURL(), ClientID: clientID(c), Username: c.Username,
		Presence:    mqtt.Presence{Topic: mesh.Topic(c.Cell, mesh.ConductorAgent, mesh.KindConnection), Message: s.presence},
		Outbox:      s.store.Outbox(),
		RefusedHint: "check username and password_file in conductor.yaml", GiveUpWhenRefused: true,
		Log: s.log,
	}
	var err error
	if o.Password, err = secret("password_file", c.PasswordFile); err != nil {
		return o, err
	}
	if !strings.HasPrefix(o.Broker, "mqtts:") {
		return o, nil
	}
	ca, err := rawSecret("ca_file", c.CAFile)
	if err != nil {
		return o, err
	}
	fingerprint := c.Fingerprint
	if s.broker != nil { // our own: its certificate is known
		pair, err := certificate(c)
		if err != nil {
			return o, err
		}
		sum := sha256.Sum256(pair.Certificates[0].Certificate[0])
		fingerprint = hex.EncodeToString(sum[:])
	}
	if ca != nil || fingerprint != "" {
		o.TLS, err = mqtt.TLSConfig(ca, fingerprint)
	}
	return o, err
}

// clientID is unique per broker. Dots, which names may have, are refused by the
// embedded broker; a colon stands for them, as no name has one.
func clientID(c *config.Conductor) string {
	return strings.ReplaceAll(c.Cell+"/"+mesh.ConductorMember(c.Name), ".", ":")
}

func (s *service) brokerURL() string {
	if s.broker != nil {
		return s.broker.URL()
	}
	return s.config.Settings.Broker
}

// certificate of the embedded broker; nil when none is set.
func certificate(c *config.Conductor) (*tls.Config, error) {
	if c.Certificate == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s and key %s: %w", c.Certificate, c.Key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// secret reads a file of one line; "" for no file.
func secret(what, path string) (string, error) {
	raw, err := rawSecret(what, path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if path != "" && text == "" {
		return "", fmt.Errorf("read %s %s: it is empty", what, path)
	}
	return text, nil
}

func rawSecret(what, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return raw, nil
}

// status of the process; the desk adds what it counts.
func (s *service) status() web.Status {
	c := s.config.Settings
	st := web.Status{
		Role: web.RoleConductor, Name: c.Name, Cell: c.Cell, Scope: c.Scope, Version: s.config.Version, StartedAt: s.started.UTC(),
		Broker: web.Broker{URL: s.brokerURL(), Embedded: s.broker != nil, Connected: s.client.Connected()},
		Outbox: s.store.Outbox().Len(), Problems: s.strangers.list(),
	}
	if !st.Broker.Connected {
		if err := s.client.Status().LastError; err != nil {
			st.Problems = append(st.Problems, err.Error())
		}
	}
	if s.cell != nil {
		if conflict := s.cell.Status().Conflict; conflict != "" {
			st.Problems = append(st.Problems, conflict)
		}
	}
	if s.conflicts != nil {
		st.Problems = append(st.Problems, s.conflicts.Problems()...)
	}
	return st
}
