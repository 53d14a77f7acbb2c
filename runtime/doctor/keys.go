package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keysValid is how long a certificate is good for. Robots pin it by its
// fingerprint, so that a new one has to be carried to each of them.
const keysValid = 5 * 365 * 24 * time.Hour

// Keys are the files that guard what is opened beyond loopback, as paths.
type Keys struct {
	Token       string   `json:"token_file"`    // bearer token of the HTTP server
	Password    string   `json:"password_file"` // of the broker
	Gossip      string   `json:"key_file"`      // of the cell: 32 bytes, the same on every member
	Certificate string   `json:"certificate"`   // PEM, ECDSA P-256, signed by itself
	Key         string   `json:"key"`           // PEM, of the certificate
	Fingerprint string   `json:"fingerprint"`   // of the certificate, as the robots' files want it
	Hosts       []string `json:"hosts"`         // names and addresses in the certificate
	Until       string   `json:"valid_until"`   // RFC 3339
}

// ErrKeysExist is wrapped when a file is there already: keys that are in use
// are never overwritten.
var ErrKeysExist = errors.New("is there already, and keys are never overwritten")

// MakeKeys makes new keys in a folder, all or none of them, readable by the
// caller alone (the certificate by everybody). The certificate is for the hosts,
// and for this machine's loopback addresses.
func MakeKeys(folder string, hosts []string, now time.Time) (Keys, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Keys{}, fmt.Errorf("make keys: %w", err)
	}
	in := func(name string) string { return filepath.Join(folder, name) }
	k := Keys{
		Token: in("token"), Password: in("broker.password"), Gossip: in("gossip.key"), Certificate: in("certificate.pem"), Key: in("key.pem"),
		Hosts: append(append([]string{}, hosts...), "localhost", "127.0.0.1", "::1"),
	}
	certificate, key, err := k.selfSigned(now)
	if err != nil {
		return Keys{}, fmt.Errorf("make keys: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Keys{}, fmt.Errorf("make keys: %w", err)
	}
	err = writeAll([]secretFile{
		{k.Token, secretText(), 0o600}, {k.Password, secretText(), 0o600}, {k.Gossip, secretBytes(), 0o600},
		{k.Certificate, certificate, 0o644}, {k.Key, key, 0o600},
	})
	if err != nil {
		return Keys{}, fmt.Errorf("make keys: %w", err)
	}
	return k, nil
}

// secretBytes are 256 random bits, the longest key that the mesh takes. It has no
// error: crypto/rand ends the program rather than give less.
func secretBytes() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return secret
}

func secretText() []byte {
	return []byte(base64.RawURLEncoding.EncodeToString(secretBytes()) + "\n")
}

// selfSigned makes the certificate and its key in PEM, and notes what is in it.
func (k *Keys) selfSigned(now time.Time) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "dancer " + k.Hosts[0]},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(keysValid), // a robot's clock may be behind
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, host := range k.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	k.Fingerprint = fmt.Sprintf("sha256:%x", sha256.Sum256(der))
	k.Until = template.NotAfter.UTC().Format(time.RFC3339)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

type secretFile struct {
	path string
	data []byte
	mode fs.FileMode
}

// writeAll writes all files or none.
func writeAll(files []secretFile) error {
	for i, f := range files {
		if err := f.write(); err != nil {
			for _, written := range files[:i] {
				_ = os.Remove(written.path) // the error that counts is the one above
			}
			return err
		}
	}
	return nil
}

func (f secretFile) write() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s %w: give another folder", f.path, ErrKeysExist)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(f.data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(f.path) // half a key is none
	}
	return err
}
