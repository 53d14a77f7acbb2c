package config

import "dancer/boards"

// PinUses lists what the robot does with the pins of its board: its signals, its
// outputs, and the ports and I2C buses whose device the board brings out.
func (r *Robot) PinUses() []boards.Use {
	var uses []boards.Use
	for i := range r.Inputs {
		if in := &r.Inputs[i]; in.HasPin {
			uses = append(uses, boards.Use{Pin: placeOf(&in.Pin), Line: in.Pin.Name, By: "signal " + r.Manual.Measured()[i].Name, As: asInput})
		}
	}
	for i := range r.Drives {
		d := &r.Drives[i]
		if !d.HasPin {
			continue
		}
		as := asOutput
		switch {
		case d.Servo.High > 0:
			as = "servo"
		case d.PWM > 0:
			as = "pwm"
		}
		uses = append(uses, boards.Use{Pin: placeOf(&d.Pin), Line: d.Pin.Name, By: "output " + r.Manual.Outputs[i].Name, As: as})
	}
	for i := range r.Ports {
		p := &r.Ports[i]
		for _, pin := range devicePins(&r.Board, p.Device) {
			uses = append(uses, boards.Use{Pin: pin, By: "port " + p.Name, As: p.Device})
		}
	}
	for i := range r.Buses {
		b := &r.Buses[i]
		for _, pin := range devicePins(&r.Board, b.Device) {
			uses = append(uses, boards.Use{Pin: pin, By: "I2C bus", As: b.Device})
		}
	}
	return uses
}

// placeOf is where a line is on its board's header, "" when nowhere.
func placeOf(l *boards.Line) string {
	if l.Header == 0 {
		return ""
	}
	return l.Pin()
}
