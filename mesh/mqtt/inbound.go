package mqtt

import (
	"hash/maphash"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Bounds of what waits for the handlers. A queue holds more than a broker has in
// flight to one client (Mosquitto 20, nats-server 1,024), so the unconfirmed
// messages hold the broker back before a queue overflows.
const (
	workers      = 4
	workerQueue  = 2048
	handlerTries = 3
	handlerPause = 50 * time.Millisecond
)

// inbound hands messages from paho's goroutine, which must never wait, to the
// workers.
type inbound struct {
	client *Client
	seed   maphash.Seed
	queues [workers]chan delivery
	quit   chan struct{}
}

type delivery struct {
	handler Handler
	message paho.Message
}

func newInbound(c *Client) *inbound {
	in := &inbound{client: c, seed: maphash.MakeSeed(), quit: make(chan struct{})}
	for i := range in.queues {
		in.queues[i] = make(chan delivery, workerQueue)
	}
	return in
}

// start starts the workers; the function it returns stops and joins them.
func (in *inbound) start() (stop func()) {
	var joined sync.WaitGroup
	for _, queue := range in.queues {
		joined.Add(1)
		go func() {
			defer joined.Done()
			in.work(queue)
		}()
	}
	return func() {
		close(in.quit)
		joined.Wait()
	}
}

// take puts a message into the queue of its topic. One that does not fit is
// confirmed and dropped: an unconfirmed one would take a place in the broker's
// window for ever, and its sender sends it again anyway.
func (in *inbound) take(handler Handler, m paho.Message) {
	in.client.counters.received.Add(1)
	if m.Retained() && in.client.options.DropRetained {
		in.client.counters.retained.Add(1)
		m.Ack()
		return
	}
	queue := in.queues[maphash.String(in.seed, m.Topic())%workers]
	select {
	case queue <- delivery{handler, m}:
	default:
		in.client.counters.overflowed.Add(1)
		m.Ack()
	}
}

func (in *inbound) work(queue <-chan delivery) {
	for {
		select {
		case <-in.quit:
			return
		case d := <-queue:
			in.deliver(d)
		}
	}
}

// deliver confirms a message after its handler took it.
func (in *inbound) deliver(d delivery) {
	for try := 1; ; try++ {
		err := d.handler(d.message.Topic(), d.message.Payload())
		if err == nil {
			break
		}
		if try == handlerTries {
			in.client.counters.failed.Add(1)
			in.client.options.Log.Warn("drop message, its sender repeats what must arrive", "topic", d.message.Topic(), "cause", err)
			break
		}
		select {
		case <-time.After(handlerPause << try):
		case <-in.quit:
			return
		}
	}
	d.message.Ack()
}
