package gossip

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dancer/mesh/impedance"
)

// member starts a member with a fast failure detector and ends it with the test.
func member(t *testing.T, cell, name string, change func(*Options)) *Gossip {
	t.Helper()
	o := Options{Name: name, Cell: cell, probe: 200 * time.Millisecond, Impedance: func() impedance.Record {
		return impedance.Record{Class: impedance.ClassLocal, ProcessingMS: 2, Reliability: 1, Operation: impedance.Active}
	}}
	if change != nil {
		change(&o)
	}
	g, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Leave(context.Background()) })
	return g
}

// until polls a condition to a deadline that only a broken program reaches.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func alive(g *Gossip) (n int) {
	for _, m := range g.Members() {
		if m.Alive {
			n++
		}
	}
	return n
}

func TestFiveFindEachOther(t *testing.T) {
	cell := fmt.Sprintf("t%d", time.Now().UnixNano())
	var all []*Gossip
	for i := range 5 {
		all = append(all, member(t, cell, fmt.Sprintf("robot-%d", i), nil))
	}
	for _, g := range all {
		until(t, "five alive with records", func() bool {
			n := 0
			for _, m := range g.Members() {
				if m.Alive && m.Record != nil && m.Record.Cell == cell && m.Record.Score > 0 {
					n++
				}
			}
			return n == 5
		})
	}
}
