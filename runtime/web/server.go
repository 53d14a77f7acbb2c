package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ServerOptions of a server. Off loopback a token, a certificate and its key are
// needed.
type ServerOptions struct {
	Options
	Address     string // host:port; port 0 picks a free one
	Certificate string // PEM file; with Key: HTTPS
	Key         string // PEM file
	Bound       *Bound // from Bind with the four above; nil: Listen binds
	Log         *slog.Logger
}

// Bound is an address that is listened on with its certificate read: what a
// process does first that gives up its rights before it serves.
type Bound struct {
	listener net.Listener
	hosts    []string
	scheme   string
}

// Close gives the address back if no server has it.
func (b *Bound) Close() error { return b.listener.Close() }

// Server listens from Listen on and serves while Run runs.
type Server struct {
	listener net.Listener
	http     *http.Server
	hub      *Hub
	scheme   string
}

// Bind listens on the address, so that a port in use is an error at once.
func Bind(o *ServerOptions) (*Bound, error) {
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w (write host:port, e.g. 127.0.0.1:8420)", o.Address, err)
	}
	if !loopback(host) && (o.Token == "" || o.Certificate == "" || o.Key == "") {
		return nil, fmt.Errorf("listen %s: not a loopback address: set token_file, certificate and key first", o.Address)
	}
	b := &Bound{scheme: "http"}
	var secure *tls.Config
	if o.Certificate != "" || o.Key != "" {
		pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s and key %s: %w", o.Certificate, o.Key, err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
		b.hosts = namesOf(pair)
		b.scheme = "https"
	}
	b.listener, err = net.Listen("tcp", o.Address)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen %s: the address is in use (another dancer? give --listen another address)", o.Address)
		}
		return nil, fmt.Errorf("listen %s: %w", o.Address, err)
	}
	if secure != nil {
		b.listener = tls.NewListener(b.listener, secure)
	}
	return b, nil
}

// Listen binds the address, if Bind has not, and makes what Run serves.
func Listen(o ServerOptions) (*Server, error) {
	bound := o.Bound
	if bound == nil {
		var err error
		if bound, err = Bind(&o); err != nil {
			return nil, err
		}
	}
	o.Hosts = append(o.Hosts, bound.hosts...)
	s := &Server{listener: bound.listener, hub: o.Hub, scheme: bound.scheme}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s.http = &http.Server{
		Handler:           Handler(o.Options),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      maxWait + 15*time.Second, // a stream sets its own, event by event
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// loopback says whether a host of a listen address is reached from this machine
// alone. An empty host is every interface.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// namesOf lists the DNS names of a certificate: hosts that we answer to.
func namesOf(pair tls.Certificate) []string {
	if len(pair.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf.DNSNames
}

// Address is the address that is listened on, with the port that was picked.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL of the dashboard.
func (s *Server) URL() string { return s.scheme + "://" + s.Address() }

// Run serves until ctx is over, then ends every stream and waits for the
// requests that are under way, 5 s at most.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", s.Address(), err)
	case <-ctx.Done():
	}
	if s.hub != nil {
		s.hub.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving %s: %w", s.Address(), err), s.http.Close())
	}
	<-done
	return err
}

// Close gives the address back if Run was never called.
func (s *Server) Close() error { return s.listener.Close() }
