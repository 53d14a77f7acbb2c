package boards

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestProfilesAreComplete(t *testing.T) {
	want := []string{"jetson-orin-nano", "linux", "raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2-w", "sim"}
	if got := strings.Join(Names(), " "); got != strings.Join(want, " ") {
		t.Fatalf("boards are %s, want %s", got, strings.Join(want, " "))
	}
	for _, name := range want {
		p, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.Title == "" || p.Source == "" || len(p.Notes) == 0 {
			t.Errorf("%s: name, title, source or notes are missing: %+v", name, p)
		}
		if !p.Simulated && !p.Open {
			checkHeader(t, p)
		}
	}
}

func checkHeader(t *testing.T, p Profile) {
	t.Helper()
	if len(p.Models) == 0 || p.Chip == "" {
		t.Errorf("%s: models or chip are missing", p.Name)
	}
	pins, offsets := map[int]bool{}, map[int]bool{}
	for _, l := range p.Lines {
		if pins[l.Header] || offsets[l.Offset] || p.Power[l.Header] != "" {
			t.Errorf("%s: pin %d or line %d is there twice", p.Name, l.Header, l.Offset)
		}
		pins[l.Header], offsets[l.Offset] = true, true
		if l.Chip != p.Chip {
			t.Errorf("%s: %s is on chip %q", p.Name, l.Name, l.Chip)
		}
	}
	if len(pins)+len(p.Power) != 40 {
		t.Errorf("%s: %d of 40 header pins are described", p.Name, len(pins)+len(p.Power))
	}
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		board, name string
		want        Line
		err         string
	}{
		{"raspberry-pi-4", "GPIO17", Line{Name: "GPIO17", Chip: "pinctrl-bcm2711", Offset: 17, Header: 11}, ""},
		{"raspberry-pi-5", "gpio17", Line{Name: "GPIO17", Chip: "pinctrl-rp1", Offset: 17, Header: 11}, ""},
		{"raspberry-pi-zero-2-w", "pin 11", Line{Name: "GPIO17", Chip: "pinctrl-bcm2835", Offset: 17, Header: 11}, ""},
		{"jetson-orin-nano", "PQ.05", Line{Name: "PQ.05", Chip: "tegra234-gpio", Offset: 105, LineName: "PQ.05", Header: 29, Use: "GPIO01"}, ""},
		{"jetson-orin-nano", "Pin 29", Line{Name: "PQ.05", Chip: "tegra234-gpio", Offset: 105, LineName: "PQ.05", Header: 29, Use: "GPIO01"}, ""},
		{"linux", "gpiochip2/17", Line{Name: "gpiochip2/17", Chip: "gpiochip2", Offset: 17}, ""},
		{"linux", "GPIO17", Line{Name: "GPIO17", Offset: -1, LineName: "GPIO17"}, ""},
		{"sim", "anything", Line{Name: "anything", Offset: -1, LineName: "anything"}, ""},
		{"raspberry-pi-4", "GPIO99", Line{}, "board raspberry-pi-4 has no pin GPIO99"},
		{"raspberry-pi-4", "", Line{}, "board raspberry-pi-4 has no pin "},
		{"raspberry-pi-4", "pin 6", Line{}, "pin 6 of board raspberry-pi-4 is ground, not a GPIO line"},
		{"raspberry-pi-4", "pin 41", Line{}, "board raspberry-pi-4 has no pin pin 41"},
		{"linux", "gpiochip0/x", Line{}, "board linux has no pin gpiochip0/x"},
		{"linux", "pin 11", Line{}, "board linux has no pin pin 11"},
	} {
		p, err := Get(c.board)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Line(c.name)
		if got != c.want {
			t.Errorf("%s %q: got %+v, want %+v", c.board, c.name, got, c.want)
		}
		if text := message(err); text != c.err {
			t.Errorf("%s %q: error %q, want %q", c.board, c.name, text, c.err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestGetUnknown(t *testing.T) {
	var unknown *UnknownBoardError
	if _, err := Get("raspberry-pi-9"); !errors.As(err, &unknown) || unknown.Name != "raspberry-pi-9" {
		t.Errorf("got %v", err)
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct{ file, model, want string }{
		{"proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\x00", "raspberry-pi-4"},
		{"proc/device-tree/model", "Raspberry Pi 3 Model B Plus Rev 1.3\x00", "raspberry-pi-3"},
		{"sys/firmware/devicetree/base/model", "Raspberry Pi 5 Model B Rev 1.0\x00", "raspberry-pi-5"},
		{"proc/device-tree/model", "Raspberry Pi Zero 2 W Rev 1.0\x00", "raspberry-pi-zero-2-w"},
		{"proc/device-tree/model", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\x00", "jetson-orin-nano"},
		{"proc/device-tree/model", "linux,dummy-virt\x00", "linux"},
		{"etc/hostname", "x", "linux"},
	} {
		got, err := Detect(fstest.MapFS{c.file: {Data: []byte(c.model)}})
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.model, got, err, c.want)
		}
	}
}

func TestDetectReportsAnUnreadableModel(t *testing.T) {
	if _, err := Detect(broken{}); err == nil || !strings.Contains(err.Error(), "read board model") {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Open(string) (fs.File, error) { return nil, fs.ErrPermission }
