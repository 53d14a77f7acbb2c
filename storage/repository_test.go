package storage_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"dancer/storage"
)

// memory is the dumbest port: tables of sorted keys.
type memory map[string]map[string][]byte

func (m memory) Write(_ context.Context, changes ...storage.Change) error {
	return m.Enqueue(changes...)
}

func (m memory) Enqueue(changes ...storage.Change) error {
	for _, c := range changes {
		if m[c.Table] == nil {
			m[c.Table] = map[string][]byte{}
		}
		if c.Delete {
			delete(m[c.Table], c.Key)
		} else {
			m[c.Table][c.Key] = c.Value
		}
	}
	return nil
}

func (m memory) Get(table, key string) ([]byte, error) {
	if v, ok := m[table][key]; ok {
		return v, nil
	}
	return nil, storage.ErrNotFound
}

func (m memory) keys(table string) (out []string) {
	for key := range m[table] {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

func (m memory) Range(table, from, to string, fn func(string, []byte) error) error {
	for _, key := range m.keys(table) {
		if key >= from && (to == "" || key < to) {
			if err := fn(key, m[table][key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m memory) Newest(table string, n int, fn func(string, []byte) error) error {
	keys := m.keys(table)
	slices.Reverse(keys)
	for _, key := range keys[:min(n, len(keys))] {
		if err := fn(key, m[table][key]); err != nil {
			return err
		}
	}
	return nil
}

func (m memory) Len(table string) int { return len(m[table]) }

type note struct{ Text string }

func TestRepository(t *testing.T) {
	port, ctx := memory{}, context.Background()
	r := storage.NewRepository[note](port, storage.TableMarkers, storage.KindMarker)
	for _, key := range []string{"b", "a", "c"} {
		if err := r.Put(ctx, key, note{"text " + key}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Enqueue("d", note{"text d"}); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Get("b"); err != nil || v.Text != "text b" || r.Len() != 4 {
		t.Errorf("get: %+v %v, %d", v, err, r.Len())
	}
	newest, err := r.Newest(2)
	if err != nil || len(newest) != 2 || newest[0].Text != "text d" || newest[1].Text != "text c" {
		t.Errorf("newest: %+v %v", newest, err)
	}
	var seen []string
	if err := r.Range("b", "d", func(key string, v note) error {
		seen = append(seen, key+v.Text)
		return nil
	}); err != nil || strings.Join(seen, " ") != "btext b ctext c" {
		t.Errorf("range: %v %v", seen, err)
	}
	if err := r.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get("b"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("get a deleted key: %v", err)
	}
	port[storage.TableMarkers]["a"][20] ^= 1
	if _, err := r.Get("a"); !errors.Is(err, storage.ErrChecksum) || err.Error() != "read markers/a: checksum does not match: the record is damaged" {
		t.Errorf("get a damaged record: %v", err)
	}
	later := storage.Repository[note]{Port: port, Table: storage.TableMarkers, Kind: storage.KindMarker, Version: 2}
	if _, err := later.Get("c"); !errors.Is(err, storage.ErrVersion) {
		t.Errorf("get a record of another version: %v", err)
	}
}
