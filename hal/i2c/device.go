package i2c

import (
	"encoding/binary"

	"periph.io/x/conn/v3"
)

// device is a chip's connection with the buffers of its transfers: what is handed to
// a bus escapes, so that buffers of a call would be allocated.
type device struct {
	conn conn.Conn
	out  [34]byte
	in   [34]byte
}

// read reads n bytes from a register on. They are good until the next read.
func (d *device) read(register byte, n int) ([]byte, error) {
	d.out[0] = register
	err := d.conn.Tx(d.out[:1], d.in[:n])
	return d.in[:n], err
}

// readByte reads one register.
func (d *device) readByte(register byte) (byte, error) {
	b, err := d.read(register, 1)
	return b[0], err
}

// readWord reads a register of 16 bits, the high byte first.
func (d *device) readWord(register byte) (uint16, error) {
	b, err := d.read(register, 2)
	return binary.BigEndian.Uint16(b), err
}

// writeByte writes one register.
func (d *device) writeByte(register, value byte) error {
	d.out[0], d.out[1] = register, value
	return d.conn.Tx(d.out[:2], nil)
}

// writeWord writes a register of 16 bits, the high byte first.
func (d *device) writeWord(register byte, value uint16) error {
	d.out[0] = register
	binary.BigEndian.PutUint16(d.out[1:], value)
	return d.conn.Tx(d.out[:3], nil)
}

// pair is a register and what to write to it.
type pair struct{ register, value byte }

// writeAll writes registers in their order, each by itself.
func (d *device) writeAll(pairs []pair) error {
	for _, p := range pairs {
		if err := d.writeByte(p.register, p.value); err != nil {
			return err
		}
	}
	return nil
}

// read16 and write16 are for chips whose registers have numbers of 16 bits.
func (d *device) read16(register uint16, n int) ([]byte, error) {
	binary.BigEndian.PutUint16(d.out[:], register)
	err := d.conn.Tx(d.out[:2], d.in[:n])
	return d.in[:n], err
}

func (d *device) write16(register uint16, values []byte) error {
	binary.BigEndian.PutUint16(d.out[:], register)
	n := copy(d.out[2:], values)
	return d.conn.Tx(d.out[:2+n], nil)
}

func (d *device) write16Byte(register uint16, value byte) error {
	binary.BigEndian.PutUint16(d.out[:], register)
	d.out[2] = value
	return d.conn.Tx(d.out[:3], nil)
}
