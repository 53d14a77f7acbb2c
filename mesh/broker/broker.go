package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// DefaultListen is where robots look for the broker of their own machine.
const DefaultListen = "127.0.0.1:1883"

// Limits of the embedded broker.
const (
	startTimeout    = 15 * time.Second
	shutdownTimeout = 10 * time.Second
	maxPayloadBytes = 512 << 10
	maxMemoryBytes  = 32 << 20
	defaultMaxStore = 256 << 20
	ackWait         = 10 * time.Second // then an unconfirmed message is sent again
	maxAckPending   = 1024             // messages in flight to one subscription
)

// Errors of Start, by cause.
var (
	// ErrPortTaken: something listens at the address already.
	ErrPortTaken = errors.New("address in use")
	// ErrFolderInUse: another broker works in the folder.
	ErrFolderInUse = errors.New("broker folder in use")
	// ErrExposed: other hosts could reach the broker unprotected.
	ErrExposed = errors.New("listener needs a certificate and a password")
)

// Options of Start.
type Options struct {
	// Listen is host:port; default DefaultListen; port 0 takes a free one. Any
	// host but loopback needs TLS, Username and Password.
	Listen string
	// Dir keeps retained messages and sessions.
	Dir string
	// Name is the server's name, unique in a region; default "dancer".
	Name string
	// Username and Password that clients must give; empty: none asked.
	Username string
	Password string
	// TLS makes the listener mqtts.
	TLS *tls.Config
	// MaxStoreBytes bounds the folder; default 256 MiB.
	MaxStoreBytes int64
	// Log takes the broker's warnings and errors; default none.
	Log *slog.Logger
}

// Broker is a running broker. Its methods are safe for use by several
// goroutines.
type Broker struct {
	options Options
	host    string
	port    int
	lock    *os.File
	logger  *logger

	mutex  sync.Mutex
	server *server.Server
	closed bool

	stop   chan struct{} // closed by Shutdown
	joined sync.WaitGroup
	healed atomic.Uint64
}

// Start starts a broker and returns when clients can connect.
func Start(o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{options: o, lock: lock, stop: make(chan struct{}), logger: newLogger(o.Log)}
	if b.host, b.port, err = claim(o.Listen); err == nil {
		b.server, err = b.launch()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	b.joined.Add(1)
	go b.heal()
	return b, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Name == "" {
		o.Name = "dancer"
	}
	if o.MaxStoreBytes <= 0 {
		o.MaxStoreBytes = defaultMaxStore
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		return o, errors.New("start broker: no folder given")
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return o, fmt.Errorf("start broker: listen %q: %w: want host:port", o.Listen, err)
	}
	if !loopback(host) && (o.TLS == nil || o.Username == "" || o.Password == "") {
		return o, fmt.Errorf("start broker on %s: %w: give the conductor certificate, key, username and password_file, or listen on 127.0.0.1", o.Listen, ErrExposed)
	}
	return o, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// launch starts the library's server and waits until its listener answers.
func (b *Broker) launch() (*server.Server, error) {
	s, err := server.NewServer(serverOptions(b.options, b.host, b.port))
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	s.SetLoggerV2(b.logger, false, false, false)
	s.Start()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		select {
		case text := <-b.logger.fatal:
			return nil, errors.Join(fmt.Errorf("start broker: %s", text), end(s))
		default:
		}
		if s.ReadyForConnections(100 * time.Millisecond) {
			return s, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("start broker on %s: not ready within %s", b.Addr(), startTimeout), end(s))
}

// claim finds out early whether the address is free, because the server only
// logs it. Port 0 becomes a free port.
func claim(listen string) (host string, port int, err error) {
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", 0, fmt.Errorf("start broker on %s: %w: is another conductor or broker running? use it with --broker mqtt://%s", listen, ErrPortTaken, listen)
	}
	if err != nil {
		return "", 0, fmt.Errorf("start broker on %s: %w", listen, err)
	}
	host, _, _ = net.SplitHostPort(listen)
	port = l.Addr().(*net.TCPAddr).Port
	return host, port, l.Close()
}

func serverOptions(o Options, host string, port int) *server.Options {
	return &server.Options{
		ServerName: o.Name,
		DontListen: true, // no NATS port: MQTT alone is served
		NoSigs:     true,
		MaxPayload: maxPayloadBytes,
		JetStream:  true, StoreDir: o.Dir, SyncInterval: 2 * time.Second,
		JetStreamMaxMemory: maxMemoryBytes, JetStreamMaxStore: o.MaxStoreBytes,
		MQTT: server.MQTTOpts{
			Host: host, Port: port, Username: o.Username, Password: o.Password, TLSConfig: o.TLS, TLSTimeout: 5,
			ConsumerMemoryStorage: true, AckWait: ackWait, MaxAckPending: maxAckPending,
		},
	}
}

// Addr is the host:port that clients connect to.
func (b *Broker) Addr() string { return net.JoinHostPort(b.host, strconv.Itoa(b.port)) }

// URL is the address as clients write it.
func (b *Broker) URL() string {
	if b.options.TLS != nil {
		return "mqtts://" + b.Addr()
	}
	return "mqtt://" + b.Addr()
}

// Clients is the number of connected clients.
func (b *Broker) Clients() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.server == nil {
		return 0
	}
	return b.server.NumClients()
}

// Healed counts how often the broker was started anew because its disk had
// failed and works again.
func (b *Broker) Healed() uint64 { return b.healed.Load() }

// Run serves until the context ends, then shuts down. It returns an error if
// the broker ends by itself.
func (b *Broker) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return b.Shutdown()
	case text := <-b.logger.fatal:
		return errors.Join(fmt.Errorf("broker: %s", text), b.Shutdown())
	}
}

// Shutdown ends the broker, waits for it, and gives up the folder. A second call
// does nothing.
func (b *Broker) Shutdown() error {
	b.mutex.Lock()
	if b.closed {
		b.mutex.Unlock()
		return nil
	}
	b.closed = true
	b.mutex.Unlock()
	close(b.stop)
	b.joined.Wait()
	return errors.Join(end(b.server), b.lock.Close())
}

// end stops a server of the library and waits for it; nil is fine.
func end(s *server.Server) error {
	if s == nil {
		return nil
	}
	s.Shutdown()
	done := make(chan struct{})
	go func() {
		s.WaitForShutdown()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(shutdownTimeout):
		return fmt.Errorf("stop broker: still running after %s", shutdownTimeout)
	}
}

// lockFolder keeps a second broker out: two on one store destroy it.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "broker.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("start broker in %s: %w: stop the other one or give --data another folder", dir, ErrFolderInUse), f.Close())
	}
	return f, nil
}
