package spine

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// reluctant is a device that does not open.
type reluctant struct {
	tries int
	err   func() error
}

func (r *reluctant) Reopen() error { r.tries++; return r.err() }

// TestOpenerBacksOff: what is there and refuses is tried soon and then rarely, because
// each of its errors is garbage; what refuses with an error that is prepared is tried
// every two seconds and costs nothing; what is not there is not tried.
func TestOpenerBacksOff(t *testing.T) {
	prepared := errors.New("absent")
	for _, c := range []struct {
		name        string
		device      string // "": it looks by itself
		err         func() error
		least, most int // tries in an hour
	}{
		{"refuses", "/dev/null\x00", func() error { return errors.New("busy") }, 360, 370},
		{"refuses as before", "", func() error { return prepared }, 1800, 1810},
		{"not there", "/nowhere/ttyUSB0\x00", func() error { return prepared }, 0, 0},
	} {
		r := &reluctant{err: c.err}
		p := &lostPort{kind: "port", stream: r}
		if c.device != "" {
			p.device = []byte(c.device)
		}
		p.wanted.Store(true)
		o := &opener{log: slog.New(slog.DiscardHandler)}
		now := time.Unix(0, 0)
		for end := now.Add(time.Hour); now.Before(end); now = now.Add(50 * time.Millisecond) {
			o.try(p, now)
		}
		if r.tries < c.least || r.tries > c.most {
			t.Errorf("%s: %d tries in an hour, want %d to %d", c.name, r.tries, c.least, c.most)
		}
		if c.name == "refuses" {
			continue
		}
		if n := testing.AllocsPerRun(100, func() { now = now.Add(time.Minute); o.try(p, now) }); n != 0 {
			t.Errorf("%s: %v allocations a try", c.name, n)
		}
	}
}

// TestOpenerTellsOnce: of the same cause once, and of another one.
func TestOpenerTellsOnce(t *testing.T) {
	var p lostPort
	p.told = ""
	for i, c := range []struct {
		text string
		told bool
	}{{"busy", true}, {"busy", false}, {"denied", true}, {"denied", false}, {"busy", true}} {
		if told := p.tell(errors.New(c.text)); told != c.told {
			t.Errorf("step %d: %s is told: %v", i, c.text, told)
		}
	}
	if p.tell(nil) || p.tell(p.refused) {
		t.Error("nothing, or the very same error, is told")
	}
}
