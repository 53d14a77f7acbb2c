package mqtt

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TLSConfig trusts the CAs of a PEM file's bytes, or the one certificate with a
// fingerprint (SHA-256 of its DER bytes, 64 hex digits, colons allowed), or
// both at once. With neither the system's CAs are trusted.
func TLSConfig(caPEM []byte, fingerprint string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(caPEM) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(caPEM) {
			return nil, fmt.Errorf("%w: the CA file holds no PEM certificate", ErrOptions)
		}
	}
	if fingerprint == "" {
		return config, nil
	}
	want, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(fingerprint), "sha256:"), ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("%w: fingerprint %q: want the 64 hex digits of a SHA-256", ErrOptions, fingerprint)
	}
	// A pinned certificate needs no authority: it is what the owner named.
	config.InsecureSkipVerify = len(caPEM) == 0
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("no certificate")
		}
		have := sha256.Sum256(state.PeerCertificates[0].Raw)
		if have != [sha256.Size]byte(want) {
			return fmt.Errorf("certificate has fingerprint %x, pinned is %x: another broker answers there, or its certificate was renewed", have, want)
		}
		return nil
	}
	return config, nil
}
