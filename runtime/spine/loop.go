package spine

import (
	"sync/atomic"
	"time"

	"dancer/hal"
	"dancer/hal/i2c"
	"dancer/runtime/link"
)

// lateAfter is how late a deadline may be met before it counts as an overrun.
const lateAfter = time.Millisecond

// leastWait keeps a deadline that does not move on from turning the loop into a
// spin: a real-time thread that spins starves everything else.
const leastWait = 100 * time.Microsecond

// chunkSize is what one wake-up reads from one port at most, in bytes: thirty-two of
// the shortest frames, 0.1 ms, which is what a flood of them makes others wait.
const chunkSize = 256

// haltBudget is how long the devices have to take their safe values at the end.
const haltBudget = 500 * time.Millisecond

// A brain that wakes the loop more often than wakeLimit times in wakeWindow, or
// asks for more than requestLimit things, is not listened to until the window is
// over. A request can have every latch looked at and every output settled.
const (
	wakeWindow   = 10 * time.Millisecond
	wakeLimit    = 50
	requestLimit = 8
	adviceLimit  = 64 // readings that the brain has from the network
)

// loop is the real-time thread: it waits for descriptors and deadlines, lets the
// core decide, and writes.
type loop struct {
	core     *core
	hardware *hardware
	poller   *poller
	ends     *link.Ends
	keeper   *keeper
	heart    *heart
	opener   *opener
	control  *controlSocket // nil: none
	brain    brainWatch
	clock    clock

	inbox     *link.Wake  // the other goroutines have something to say
	safeAsked atomic.Bool // be safe and refuse every start
	safeNow   chan struct{}
	endAsked  atomic.Bool

	chunk    [chunkSize]byte
	edges    [16]hal.Reading
	takeSim  func(hal.Reading)
	takeFed  func(at time.Duration, readings []hal.Reading)
	fedAt    time.Duration // now, of the feed in hand
	fedFrom  uint64        // and its counter of frames
	drained  [link.WakeBuffer]byte
	deadline time.Duration
	safeTold bool

	wakes      int // of the brain, in this window
	requests   int // the same
	advice     int // the same
	wakesFrom  time.Duration
	brainMuted bool
	flood      floodGate
	gaveWay    time.Duration

	busFrame i2c.Frame
	busDue   time.Duration // when to look whether a transfer hangs
	canDue   time.Duration // when to tell of a CAN controller again; 0: not
	lineDue  time.Duration // when GPIO lines that are not there are given up
}

// begin registers everything and takes the first readings. Outputs are safe
// before it.
func (l *loop) begin(latches []int, told []link.Restart) error {
	now := l.clock.now()
	l.flood = newFloodGate(l.hardware)
	l.takeSim = func(r hal.Reading) { l.core.reading(r.Signal, r.Value, r.At) }
	l.core.start(now, latches)
	for _, why := range told {
		l.core.tell(&link.Event{Kind: link.EventRestart, Flags: uint8(why), At: now, Cause: -1})
	}
	l.hardware.levels(now, l.takeSim)
	l.core.frame(now, now, 0)
	if err := l.register(); err != nil {
		return err
	}
	for i := range l.hardware.ports {
		l.beginPort(i, now)
	}
	l.beginFeeds(now)
	l.beginLines(now)
	return nil
}

// beginPort tells of a port, and asks for one that was not there at the start.
func (l *loop) beginPort(i int, now time.Duration) {
	p := &l.hardware.ports[i]
	p.watch.begin(p, now)
	l.storePort(i)
	if p.stream != nil && !p.open {
		l.tellPort(i, now, link.PortGone)
		l.opener.want(i)
	}
}

func (l *loop) register() error {
	if err := l.poller.watch(l.inbox.FD(), tokenInbox); err != nil {
		return err
	}
	if err := l.poller.watchEdges(l.ends.ToSpine.FD(), tokenBrain); err != nil {
		return err
	}
	if l.control != nil {
		if err := l.poller.watch(l.control.fd, tokenControl); err != nil {
			return err
		}
	}
	for i := range l.hardware.ports {
		if p := &l.hardware.ports[i]; p.open {
			if err := l.poller.watch(p.stream.Fd(), tokenPort+i); err != nil {
				return err
			}
		}
	}
	for i := range l.hardware.inputs {
		if in := &l.hardware.inputs[i]; in.open {
			if err := l.poller.watch(in.line.Fd(), tokenInput+i); err != nil {
				return err
			}
		}
	}
	if err := l.registerBuses(); err != nil {
		return err
	}
	for i := range l.hardware.feeds {
		if in := &l.hardware.feeds[i]; in.open {
			if err := l.poller.watch(in.feed.Fd(), tokenFeed+i); err != nil {
				return err
			}
		}
	}
	l.hardware.poller = l.poller
	for i := range l.hardware.ports {
		l.hardware.watchWriting(i)
	}
	return nil
}

// run is the loop. It ends when it is asked to.
func (l *loop) run() {
	for !l.endAsked.Load() {
		l.cycle()
	}
}

// cycle waits once and does what is ready.
func (l *loop) cycle() {
	l.publish()
	l.giveWay()
	l.poller.arm(l.wakeBy(l.nextDeadline()))
	n := l.poller.wait()
	now := l.clock.now()
	for i := range n {
		l.ready(int(l.poller.events[i].Fd), now)
	}
	if now >= l.deadline {
		l.due(now)
	}
	l.beat(now)
}

// publish tells the others what this cycle did.
func (l *loop) publish() {
	l.core.status.Now = l.clock.now()
	l.core.segment.StoreStatus(&l.core.status)
	if l.core.put {
		l.core.put = false
		_ = l.ends.ToBrain.Signal() // a full counter means that nobody reads it
	}
	l.keeper.poke()
	l.heart.poke()
	if l.core.stopping && l.core.stopOver() && !l.safeTold {
		l.safeTold = true
		close(l.safeNow)
	}
}

func (l *loop) nextDeadline() time.Duration {
	due := min(l.core.deadline(), l.heart.next, l.portsDue(), l.busDue, l.lineDue)
	if b := l.hardware.board; b != nil {
		due = min(due, b.Due())
	}
	if l.brainMuted {
		due = min(due, l.wakesFrom+wakeWindow)
	}
	if l.flood.muted {
		due = min(due, l.flood.from+floodWindow)
	}
	if l.canDue > 0 {
		due = min(due, l.canDue)
	}
	l.deadline = due
	if due != never {
		due = max(due, l.core.status.Now+leastWait)
	}
	return due
}

// due does what deadlines ask for.
func (l *loop) due(now time.Duration) {
	l.late(now)
	if b := l.hardware.board; b != nil && b.Due() <= now {
		l.moveWorld(now)
	}
	l.core.tick(now)
	l.lookAtPorts(now)
	if now >= l.busDue {
		l.lookAtBuses(now)
	}
	if now >= l.lineDue {
		l.giveUpLines(now)
	}
	if l.canDue > 0 && now >= l.canDue {
		l.lookAtControllers(now)
	}
	if l.brainMuted && now >= l.wakesFrom+wakeWindow {
		l.brainMuted = false
		_ = l.poller.watchEdges(l.ends.ToSpine.FD(), tokenBrain) // as at the start; tells of what came meanwhile
	}
	if l.flood.muted {
		l.turnFlood(now)
	}
}

// late counts how late the loop woke for its own deadline. One that asked for the
// next cycle at once never was a time to wake at; the timer after it was.
func (l *loop) late(now time.Duration) {
	if l.deadline <= 0 {
		return
	}
	late := now - l.deadline
	if late > lateAfter {
		l.core.overrun(now, late)
	}
	if l.deadline == l.core.status.Now {
		late = now - l.poller.armed
	}
	if late >= 0 { // less: something else woke it before its time
		l.core.measured(link.LatencyWakeUp, late)
	}
}

// stepsAtOnce bounds the steps of the simulated world in one wake-up.
const stepsAtOnce = 16

// moveWorld lets the simulated board go on, each step a frame of its own. When
// it is far behind, the board leaves steps out.
func (l *loop) moveWorld(now time.Duration) {
	b := l.hardware.board
	for range stepsAtOnce {
		due := b.Due()
		if due > now {
			break
		}
		at := due
		if due == 0 || now-due > time.Second {
			at = now
		}
		b.Advance(at, nil, l.takeSim)
		l.core.frame(now, at, 0)
	}
}

func (l *loop) ready(token int, now time.Duration) {
	switch {
	case token >= tokenFeed:
		begin := l.clock.now()
		l.readFeed(token-tokenFeed, now)
		l.tookFeed(token-tokenFeed, begin)
	case token >= tokenBus:
		l.readBus(token-tokenBus, now)
	case token >= tokenInput:
		begin := l.clock.now()
		l.readInput(token-tokenInput, now)
		l.tookInput(token-tokenInput, begin)
	case token >= tokenPort:
		begin := l.clock.now()
		l.readPort(token-tokenPort, now)
		l.tookPort(token-tokenPort, begin)
	case token == tokenBrain:
		l.brainSpeaks(now)
	case token == tokenPid:
		l.pidReady(now)
	case token == tokenInbox:
		_ = l.inbox.Drain(l.drained[:]) // it is readable
		l.lookAtInbox(now)
	case token == tokenControl:
		l.control.serve(l.core, now)
	}
	l.core.frame(now, now, 0)
}

// readPort reads once from a port and evaluates each frame by itself.
func (l *loop) readPort(i int, now time.Duration) {
	p := &l.hardware.ports[i]
	if !p.open {
		return
	}
	if p.writing {
		_ = p.stream.Flush() // a hang-up shows in the read below
		l.hardware.watchWriting(i)
	}
	n, err := p.stream.Read(l.chunk[:])
	if err != nil {
		l.portGone(i, now)
		return
	}
	if p.framer == nil {
		return
	}
	at := now
	for chunk := l.chunk[:n]; len(chunk) > 0; {
		frame, used, ok := p.framer.Next(chunk)
		chunk = chunk[used:]
		if !ok {
			continue
		}
		for _, f := range frame {
			for _, signal := range p.fields[f.Field] {
				l.core.reading(signal, f.Value, at)
			}
		}
		l.core.frame(at, at, p.framer.Counters().Frames)
		at++ // a nanosecond, so that Confirm tells frames apart
	}
	l.storePort(i)
}

func (l *loop) storePort(i int) {
	p := &l.hardware.ports[i]
	s := link.Port{Open: p.open || l.hardware.board != nil}
	if p.framer != nil {
		c := p.framer.Counters()
		s.Frames, s.Bytes, s.Errors, s.Dropped = c.Frames, c.Bytes, c.Errors, c.Dropped
	}
	if p.stream != nil {
		s.Dropped += p.stream.Replaced()
	}
	s.Line, s.Counted = p.watch.line, p.watch.counted
	l.core.segment.StorePort(i, s)
}

// portGone gives a port that hung up to the opener. Its signals are invalid at
// once: waiting for them to go stale would only cost time.
func (l *loop) portGone(i int, now time.Duration) {
	l.losePort(i, now, link.PortGone)
}

func (l *loop) losePort(i int, now time.Duration, why link.PortState) {
	p := &l.hardware.ports[i]
	p.open, p.writing = false, false
	p.watch.end()
	l.poller.forget(p.stream.Fd())
	for _, signal := range p.signals {
		l.core.invalidate(signal, now)
	}
	l.tellPort(i, now, why)
	l.opener.want(i)
}

func (l *loop) portBack(i int, now time.Duration) {
	p := &l.hardware.ports[i]
	if err := l.poller.watch(p.stream.Fd(), tokenPort+i); err != nil {
		l.opener.want(i)
		return
	}
	p.open = true
	if p.framer != nil {
		p.framer.Reset()
	}
	for _, o := range p.outputs {
		l.core.rewrite(o)
	}
	p.startDevice()
	p.watch.begin(p, now)
	l.hardware.watchWriting(i)
	l.tellPort(i, now, link.PortBack)
}

func (l *loop) tellPort(i int, now time.Duration, state link.PortState) {
	l.storePort(i)
	e := link.Event{Kind: link.EventPort, Index: int32(i), Flags: uint8(state), At: now, Cause: -1}
	l.core.tell(&e)
	l.keeper.note(&e, nil)
}

// brainSpeaks takes the newest command and a bounded number of requests.
func (l *loop) brainSpeaks(now time.Duration) {
	l.limitBrain(now)
	before := l.core.lastDecision
	l.core.takeCommand(now)
	if w := l.brain.supervisor; w != nil {
		w.signs.Add(1)
		if l.core.lastDecision != before {
			w.decisions.Add(1)
			w.decided.Store(l.core.generation)
		}
	}
	l.core.frame(now, now, 0)
	requests, advice := l.takeRequests(now), l.takeAdvice(now)
	if requests || advice {
		l.muteBrain() // and look again when the window is over
	}
}

// takeRequests says whether there may be more than this window allows.
func (l *loop) takeRequests(now time.Duration) bool {
	var r link.Request
	for l.requests < requestLimit {
		if !l.core.segment.TakeRequest(&r) {
			return false
		}
		l.requests++
		l.core.answer(now, &r)
		l.core.frame(now, now, 0)
	}
	return true
}

func (l *loop) limitBrain(now time.Duration) {
	if now-l.wakesFrom >= wakeWindow {
		l.wakesFrom, l.wakes, l.requests, l.advice = now, 0, 0, 0
	}
	if l.wakes++; l.wakes > wakeLimit {
		l.muteBrain()
	}
}

// muteBrain stops listening until the window is over.
func (l *loop) muteBrain() {
	if !l.brainMuted {
		l.brainMuted = true
		l.poller.forget(l.ends.ToSpine.FD())
	}
}

// lookAtInbox takes what the other goroutines have left.
func (l *loop) lookAtInbox(now time.Duration) {
	if l.safeAsked.Load() {
		l.core.shutdown(now)
	}
	l.lookAtBrain(now)
	for i := range l.hardware.ports {
		if l.opener.take(i) {
			l.portBack(i, now)
		}
	}
	for i := range l.hardware.feeds {
		if l.opener.take(len(l.hardware.ports) + i) {
			l.feedBack(i, now)
		}
	}
	for i := range l.hardware.inputs {
		if l.opener.take(l.openerOf(i)) {
			l.lineBack(i, now)
		}
	}
}
