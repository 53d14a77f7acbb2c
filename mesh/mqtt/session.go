package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"dancer/mesh"
)

// flying bounds the messages that the broker has not confirmed yet; past it the
// pump waits for the oldest.
const flying = 64

// quiesceMS is how long a session may take to say goodbye.
const quiesceMS = 250

// runSession makes one connection and serves it to its end. paho's own
// reconnecting is off: it hides why a broker refuses.
func (c *Client) runSession(ctx context.Context) (connected bool, err error) {
	lost := make(chan error, 1)
	session := paho.NewClient(c.sessionOptions(ctx, lost))
	defer session.Disconnect(quiesceMS)
	if err = c.connect(ctx, session); err != nil {
		c.detach(ctx, err)
		return false, err
	}
	if err = c.greet(ctx, session); err != nil {
		// ONLINE may be there already, and an orderly end fires no last will.
		if said := c.sayOffline(session); said != nil {
			_ = wait(context.Background(), said, farewellTimeout) // what is told is why the greeting failed
		}
		c.detach(ctx, err)
		return false, err
	}
	c.options.OnConnected()
	err = c.pump(ctx, session, lost)
	if ctx.Err() != nil {
		c.farewell(session)
		err = nil
	}
	c.detach(ctx, err)
	return true, err
}

func (c *Client) sessionOptions(ctx context.Context, lost chan<- error) *paho.ClientOptions {
	o := paho.NewClientOptions().AddBroker(c.broker.String()).SetClientID(c.options.ClientID).
		SetUsername(c.options.Username).SetPassword(c.options.Password).
		SetProtocolVersion(4).SetCleanSession(true).SetOrderMatters(true).SetAutoAckDisabled(true).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(connectTimeout).
		SetKeepAlive(keepAlive).SetPingTimeout(pingTimeout).SetWriteTimeout(writeTimeout)
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		select {
		case lost <- err:
		default:
		}
	})
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return c.dial(ctx) })
	if p := c.options.Presence; p.Topic != "" {
		o.SetBinaryWill(p.Topic, p.Message(mesh.Broken), 1, true)
	}
	return o
}

// dial opens the connection itself: no proxy from the environment, and the
// context ends it.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	if !c.secure {
		return dialer.DialContext(ctx, "tcp", c.broker.Host)
	}
	config := c.options.TLS
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext(ctx, "tcp", c.broker.Host)
}

func (c *Client) connect(ctx context.Context, session paho.Client) error {
	return c.explain(wait(ctx, session.Connect(), connectTimeout+time.Second))
}

// explain names the broker and the cure.
func (c *Client) explain(err error) error {
	name := c.options.Broker
	switch {
	case err == nil:
		return nil
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return fmt.Errorf("broker %s: %w: %s", name, ErrRefused, c.options.RefusedHint)
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return fmt.Errorf("broker %s: refused the client id %q: give the robot another name", name, c.options.ClientID)
	}
	var network net.Error
	if errors.As(err, &network) {
		return fmt.Errorf("broker %s: %w: %w: is it running? trying again", name, ErrUnreachable, err)
	}
	return fmt.Errorf("broker %s: %w", name, err)
}

// wait gives a token's error, or one of its own when the time is up: a paho
// token alone has no deadline.
func wait(ctx context.Context, token paho.Token, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return fmt.Errorf("no answer within %s", limit)
	}
}

// greet subscribes, says ONLINE, makes every item due and takes the session
// into use.
func (c *Client) greet(ctx context.Context, session paho.Client) error {
	done, err := c.subscribeFrom(ctx, session, 0)
	if err != nil {
		return err
	}
	if p := c.options.Presence; p.Topic != "" {
		if err := wait(ctx, session.Publish(p.Topic, 1, true, p.Message(mesh.Online)), subscribeTimeout); err != nil {
			return fmt.Errorf("publish %s: %w", p.Topic, err)
		}
	}
	c.counters.connects.Add(1)
	return c.adopt(ctx, session, done)
}

// adopt takes the session into use once no subscription is missing: one may
// have been added while the others were being made.
func (c *Client) adopt(ctx context.Context, session paho.Client, done int) error {
	for {
		c.mutex.Lock()
		if done == len(c.subscriptions) {
			c.schedule.restart(c.now())
			c.session, c.lastError, c.since = session, nil, time.Now()
			c.mutex.Unlock()
			c.options.Log.Info("broker connected", "broker", c.options.Broker)
			return nil
		}
		c.mutex.Unlock()
		var err error
		if done, err = c.subscribeFrom(ctx, session, done); err != nil {
			return err
		}
	}
}

// subscribeFrom makes the subscriptions from number done on and returns how many
// there are now.
func (c *Client) subscribeFrom(ctx context.Context, session paho.Client, done int) (int, error) {
	c.mutex.Lock()
	missing := c.subscriptions[done:]
	c.mutex.Unlock()
	for _, s := range missing {
		if err := c.subscribe(ctx, session, s); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

func (c *Client) subscribe(ctx context.Context, session paho.Client, s subscription) error {
	token := session.Subscribe(s.filter, 1, func(_ paho.Client, m paho.Message) { c.inbound.take(s.handler, m) })
	err := wait(ctx, token, subscribeTimeout)
	if granted, ok := token.(*paho.SubscribeToken); err == nil && ok && granted.Result()[s.filter] > 2 {
		err = errors.New("the broker refused it: check its access rules")
	}
	if err != nil {
		return fmt.Errorf("broker %s: subscribe %s: %w", c.options.Broker, s.filter, err)
	}
	return nil
}

// detach notes and logs that there is no session, and why.
func (c *Client) detach(ctx context.Context, err error) {
	c.mutex.Lock()
	if c.session != nil {
		c.session, c.since = nil, time.Now()
	}
	repeated := err != nil && c.lastError != nil && err.Error() == c.lastError.Error()
	c.lastError = err
	c.mutex.Unlock()
	if err != nil && !repeated && ctx.Err() == nil {
		c.options.Log.Warn(err.Error())
	}
}

// pump is the one goroutine that publishes on a session.
func (c *Client) pump(ctx context.Context, session paho.Client, lost <-chan error) error {
	var tokens []paho.Token
	timer := time.NewTimer(0)
	defer timer.Stop()
	presence := time.NewTicker(c.options.Presence.Every)
	defer presence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return fmt.Errorf("broker %s: connection lost: %w", c.options.Broker, err)
		case p := <-c.publishes:
			tokens = append(tokens, session.Publish(p.topic, 1, p.retained, p.payload))
			c.counters.published.Add(1)
		case <-presence.C:
			if p := c.options.Presence; p.Topic != "" {
				tokens = append(tokens, session.Publish(p.Topic, 1, true, p.Message(mesh.Online)))
			}
		case <-c.wake:
		case <-timer.C:
		}
		item, pause, ok := c.due()
		if ok {
			tokens = append(tokens, session.Publish(item.Topic, 1, false, item.Payload))
			c.counters.sent.Add(1)
			pause = 0
		}
		timer.Reset(pause)
		var err error
		if tokens, err = c.confirm(ctx, tokens, lost); err != nil {
			return err
		}
	}
}

// due takes the next item from the schedule and the outbox.
func (c *Client) due() (item Item, pause time.Duration, ok bool) {
	c.mutex.Lock()
	id, pause, ok := c.schedule.next(c.now())
	if ok {
		c.schedule.mark(id, c.now(), rand.Float64())
	}
	c.mutex.Unlock()
	if !ok {
		return Item{}, pause, false
	}
	item, err := c.options.Outbox.Get(id)
	if err != nil {
		// Acknowledged meanwhile, or damaged: either way there is nothing to send.
		c.mutex.Lock()
		c.schedule.remove(id)
		c.mutex.Unlock()
		return Item{}, 0, false
	}
	return item, 0, true
}

// confirm drops the tokens that are done and, past the bound, waits for the
// oldest.
func (c *Client) confirm(ctx context.Context, tokens []paho.Token, lost <-chan error) ([]paho.Token, error) {
	for len(tokens) > 0 {
		if len(tokens) < flying {
			select {
			case <-tokens[0].Done():
				tokens = tokens[1:]
				continue
			default:
				return tokens, nil
			}
		}
		timer := time.NewTimer(subscribeTimeout)
		select {
		case <-tokens[0].Done():
			tokens = tokens[1:]
		case err := <-lost:
			timer.Stop()
			return nil, fmt.Errorf("broker %s: connection lost: %w", c.options.Broker, err)
		case <-ctx.Done():
			timer.Stop()
			return tokens, nil
		case <-timer.C:
			return nil, fmt.Errorf("broker %s: confirms nothing for %s", c.options.Broker, subscribeTimeout)
		}
		timer.Stop()
	}
	return tokens, nil
}

// farewell sends what was published last and says OFFLINE.
func (c *Client) farewell(session paho.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	var last paho.Token
	for more := true; more; {
		select {
		case p := <-c.publishes:
			last = session.Publish(p.topic, 1, p.retained, p.payload)
			more = ctx.Err() == nil
		default:
			more = false
		}
	}
	if said := c.sayOffline(session); said != nil {
		last = said
	}
	if last == nil {
		return
	}
	if err := wait(ctx, last, farewellTimeout); err != nil {
		c.options.Log.Warn("broker farewell: " + err.Error())
	}
}

// sayOffline is nil without a presence.
func (c *Client) sayOffline(session paho.Client) paho.Token {
	p := c.options.Presence
	if p.Topic == "" {
		return nil
	}
	return session.Publish(p.Topic, 1, true, p.Message(mesh.Offline))
}
