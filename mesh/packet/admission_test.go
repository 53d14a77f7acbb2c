package packet

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	home    = netip.MustParseAddrPort("10.0.0.1:9000")
	foreign = netip.MustParseAddrPort("10.0.0.66:666")
)

func options() Options { return Options{Name: "gallery-bot-1", Key: someKey(), Since: started} }

func admission(t testing.TB, o Options) *Admission {
	t.Helper()
	a, err := NewAdmission(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// world is an admission with a clock, and what the tests do to it.
type world struct {
	t   testing.TB
	a   *Admission
	now time.Duration // since noon
	m   Message
}

func newWorld(t testing.TB, o Options) *world { return &world{t: t, a: admission(t, o)} }

func (w *world) wall() Wall { return noon.Add(w.now) }

// gets hands over a datagram.
func (w *world) gets(from netip.AddrPort, data []byte) Verdict {
	return w.a.Admit(w.now, w.wall(), from, data, &w.m)
}

func (w *world) wants(what string, from netip.AddrPort, data []byte, want Outcome) {
	w.t.Helper()
	before := w.a.Counts()
	v := w.gets(from, data)
	after := w.a.Counts()
	if v.Outcome != want {
		w.t.Errorf("%s: %s, want %s", what, v.Outcome, want)
	}
	if v.Outcome.Dropped() != (v.Source == NoSource) {
		w.t.Errorf("%s: %s from source %d", what, v.Outcome, v.Source)
	}
	if after.Of(v.Outcome) != before.Of(v.Outcome)+1 {
		w.t.Errorf("%s: not counted", what)
	}
}

func (w *world) registers(name string, s Source) int {
	w.t.Helper()
	place, err := w.a.Register(w.now, name, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return place
}

var ids IDs

// heartbeat makes a heartbeat with an id of its own.
func heartbeat() Message {
	m := samples()["heartbeat"]
	m.Echo = Echo{}
	m.ID = ids.Next(noon, idEntropy)
	return m
}

var idEntropy = seeded()

// TestOutcomes: each way to be refused, with its counter and its report.
func TestOutcomes(t *testing.T) {
	o := options()
	w := newWorld(t, o)
	w.registers("peer", Source{Origin: home.Addr()})
	w.registers("signer", Source{Kinds: AllKinds, Key: publicKey(1), Signed: KindsOf(Thaw)})
	peer, signer, other := sealer(t, "peer"), sealer(t, "signer"), sealer(t, "newcomer")
	good := sealed(t, peer, w.wall(), heartbeat())
	w.wants("honest", home, good, Accepted)
	if w.m.From.String() != "peer" || w.m.Health.Queue != 2 {
		t.Errorf("read %+v", w.m)
	}
	w.wants("again", home, good, Replayed)
	copied := heartbeat()
	w.wants("first copy", home, sealed(t, peer, w.wall(), copied), Accepted)
	w.wants("second copy", home, sealed(t, peer, w.wall(), copied), Duplicate)

	damaged := sealed(t, peer, w.wall(), heartbeat())
	damaged[30] ^= 4
	west := must(NewSealer(must(NewKey("gallery-west", secret)), "peer", started))
	misdirected := heartbeat()
	misdirected.To = must(NewName("gallery-bot-2"))
	freeze := samples()["freeze"]
	late := heartbeat()
	late.TTL = time.Second
	reborn := must(NewSealer(someKey(), "peer", started.Add(30*time.Second)))
	wrongHash := lie(t, sealer(t, "signer"), w.wall(), samples()["coordinate"])
	malformed := reseal(append([]byte{1, 0xaa}, good[2:]...))
	for _, c := range []struct {
		what string
		from netip.AddrPort
		data []byte
		want Outcome
	}{
		{"empty", home, nil, Malformed},
		{"short", home, []byte{1, 2, 3}, Malformed},
		{"oversized", home, make([]byte, MaxDatagramBytes+1), TooLarge},
		{"unknown version", home, append([]byte{2}, good[1:]...), UnknownVersion},
		{"cut at the end", home, good[:len(good)-1], Malformed},
		{"cut in the middle", home, append(bytes.Clone(good[:60]), good[len(good)-18:]...), Unauthentic},
		{"malformed by a member", home, malformed, Malformed},
		{"damaged", home, damaged, Unauthentic},
		{"of another cell", home, sealed(t, west, w.wall(), heartbeat()), Unauthentic},
		{"our own name", home, sealed(t, sealer(t, o.Name), w.wall(), heartbeat()), Own},
		{"for another", home, sealed(t, peer, w.wall(), misdirected), Misdirected},
		{"a newcomer orders", home, sealed(t, other, w.wall(), freeze), Forbidden},
		{"a peer orders", home, sealed(t, peer, w.wall(), freeze), Forbidden},
		{"from another address", foreign, sealed(t, peer, w.wall(), heartbeat()), WrongOrigin},
		{"from the future", home, sealed(t, peer, w.wall().Add(2*time.Second+1), heartbeat()), FutureDated},
		{"at the edge of the future", home, sealed(t, peer, w.wall().Add(2*time.Second), heartbeat()), Accepted},
		{"expired", home, sealed(t, peer, w.wall().Add(-3*time.Second-1), late), Expired},
		{"not quite expired", home, sealed(t, peer, w.wall().Add(-3*time.Second), late), Accepted},
		{"older than our start", foreign, sealed(t, must(NewSealer(someKey(), "early", started.Add(-time.Second))), started-1, longLived()), Expired},
		{"reborn", home, sealed(t, reborn, w.wall(), heartbeat()), Accepted},
		{"before it was reborn", home, sealed(t, peer, w.wall(), heartbeat()), OldEpoch},
		{"not signed", home, sealed(t, signer, w.wall(), samples()["thaw"]), Forbidden},
		{"wrong hash", home, wrongHash, WrongHash},
	} {
		w.wants(c.what, c.from, c.data, c.want)
	}
	if err := signer.Sign(signingKey(2), AllKinds); err != nil {
		t.Fatal(err)
	}
	w.wants("signed by another", home, sealed(t, signer, w.wall(), samples()["thaw"]), BadSignature)
	if err := other.Sign(signingKey(1), AllKinds); err != nil {
		t.Fatal(err)
	}
	w.wants("signed by a newcomer", home, sealed(t, other, w.wall(), heartbeat()), BadSignature)
	if err := signer.Sign(signingKey(1), AllKinds); err != nil {
		t.Fatal(err)
	}
	w.wants("signed", home, sealed(t, signer, w.wall(), samples()["thaw"]), Accepted)
	w.a.Oversized(w.now, foreign)
	holdReports(t, w)
}

func publicKey(n byte) ed25519.PublicKey { return signingKey(n).Public().(ed25519.PublicKey) }

// holdReports: every cause is told, with advice, once; then not again before its
// time, however much comes.
func holdReports(t *testing.T, w *world) {
	t.Helper()
	counts, told := w.a.Counts(), Counts{}
	for _, r := range w.a.Reports(w.now, nil) {
		told[r.Outcome] += r.Count
		if text := r.String(); !strings.Contains(text, r.Outcome.advice()) || r.Source.IsZero() == (r.Outcome > Unauthentic) {
			t.Errorf("report %q of %s", text, r.Outcome)
		}
	}
	for _, o := range Outcomes() {
		if o.Dropped() && (told.Of(o) != counts.Of(o) || o != OverRate && o != TooManySources && told.Of(o) == 0) {
			t.Errorf("%s: %d reported of %d", o, told.Of(o), counts.Of(o))
		}
	}
	if counts.Dropped() == 0 || counts.Of(99) != 0 {
		t.Error("sums of the counters")
	}
	w.gets(home, []byte("junk"))
	if again := w.a.Reports(w.now+time.Second, nil); len(again) != 0 {
		t.Errorf("told again after a second: %v", again)
	}
	if again := w.a.Reports(w.now+10*time.Second, nil); len(again) != 1 || again[0].Count != 1 {
		t.Errorf("not told after ten seconds: %v", again)
	}
}

// longLived is a heartbeat that lives as long as one may.
func longLived() Message {
	m := heartbeat()
	m.TTL = MaxTTL
	return m
}

// reseal gives a changed datagram a right MAC, as a hostile member can.
func reseal(data []byte) []byte {
	s := someKey().sealing()
	copy(data[len(data)-macBytes:], s.of(data[:len(data)-macBytes]))
	return data
}

// lie seals a message and changes its payload afterwards.
func lie(t testing.TB, s *Sealer, at Wall, m Message) []byte {
	t.Helper()
	data := sealed(t, s, at, m)
	where := bytes.Index(data, m.Payload)
	if where < 0 {
		t.Fatal("no payload")
	}
	data[where] ^= 1
	return reseal(data)
}

// TestReboot: a peer that starts anew is heard at once; one whose clock was set
// back meanwhile is heard when all that it said before has expired.
func TestReboot(t *testing.T) {
	w := newWorld(t, options())
	w.registers("peer", Source{})
	first := sealer(t, "peer")
	var old [][]byte
	for range 5 {
		data := sealed(t, first, w.wall(), longLived())
		old = append(old, data)
		w.wants("before", home, data, Accepted)
		w.now += time.Second
	}
	second := must(NewSealer(someKey(), "peer", w.wall()))
	w.wants("reborn", home, sealed(t, second, w.wall(), heartbeat()), Accepted)
	for _, data := range old {
		w.wants("replayed from before", foreign, data, OldEpoch)
	}
	back := must(NewSealer(someKey(), "peer", w.wall().Add(-2*time.Second)))
	heard := time.Duration(0)
	for from := w.now; heard == 0 && w.now < from+2*time.Minute; w.now += time.Second {
		for _, data := range old {
			if v := w.gets(foreign, data); !v.Outcome.Dropped() {
				t.Fatalf("a replay was accepted after %s", w.now)
			}
		}
		if v := w.gets(home, sealed(t, back, w.wall().Add(-2*time.Second), heartbeat())); v.Outcome == Accepted {
			heard = w.now - from
		}
	}
	if heard == 0 || heard > MaxTTL+10*time.Second {
		t.Errorf("heard after %s", heard)
	}
	t.Logf("a peer whose clock was set back by 2 s is heard after %s", heard)
}

// TestClock: a measured offset narrows what is accepted.
func TestClock(t *testing.T) {
	w := newWorld(t, options())
	place := w.registers("peer", Source{})
	s := sealer(t, "peer")
	w.a.SetClock(w.now, place, 500*time.Millisecond, 10*time.Millisecond) // not heard yet: nothing can have been measured
	w.wants("first", home, sealed(t, s, w.wall(), heartbeat()), Accepted)
	w.a.SetClock(w.now, place, 500*time.Millisecond, 10*time.Millisecond) // the peer is half a second ahead
	w.wants("on time", home, sealed(t, s, w.wall().Add(500*time.Millisecond), heartbeat()), Accepted)
	w.wants("early", home, sealed(t, s, w.wall().Add(511*time.Millisecond), heartbeat()), FutureDated)
	m := heartbeat()
	m.TTL = 100 * time.Millisecond
	w.wants("late", home, sealed(t, s, w.wall().Add(389*time.Millisecond), m), Expired)
	m.ID[15]++
	w.wants("just in time", home, sealed(t, s, w.wall().Add(391*time.Millisecond), m), Accepted)
	w.now += 20 * time.Second
	w.wants("early, but by the drift of 20 s", home, sealed(t, s, w.wall().Add(519*time.Millisecond), heartbeat()), Accepted)
	w.wants("earlier than that", home, sealed(t, s, w.wall().Add(521*time.Millisecond), heartbeat()), FutureDated)
	w.a.SetClock(w.now, place, time.Hour, time.Hour)
	w.wants("an hour off", home, sealed(t, s, w.wall().Add(time.Hour), heartbeat()), FutureDated)
	w.a.SetClock(w.now, -1, 0, 0)
	w.a.SetClock(w.now, 99, 0, 0)
}

// TestClockIsMeasuredAnew: what was measured shuts nobody out for good whose clock
// has changed since: not one that starts anew, nor one that was heard no more.
func TestClockIsMeasuredAnew(t *testing.T) {
	w := newWorld(t, options())
	place := w.registers("peer", Source{})
	ahead := time.Second
	s := must(NewSealer(someKey(), "peer", w.wall().Add(ahead)))
	w.wants("before", home, sealed(t, s, w.wall().Add(ahead), heartbeat()), Accepted)
	w.a.SetClock(w.now, place, ahead, time.Millisecond)
	w.now += 2 * time.Second
	s = must(NewSealer(someKey(), "peer", w.wall())) // its clock was set, and it started anew
	w.wants("started anew", home, sealed(t, s, w.wall(), heartbeat()), Accepted)
	w.a.SetClock(w.now, place, -ahead, time.Millisecond) // a wrong measurement
	w.wants("measured wrongly", home, sealed(t, s, w.wall(), heartbeat()), FutureDated)
	w.now += MaxTTL + 4*2*time.Second + 1
	w.wants("measured wrongly, a minute later", home, sealed(t, s, w.wall(), heartbeat()), Accepted)
}

// hostile is one kind of input that must not matter to others. It is made anew for
// each datagram.
type hostile struct {
	name string
	want Outcome
	make func(w *world, n int) (netip.AddrPort, []byte)
}

// hostiles of the issue and of spec 9.2; "insider" has the cell's key.
func hostiles(t testing.TB) []hostile {
	rogue := sealer(t, "rogue")
	flooder, elsewhere := sealer(t, "flooder"), sealer(t, "honest-2")
	thief := must(NewSealer(must(NewKey("gallery-east", []byte("another secret, as long"))), "honest-1", started))
	var captured []byte
	return []hostile{
		{"oversized", TooLarge, func(_ *world, n int) (netip.AddrPort, []byte) { return foreign, make([]byte, MaxDatagramBytes+1+n%100) }},
		{"truncated", Unauthentic, func(w *world, _ int) (netip.AddrPort, []byte) {
			data := sealed(t, rogue, w.wall(), heartbeat())
			return foreign, append(data[:70], data[len(data)-sealBytes:]...)
		}},
		{"unknown version", UnknownVersion, func(w *world, n int) (netip.AddrPort, []byte) {
			data := sealed(t, rogue, w.wall(), heartbeat())
			data[0] = byte(2 + n%200)
			return foreign, data
		}},
		{"noise", Malformed, func(_ *world, n int) (netip.AddrPort, []byte) {
			data := bytes.Repeat([]byte{byte(n)}, 200)
			data[0] = Version
			return foreign, data
		}},
		{"forged MAC in an honest name", Unauthentic, func(w *world, _ int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, thief, w.wall(), heartbeat())
		}},
		{"replayed", Replayed, func(w *world, n int) (netip.AddrPort, []byte) {
			if n%500 == 0 {
				captured = sealed(t, rogue, w.wall(), longLived())
				w.gets(foreign, captured)
			}
			return foreign, captured
		}},
		{"future-dated", FutureDated, func(w *world, _ int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, rogue, w.wall().Add(time.Minute), heartbeat())
		}},
		{"expired", Expired, func(w *world, _ int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, rogue, w.wall().Add(-20*time.Second), heartbeat())
		}},
		{"wrong hash", WrongHash, func(w *world, _ int) (netip.AddrPort, []byte) {
			m := samples()["ack-answer"]
			m.ID, m.To = ids.Next(w.wall(), idEntropy), Name{}
			return foreign, lie(t, rogue, w.wall(), m)
		}},
		{"order without the right", Forbidden, func(w *world, _ int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, rogue, w.wall(), samples()["freeze"])
		}},
		{"ten times the rate", OverRate, func(w *world, _ int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, flooder, w.wall(), heartbeat())
		}},
		{"honest name from elsewhere", WrongOrigin, func(w *world, _ int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, elsewhere, w.wall(), heartbeat())
		}},
		{"names without end", TooManySources, func(w *world, n int) (netip.AddrPort, []byte) {
			return foreign, sealed(t, sealer(t, fmt.Sprintf("forged-%d", n)), w.wall(), heartbeat())
		}},
		{"names from addresses without end", TooManySources, func(w *world, n int) (netip.AddrPort, []byte) {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 1), sealed(t, sealer(t, fmt.Sprintf("forged-%d", n)), w.wall(), heartbeat())
		}},
	}
}

// TestFlood: ten hostile datagrams come for each honest one, of every kind in turn
// and of all kinds at once. All of the honest ones are accepted, most of the hostile
// ones are dropped under their own counter, they are reported, and neither memory
// nor the number of reports grows with them.
func TestFlood(t *testing.T) {
	kinds := hostiles(t)
	for i, h := range kinds {
		t.Run(h.name, func(t *testing.T) { flood(t, kinds[i:i+1]) })
	}
	t.Run("all at once", func(t *testing.T) { flood(t, kinds) })
}

func flood(t *testing.T, kinds []hostile) {
	w := newWorld(t, options())
	w.registers("rogue", Source{Rate: 10_000})
	w.registers("flooder", Source{Rate: 1})
	const honest = 20
	rounds := 70
	if testing.Short() {
		rounds = 15
	}
	var members []*Sealer
	for i := range honest {
		name := fmt.Sprintf("honest-%d", i)
		members = append(members, sealer(t, name))
		if i < honest-1 { // the last one is known to nobody
			w.registers(name, Source{Origin: home.Addr()})
		}
	}
	w.wants("newcomer", home, sealed(t, members[honest-1], w.wall(), heartbeat()), Accepted)
	reports, hostile := 0, 0
	for range rounds { // each honest member at its normal rate of ten a second
		for _, s := range members {
			w.now += 100 * time.Millisecond / honest
			for range 10 {
				from, data := kinds[hostile%len(kinds)].make(w, hostile/len(kinds))
				w.gets(from, data)
				hostile++
			}
			w.wants("honest", home, sealed(t, s, w.wall(), heartbeat()), Accepted)
		}
		reports += len(w.a.Reports(w.now, nil))
	}
	counts := w.a.Counts()
	for i, h := range kinds {
		// Some pass: what is under the flooder's limit, the first of each replay, the first names.
		if least := uint64(hostile / len(kinds) / 5); counts.Of(h.want) < least {
			t.Errorf("%s: %d dropped as %s, %d others", kinds[i].name, counts.Of(h.want), h.want, counts.Dropped())
		}
	}
	if most := (reportsEach + 1) * (len(kinds) + 1) * (1 + int(w.now/(10*time.Second))); reports == 0 || reports > most {
		t.Errorf("%d reports in %s, at most %d are due", reports, w.now, most)
	}
	registered, newcomers := w.a.Known()
	if registered != honest+1 || newcomers > 64 || len(w.a.sources) > honest+1+64 || len(w.a.index) != registered+newcomers {
		t.Errorf("%d registered, %d newcomers, %d places", registered, newcomers, len(w.a.sources))
	}
}

// TestNewcomers: a flood of forged names takes no registered place, no more than
// its share of the others, and those only until what it said has expired. Who was
// remembered before it stays remembered.
func TestNewcomers(t *testing.T) {
	w := newWorld(t, options())
	early := sealer(t, "early")
	w.wants("early", home, sealed(t, early, w.wall(), heartbeat()), Accepted)
	for n := range 200 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(n / 40)}), 5)
		w.gets(from, sealed(t, sealer(t, fmt.Sprintf("forged-%d", n)), w.wall(), heartbeat()))
	}
	if _, newcomers := w.a.Known(); newcomers != 64 {
		t.Errorf("%d newcomers", newcomers)
	}
	w.wants("early again", home, sealed(t, early, w.wall(), heartbeat()), Accepted)
	w.wants("honest newcomer", home, sealed(t, sealer(t, "late"), w.wall(), heartbeat()), TooManySources)
	late := sealer(t, "late")
	w.registers("late", Source{})
	w.wants("registered meanwhile", home, sealed(t, late, w.wall(), heartbeat()), Accepted)
	w.now += MaxTTL + 4*2*time.Second + 1
	w.wants("after the flood", home, sealed(t, sealer(t, "later"), w.wall(), heartbeat()), Accepted)
	if _, newcomers := w.a.Known(); newcomers != 64 || len(w.a.index) != 65 {
		t.Errorf("%d newcomers after one took another's place, %d names", newcomers, len(w.a.index))
	}
	one := newWorld(t, options())
	for n := range 20 {
		one.gets(foreign, sealed(t, sealer(t, fmt.Sprintf("forged-%d", n)), one.wall(), heartbeat()))
	}
	if _, newcomers := one.a.Known(); newcomers != 16 {
		t.Errorf("one address brought %d", newcomers)
	}
	closed := options()
	closed.MaxNewcomers = -1
	newWorld(t, closed).wants("none allowed", home, sealed(t, sealer(t, "late"), noon, heartbeat()), TooManySources)
}

// TestRegister: places are stable, bounded, and survive a change of what is known.
func TestRegister(t *testing.T) {
	o := options()
	o.MaxSources, o.MaxNewcomers = 3, 2
	w := newWorld(t, o)
	s := sealer(t, "a")
	w.wants("as a newcomer", home, sealed(t, s, w.wall(), heartbeat()), Accepted)
	place := w.a.Place(must(NewName("a")))
	if again := w.registers("a", Source{Kinds: AllKinds}); again != place {
		t.Errorf("place %d became %d", place, again)
	}
	order := samples()["freeze"]
	w.wants("an order", home, sealed(t, s, w.wall(), order), Accepted)
	w.registers("b", Source{})
	w.registers("c", Source{})
	if _, err := w.a.Register(w.now, "d", Source{}); !errors.Is(err, ErrSource) {
		t.Errorf("a fourth: %v", err)
	}
	if name, ok := w.a.Name(place); !ok || name.String() != "a" {
		t.Error(name, ok)
	}
	w.a.Forget("a")
	w.a.Forget("a")
	w.a.Forget("nobody")
	w.a.Forget("not a name")
	order.ID[15]++
	w.wants("an order after it was forgotten", home, sealed(t, s, w.wall(), order), Forbidden)
	if registered, newcomers := w.a.Known(); registered != 2 || newcomers != 1 || w.a.Place(must(NewName("a"))) != place {
		t.Error(registered, newcomers)
	}
	for n := range 100 { // coming and going makes nothing grow
		name := fmt.Sprintf("x%d", n)
		if _, err := w.a.Register(w.now, name, Source{}); err == nil {
			w.gets(home, sealed(t, sealer(t, name), w.wall(), heartbeat()))
			w.a.Forget(name)
		}
	}
	if len(w.a.sources) > 5 || len(w.a.index) > 5 {
		t.Errorf("%d places, %d names", len(w.a.sources), len(w.a.index))
	}
	w.now += 2 * time.Minute
	w.registers("y", Source{})
	if _, ok := w.a.Name(99); ok || w.a.Place(Name{}) != NoSource {
		t.Error("a place that nobody has")
	}
	for what, bad := range map[string]Source{"key": {Key: []byte("short")}, "must sign": {Signed: AllKinds}, "rate": {Rate: MaxRate + 1}} {
		if _, err := w.a.Register(w.now, "b", bad); !errors.Is(err, ErrSource) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.a.Register(w.now, o.Name, Source{}); !errors.Is(err, ErrSource) {
		t.Errorf("itself: %v", err)
	}
	if _, err := w.a.Register(w.now, "a b", Source{}); err == nil {
		t.Error("a bad name")
	}
}

func TestOptions(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"name": func(o *Options) { o.Name = "" }, "key": func(o *Options) { o.Key = Key{} }, "since": func(o *Options) { o.Since = 0 },
		"sources": func(o *Options) { o.MaxSources = -1 }, "reports": func(o *Options) { o.ReportEvery = -1 }, "origins": func(o *Options) { o.NewcomersPerOrigin = -1 },
		"tolerance": func(o *Options) { o.ClockTolerance = time.Minute },
	} {
		o := options()
		spoil(&o)
		if _, err := NewAdmission(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPriorities: a source that sends more and more loses its background messages
// first and its critical ones last.
func TestPriorities(t *testing.T) {
	var lost [4]int
	w := newWorld(t, options())
	w.registers("peer", Source{})
	s := sealer(t, "peer")
	for n := range 6000 { // 200 a second, 50 of each priority; 100 are allowed
		w.now += 5 * time.Millisecond
		m := heartbeat()
		m.Priority = Priority(n % 4)
		if v := w.gets(home, sealed(t, s, w.wall(), m)); v.Outcome == OverRate {
			lost[m.Priority]++
		}
	}
	t.Logf("lost of 1500 each: %v", lost)
	if lost[Critical] != 0 || lost[Urgent] > 150 || lost[Background] < 1400 || lost[Normal] < lost[Urgent] {
		t.Errorf("lost of 1500 each: %v", lost)
	}
}

// TestSignatureFlood: wrong signatures in a source's name stop being checked, and
// cost it none of its own messages' tokens.
func TestSignatureFlood(t *testing.T) {
	w := newWorld(t, options())
	place := w.registers("peer", Source{Key: publicKey(1), Signed: AllKinds})
	forger, s := sealer(t, "peer"), sealer(t, "peer")
	if forger.Sign(signingKey(2), AllKinds) != nil || s.Sign(signingKey(1), AllKinds) != nil {
		t.Fatal("sign")
	}
	for range 300 {
		w.wants("forged", foreign, sealed(t, forger, w.wall(), heartbeat()), BadSignature)
	}
	if full := w.a.sources[place].failures.full; full != time.Second {
		t.Errorf("%s of checking were spent, a second is allowed", full)
	}
	w.wants("honest, unchecked", home, sealed(t, s, w.wall(), heartbeat()), BadSignature)
	w.now += time.Second
	w.wants("honest, a second later", home, sealed(t, s, w.wall(), heartbeat()), Accepted)
}

// TestSchedules: whatever a network and an outsider do with honest datagrams (lose,
// double, reorder, keep back, damage, replay, across restarts of the sender), none
// is accepted twice, no id is acted on twice, and what comes once and in time is
// accepted.
func TestSchedules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, options())
		w.registers("peer", Source{Rate: 100_000})
		type sent struct {
			data []byte
			id   ID
			at   time.Duration
			used int
		}
		var all []*sent
		acted := map[ID]int{}
		s := sealer(t, "peer")
		newest := s.epoch
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			w.now += time.Duration(rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(rt, "wait"))
			switch action := rapid.IntRange(0, 9).Draw(rt, "action"); {
			case action < 4: // a new message, or one sent again
				m := longLived()
				if len(all) > 0 && action == 0 {
					m.ID = all[rapid.IntRange(max(0, len(all)-20), len(all)-1).Draw(rt, "again")].id
				}
				all = append(all, &sent{data: sealed(t, s, w.wall(), m), id: m.ID, at: w.now})
			case action == 4:
				w.now += 2 * time.Millisecond // no program starts twice in a millisecond
				s = must(NewSealer(someKey(), "peer", w.wall()))
				newest = s.epoch
			case action == 5:
				w.now += time.Duration(rapid.Int64Range(0, int64(100*time.Second)).Draw(rt, "long wait"))
			case len(all) > 0:
				x := all[rapid.IntRange(0, len(all)-1).Draw(rt, "which")]
				data := bytes.Clone(x.data)
				if action == 9 {
					data[rapid.IntRange(0, len(data)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
				}
				v := w.gets(home, data)
				if action == 9 && !v.Outcome.Dropped() {
					rt.Fatal("a damaged datagram was accepted")
				}
				if !v.Outcome.Dropped() {
					x.used++
				}
				if v.Outcome == Accepted {
					acted[x.id]++
				}
				if x.used > 1 || acted[x.id] > 1 {
					rt.Fatalf("datagram of %s accepted %d times, its id %d times", x.at, x.used, acted[x.id])
				}
				if action != 9 && x.used == 0 && w.now-x.at < MaxTTL && m(x.data).Epoch == newest {
					rt.Fatalf("refused as %s though it came once and in time", v.Outcome)
				}
			}
		}
	})
}

// m reads a datagram that was made here.
func m(data []byte) (m Message) {
	if err := Decode(data, &m); err != nil {
		panic(err)
	}
	return m
}

// TestAllocates: nothing, in the hot kinds and in what is refused.
func TestAllocates(t *testing.T) {
	w := newWorld(t, options())
	w.registers("peer", Source{Kinds: AllKinds, Rate: MaxRate})
	s := sealer(t, "peer")
	buffer := make([]byte, 0, MaxDatagramBytes)
	for _, name := range []string{"heartbeat", "coordinate", "ack", "ack-conflict", "freeze"} {
		m := samples()[name]
		if n := testing.AllocsPerRun(100, func() {
			w.now += time.Millisecond
			data, err := s.Seal(buffer, w.wall(), &m)
			if err != nil {
				t.Fatal(err)
			}
			if v := w.gets(home, data); v.Outcome.Dropped() {
				t.Fatal(v.Outcome)
			}
			if v := w.gets(home, data); v.Outcome != Replayed {
				t.Fatal(v.Outcome)
			}
			data[20] ^= 1
			if v := w.gets(foreign, data); v.Outcome != Unauthentic {
				t.Fatal(v.Outcome)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	malformed := reseal(append([]byte{1, 0xaa}, sealed(t, s, w.wall(), heartbeat())[2:]...))
	if n := testing.AllocsPerRun(100, func() { w.gets(foreign, malformed) }); n != 0 {
		t.Errorf("malformed: %v allocations", n)
	}
}
