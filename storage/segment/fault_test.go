package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unsynced is the disk without its syncs: for tests that open hundreds of logs and
// are not about power.
type unsynced struct{ disk }

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

func (u unsynced) open(path string) (file, error) {
	f, err := u.disk.open(path)
	return unsyncedFile{f}, err
}

func (u unsynced) create(path string) (file, error) {
	f, err := u.disk.create(path)
	return unsyncedFile{f}, err
}

func (unsynced) syncFolder(string) error { return nil }

// faulty is a disk that fails when it is told to: a write with an error first
// writes half of what it was given, as a full disk does.
type faulty struct {
	unsynced
	mutex   sync.Mutex
	write   error
	sync    error
	cut     error // of Truncate
	make    error // of create
	hang    chan struct{}
	writes  int
	failing int // fail the write or sync with this number alone; 0: each
}

type faultyFile struct {
	file
	f *faulty
}

func (f *faulty) set(change func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	change()
}

func (f *faulty) error(of *error) error {
	f.mutex.Lock()
	hang, err := f.hang, *of
	f.writes++
	if f.failing > 0 && f.writes != f.failing {
		err = nil
	}
	f.mutex.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (f *faulty) open(path string) (file, error) {
	onDisk, err := f.unsynced.open(path)
	return faultyFile{onDisk, f}, err
}

func (f *faulty) create(path string) (file, error) {
	if err := f.error(&f.make); err != nil {
		return nil, err
	}
	onDisk, err := f.unsynced.create(path)
	return faultyFile{onDisk, f}, err
}

func (f faultyFile) WriteAt(data []byte, at int64) (int, error) {
	if err := f.f.error(&f.f.write); err != nil {
		n, _ := f.file.WriteAt(data[:len(data)/2], at)
		return n, err
	}
	return f.file.WriteAt(data, at)
}

func (f faultyFile) Sync() error { return f.f.error(&f.f.sync) }

func (f faultyFile) Truncate(size int64) error {
	if err := f.f.error(&f.f.cut); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// TestDiskErrors: full, read-only and broken disks are told, refuse what they do
// not store, lose nothing that was acknowledged, and take records again when they
// are well.
func TestDiskErrors(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(f *faulty, err error)
		err  error
		want error
	}{
		"full":           {func(f *faulty, err error) { f.write, f.make = err, err }, unix.ENOSPC, ErrNoSpace},
		"quota":          {func(f *faulty, err error) { f.write, f.make = err, err }, unix.EDQUOT, ErrNoSpace},
		"read-only":      {func(f *faulty, err error) { f.write, f.make, f.cut = err, err, err }, unix.EROFS, ErrReadOnly},
		"sync":           {func(f *faulty, err error) { f.sync = err }, unix.EIO, unix.EIO},
		"nothing at all": {func(f *faulty, err error) { f.write, f.make, f.cut, f.sync = err, err, err, err }, unix.EIO, unix.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(inMemory(t), "log")
			disk := &faulty{}
			l := begin(t, dir, Options{SegmentBytes: 300, files: disk})
			put(t, l, 0, 5)
			disk.set(func() { c.set(disk, c.err) })
			for range 7 {
				if _, err := l.Append(context.Background(), payload(5)); !errors.Is(err, c.want) {
					t.Fatalf("%v, want %v", err, c.want)
				}
			}
			if l.Head().Count != 5 || l.Counters().Failed != 7 {
				t.Errorf("head %v, %+v", l.Head(), l.Counters())
			}
			disk.set(func() { c.set(disk, nil) })
			put(t, l, 5, 12)
			end(t, l)
			sound(t, dir, 12)
		})
	}
}

// TestEachFailure fails one single write, sync or cut after another, at each place
// of a history with rotation and pruning: a record is acknowledged if and only if
// it is there afterwards.
func TestEachFailure(t *testing.T) {
	for failing := 1; ; failing++ {
		dir := filepath.Join(inMemory(t), "log")
		disk := &faulty{}
		l := begin(t, dir, Options{SegmentBytes: 400, MaxBytes: 1 << 20, files: disk})
		disk.set(func() {
			disk.failing, disk.writes = failing, 0
			disk.write, disk.make, disk.cut, disk.sync = unix.EIO, unix.EIO, unix.EIO, unix.EIO
		})
		var acknowledged []string
		for i := range 14 {
			if _, err := l.Append(context.Background(), payload(i)); err == nil {
				acknowledged = append(acknowledged, string(payload(i)))
			}
		}
		done := disk.writes < failing
		end(t, l)
		data, r := read(t, dir)
		if !slices.Equal(data, acknowledged) || !r.Sound() || len(acknowledged) < 13 {
			t.Fatalf("failure %d: %d acknowledged, %d there, %v", failing, len(acknowledged), len(data), r.Findings)
		}
		if done {
			if failing < 60 {
				t.Fatalf("only %d places to fail at", failing)
			}
			return
		}
	}
}

// TestHungDisk: nobody waits past their deadline, and the log goes on when the disk
// does.
func TestHungDisk(t *testing.T) {
	dir := filepath.Join(inMemory(t), "log")
	disk := &faulty{}
	l := begin(t, dir, Options{QueueRequests: 2, files: disk})
	put(t, l, 0, 2)
	hang := make(chan struct{})
	disk.set(func() { disk.hang = hang })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Append(ctx, payload(2)); !errors.Is(err, ErrDeadline) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append: %v", err)
	}
	for range 4 { // the queue fills
		if _, err := l.Append(ctx, payload(9)); err == nil {
			t.Error("stored on a hung disk")
		}
	}
	if err := l.Close(ctx); !errors.Is(err, ErrDeadline) {
		t.Errorf("close: %v", err)
	}
	disk.set(func() { disk.hang = nil })
	close(hang)
	<-l.stopped
	data, r := read(t, dir)
	if len(data) < 3 || !slices.Equal(data[:3], want(3)) || !r.Sound() {
		t.Errorf("%q %v", data, r.Findings)
	}
}

// TestReadOnlyFolder: a log that cannot be written is an error that names the cure.
func TestReadOnlyOpen(t *testing.T) {
	disk := &faulty{}
	disk.make = unix.EROFS
	if _, err := Open(filepath.Join(inMemory(t), "log"), Options{files: disk}); !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "replace the card") {
		t.Errorf("%v", err)
	}
}

// TestFullDiskAtOpen: marks that cannot be written do not keep a log from opening,
// and are written with the first record.
func TestFullDiskAtOpen(t *testing.T) {
	files := small(t, 11)
	files["00000003.segment"] = append(files["00000003.segment"], 1, 2, 3)
	dir := restore(t, files)
	disk := &faulty{}
	disk.write = unix.ENOSPC
	l := begin(t, dir, Options{SegmentBytes: 330, files: disk})
	if len(l.Notes()) != 1 {
		t.Errorf("%q", l.Notes())
	}
	disk.set(func() { disk.write = nil })
	put(t, l, 11, 12)
	end(t, l)
	if r := sound(t, dir, 12); len(r.Marks) != 1 || r.Marks[0].What != MarkTorn {
		t.Errorf("%+v", r.Marks)
	}
}

// powered is a disk that loses its power: what was not synced is lost in part, and
// in any order.
type powered struct {
	mutex sync.Mutex
	files map[string]*poweredFile
}

type poweredFile struct {
	p      *powered
	onDisk file
	path   string
	synced []byte
	writes []write // since the last sync
}

type write struct {
	at   int64
	data []byte
}

func (p *powered) add(path string, onDisk file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	f := p.files[path]
	if f == nil {
		f = &poweredFile{p: p, path: path}
		p.files[path] = f
	}
	f.onDisk = onDisk
	return f, nil
}

func (p *powered) open(path string) (file, error) {
	onDisk, err := disk{}.open(path)
	return p.add(path, onDisk, err)
}

func (p *powered) create(path string) (file, error) {
	onDisk, err := disk{}.create(path)
	return p.add(path, onDisk, err)
}

func (p *powered) remove(path string) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.files, path)
	return disk{}.remove(path)
}

func (p *powered) syncFolder(string) error { return nil }

func (f *poweredFile) WriteAt(data []byte, at int64) (int, error) {
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	f.writes = append(f.writes, write{at, bytes.Clone(data)})
	return f.onDisk.WriteAt(data, at)
}

func (f *poweredFile) Sync() error {
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	for _, w := range f.writes {
		f.synced = overlay(f.synced, w.at, w.data)
	}
	f.writes = nil
	return nil
}

func (f *poweredFile) Truncate(size int64) error {
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	f.synced = f.synced[:min(int64(len(f.synced)), size)]
	return f.onDisk.Truncate(size)
}

func (f *poweredFile) Close() error { return f.onDisk.Close() }

func overlay(data []byte, at int64, with []byte) []byte {
	if need := int(at) + len(with); need > len(data) {
		data = append(data, make([]byte, need-len(data))...)
	}
	copy(data[at:], with)
	return data
}

// lose gives what is on the disk after a power cut now: of what was not synced,
// each 16 bytes are there, or zero, or as before.
func (p *powered) lose(r *rand.Rand) map[string][]byte {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	out := map[string][]byte{}
	for path, f := range p.files {
		data := bytes.Clone(f.synced)
		for _, w := range f.writes {
			keep := r.IntN(len(w.data) + 1)
			for from := 0; from < keep; from += 16 {
				part := w.data[from:min(from+16, keep)]
				if r.IntN(8) == 0 {
					part = make([]byte, len(part))
				}
				data = overlay(data, w.at+int64(from), part)
			}
		}
		name := filepath.Base(path)
		if name == "log.head" {
			name = "head"
		}
		out[name] = data
	}
	return out
}

// TestPowerCut cuts the power in the middle of 300 histories of several writers:
// everything that was acknowledged before is there, in order, and the log goes on.
func TestPowerCut(t *testing.T) {
	for seed := range uint64(300) {
		powerCut(t, rand.New(rand.NewPCG(seed, 2)), seed)
	}
}

func powerCut(t *testing.T, r *rand.Rand, seed uint64) {
	dir := filepath.Join(inMemory(t), "log")
	disk := &powered{files: map[string]*poweredFile{}}
	l := begin(t, dir, Options{SegmentBytes: 700, files: disk})
	var mutex sync.Mutex
	acknowledged := map[string]uint64{}
	var wait sync.WaitGroup
	for w := range 3 {
		wait.Go(func() {
			for i := range 15 {
				text := fmt.Sprintf("seed %d, %d/%d", seed, w, i)
				at, err := l.Append(context.Background(), []byte(text))
				if err != nil {
					t.Error(err)
					return
				}
				mutex.Lock()
				acknowledged[text] = at.Index
				mutex.Unlock()
			}
		})
	}
	for range r.IntN(30) {
		time.Sleep(10 * time.Microsecond)
	}
	mutex.Lock()
	before := map[string]uint64{}
	for text, index := range acknowledged {
		before[text] = index
	}
	mutex.Unlock()
	left := disk.lose(r) // all that is acknowledged so far is synced already
	wait.Wait()
	end(t, l)
	dir = restore(t, left)
	l = begin(t, dir, Options{SegmentBytes: 700, files: unsynced{}})
	put(t, l, 0, 1)
	end(t, l)
	places := map[string]uint64{}
	report, err := Walk(dir, ReadOptions{Head: HeadOf(dir), Visit: func(e Entry) error {
		places[string(e.Payload)] = e.Index
		return nil
	}})
	if err != nil || !report.Sound() {
		t.Fatalf("seed %d: %v %v (%v)", seed, err, report.Findings, l.Notes())
	}
	for text, index := range before {
		if at, there := places[text]; !there || at != index {
			t.Fatalf("seed %d: record %d was acknowledged and is lost (%v)", seed, index, l.Notes())
		}
	}
	for _, m := range report.Marks {
		if m.What == MarkLost || m.What == MarkHead {
			t.Fatalf("seed %d: a power cut looks like a loss: %+v", seed, m)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := begin(b, filepath.Join(b.TempDir(), "log"), Options{})
			text := make([]byte, 600)
			b.SetParallelism(writers)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := l.Append(context.Background(), text); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(l.Counters().Commits)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "log")
	l := begin(b, dir, Options{files: unsynced{}})
	text := make([]byte, 600)
	var wait sync.WaitGroup
	const records = 50_000
	for range 50 {
		wait.Go(func() {
			for range records / 50 {
				if _, err := l.Append(context.Background(), text); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	end(b, l)
	b.ResetTimer()
	for b.Loop() {
		r, err := Walk(dir, ReadOptions{Head: HeadOf(dir)})
		if err != nil || !r.Sound() || r.Records != records {
			b.Fatal(r, err)
		}
		b.SetBytes(r.Bytes)
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
