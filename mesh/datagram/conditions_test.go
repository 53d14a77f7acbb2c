package datagram

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dancer/mesh/packet"
)

// TestParseConditions: what is written is what is read, and what cannot be is said.
func TestParseConditions(t *testing.T) {
	c, err := ParseConditions("offset=+312ms drift=-41ppm delay-out=12ms delay-in=55ms jitter=3ms loss=0.5% seed=7")
	want := Conditions{Offset: 312 * time.Millisecond, Drift: -41, Out: 12 * time.Millisecond, In: 55 * time.Millisecond, Jitter: 3 * time.Millisecond, Loss: 0.005, Seed: 7}
	if err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	if again, err := ParseConditions(c.String()); err != nil || again != c {
		t.Errorf("%q reads %+v, %v", c, again, err)
	}
	for _, text := range []string{"offset", "offset=1h", "drift=501ppm", "drift=NaN", "delay-in=-1ms", "loss=101%", "seed=-1", "wind=3"} {
		if _, err := ParseConditions(text); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestConditionsOfClock: a clock is off by what is asked for, and more by the drift.
func TestConditionsOfClock(t *testing.T) {
	now, wall := time.Minute, packet.Wall(1e18)
	clock := Conditions{Offset: -time.Second, Drift: 50}.Clock(func() (time.Duration, packet.Wall) { return now, wall })
	if n, w := clock(); n != now || w != wall.Add(-time.Second) {
		t.Errorf("%s, %d", n, w)
	}
	now, wall = now+1000*time.Second, wall.Add(1000*time.Second)
	if _, w := clock(); w != wall.Add(-time.Second+50*time.Millisecond) {
		t.Errorf("after 1000 s it is off by %s", w.Sub(wall))
	}
}

// TestConditionsOfNetwork: the delays of both ends add up on the time stamps, and the
// share that is lost is lost.
func TestConditionsOfNetwork(t *testing.T) {
	one := Conditions{Offset: 400 * time.Millisecond, Out: 30 * time.Millisecond, Seed: 1}
	two := Conditions{In: 50 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.25, Seed: 2}
	from, _ := open(t, "one", func(o *Options) { o.Conditions = one })
	to, box := open(t, "two", func(o *Options) { o.Conditions = two })
	run(t, to)
	const sent = 400
	for range sent {
		if err := from.Send(to.Addr(), heartbeat()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // within the rate that two takes of one
	}
	await(t, "the last of them", func() bool {
		s := to.Status()
		return s.Received == sent && to.disturbed.dropped.Load()+uint64(box.count.Load())+dropped(s) == sent
	})
	if lost := float64(to.disturbed.dropped.Load()) / sent; lost < 0.15 || lost > 0.35 {
		t.Errorf("%.0f%% were lost", lost*100)
	}
	for _, r := range box.list() {
		// The kernel stamps what comes, so the machine's load is in it from above alone.
		if took := r.At.Sub(r.Message.At) + one.Offset; took < 80*time.Millisecond {
			t.Fatalf("one took %s", took)
		}
	}
}

// dropped is how many an Admission has refused.
func dropped(s Status) (n uint64) {
	for _, o := range packet.Outcomes() {
		if o.Dropped() {
			n += s.Counts[o]
		}
	}
	return n
}
