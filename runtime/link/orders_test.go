//go:build interleave

package link

import (
	"math"
	"math/bits"
	"os"
	"slices"
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/latency"
)

// ground is the memory of a small segment, the same for every run.
type ground struct {
	layout     Layout
	at         offsets
	words      []word
	brainWords []word
}

// ringOfTests is the capacity of every ring here: it goes round within a few records.
const ringOfTests = 2

func newGround() *ground {
	g := &ground{layout: Layout{Signals: 1, Outputs: 1, Ports: 1, Rules: 2}}
	g.at = g.layout.offsets()
	g.words, g.brainWords = make([]word, g.at.total), make([]word, g.at.brainTotal)
	return g
}

// view is what one process makes of the memory.
func (g *ground) view() *Segment {
	s := &Segment{layout: g.layout, at: g.at, words: g.words, brainWords: g.brainWords}
	s.findRings(ringOfTests, ringOfTests, ringOfTests, ringOfTests)
	return s
}

// What the ghosts of a scenario mean.
const (
	finished  = iota // newest record whose writing is over
	begun            // newest record whose writing may have begun
	told             // newest record that the other side was given
	position         // of the side whose private state matters in the end
	accepted         // set of records that a ring took
	taken            // set of records that came out of it
	refused          // number of records that it did not take
	accounted        // number of traces received or told of by a gap
)

// slot is a record under a seqlock. All its fields carry one number.
type slot struct {
	name  string
	words int
	store func(s *Segment, i uint64)
	load  func(s *Segment) (i uint64, whole, ok bool)
}

func slots() []slot {
	return []slot{
		{
			"signal", slotWords,
			func(s *Segment, i uint64) { s.StoreSignal(0, float64(i), time.Duration(i), hal.Valid) },
			func(s *Segment) (uint64, bool, bool) {
				v, at, ok := s.LoadSignal(0)
				return uint64(at), v == float64(at), ok == hal.Valid
			},
		},
		{
			"output", slotWords,
			func(s *Segment, i uint64) { s.StoreOutput(0, float64(i), time.Duration(i), WhoReflex, int(i)) },
			func(s *Segment) (uint64, bool, bool) {
				v, at, who, rule := s.LoadOutput(0)
				return uint64(at), v == float64(at) && who == WhoReflex && rule == int(at), !math.IsNaN(v)
			},
		},
		{
			"port", portWords,
			func(s *Segment, i uint64) { s.StorePort(0, portOf(i)) },
			func(s *Segment) (uint64, bool, bool) {
				p, ok := s.LoadPort(0)
				i := p.Frames
				return i, p == portOf(i), ok
			},
		},
		{
			"status", statusWords,
			func(s *Segment, i uint64) { t := statusOf(i); s.StoreStatus(&t) },
			func(s *Segment) (uint64, bool, bool) {
				t, ok := s.LoadStatus()
				return t.Epoch, t == statusOf(t.Epoch), ok
			},
		},
	}
}

func portOf(i uint64) Port {
	n := uint32(i)
	return Port{Frames: i, Bytes: i, Errors: i, Dropped: i, Open: i&1 != 0, Line: hal.LineErrors{Framing: n, Parity: n, Breaks: n, Overruns: n}, Counted: i&1 != 0}
}

func statusOf(i uint64) Status {
	d := time.Duration(i)
	return Status{Mode: Mode(i), Lease: LeaseState(i), Epoch: i, BrainStarts: i, SpineStart: d, Now: d, Cycles: i, Overruns: i, Discarded: i, LatencyLast: d, LatencyMax: d, EdgesLost: i, Deaths: i, Strikes: uint32(i), LastExit: int32(i), LastDeath: Reason(i)}
}

// seqlock: a reader of a slot is never given a record that was not written, one
// that is older than what it had, or older than what was there when it began to
// look; and it is given one, unless the writer was at it. The writer may be killed
// anywhere.
func seqlock(c slot, stores, loads int) *explorer {
	g := newGround()
	return &explorer{setup: func(x *explorer) []*thread {
		spine, brain := g.view(), g.view()
		spine.eraseSlots()
		return []*thread{
			{name: "spine", mayDie: true, lives: []func(){func() {
				for i := uint64(1); i <= uint64(stores); i++ {
					x.set(begun, i)
					c.store(spine, i)
					x.set(finished, i)
					x.forget(i)
				}
			}}},
			{name: "brain", lives: []func(){func() {
				last := uint64(0)
				for n := range loads {
					x.forget(uint64(n), last)
					x.pause()
					floor := x.get(finished)
					i, whole, ok := c.load(brain)
					switch {
					case !ok:
						if floor > 0 && x.get(begun) == floor {
							x.fail("nothing was read of %d, and nobody was writing", floor)
						}
					case !whole:
						x.fail("torn: %d and others", i)
					case i < last || i < floor:
						x.fail("%d was read, after %d and with %d there", i, last, floor)
					default:
						last = i
					}
				}
			}}},
		}
	}}
}

// size is a number for every day, or for make soak.
func size(small, large int) int {
	if os.Getenv("DANCER_SOAK") != "" {
		return large
	}
	return small
}

func TestOrdersOfSlots(t *testing.T) {
	for _, c := range slots() {
		t.Run(c.name, func(t *testing.T) {
			if c.words > slotWords { // every word more multiplies what a torn reading can look like
				explore(t, seqlock(c, size(1, 2), 1))
			} else {
				explore(t, seqlock(c, size(2, 3), 2))
			}
		})
	}
}

// rules: a bit is what it was set to, whatever happens to the others in its word.
func rules() *explorer {
	g := newGround()
	return &explorer{setup: func(x *explorer) []*thread {
		spine, brain := g.view(), g.view()
		moves := []struct {
			rule            int
			active, latched bool
		}{{0, true, false}, {1, true, true}, {0, false, true}, {1, true, false}}
		return []*thread{
			{name: "spine", mayDie: true, lives: []func(){func() {
				for i, m := range moves {
					x.set(begun, uint64(i+1))
					spine.StoreRule(m.rule, m.active, m.latched)
					x.set(finished, uint64(i+1))
					x.forget(uint64(i))
				}
			}}},
			{name: "brain", lives: []func(){func() {
				for n, rule := range []int{0, 1, 0, 1} {
					x.forget(uint64(n))
					x.pause()
					from := x.get(finished)
					active, latched := brain.LoadRule(rule)
					var canActive, canLatched [2]bool // what the bits were meanwhile
					for n := from; n <= x.get(begun); n++ {
						a, l := false, false
						for _, m := range moves[:n] {
							if m.rule == rule {
								a, l = m.active, m.latched
							}
						}
						canActive[flag(a, 1)], canLatched[flag(l, 1)] = true, true
					}
					if !canActive[flag(active, 1)] || !canLatched[flag(latched, 1)] {
						x.fail("rule %d reads as active %v latched %v after move %d", rule, active, latched, from)
					}
				}
			}}},
		}
	}}
}

func TestOrdersOfRules(t *testing.T) { explore(t, rules()) }

func commandOf(i uint64) Command {
	v := []float64{float64(i)}
	return Command{Decision: i, Epoch: i, Values: v, HoldMask: 1, Hold: v}
}

// mailbox: a brain posts, is killed anywhere, and the next one posts. The spine
// takes each command whole, once, and never an older one; it finds one that is
// there; and whatever the brain does it is never told that an honest command is not
// usable.
func mailbox(posts, takes int) *explorer {
	g := newGround()
	var spine *Segment
	return &explorer{
		setup: func(x *explorer) []*thread {
			spine = g.view()
			post := func(from, to uint64) func() {
				return func() {
					brain := g.view()
					brain.resume()
					for i := from; i <= to; i++ {
						x.set(begun, i)
						c := commandOf(i)
						if err := brain.PostCommand(&c); err != nil {
							x.fail("%v", err)
						}
						x.set(finished, i)
						x.forget(i)
					}
				}
			}
			return []*thread{
				{name: "brain", mayDie: true, lives: []func(){post(1, uint64(posts)), post(uint64(posts)+1, uint64(posts)+1)}},
				{name: "spine", lives: []func(){func() {
					for n := range takes {
						x.forget(uint64(n), spine.lastPost)
						x.pause()
						take(x, spine)
					}
				}}},
			}
		},
		final: func(x *explorer) {
			last := g.view()
			last.lastPost = x.ghosts[position]
			c := newCommandOf(1)
			got := last.TakeCommand(&c)
			switch there := x.ghosts[finished]; {
			case got == TookTorn && x.ghosts[begun] > there: // died over it
			case got == TookNothing && x.ghosts[told] == there:
			case got == TookCommand && c.Decision == there && x.ghosts[told] < there:
			default:
				x.fail("in the end %v with decision %d: %d was posted, %d taken", got, c.Decision, there, x.ghosts[told])
			}
		},
	}
}

// take is one look of the spine into the mailbox.
func take(x *explorer, spine *Segment) {
	floor, last := x.get(finished), x.get(told)
	c := newCommandOf(1)
	got := spine.TakeCommand(&c)
	x.set(position, spine.lastPost)
	switch got {
	case TookCommand:
		want := commandOf(c.Decision)
		if c.Epoch != want.Epoch || c.Values[0] != want.Values[0] || c.HoldMask != 1 || c.Hold[0] != want.Hold[0] {
			x.fail("torn: %+v", c)
		}
		if c.Decision <= last || c.Decision < floor || c.Decision > x.get(begun) {
			x.fail("decision %d was taken after %d, with %d there", c.Decision, last, floor)
		}
		x.set(told, c.Decision)
	case TookNothing:
		if floor > last {
			x.fail("nothing was found, with %d there and %d taken", floor, last)
		}
	case TookTorn:
		if x.get(begun) == floor {
			x.fail("torn, and nobody was writing after %d", floor)
		}
	default:
		x.fail("%v of an honest brain", got)
	}
}

func TestOrdersOfMailbox(t *testing.T) { explore(t, mailbox(2, size(2, 3))) }

func eventOf(i uint64) Event {
	return Event{EventSignal, uint8(i), int32(i), int32(i), float64(i), time.Duration(i), time.Duration(i), i}
}

// events: what the ring took comes out whole, in order and once, also where one
// brain is killed anywhere and the next goes on; it refuses only when it is full,
// and what it refused is counted exactly.
func events(puts, takes int) *explorer {
	g := newGround()
	return &explorer{
		setup: func(x *explorer) []*thread {
			spine := g.view()
			receive := func() {
				brain := g.view()
				brain.resume()
				for n := range takes {
					x.forget(uint64(n), brain.events.position)
					var e Event
					if brain.TakeEvent(&e) {
						received(x, uint64(e.Index), e == eventOf(uint64(e.Index)))
					}
				}
			}
			return []*thread{
				{name: "spine", mayDie: true, lives: []func(){func() {
					for i := uint64(1); i <= uint64(puts); i++ {
						x.forget(i, spine.events.position, spine.events.lost)
						put(x, i, func() bool { e := eventOf(i); return spine.PutEvent(&e) })
					}
				}}},
				{name: "brain", mayDie: true, lives: []func(){receive, receive}},
			}
		},
		final: func(x *explorer) {
			brain := g.view()
			brain.resume()
			var e Event
			for brain.TakeEvent(&e) {
				received(x, uint64(e.Index), e == eventOf(uint64(e.Index)))
			}
			allReceived(x, brain.EventsLost(), "spine")
		},
	}
}

// put tries to add a record. Its own look at the ring comes after the one here.
func put(x *explorer, i uint64, add func() bool) {
	x.pause()
	before := x.get(taken)
	x.set(begun, i)
	if add() {
		x.set(accepted, x.get(accepted)|1<<i)
		return
	}
	x.set(refused, x.get(refused)+1)
	if bits.OnesCount64(x.get(accepted)&^before) < ringOfTests {
		x.fail("record %d was refused, with %b accepted and %b taken", i, x.get(accepted), before)
	}
}

// received checks a record that came out of a ring.
func received(x *explorer, i uint64, whole bool) {
	before := uint64(1)<<i - 1
	out, in := x.ghosts[taken], x.ghosts[accepted]
	if x.current != nil {
		out, in = x.get(taken), x.get(accepted)
	}
	switch {
	case !whole || i > 60:
		x.fail("torn: record %d", i)
	case out>>i != 0:
		x.fail("record %d after %b", i, out)
	case in&before&^out != 0:
		x.fail("record %d, and of %b before it only %b came", i, in, out)
	}
	x.set(taken, out|1<<i)
}

func allReceived(x *explorer, lost uint64, producer string) {
	if in := x.ghosts[accepted]; in&^x.ghosts[taken] != 0 {
		x.fail("accepted %b, received %b", in, x.ghosts[taken])
	}
	died := slices.ContainsFunc(x.threads, func(t *thread) bool { return t.name == producer && t.life > 0 })
	if n := x.ghosts[refused]; lost != n && !(died && lost == n+1) {
		x.fail("%d counted as lost, %d were refused", lost, n)
	}
}

func TestOrdersOfEvents(t *testing.T) { explore(t, events(4, size(2, 3))) }

func requestOf(i uint64) Request {
	return Request{Kind: RequestStart, Index: int32(i), Sequence: i, Epoch: i, At: time.Duration(i)}
}

// upward is a ring from the brain to the spine. All fields of a record carry one number.
type upward struct {
	ring func(s *Segment) *ring
	post func(s *Segment, i uint64) bool
	take func(s *Segment) (i uint64, whole, ok bool)
}

var upRequests = upward{
	ring: func(s *Segment) *ring { return &s.requests },
	post: func(s *Segment, i uint64) bool { return s.PostRequest(requestOf(i)) },
	take: func(s *Segment) (uint64, bool, bool) {
		var r Request
		ok := s.TakeRequest(&r)
		return r.Sequence, r == requestOf(r.Sequence), ok
	},
}

func readingOf(i uint64) Reading {
	return Reading{Signal: int32(i), Value: float64(i), Epoch: i, At: time.Duration(i)}
}

var upReadings = upward{
	ring: func(s *Segment) *ring { return &s.readings },
	post: func(s *Segment, i uint64) bool { return s.PostReading(readingOf(i)) },
	take: func(s *Segment) (uint64, bool, bool) {
		var r Reading
		ok := s.TakeReading(&r)
		return r.Epoch, r == readingOf(r.Epoch), ok
	},
}

func requestsOf(first, second, takes int) *explorer { return sent(upRequests, first, second, takes) }

// sent is the same the other way round. A brain is killed anywhere and the next one goes
// on sending.
func sent(up upward, first, second, takes int) *explorer {
	g := newGround()
	return &explorer{
		setup: func(x *explorer) []*thread {
			spine := g.view()
			ask := func(from, to uint64) func() {
				return func() {
					brain := g.view()
					brain.resume()
					for i := from; i <= to; i++ {
						x.forget(i, up.ring(brain).position, up.ring(brain).lost)
						put(x, i, func() bool { return up.post(brain, i) })
					}
				}
			}
			return []*thread{
				{name: "brain", mayDie: true, lives: []func(){ask(1, uint64(first)), ask(uint64(first)+1, uint64(first+second))}},
				{name: "spine", lives: []func(){func() {
					for n := range takes {
						x.forget(uint64(n), up.ring(spine).position)
						if i, whole, ok := up.take(spine); ok {
							received(x, i, whole && i <= x.get(begun))
						}
						x.set(position, up.ring(spine).position)
					}
				}}},
			}
		},
		final: func(x *explorer) {
			spine := g.view()
			up.ring(spine).position = x.ghosts[position]
			for i, whole, ok := up.take(spine); ok; i, whole, ok = up.take(spine) {
				received(x, i, whole)
			}
			allReceived(x, up.ring(spine).produced[ringLost].Load(), "brain")
		},
	}
}

func TestOrdersOfRequests(t *testing.T) { explore(t, requestsOf(3, 2, size(3, 4))) }

func TestOrdersOfReadings(t *testing.T) { explore(t, sent(upReadings, 3, 2, size(3, 4))) }

// traces: every trace comes out whole, in order and once, or a gap in its place
// says exactly how many are missing.
func traces(puts, takes int) *explorer {
	g := newGround()
	return &explorer{
		setup: func(x *explorer) []*thread {
			spine := g.view()
			receive := func() {
				brain := g.view()
				brain.resume()
				for n := range takes {
					x.forget(uint64(n), brain.traces.position)
					var tr Trace
					if brain.TakeTrace(&tr) {
						account(x, &tr)
					}
				}
			}
			return []*thread{
				{name: "spine", lives: []func(){func() {
					for i := uint64(1); i <= uint64(puts); i++ {
						x.forget(i, spine.traces.position, spine.traces.lost, spine.gapTold)
						tr := traceOf(i)
						spine.PutTrace(&tr)
						x.set(refused, spine.traces.lost-spine.gapTold)
					}
				}}},
				{name: "brain", mayDie: true, lives: []func(){receive, receive}},
			}
		},
		final: func(x *explorer) {
			brain := g.view()
			brain.resume()
			var tr Trace
			for brain.TakeTrace(&tr) {
				account(x, &tr)
			}
			if n := x.ghosts[accounted] + x.ghosts[refused]; n != uint64(puts) {
				x.fail("%d traces came or were told of, and %d are still to be told of, of %d", x.ghosts[accounted], x.ghosts[refused], puts)
			}
		},
	}
}

func traceOf(i uint64) Trace {
	return Trace{TraceReading, uint8(i), int32(i), float64(i), time.Duration(i), time.Duration(i)}
}

func account(x *explorer, tr *Trace) {
	n := x.ghosts[accounted]
	if x.current != nil {
		n = x.get(accounted)
	}
	if tr.Kind == TraceGap {
		x.set(accounted, n+uint64(tr.Index))
		return
	}
	if want := traceOf(n + 1); *tr != want {
		x.fail("trace %+v, want %+v", *tr, want)
	}
	x.set(accounted, n+1)
}

func TestOrdersOfTraces(t *testing.T) { explore(t, traces(size(5, 6), size(2, 3))) }

// histograms: no count is more than was counted, less than before, or less than
// was there when the reader began to look.
func histograms(records, loads int) *explorer {
	g := newGround()
	waits := []time.Duration{time.Microsecond, time.Millisecond, time.Microsecond, time.Second}
	return &explorer{setup: func(x *explorer) []*thread {
		spine, brain := g.view(), g.view()
		return []*thread{
			{name: "spine", mayDie: true, lives: []func(){func() {
				var own latency.Histogram
				for i := range records {
					x.set(begun, uint64(i+1))
					spine.StoreLatency(LatencyWakeUp, &own, own.Record(waits[i]))
					x.set(finished, uint64(i+1))
					x.forget(uint64(i))
				}
			}}},
			{name: "brain", lives: []func(){func() {
				var before, now latency.Histogram
				for n := range loads {
					x.forget(uint64(n), before.Counts[latency.Index(waits[0])], before.Counts[latency.Index(waits[1])], before.Counts[latency.Index(waits[3])], uint64(before.Sum), uint64(before.Max))
					x.pause()
					floor := x.get(finished)
					brain.LoadLatency(LatencyWakeUp, &now)
					least, most := countedOf(waits[:floor]), countedOf(waits[:x.get(begun)])
					for i, n := range now.Counts {
						if n < before.Counts[i] || n < least.Counts[i] || n > most.Counts[i] {
							x.fail("bucket %d: %d after %d", i, n, before.Counts[i])
						}
					}
					if now.Max < before.Max || now.Max < least.Max || now.Max > most.Max || now.Sum < before.Sum || now.Sum < least.Sum || now.Sum > most.Sum {
						x.fail("sum %v longest %v after %v %v", now.Sum, now.Max, before.Sum, before.Max)
					}
					before = now
				}
			}}},
		}
	}}
}

func countedOf(waits []time.Duration) (h latency.Histogram) {
	for _, d := range waits {
		h.Record(d)
	}
	return h
}

func TestOrdersOfHistograms(t *testing.T) { explore(t, histograms(size(3, 4), 2)) }
