package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"crypto/tls"

	"dancer/mesh"
)

// Timing of a connection.
const (
	connectTimeout   = 10 * time.Second // TCP, TLS and MQTT handshake together
	keepAlive        = 10 * time.Second // the broker sends the last will after 1.5 of it
	pingTimeout      = 5 * time.Second
	writeTimeout     = 5 * time.Second
	subscribeTimeout = 10 * time.Second
	farewellTimeout  = time.Second
	presenceEvery    = 10 * time.Second
	backoffFirst     = 500 * time.Millisecond
	backoffLast      = 30 * time.Second
)

// Errors by what an operator can do about them.
var (
	// ErrRefused: the broker refused the user name or password.
	ErrRefused = errors.New("refused the user name or password")
	// ErrUnreachable: nothing answers at the address. It may come up later.
	ErrUnreachable = errors.New("not reachable")
	// ErrOptions: New was given something that cannot work.
	ErrOptions = errors.New("bad MQTT options")
	// ErrOffline: a Publish while there is no connection; the message is dropped.
	ErrOffline = errors.New("broker not connected")
	// ErrQueueFull: a Publish that did not fit the queue; the message is dropped.
	ErrQueueFull = errors.New("publish queue full")
)

// Item is a message that must arrive.
type Item = mesh.Item

// Outbox keeps items over a restart until they are acknowledged. The client
// only reads and removes: whoever has a message puts it there, together with
// what else must be stored with it, and then calls Client.Send. All methods must
// be safe for use by several goroutines.
type Outbox interface {
	Get(id string) (Item, error)
	IDs() []string          // the oldest first
	Remove(id string) error // no error for an unknown id
	Len() int
}

// Presence tells the others who is there: a retained message on one topic.
type Presence struct {
	Topic string
	// Message gives the payload for a state: mesh.Online after each connect,
	// mesh.Offline at an orderly end, mesh.Broken for the last will. It is called
	// anew for each connection.
	Message func(state string) []byte
	// Every is how often mesh.Online is said again; default 10 s. It heals what a
	// broker mislaid: nats-server 2.15 loses a retained message for a subscriber
	// that comes in the same moment (8 of 300 with plain paho), and the last will of an old session may
	// arrive after the greeting of the new one.
	Every time.Duration
}

// Options of New.
type Options struct {
	// Broker is mqtt://host:port or mqtts://host:port; the default port is 1883
	// or 8883. Any host but this one needs mqtts and TLS.
	Broker string
	// ClientID is unique per broker, without dots: "dancer-<cell>-<robot>". At most 128 bytes; two
	// clients with one id throw each other out.
	ClientID string
	Username string
	Password string
	// TLS is used with mqtts; see TLSConfig. Default: the system's CAs.
	TLS *tls.Config
	// Presence is optional.
	Presence Presence
	// Outbox is needed by Send. What is in it when New is called is sent too.
	Outbox Outbox
	// RefusedHint ends the error of a refused password; default "check
	// conductor.username and conductor.password_file in robot.yaml".
	RefusedHint string
	// GiveUpWhenRefused makes Run return ErrRefused rather than try on.
	GiveUpWhenRefused bool
	// DropRetained drops messages that the broker kept from before the subscription:
	// nobody knows how old they are.
	DropRetained bool
	// OnConnected is called after each connect and subscription, OnLost after
	// each loss; both from Run's goroutine, and must return soon.
	OnConnected func()
	OnLost      func(error)
	// Log takes each change of the connection once; default none.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.RefusedHint == "" {
		o.RefusedHint = "check conductor.username and conductor.password_file in robot.yaml"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Presence.Every <= 0 {
		o.Presence.Every = presenceEvery
	}
	if o.OnConnected == nil {
		o.OnConnected = func() {}
	}
	if o.OnLost == nil {
		o.OnLost = func(error) {}
	}
	return o
}

// parseBroker checks the URL and fills in the port. secure says mqtts.
func parseBroker(broker string) (u *url.URL, secure bool, err error) {
	u, err = url.Parse(broker)
	if err != nil || u.Hostname() == "" {
		return nil, false, fmt.Errorf("%w: broker %q: want mqtt://host:port or mqtts://host:port", ErrOptions, broker)
	}
	if u.User != nil {
		return nil, false, fmt.Errorf("%w: broker mqtt://...@%s: a password in the address shows in logs: use username and password_file", ErrOptions, u.Host)
	}
	port := "1883"
	switch strings.ToLower(u.Scheme) {
	case "mqtt", "tcp":
	case "mqtts", "ssl", "tls":
		secure, port = true, "8883"
	default:
		return nil, false, fmt.Errorf("%w: broker %q: scheme %q: want mqtt or mqtts", ErrOptions, broker, u.Scheme)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	if !secure && !loopback(u.Hostname()) {
		return nil, false, fmt.Errorf("%w: broker %s is on another host: use mqtts:// with a CA file or a fingerprint", ErrOptions, broker)
	}
	return u, secure, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
