//go:build linux

package gpio

import (
	"errors"
	"strings"
	"testing"
)

// TestLook: a line is described without being requested, and every descriptor
// is given back.
func TestLook(t *testing.T) {
	b := newBoard(t)
	b.add("gpiochip0", "pinctrl-fake", "A", "B")
	k := b.kernel()
	line := Line{Chip: "pinctrl-fake", Offset: 1, Name: "B"}
	free, err := look(k, line)
	if err != nil || free.Used || free.Consumer != "" || free.Offset != 1 || !strings.HasSuffix(free.Chip, "/gpiochip0") {
		t.Errorf("free line: %+v, %v", free, err)
	}
	inputs, err := requestInputs(k, []InputConfig{{Line: line}})
	if err != nil {
		t.Fatal(err)
	}
	used, err := look(k, line)
	if err != nil || !used.Used || used.Consumer != Consumer {
		t.Errorf("requested line: %+v, %v", used, err)
	}
	if err := inputs[0].Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := look(k, Line{Chip: "other", Offset: 0}); !errors.Is(err, ErrNoChip) {
		t.Errorf("no such chip: %v", err)
	}
	if n := b.leaked(); n != 0 {
		t.Errorf("%d descriptors are still open", n)
	}
}
