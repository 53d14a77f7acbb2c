package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt trusts its file: a damaged page panics in goroutines of its own or
// faults in the memory map, and ends the process. So the file is read through
// plain bounds-checked reads before bbolt maps it. The layout below is bbolt's
// format 2, little endian; bbolt has kept it since 2014.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader    = 16 // id u64, flags u16, count u16, overflow u32
	elementBytes  = 16
	bucketHeader  = 16 // root u64, sequence u64
	maxPageBytes  = 64 << 10
	maxRunBytes   = 64 << 20 // one page with its overflow
	maxDepth      = 64
	noFreelist    = ^uint64(0)
	manyFree      = 0xFFFF
	flagBranch    = 0x01
	flagLeaf      = 0x02
	flagFreelist  = 0x10
	elementBucket = 0x01
)

// verifier walks one file.
type verifier struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64 // number of pages in use, free ones included
	root     uint64
	freelist uint64
	owner    []byte // per page: 0 none, 1 reachable, 2 free
}

// Owners of a page.
const (
	unowned byte = iota
	reachable
	free
)

// verify reads the whole file, or only its meta pages and free list when full is
// false, and gives the first fault. Faults of the disk are errors as well.
func verify(path string, full bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v := &verifier{file: f}
	if err := v.metas(info.Size()); err != nil {
		return err
	}
	v.owner = make([]byte, v.pages)
	if err := v.readFreelist(); err != nil || !full {
		return err
	}
	return v.bucket(v.root, 0)
}

// metas chooses the newest sound meta page, as bbolt does.
func (v *verifier) metas(size int64) error {
	newest, found := uint64(0), false
	for _, at := range v.metaOffsets(size) {
		data := make([]byte, 64)
		if _, err := v.file.ReadAt(data, at+pageHeader); err != nil {
			continue
		}
		sum := fnv.New64a()
		_, _ = sum.Write(data[:56])
		if binary.LittleEndian.Uint32(data) != boltMagic || binary.LittleEndian.Uint32(data[4:]) != boltVersion || binary.LittleEndian.Uint64(data[56:]) != sum.Sum64() {
			continue
		}
		if txid := binary.LittleEndian.Uint64(data[48:]); found && txid < newest {
			continue
		} else {
			newest, found = txid, true
		}
		v.pageSize = int64(binary.LittleEndian.Uint32(data[8:]))
		v.root, v.freelist, v.pages = binary.LittleEndian.Uint64(data[16:]), binary.LittleEndian.Uint64(data[32:]), binary.LittleEndian.Uint64(data[40:])
	}
	switch {
	case !found:
		return errors.New("no sound meta page")
	case v.pageSize < 1024 || v.pageSize > maxPageBytes:
		return fmt.Errorf("page size %d", v.pageSize)
	case v.pages > uint64(size/v.pageSize):
		return fmt.Errorf("it has %d bytes of %d pages", size, v.pages)
	}
	return nil
}

// metaOffsets: the first meta page is at 0, the second one page on, and the page
// size is known only from either.
func (v *verifier) metaOffsets(size int64) []int64 {
	offsets := []int64{0}
	for at := int64(1024); at <= maxPageBytes && at < size; at *= 2 {
		offsets = append(offsets, at)
	}
	return offsets
}

// page reads a page with its overflow and checks its header.
func (v *verifier) page(id uint64, want ...uint16) (data []byte, flags uint16, count int, err error) {
	if id < 2 || id >= v.pages {
		return nil, 0, 0, fmt.Errorf("page %d of %d", id, v.pages)
	}
	head := make([]byte, pageHeader)
	if _, err := v.file.ReadAt(head, int64(id)*v.pageSize); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	flags, count = binary.LittleEndian.Uint16(head[8:]), int(binary.LittleEndian.Uint16(head[10:]))
	overflow := uint64(binary.LittleEndian.Uint32(head[12:]))
	length := (overflow + 1) * uint64(v.pageSize)
	switch {
	case binary.LittleEndian.Uint64(head) != id:
		return nil, 0, 0, fmt.Errorf("page %d says it is %d", id, binary.LittleEndian.Uint64(head))
	case id+overflow >= v.pages || length > maxRunBytes:
		return nil, 0, 0, fmt.Errorf("page %d runs over %d pages", id, overflow+1)
	case !containsFlag(want, flags):
		return nil, 0, 0, fmt.Errorf("page %d has flags %#x", id, flags)
	}
	for n := range overflow + 1 {
		if v.owner[id+n] != unowned {
			return nil, 0, 0, fmt.Errorf("page %d is used twice or freed", id+n)
		}
		v.owner[id+n] = reachable
	}
	data = make([]byte, length)
	if _, err := v.file.ReadAt(data, int64(id)*v.pageSize); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	return data, flags, count, nil
}

func containsFlag(want []uint16, flags uint16) bool {
	for _, w := range want {
		if w == flags {
			return true
		}
	}
	return false
}

// readFreelist marks the free pages.
func (v *verifier) readFreelist() error {
	if v.freelist == noFreelist {
		return nil
	}
	data, _, count, err := v.page(v.freelist, flagFreelist)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	ids, n := data[pageHeader:], uint64(count)
	if count == manyFree {
		n, ids = binary.LittleEndian.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("free list of %d pages does not fit its page", n)
	}
	for i := range n {
		id := binary.LittleEndian.Uint64(ids[8*i:])
		if id < 2 || id >= v.pages || v.owner[id] != unowned {
			return fmt.Errorf("free list names page %d, which is in use or free already", id)
		}
		v.owner[id] = free
	}
	return nil
}

// bounds of the keys of a subtree: low <= key < high; nil is open.
type bounds struct{ low, high []byte }

// bucket walks the tree of a bucket.
func (v *verifier) bucket(root uint64, depth int) error {
	return v.tree(root, bounds{}, depth)
}

func (v *verifier) tree(id uint64, b bounds, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d: the tree is too deep", id)
	}
	data, flags, count, err := v.page(id, flagBranch, flagLeaf)
	if err != nil {
		return err
	}
	if flags == flagLeaf {
		return v.leaf(id, data, count, b, depth)
	}
	if count == 0 {
		return fmt.Errorf("page %d: a branch without elements", id)
	}
	return v.branch(id, data, count, b, depth)
}

func (v *verifier) branch(id uint64, data []byte, count int, b bounds, depth int) error {
	keys, children := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := pageHeader + i*elementBytes
		element, ok := cut(data, at, elementBytes)
		if !ok {
			return fmt.Errorf("page %d: element %d is outside", id, i)
		}
		position, size := binary.LittleEndian.Uint32(element), binary.LittleEndian.Uint32(element[4:])
		if keys[i], ok = span(data, at, position, size); !ok {
			return fmt.Errorf("page %d: key %d is outside", id, i)
		}
		children[i] = binary.LittleEndian.Uint64(element[8:])
	}
	for i := range count {
		low, high := keys[i], b.high
		if i+1 < count {
			high = keys[i+1]
		}
		if i == 0 {
			low = b.low // the first key of a branch may be stale
		} else if bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return fmt.Errorf("page %d: keys out of order", id)
		}
		if err := v.tree(children[i], bounds{low, high}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the elements of a leaf page, or of a bucket that is kept inside
// one.
func (v *verifier) leaf(id uint64, data []byte, count int, b bounds, depth int) error {
	last := []byte(nil)
	for i := range count {
		at := pageHeader + i*elementBytes
		element, ok := cut(data, at, elementBytes)
		if !ok {
			return fmt.Errorf("page %d: element %d is outside", id, i)
		}
		flags, position := binary.LittleEndian.Uint32(element), binary.LittleEndian.Uint32(element[4:])
		keySize, valueSize := binary.LittleEndian.Uint32(element[8:]), binary.LittleEndian.Uint32(element[12:])
		key, ok := span(data, at, position, keySize)
		value, ok2 := span(data, at, position+keySize, valueSize)
		switch {
		case !ok || !ok2 || uint64(position)+uint64(keySize) > maxRunBytes:
			return fmt.Errorf("page %d: element %d is outside", id, i)
		case len(key) == 0 || i > 0 && bytes.Compare(last, key) >= 0,
			b.low != nil && bytes.Compare(key, b.low) < 0, b.high != nil && bytes.Compare(key, b.high) >= 0:
			return fmt.Errorf("page %d: keys out of order", id)
		case flags > elementBucket:
			return fmt.Errorf("page %d: element %d has flags %#x", id, i, flags)
		}
		last = key
		if flags == elementBucket {
			if err := v.child(id, value, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// child walks a bucket in a bucket: by its root page, or in place.
func (v *verifier) child(id uint64, value []byte, depth int) error {
	if len(value) < bucketHeader || depth > maxDepth {
		return fmt.Errorf("page %d: a bucket of %d bytes", id, len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return v.bucket(root, depth)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != flagLeaf {
		return fmt.Errorf("page %d: a bucket without its page", id)
	}
	return v.leaf(id, inline, int(binary.LittleEndian.Uint16(inline[10:])), bounds{}, depth)
}

func cut(data []byte, at, length int) ([]byte, bool) {
	if at < 0 || length < 0 || at+length > len(data) {
		return nil, false
	}
	return data[at : at+length], true
}

// span gives what an element at a place points to, relative to itself.
func span(data []byte, at int, position, size uint32) ([]byte, bool) {
	from, to := uint64(at)+uint64(position), uint64(at)+uint64(position)+uint64(size)
	if to > uint64(len(data)) {
		return nil, false
	}
	return data[from:to], true
}
