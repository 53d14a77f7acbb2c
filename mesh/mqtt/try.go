package mqtt

import (
	"context"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Try connects and logs in once, and leaves again: nil when the broker lets the
// client in. Presence and Outbox are not used, so that nobody else notices; the
// client id must not be that of a client that runs. It takes no longer than the
// context, nor than Run's own limit for a connection.
func Try(ctx context.Context, o Options) error {
	o.Presence, o.Outbox = Presence{}, nil
	c, err := New(o)
	if err != nil {
		return err
	}
	session := paho.NewClient(c.sessionOptions(ctx, make(chan error, 1)))
	defer session.Disconnect(quiesceMS)
	return c.connect(ctx, session)
}
