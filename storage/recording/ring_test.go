package recording

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ringRig is a ring on a clock that the test moves.
type ringRig struct {
	*Ring
	t      *testing.T
	now    time.Duration
	folder string
	fail   error // what creating a file gives
}

func newRing(t *testing.T, folder string, limit int64) *ringRig {
	t.Helper()
	p, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	g := &ringRig{t: t, now: time.Hour, folder: folder}
	g.Ring, err = OpenRing(RingOptions{
		Folder: filepath.Join(folder, "recent"), Sealed: filepath.Join(folder, "sealed"),
		Keep: 10 * time.Minute, Limit: limit, Seals: 3,
		Wall: func() time.Time { return testHeader.Wall.Add(g.now) },
		Create: func(path string, part int) (*File, error) {
			if g.fail != nil {
				return nil, g.fail
			}
			h := testHeader
			h.Part, h.Wall, h.Monotonic = part, testHeader.Wall.Add(g.now), g.now
			return Create(path, p, h, nil, testTopics)
		},
	}, g.now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// run lets time pass, a message of the given length every second.
func (g *ringRig) run(d time.Duration, length int) {
	g.t.Helper()
	for end := g.now + d; g.now < end; g.now += time.Second {
		if g.Due(g.now) {
			if err := g.Turn(g.now); err != nil {
				g.t.Fatal(err)
			}
		}
		data := []byte(`{"x":"` + noise(length, int(g.now/time.Second)) + `"}`)
		h := Header{Wall: testHeader.Wall.Add(g.now), Monotonic: g.now}
		if err := g.File().WriteLast(0, h.LogTime(g.now), data); err != nil {
			g.t.Fatal(err)
		}
	}
}

// noise is text that cannot be packed well.
func noise(n, seed int) string {
	x, b := uint64(seed)*0x9e3779b97f4a7c15+1, make([]byte, n)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = 'a' + byte(x%26)
	}
	return string(b)
}

func (g *ringRig) files(folder string) []string {
	g.t.Helper()
	entries, err := os.ReadDir(filepath.Join(g.folder, folder))
	if err != nil {
		g.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sound opens recordings and gives the times that they cover.
func (g *ringRig) sound(folder string) (first, last time.Duration) {
	g.t.Helper()
	for _, name := range g.files(folder) {
		if !strings.HasSuffix(name, extension) {
			continue
		}
		r, done, err := Open(filepath.Join(g.folder, folder, name))
		if err != nil {
			g.t.Fatal(err)
		}
		wall := testHeader.Wall.UnixNano()
		if first == 0 {
			first = time.Duration(int64(r.First) - wall)
		}
		last = time.Duration(int64(r.Last) - wall)
		if err := done(); err != nil {
			g.t.Fatal(err)
		}
	}
	return first, last
}

func TestRingKeepsTheLastMinutes(t *testing.T) {
	g := newRing(t, t.TempDir(), 1<<30)
	g.run(25*time.Minute, 10)
	if err := g.Close(g.now); err != nil {
		t.Fatal(err)
	}
	first, last := g.sound("recent")
	if kept := last - first; kept < 10*time.Minute-time.Second || kept > 11*time.Minute {
		t.Errorf("%v are kept", kept)
	}
	if n := len(g.files("recent")); n < 20 || n > 22 {
		t.Errorf("%d files", n)
	}
}

func TestRingIsBounded(t *testing.T) {
	const limit = 200_000
	g := newRing(t, t.TempDir(), limit)
	for range 50 {
		g.run(5*time.Second, 1000)
		total := int64(0)
		for _, name := range g.files("recent") {
			info, err := os.Stat(filepath.Join(g.folder, "recent", name))
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
		}
		if total > limit || g.Bytes() > limit {
			t.Fatalf("%d bytes in files, %d counted, at most %d wanted", total, g.Bytes(), limit)
		}
	}
	if len(g.files("recent")) < 3 {
		t.Error("the bound left next to nothing")
	}
}

// TestRingGoesOn: files of an earlier run are kept for as long, and count.
func TestRingGoesOn(t *testing.T) {
	folder := t.TempDir()
	g := newRing(t, folder, 1<<30)
	g.run(5*time.Minute, 10)
	if err := g.Close(g.now); err != nil {
		t.Fatal(err)
	}
	before := g.files("recent")
	again := newRing(t, folder, 1<<30)
	again.now = g.now
	again.Ring.done = slices.Clone(again.Ring.done)
	for i := range again.Ring.done {
		again.Ring.done[i].ended = again.now
	}
	again.run(9*time.Minute, 10)
	if got := again.files("recent"); !slices.Equal(got[:len(before)], before) {
		t.Errorf("after nine minutes there is %v, before %v", got, before)
	}
	again.run(3*time.Minute, 10)
	if slices.Contains(again.files("recent"), before[0]) {
		t.Error("after twelve minutes the files of the earlier run are still there")
	}
}

// TestRingOfAClockSetBack: which file is the oldest does not hang on the wall's
// clock. Every run finds it set back by an hour; what must go for lack of room is
// of the first run, whose files have the highest times.
func TestRingOfAClockSetBack(t *testing.T) {
	const limit = 200_000
	folder := t.TempDir()
	var first, newest []string
	for run := range 4 {
		g := newRing(t, folder, limit)
		back := time.Duration(run) * time.Hour
		g.o.Wall = func() time.Time { return testHeader.Wall.Add(g.now - back) }
		before := g.files("recent")
		g.run(50*time.Second, 1000)
		if err := g.Close(g.now); err != nil {
			t.Fatal(err)
		}
		newest = nil
		for _, name := range g.files("recent") {
			if !slices.Contains(before, name) {
				newest = append(newest, name)
			}
		}
		if run == 0 {
			first = newest
		}
	}
	g := newRing(t, folder, limit)
	g.o.Wall = func() time.Time { return testHeader.Wall.Add(g.now - 4*time.Hour) }
	g.run(100*time.Second, 1000)
	left := g.files("recent")
	for _, name := range first {
		if slices.Contains(left, name) {
			t.Errorf("%s of the first run is still there: %v", name, left)
		}
	}
	if last := newest[len(newest)-1]; !slices.Contains(left, last) {
		t.Errorf("%s, the last file of the run before, is gone: %v", last, left)
	}
}

func TestSealKeepsWhatTheRingDeletes(t *testing.T) {
	g := newRing(t, t.TempDir(), 1<<30)
	g.run(12*time.Minute, 10)
	at := g.now - time.Second
	folder, err := g.Seal(at, "latch-bump/../x")
	if err != nil {
		t.Fatal(err)
	}
	g.run(20*time.Second, 10)
	same, err := g.Seal(g.now, "escalation") // within a minute: the same seal
	if err != nil || same != folder {
		t.Errorf("the second cause went to %s, %v; the first to %s", same, err, folder)
	}
	second := g.now
	g.run(30*time.Minute, 10)
	if err := g.Close(g.now); err != nil {
		t.Fatal(err)
	}
	sealed := filepath.Join("sealed", filepath.Base(folder))
	if strings.ContainsAny(filepath.Base(folder), "/") || filepath.Dir(folder) != filepath.Join(g.folder, "sealed") {
		t.Errorf("the cause led to the folder %s", folder)
	}
	first, last := g.sound(sealed)
	if first > at-10*time.Minute+time.Second || last < second || last > second+time.Minute {
		t.Errorf("sealed is %v to %v, the causes were at %v and %v", first, last, at, second)
	}
	var causes struct {
		Version int
		Causes  []Cause
	}
	b, err := os.ReadFile(filepath.Join(folder, causesFile))
	if err == nil {
		err = json.Unmarshal(b, &causes)
	}
	if err != nil || len(causes.Causes) != 2 || causes.Causes[1].What != "escalation" {
		t.Errorf("causes %+v, %v", causes, err)
	}
}

func TestSealsAreBounded(t *testing.T) {
	g := newRing(t, t.TempDir(), 1<<30)
	var folders []string
	for range 5 {
		g.run(2*time.Minute, 10)
		folder, err := g.Seal(g.now, "latch-bump")
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, filepath.Base(folder))
	}
	if got := g.files("sealed"); !slices.Equal(got, folders[2:]) || g.SealsLost() != 2 {
		t.Errorf("kept are %v of %v, %d counted as lost", got, folders, g.SealsLost())
	}
}

// TestSealWithoutAFile: when nothing can be written the seal has the past, and
// the next file that can.
func TestSealWithoutAFile(t *testing.T) {
	g := newRing(t, t.TempDir(), 1<<30)
	g.run(time.Minute, 10)
	g.Fail(g.now)
	g.fail = ErrDiskFull
	if err := g.Turn(g.now); err == nil {
		t.Error("a new file on a full disk")
	}
	folder, err := g.Seal(g.now, "latch-bump")
	if err != nil {
		t.Fatal(err)
	}
	g.fail = nil
	g.run(2*time.Minute, 10)
	var n int
	for _, name := range g.files(filepath.Join("sealed", filepath.Base(folder))) {
		if strings.HasSuffix(name, extension) {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d files are sealed, want the two of before and the next one", n)
	}
}

// TestSealsAreBoundedByBytes: the oldest go when all together are too large,
// files that they share count once, and the newest stays whatever its size.
func TestSealsAreBoundedByBytes(t *testing.T) {
	g := newRing(t, t.TempDir(), 1<<30)
	g.o.Seals, g.o.SealLimit = 100, 4_000_000
	var last string
	for range 12 {
		g.run(5*time.Minute, 3000) // about 600 kB
		folder, err := g.Seal(g.now, "latch-bump")
		if err != nil {
			t.Fatal(err)
		}
		if last = filepath.Base(folder); g.sealedBytes() > g.o.SealLimit {
			t.Fatalf("%d bytes are sealed", g.sealedBytes())
		}
	}
	kept := g.files("sealed")
	if len(kept) < 2 || kept[len(kept)-1] != last || g.SealsLost() != 12-len(kept) {
		t.Errorf("%v are kept, %d deleted", kept, g.SealsLost())
	}
	g.o.SealLimit = 1
	g.run(2*time.Minute, 3000)
	if got := g.files("sealed"); !slices.Equal(got, []string{last}) {
		t.Errorf("with a bound of one byte %v are kept, want %s", got, last)
	}
}

// sealedBytes counts what is on the disk, a file with several names once.
func (g *ringRig) sealedBytes() int64 {
	g.t.Helper()
	var seen []os.FileInfo
	total := int64(0)
	for _, folder := range g.files("sealed") {
		for _, name := range g.files(filepath.Join("sealed", folder)) {
			info, err := os.Stat(filepath.Join(g.folder, "sealed", folder, name))
			if err != nil {
				g.t.Fatal(err)
			}
			if !slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
				seen = append(seen, info)
				total += info.Size()
			}
		}
	}
	return total
}

// TestSealsOfAClockSetBack: which seal is the oldest does not hang on the wall's
// clock, also after a restart.
func TestSealsOfAClockSetBack(t *testing.T) {
	folder := t.TempDir()
	var names []string
	for i := range 5 {
		g := newRing(t, folder, 1<<30) // another run
		back := time.Duration(i) * time.Hour
		g.o.Wall = func() time.Time { return testHeader.Wall.Add(g.now - back) }
		g.run(2*time.Minute, 10)
		sealed, err := g.Seal(g.now, "latch-bump")
		if err == nil {
			err = g.Close(g.now)
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(sealed))
	}
	g := newRing(t, folder, 1<<30)
	got := g.files("sealed")
	for _, name := range names[2:] {
		if !slices.Contains(got, name) || len(got) != 3 {
			t.Fatalf("kept are %v, sealed were, in this order, %v", got, names)
		}
	}
	g.now += time.Second
	g.run(2*time.Minute, 10)
	g.o.Wall = func() time.Time { return testHeader.Wall }
	for range 2 { // two at one time by the wall
		if _, err := g.Seal(g.now, "latch-bump"); err != nil {
			t.Error(err)
		}
		g.now += 2 * time.Minute
	}
}

// TestStormOfSeals: causes without end neither fill one folder without end nor
// the list of causes.
func TestStormOfSeals(t *testing.T) {
	g := newRing(t, t.TempDir(), 1<<30)
	folders := map[string]bool{}
	for range 40 * 60 / 5 {
		g.run(5*time.Second, 10)
		for range 2 {
			folder, err := g.Seal(g.now, "latch-bump")
			if err != nil {
				t.Fatal(err)
			}
			folders[folder] = true
		}
	}
	if err := g.Close(g.now); err != nil {
		t.Fatal(err)
	}
	if len(folders) < 3 || len(folders) > 5 {
		t.Errorf("forty minutes of causes are in %d folders", len(folders))
	}
	for _, name := range g.files("sealed") {
		b, err := os.ReadFile(filepath.Join(g.folder, "sealed", name, causesFile))
		var c causes
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		if err != nil || len(c.Causes) != maxCauses || c.More == 0 {
			t.Errorf("%s: %d causes and %d more, %v", name, len(c.Causes), c.More, err)
		}
		if n := len(g.files(filepath.Join("sealed", name))); n > 45 {
			t.Errorf("%s has %d files", name, n)
		}
	}
}
