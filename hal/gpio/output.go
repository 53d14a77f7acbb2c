//go:build linux

package gpio

import (
	"errors"

	"github.com/warthog618/go-gpiocdev/uapi"
)

// Outputs are the output lines of a robot, requested together. Levels are
// logical: ActiveLow is taken care of.
type Outputs struct {
	kernel *kernel
	lines  []outputLine
	chips  []outputChip
	values uapi.LineValues
	closed bool
}

// outputLine is where one output is.
type outputLine struct {
	chip int // index into chips
	bit  int
	gone *Error // prepared, so that the hot path does not allocate
}

// outputChip is the request for the lines of one chip, which change together.
type outputChip struct {
	fd   int
	mask uapi.LineBitmap
	safe uapi.LineBitmap
}

// RequestOutputs requests lines as outputs that are at their safe level from
// the first moment on. If one is refused, the others are made safe as well and none
// stays requested; the errors are *Errors, one for each line that is refused. At most
// 64 lines of one chip.
func RequestOutputs(configs []OutputConfig) (*Outputs, error) {
	return requestOutputs(system(), configs)
}

func requestOutputs(k *kernel, configs []OutputConfig) (*Outputs, error) {
	o, err := requestTogether(k, configs)
	if err == nil {
		return o, nil
	}
	if each := safeAlone(k, configs); each != nil {
		err = each
	}
	return nil, err
}

// safeAlone brings each line that can be had to its safe level and gives it back, most
// chips keep it: a motor must not run on because another's line is busy. The error
// names every line that cannot be had.
func safeAlone(k *kernel, configs []OutputConfig) error {
	var failed []error
	for i := range configs {
		o, err := requestTogether(k, configs[i:i+1])
		if err == nil {
			err = o.Close()
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func requestTogether(k *kernel, configs []OutputConfig) (*Outputs, error) {
	o := &Outputs{kernel: k, lines: make([]outputLine, len(configs))}
	places := make([]place, 0, len(configs))
	defer func() {
		for _, at := range places {
			k.close(at.fd)
		}
	}()
	for _, c := range configs {
		at, err := k.find(c.Line)
		if err != nil {
			return nil, err
		}
		places = append(places, at)
	}
	for first, at := range places {
		if chipTaken(places[:first], at.path) {
			continue
		}
		if err := o.requestChip(configs, places, first); err != nil {
			return nil, errors.Join(err, o.Close())
		}
	}
	return o, nil
}

func chipTaken(places []place, path string) bool {
	for _, at := range places {
		if at.path == path {
			return true
		}
	}
	return false
}

// requestChip requests all lines on the chip of places[first].
func (o *Outputs) requestChip(configs []OutputConfig, places []place, first int) error {
	var members []int
	for i := first; i < len(places); i++ {
		if places[i].path == places[first].path {
			members = append(members, i)
		}
	}
	if len(members) > uapi.LinesMax {
		return fail(configs[members[uapi.LinesMax]].Line, ErrUnsupported, "more than 64 outputs on one chip", "")
	}
	r, safe := outputRequest(configs, places, members)
	if err := o.kernel.request(places[first].fd, &r); err != nil {
		return o.refused(configs, places, members, err)
	}
	for bit, i := range members {
		gone := &Error{Verb: "set", Line: configs[i].Line.String(), Cause: ErrGone, Hint: "plug its adapter in again, or load its driver, and restart the robot"}
		o.lines[i] = outputLine{chip: len(o.chips), bit: bit, gone: gone}
	}
	o.chips = append(o.chips, outputChip{fd: int(r.Fd), mask: uapi.NewLineBitMask(len(members)), safe: safe})
	return nil
}

// refused blames the line that is in use, or else the first.
func (o *Outputs) refused(configs []OutputConfig, places []place, members []int, err error) error {
	blamed := members[0]
	for _, i := range members {
		info, infoErr := o.kernel.info(places[i].fd, places[i].offset)
		if infoErr == nil && info.Flags.IsUsed() {
			blamed = i
			break
		}
	}
	return o.kernel.requestError(configs[blamed].Line, places[blamed], err)
}

// outputRequest encodes a request for several lines, the safe levels in it.
func outputRequest(configs []OutputConfig, places []place, members []int) (uapi.LineRequest, uapi.LineBitmap) {
	r := uapi.LineRequest{Lines: uint32(len(members))}
	copy(r.Consumer[:len(r.Consumer)-1], Consumer)
	r.Config.Flags = uapi.LineFlagV2Output
	var safe, low uapi.LineBitmap
	for bit, i := range members {
		r.Offsets[bit] = uint32(places[i].offset)
		if configs[i].Safe {
			safe = safe.Set(bit, 1)
		}
		if configs[i].ActiveLow {
			low = low.Set(bit, 1)
		}
	}
	if low != 0 {
		flags := uapi.LineFlagV2Output | uapi.LineFlagV2ActiveLow
		r.Config.AddAttribute(uapi.LineConfigAttribute{Attr: flags.Encode(), Mask: low})
	}
	mask := uapi.NewLineBitMask(len(members))
	r.Config.AddAttribute(uapi.LineConfigAttribute{Attr: uapi.OutputValues(safe).Encode(), Mask: mask})
	return r, safe
}

// Len is the number of outputs.
func (o *Outputs) Len() int { return len(o.lines) }

// Set drives output i, in the order of the configs.
func (o *Outputs) Set(i int, active bool) error {
	if o.closed {
		return ErrClosed
	}
	l := &o.lines[i]
	o.values = uapi.LineValues{Mask: 1 << l.bit}
	if active {
		o.values.Bits = 1 << l.bit
	}
	if err := o.kernel.set(o.chips[l.chip].fd, &o.values); err != nil {
		return l.gone
	}
	return nil
}

// Get reads the level of output i back.
func (o *Outputs) Get(i int) (bool, error) {
	if o.closed {
		return false, ErrClosed
	}
	l := &o.lines[i]
	o.values = uapi.LineValues{Mask: 1 << l.bit}
	if err := o.kernel.get(o.chips[l.chip].fd, &o.values); err != nil {
		return false, l.gone
	}
	return o.values.Bits&(1<<l.bit) != 0, nil
}

// Halt drives every output to its safe level, the lines of one chip at once. It
// goes on after an error and gives all of them.
func (o *Outputs) Halt() error {
	if o.closed {
		return ErrClosed
	}
	var failed []error
	for i := range o.lines {
		c := &o.chips[o.lines[i].chip]
		if o.lines[i].bit != 0 {
			continue // not the first of its chip
		}
		o.values = uapi.LineValues{Mask: c.mask, Bits: c.safe}
		if err := o.kernel.set(c.fd, &o.values); err != nil {
			failed = append(failed, o.lines[i].gone)
		}
	}
	return errors.Join(failed...)
}

// Close halts and gives the lines back; most chips then keep the level. A
// second Close does nothing.
func (o *Outputs) Close() error {
	if o.closed {
		return nil
	}
	var failed []error
	for _, c := range o.chips {
		o.values = uapi.LineValues{Mask: c.mask, Bits: c.safe}
		failed = append(failed, o.kernel.set(c.fd, &o.values), o.kernel.close(c.fd))
	}
	o.closed = true
	return errors.Join(failed...)
}
