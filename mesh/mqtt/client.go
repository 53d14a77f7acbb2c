package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// publishQueue bounds the messages of Publish that wait for the connection's
// writer.
const publishQueue = 1024

// Handler takes one message. It runs in a worker of the client: messages of one
// topic come in order, one at a time. After an error it is called twice more
// with the same message; then the message is dropped and counted, because its
// sender sends it again until the application acknowledges it. It must not keep
// the payload's bytes unless it copies them.
type Handler func(topic string, payload []byte) error

// Status of a client.
type Status struct {
	Connected   bool
	Since       time.Time // of the newest change of Connected
	LastError   error     // why it is not connected; nil while it is
	Connects    uint64    // successful connects since New
	Published   uint64    // messages of Publish given to the broker
	Dropped     uint64    // messages of Publish dropped: offline or queue full
	Sent        uint64    // attempts to send an item
	Received    uint64    // messages taken from the broker
	Overflowed  uint64    // received messages dropped because a queue was full
	Failed      uint64    // received messages dropped after three errors of their handler
	Retained    uint64    // received messages dropped because of DropRetained
	Outstanding int       // items in the outbox
}

// Client speaks with one broker. Its methods are safe for use by several
// goroutines; Run is called once.
type Client struct {
	options Options
	broker  *url.URL
	secure  bool
	begin   time.Time // zero of the schedule's clock

	publishes chan publish
	wake      chan struct{} // capacity 1: the schedule has changed
	inbound   *inbound

	mutex         sync.Mutex
	schedule      *schedule
	subscriptions []subscription
	session       paho.Client // nil while there is none
	lastError     error
	since         time.Time

	counters struct{ connects, published, dropped, sent, received, overflowed, failed, retained atomic.Uint64 }
}

type publish struct {
	topic    string
	retained bool
	payload  []byte
}

type subscription struct {
	filter  string
	handler Handler
}

// New checks the options. It does not connect: Run does.
func New(o Options) (*Client, error) {
	broker, secure, err := parseBroker(o.Broker)
	if err != nil {
		return nil, err
	}
	if o.ClientID == "" || len(o.ClientID) > 128 {
		return nil, fmt.Errorf("%w: client id of %d bytes: 1 to 128 are allowed", ErrOptions, len(o.ClientID))
	}
	c := &Client{
		options: o.withDefaults(), broker: broker, secure: secure, begin: time.Now(), since: time.Now(),
		publishes: make(chan publish, publishQueue), wake: make(chan struct{}, 1), schedule: newSchedule(),
	}
	c.inbound = newInbound(c)
	if o.Outbox != nil {
		for _, id := range o.Outbox.IDs() {
			c.schedule.add(id, 0)
		}
	}
	return c, nil
}

// Run connects, keeps the connection, and returns when the context ends, after
// an orderly farewell: nil then. It returns an error only for ErrRefused with
// GiveUpWhenRefused; everything else it tries again, at most every 30 s.
func (c *Client) Run(ctx context.Context) error {
	stopWorkers := c.inbound.start()
	defer stopWorkers()
	for wait := backoffFirst; ; {
		connected, err := c.runSession(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrRefused) && c.options.GiveUpWhenRefused {
			return err
		}
		if connected {
			wait = backoffFirst
			c.options.OnLost(err)
		}
		if !pause(ctx, wait/2+rand.N(wait)) {
			return nil
		}
		wait = min(2*wait, backoffLast)
	}
}

// pause waits and says whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Publish gives a message to the broker at least once while the connection
// lasts (QoS 1), and forgets it: ErrOffline or ErrQueueFull when it was dropped,
// which is counted. It does not wait. What must arrive goes through Send.
func (c *Client) Publish(_ context.Context, topic string, retained bool, payload []byte) error {
	if !c.Connected() {
		c.counters.dropped.Add(1)
		return ErrOffline
	}
	select {
	case c.publishes <- publish{topic, retained, payload}:
		return nil
	default:
		c.counters.dropped.Add(1)
		return ErrQueueFull
	}
}

// Send sends an item that is in the outbox until Acked: at once, then after 2,
// 4, 8, 16 and every 30 s, and again after each connect. It does not wait.
// Without an outbox it does nothing.
func (c *Client) Send(id string) {
	if c.options.Outbox == nil {
		return
	}
	c.mutex.Lock()
	c.schedule.add(id, c.now())
	c.mutex.Unlock()
	c.rouse()
}

// Acked takes an item out of the outbox: its receiver has it. An unknown id is
// no error.
func (c *Client) Acked(id string) error {
	c.mutex.Lock()
	c.schedule.remove(id)
	c.mutex.Unlock()
	c.rouse()
	if c.options.Outbox == nil {
		return nil
	}
	return c.options.Outbox.Remove(id)
}

// Subscribe asks for the topics of a filter, now and after each connect. It may
// be called before or while Run runs, once a filter. A filter that the broker
// refuses is in the log and in Status.
func (c *Client) Subscribe(filter string, handler Handler) error {
	if filter == "" || handler == nil {
		return fmt.Errorf("%w: Subscribe without a filter or a handler", ErrOptions)
	}
	c.mutex.Lock()
	c.subscriptions = append(c.subscriptions, subscription{filter, handler})
	session := c.session
	c.mutex.Unlock()
	if session == nil {
		return nil
	}
	return c.subscribe(context.Background(), session, subscription{filter, handler})
}

// Connected says whether the broker can be reached now.
func (c *Client) Connected() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.session != nil && c.session.IsConnectionOpen()
}

// Status gives a snapshot.
func (c *Client) Status() Status {
	c.mutex.Lock()
	s := Status{Connected: c.session != nil && c.session.IsConnectionOpen(), Since: c.since, LastError: c.lastError}
	c.mutex.Unlock()
	n := &c.counters
	s.Connects, s.Published, s.Dropped, s.Sent = n.connects.Load(), n.published.Load(), n.dropped.Load(), n.sent.Load()
	s.Received, s.Overflowed, s.Failed, s.Retained = n.received.Load(), n.overflowed.Load(), n.failed.Load(), n.retained.Load()
	if c.options.Outbox != nil {
		s.Outstanding = c.options.Outbox.Len()
	}
	return s
}

// now is the monotonic clock of the schedule.
func (c *Client) now() time.Duration { return time.Since(c.begin) }

// rouse wakes the pump.
func (c *Client) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
