package datagram

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dancer/mesh/packet"
)

// Conditions are what a test makes of a network and a clock that are too good: no
// kernel help is needed for it. The zero value is none of it. A robot at work has
// none; who sets them says so in the log.
type Conditions struct {
	Offset  time.Duration // that the wall clock is ahead
	Drift   float64       // by which it runs faster, parts per million
	Out, In time.Duration // delay of every datagram that is sent, and that is received
	Jitter  time.Duration // more delay each way: exponential with this mean, at most ten of it
	Loss    float64       // share of datagrams that is lost each way, 0 to 1
	Seed    uint64        // of what is lost and by how much it is late
}

// Bounds of conditions: a clock tolerance of 2 s is the default of what is accepted.
const (
	maxOffset = 10 * time.Second
	maxDrift  = 500 // parts per million, RFC 5905's tolerance
	maxDelay  = 5 * time.Second
)

// ParseConditions reads "offset=+312ms drift=-41ppm delay-out=12ms delay-in=55ms
// jitter=3ms loss=0.5% seed=7", in any order; what is left out is none.
func ParseConditions(text string) (c Conditions, err error) {
	for _, field := range strings.Fields(text) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "offset":
			c.Offset, err = parseSpan(value, -maxOffset, maxOffset)
		case "drift":
			c.Drift, err = parseShare(value, "ppm", -maxDrift, maxDrift)
		case "delay-out":
			c.Out, err = parseSpan(value, 0, maxDelay)
		case "delay-in":
			c.In, err = parseSpan(value, 0, maxDelay)
		case "jitter":
			c.Jitter, err = parseSpan(value, 0, maxDelay)
		case "loss":
			c.Loss, err = parseShare(value, "%", 0, 100)
			c.Loss /= 100
		case "seed":
			c.Seed, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("want offset, drift, delay-out, delay-in, jitter, loss or seed")
		}
		if err != nil {
			return Conditions{}, fmt.Errorf("%w: conditions: %q: %w", ErrOptions, field, err)
		}
	}
	return c, nil
}

func parseSpan(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && (d < least || d > most) {
		err = fmt.Errorf("want %s to %s", least, most)
	}
	return d, err
}

func parseShare(text, unit string, least, most float64) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, unit), 64)
	if err == nil && !(f >= least && f <= most) {
		err = fmt.Errorf("want %g%s to %g%s", least, unit, most, unit)
	}
	return f, err
}

// String is what ParseConditions reads.
func (c Conditions) String() string {
	return fmt.Sprintf("offset=%s drift=%gppm delay-out=%s delay-in=%s jitter=%s loss=%g%% seed=%d", c.Offset, c.Drift, c.Out, c.In, c.Jitter, c.Loss*100, c.Seed)
}

// Clock is a clock as the conditions have it: right at the first reading but for the
// offset.
func (c Conditions) Clock(right Clock) Clock {
	start, _ := right()
	return func() (time.Duration, packet.Wall) {
		now, wall := right()
		return now, wall.Add(c.Offset + time.Duration(float64(now-start)*c.Drift/1e6))
	}
}

// clock leaves a clock alone that nothing is to be made of.
func (c Conditions) clock(right Clock) Clock {
	if c.Offset == 0 && c.Drift == 0 {
		return right
	}
	return c.Clock(right)
}

// disturbs says whether datagrams are delayed or lost.
func (c *Conditions) disturbs() bool { return c.Out+c.In+c.Jitter > 0 || c.Loss > 0 }

// maxDelayed bounds the datagrams that wait in each direction.
const maxDelayed = 4096

// disturbance carries out what conditions say of datagrams.
type disturbance struct {
	Conditions
	conn    *net.UDPConn
	out     *rand.Rand // of who sends, under its lock
	in      *rand.Rand // of Run
	waiting atomic.Int64
	held    arrivals // of Run
	dropped atomic.Uint64
}

func newDisturbance(c Conditions) *disturbance {
	return &disturbance{Conditions: c, out: rand.New(rand.NewPCG(c.Seed, 1)), in: rand.New(rand.NewPCG(c.Seed, 2))}
}

// late is the delay of one datagram; false: it is lost.
func (d *disturbance) late(constant time.Duration, random *rand.Rand) (delay time.Duration, arrives bool) {
	if random.Float64() < d.Loss {
		d.dropped.Add(1)
		return 0, false
	}
	return constant + time.Duration(min(random.ExpFloat64(), 10)*float64(d.Jitter)), true
}

// transmit takes the place of batch.send: datagrams leave later, each by itself, so
// that they overtake each other as on a network.
func (d *disturbance) transmit(b *batch, _ uintptr, first, end int) (n int, errno unix.Errno) {
	for i := first; i < end; i++ {
		delay, arrives := d.late(d.Out, d.out)
		if !arrives {
			continue
		}
		if d.waiting.Add(1) > maxDelayed {
			d.waiting.Add(-1)
			d.dropped.Add(1)
			continue
		}
		length := int(b.vectors[i].Len)
		data, to := append([]byte(nil), b.buffers[i][:length]...), b.origin(i)
		time.AfterFunc(delay, func() {
			d.waiting.Add(-1)
			_, _ = d.conn.WriteToUDPAddrPort(data, to) // lost, as on a network
		})
	}
	return end - first, 0
}

// arrival is a datagram that counts as come at a later moment.
type arrival struct {
	due    time.Duration
	at     packet.Wall
	origin netip.AddrPort
	data   []byte
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].due < a[j].due }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// hold keeps a datagram that came.
func (d *disturbance) hold(now time.Duration, at packet.Wall, origin netip.AddrPort, data []byte) {
	delay, arrives := d.late(d.In, d.in)
	if !arrives {
		return
	}
	if len(d.held) >= maxDelayed {
		d.dropped.Add(1)
		return
	}
	heap.Push(&d.held, arrival{due: now + delay, at: at.Add(delay), origin: origin, data: append([]byte(nil), data...)})
}

// release gives the datagrams whose time has come, and says how long it is until the
// next one's.
func (d *disturbance) release(now time.Duration, take func(arrival)) (wait time.Duration) {
	for len(d.held) > 0 {
		if wait = d.held[0].due - now; wait > 0 {
			return min(wait, patience)
		}
		take(heap.Pop(&d.held).(arrival))
	}
	return patience
}
