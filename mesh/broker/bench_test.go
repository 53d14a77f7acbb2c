package broker

import (
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// BenchmarkOneWay is one message at QoS 1 from a client through the broker to
// another, one at a time.
func BenchmarkOneWay(b *testing.B) {
	broker, err := Start(Options{Dir: b.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Shutdown()
	arrived := make(chan time.Time, 1)
	open := func(id string) paho.Client {
		o := paho.NewClientOptions().AddBroker(broker.URL()).SetClientID(id).SetCleanSession(true)
		c := paho.NewClient(o)
		if t := c.Connect(); !t.WaitTimeout(5*time.Second) || t.Error() != nil {
			b.Fatal("connect", t.Error())
		}
		return c
	}
	from, to := open("from"), open("to")
	defer from.Disconnect(100)
	defer to.Disconnect(100)
	if t := to.Subscribe("a/b", 1, func(paho.Client, paho.Message) { arrived <- time.Now() }); !t.WaitTimeout(5*time.Second) || t.Error() != nil {
		b.Fatal("subscribe", t.Error())
	}
	payload := make([]byte, 2000)
	var all []time.Duration
	for b.Loop() {
		at := time.Now()
		from.Publish("a/b", 1, false, payload)
		all = append(all, (<-arrived).Sub(at))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
}
