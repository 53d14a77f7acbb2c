package i2c

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// simulatedBus is a bus with chips at addresses, as registers that behave as their
// datasheets say. It is what tests put in the place of the kernel's.
type simulatedBus struct {
	chips map[uint16]simulated
	fail  func(address uint16) error // asked before each transfer
	taken map[uint16]bool
	block chan struct{} // transfers wait for it while it is there
	open  bool
}

// simulated is one chip: a transfer writes w, then reads r.
type simulated interface {
	transfer(w, r []byte) error
}

func (b *simulatedBus) String() string                  { return "simulated" }
func (b *simulatedBus) SetSpeed(physic.Frequency) error { return nil }
func (b *simulatedBus) Close() error                    { b.open = false; return nil }
func (b *simulatedBus) Claim(address uint16) error {
	if b.taken[address] {
		return ErrTaken
	}
	return nil
}

func (b *simulatedBus) Tx(address uint16, w, r []byte) error {
	if b.fail != nil {
		if err := b.fail(address); err != nil {
			return err
		}
	}
	chip := b.chips[address]
	if chip == nil {
		return ErrSilent
	}
	return chip.transfer(w, r)
}

// registers8 is a chip with 256 registers of 8 bits: the first byte written is a
// register's number, which goes up with each byte that follows. written is every
// register that was written, in order.
type registers8 struct {
	at      byte
	values  [256]byte
	written []string
	quiet   bool // nothing is noted in written
	onWrite func(register, value byte)
	onRead  func(register byte)
}

func (c *registers8) transfer(w, r []byte) error {
	if len(w) > 0 {
		c.at = w[0]
		for _, v := range w[1:] {
			c.values[c.at] = v
			if !c.quiet {
				c.written = append(c.written, fmt.Sprintf("%02x=%02x", c.at, v))
			}
			if c.onWrite != nil {
				c.onWrite(c.at, v)
			}
			c.at++
		}
	}
	if len(r) > 0 && c.onRead != nil {
		c.onRead(c.at)
	}
	for i := range r {
		r[i] = c.values[c.at]
		c.at++
	}
	return nil
}

// words is a chip with registers of 16 bits, the high byte first.
type words struct {
	at      byte
	values  map[byte]uint16
	written []string
	quiet   bool // nothing is noted in written
	onWrite func(register byte, value uint16)
	onRead  func(register byte)
}

func (c *words) transfer(w, r []byte) error {
	if len(w) > 0 {
		c.at = w[0]
	}
	if len(w) == 3 {
		v := binary.BigEndian.Uint16(w[1:])
		c.values[c.at] = v
		if !c.quiet {
			c.written = append(c.written, fmt.Sprintf("%02x=%04x", c.at, v))
		}
		if c.onWrite != nil {
			c.onWrite(c.at, v)
		}
	} else if len(w) > 1 {
		return fmt.Errorf("%d bytes for a register of two", len(w)-1)
	}
	if len(r) > 0 && c.onRead != nil {
		c.onRead(c.at)
	}
	if len(r) >= 2 {
		binary.BigEndian.PutUint16(r, c.values[c.at])
	}
	return nil
}

// long is a chip whose registers have numbers of 16 bits.
type long struct {
	at      uint16
	values  [0x200]byte
	written []string
	quiet   bool // nothing is noted in written
	onWrite func(register uint16, value byte)
	onRead  func(register uint16)
}

func (c *long) transfer(w, r []byte) error {
	if len(w) > 0 {
		c.at = binary.BigEndian.Uint16(w)
		for _, v := range w[2:] {
			c.values[c.at] = v
			if !c.quiet {
				c.written = append(c.written, fmt.Sprintf("%04x=%02x", c.at, v))
			}
			if c.onWrite != nil {
				c.onWrite(c.at, v)
			}
			c.at++
		}
	}
	if len(r) > 0 && c.onRead != nil {
		c.onRead(c.at)
	}
	for i := range r {
		r[i] = c.values[c.at]
		c.at++
	}
	return nil
}

// bench steps one chip over a simulated one, in time that it counts itself.
type bench struct {
	t      *testing.T
	chip   chip
	device device
	values []float64
	now    time.Duration
	waits  []time.Duration
}

const benchAddress = 0x11

func newBench(t *testing.T, driver Driver, s Settings, used []bool, bus i2c.Bus) *bench {
	b := &bench{t: t, chip: driver.make(s, used), values: make([]float64, len(driver.Fields(s)))}
	b.device.conn = &i2c.Dev{Bus: bus, Addr: benchAddress}
	b.chip.begin()
	return b
}

func over(c simulated) *simulatedBus {
	return &simulatedBus{chips: map[uint16]simulated{benchAddress: c}}
}

// step is one step, which must be short.
func (b *bench) step() (bool, error) {
	b.t.Helper()
	wait, done, err := b.chip.step(&b.device, b.values)
	b.now += wait
	b.waits = append(b.waits, wait)
	if wait > 150*time.Millisecond {
		b.t.Fatalf("a step asks for %v", wait)
	}
	return done, err
}

// read steps until there is a reading.
func (b *bench) read() []float64 {
	b.t.Helper()
	for range 1000 {
		done, err := b.step()
		if err != nil {
			b.t.Fatal(err)
		}
		if done {
			return b.values
		}
	}
	b.t.Fatal("no reading in 1000 steps")
	return nil
}

// fails steps until there is an error.
func (b *bench) fails() error {
	b.t.Helper()
	for range 1000 {
		if _, err := b.step(); err != nil {
			return err
		}
	}
	b.t.Fatal("no error in 1000 steps")
	return nil
}

// ordered says that the parts come one after another in what was written.
func ordered(t *testing.T, written []string, parts ...string) {
	t.Helper()
	rest := written
	for _, p := range parts {
		i := 0
		for i < len(rest) && rest[i] != p {
			i++
		}
		if i == len(rest) {
			t.Fatalf("%s is not written, or not after what is before it in %s: %s", p, strings.Join(parts, " "), strings.Join(written, " "))
		}
		rest = rest[i+1:]
	}
}
