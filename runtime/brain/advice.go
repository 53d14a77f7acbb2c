package brain

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"dancer/mesh/mqtt"
	"dancer/runtime/link"
	"dancer/runtime/web"
)

// advice is what the brain has of the world from the network: signals of MQTT topics,
// and what was posted over HTTP. It goes to the spine, which takes it for signals of
// that origin alone and decides by their age.
type advice struct {
	b        *brain
	posted   map[string]int // signals that may be posted, by name
	brokers  []*topics
	given    atomic.Uint64 // readings given to the spine
	unusable atomic.Uint64 // of them, those that are no number
}

// topics are the signals of one broker.
type topics struct {
	name   string
	client *mqtt.Client
}

// brokerAccess is what a client needs besides robot.yaml.
type brokerAccess struct {
	password  string
	authority []byte
	err       error
}

// newAdvice makes the clients. A broker that cannot be used is said and left out: the
// signals of it stay invalid.
func newAdvice(b *brain) *advice {
	a := &advice{b: b, posted: map[string]int{}}
	for i := range b.robot.Inputs {
		if b.robot.Inputs[i].Post {
			a.posted[b.manual.Signals[i].Name] = i
		}
	}
	for i := range b.robot.Brokers {
		t, err := a.newTopics(i)
		switch {
		case err != nil:
			b.log.Error("going on without the signals of an MQTT broker", "broker", b.robot.Brokers[i].Name, "error", err)
		case t != nil:
			a.brokers = append(a.brokers, t)
		}
	}
	return a
}

// newTopics makes the client of a broker; nil if no signal comes from it.
func (a *advice) newTopics(index int) (*topics, error) {
	robot, broker := a.b.robot, &a.b.robot.Brokers[index]
	byTopic := map[string][]int{}
	for i := range robot.Inputs {
		if t := robot.Inputs[i].Topic; t != nil && t.Broker == index {
			byTopic[t.Name] = append(byTopic[t.Name], i)
		}
	}
	access := a.b.opened.brokers[index]
	if len(byTopic) == 0 || access.err != nil {
		return nil, access.err
	}
	options := mqtt.Options{
		Broker: broker.Broker, ClientID: clientID(robot.Cell, robot.Name) + "-" + broker.Name, Username: broker.Username, Password: access.password,
		RefusedHint: fmt.Sprintf("check mqtt.%s.username and password_file in robot.yaml", broker.Name), DropRetained: true, Log: a.b.log,
	}
	if access.authority != nil || broker.Fingerprint != "" {
		var err error
		if options.TLS, err = mqtt.TLSConfig(access.authority, broker.Fingerprint); err != nil {
			return nil, err
		}
	}
	client, err := mqtt.New(options)
	if err != nil {
		return nil, err
	}
	for topic, signals := range byTopic {
		if err := client.Subscribe(topic, func(_ string, payload []byte) error { a.take(signals, payload); return nil }); err != nil {
			return nil, err
		}
	}
	return &topics{name: broker.Name, client: client}, nil
}

// take gives the signals of a topic what a message says of them. A message that does not
// speak of a signal says nothing about it; one that says what is no number makes it
// invalid.
func (a *advice) take(signals []int, payload []byte) {
	at := a.b.clock()
	doc := parsePayload(payload)
	for _, i := range signals {
		value, there := doc.value(a.b.robot.Inputs[i].Topic)
		if !there {
			continue
		}
		if value != value {
			a.unusable.Add(1)
		}
		_ = a.give(map[int]float64{i: value}, at) // counted where it is lost
	}
}

// errNoSpine and errFull are why readings could not be given.
var (
	errNoSpine = errors.New("the spine does not say which brain this is: try again")
	errFull    = errors.New("the spine has not taken the readings before these: post less often")
)

// give hands readings to the spine.
func (a *advice) give(values map[int]float64, at time.Duration) error {
	segment := a.b.ends.Segment
	status, ok := segment.LoadStatus()
	if !ok {
		return errNoSpine
	}
	for i, value := range values {
		if !segment.PostReading(link.Reading{Signal: int32(i), Value: value, Epoch: status.Epoch, At: at}) {
			return errFull
		}
		a.given.Add(1)
	}
	return a.b.ends.ToSpine.Signal()
}

// Post takes readings of HTTP.
func (p *page) Post(values map[string]float64) error {
	a := p.b.advice
	indices := make(map[int]float64, len(values))
	for name, value := range values {
		i, ok := a.posted[name]
		if !ok {
			return web.Problem{
				Type: "urn:dancer:problem:unknown", Title: http.StatusText(http.StatusUnprocessableEntity), Status: http.StatusUnprocessableEntity,
				Detail: fmt.Sprintf("post signals: %s may not be posted, and nothing of this post was taken", name), Hint: "declare it with from: post in robot.yaml",
			}
		}
		indices[i] = value
	}
	if err := a.give(indices, p.b.clock()); err != nil {
		return web.Problem{
			Type: "urn:dancer:problem:full", Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable,
			Detail: "post signals: " + err.Error(),
		}
	}
	return nil
}

// problems says which brokers cannot be reached, and why.
func (a *advice) problems() []string {
	var out []string
	for _, t := range a.brokers {
		if err := t.client.Status().LastError; err != nil && !t.client.Connected() {
			out = append(out, fmt.Sprintf("signals of %s are not updated: %v", t.name, err))
		}
	}
	return out
}
