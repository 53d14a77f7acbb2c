package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"dancer/hal"
	"dancer/hal/i2c"
)

// maxChips bounds the devices on all I2C buses of a robot.
const maxChips = 64

var chipSection = section{
	title: "i2c device",
	doc:   "A sensor chip on an I2C bus; signals name it by i2c and field. See docs/i2c.md.",
	fields: []field{
		{name: "bus", form: formText, doc: "device file of the bus, e.g. /dev/i2c-1; not needed on board sim"},
		{name: "driver", form: formChoice, required: true, choices: driverNames(), doc: "what the chip is"},
		{name: "address", form: formText, doc: "its address on the bus, e.g. 0x40; default the driver's first"},
		{name: "every", form: formDuration, minimum: 0.002, maximum: 60, doc: "time between two readings, up to 1m; default and shortest the driver's"},
		{name: i2c.KeyShunt, form: formNumber, minimum: 0.0001, maximum: 10, doc: "ina219 and ina226: resistance of the shunt in ohm; default 0.1"},
		{name: i2c.KeyFullScale, form: formNumber, minimum: 0.256, maximum: 6.144, doc: "ads1115: highest voltage, one of 6.144, 4.096, 2.048, 1.024, 0.512, 0.256; default 4.096"},
		{name: i2c.KeyNoTarget, form: formNumber, minimum: 0, maximum: 10, doc: "vl53l0x and vl53l1x: distance in m when nothing reflects; default: the reading is invalid"},
	},
}

func driverNames() []string {
	var names []string
	for _, d := range i2c.Drivers() {
		names = append(names, d.Name)
	}
	return names
}

// Bus is one I2C bus with the devices that the robot's file names on it.
type Bus struct {
	Device  string // "" only on board sim
	Devices []i2c.Device
}

// Chip is where a signal comes from that an I2C device delivers.
type Chip struct {
	Bus    int // index into Robot.Buses
	Device int // index into Bus.Devices
	Field  int // index into the driver's fields
}

// chips reads the devices on I2C buses.
func (l *loader) chips(k keys) {
	for _, e := range k.table("i2c", maxChips) {
		what := "i2c device " + e.key.text
		if !l.identifier(e.key, "i2c device") {
			continue
		}
		x := l.section(e.value, &chipSection, what)
		if !x.broken {
			l.chip(x, e.key.text)
		}
	}
}

func (l *loader) chip(x keys, name string) {
	driver, known := i2c.FindDriver(x.choice("driver", ""))
	d := i2c.Device{Name: name, Driver: driver.Name, Settings: l.chipSettings(x, driver)}
	device := x.text("bus", "")
	if known {
		d.Address = l.chipAddress(x, driver)
		d.Every = x.duration("every", driver.Every)
		if d.Every < driver.Fastest {
			x.fault("every", "give "+formatSeconds(seconds(driver.Fastest))+" or more", "every of %s is %s, shorter than a %s can measure", x.what, formatSeconds(seconds(d.Every)), driver.Name)
		}
		d.Used = make([]bool, len(driver.Fields(d.Settings)))
	}
	if device == "" && !l.simulated() && !x.has("bus") {
		l.faultf(x.at, "add bus: /dev/i2c-1; "+l.busHint(), "%s has no bus", x.what)
	}
	bus := l.bus(x, device)
	for _, other := range bus.Devices {
		if known && other.Address == d.Address && other.Driver != "" {
			x.fault("address", "change its address pins and give it another address, or another bus", "%s and %s have the same address 0x%02x on one bus", x.what, other.Name, d.Address)
		}
	}
	bus.Devices = append(bus.Devices, d)
}

// bus gives the bus of a device file, a new one for a new file. One that is not there
// may be plugged in or enabled later, and the robot goes on without it.
func (l *loader) bus(x keys, device string) *Bus {
	for i := range l.robot.Buses {
		if l.robot.Buses[i].Device == device {
			return &l.robot.Buses[i]
		}
	}
	if device != "" && !l.simulated() && l.robot.BoardName != "" {
		if _, err := fs.Stat(l.opt.root(), strings.TrimPrefix(device, "/")); err != nil {
			l.warn(x.where("bus"), fmt.Sprintf("bus %s of %s does not exist on this machine", device, x.what), l.busHint())
		}
	}
	l.reserve(device, x.what)
	l.robot.Buses = append(l.robot.Buses, Bus{Device: device})
	return &l.robot.Buses[len(l.robot.Buses)-1]
}

func (l *loader) busHint() string {
	found, _ := fs.Glob(l.opt.root(), "dev/i2c-*") // the pattern is sound
	if len(found) == 0 {
		return "no I2C bus is enabled here: on a Raspberry Pi, sudo raspi-config nonint do_i2c 0"
	}
	slices.Sort(found)
	return "I2C buses here: /" + strings.Join(found, ", /")
}

// chipAddress gives the address of a device, which its driver must know.
func (l *loader) chipAddress(x keys, driver i2c.Driver) uint16 {
	text := x.text("address", "")
	if text == "" {
		return driver.Addresses[0]
	}
	n, err := strconv.ParseUint(text, 0, 16)
	switch {
	case err != nil:
		x.fault("address", fmt.Sprintf("write it as i2cdetect shows it, such as 0x%02x", driver.Addresses[0]), "address of %s is %q, not an address", x.what, text)
	case !slices.Contains(driver.Addresses, uint16(n)):
		x.fault("address", fmt.Sprintf("a %s has one of %s", driver.Name, addressList(driver.Addresses)), "address of %s is 0x%02x, which no %s can have", x.what, n, driver.Name)
	default:
		return uint16(n)
	}
	return driver.Addresses[0]
}

// addressList writes addresses, long runs of them as first to last.
func addressList(all []uint16) string {
	sorted := slices.Sorted(slices.Values(all))
	var parts []string
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] == sorted[end]+1 {
			end++
		}
		if end == i+1 {
			end = i
		}
		part := fmt.Sprintf("0x%02x", sorted[i])
		if end > i {
			part += fmt.Sprintf(" to 0x%02x", sorted[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

// chipSettings reads the keys that only some drivers use.
func (l *loader) chipSettings(x keys, driver i2c.Driver) i2c.Settings {
	s := i2c.DefaultSettings()
	for _, key := range []string{i2c.KeyShunt, i2c.KeyFullScale, i2c.KeyNoTarget} {
		if x.has(key) && driver.Name != "" && !slices.Contains(driver.Keys, key) {
			x.fault(key, "remove it", "%s has %s, which a %s does not use", x.what, key, driver.Name)
		}
	}
	s.Shunt = x.number(i2c.KeyShunt, s.Shunt)
	s.NoTarget = x.number(i2c.KeyNoTarget, s.NoTarget)
	if v := x.number(i2c.KeyFullScale, s.FullScale); slices.Contains(i2c.FullScales, v) {
		s.FullScale = v
	} else {
		x.fault(i2c.KeyFullScale, "give one of 6.144, 4.096, 2.048, 1.024, 0.512, 0.256", "full_scale of %s is %s V, which the chip does not have", x.what, formatNumber(v))
	}
	return s
}

// chipSignal is a signal that an I2C device delivers. Unit and range are the
// driver's unless the file narrows the range.
func (l *loader) chipSignal(x keys, s *hal.Signal, in *Input) {
	for _, key := range []string{"pin", "port", "joystick", "can", "mqtt", "from", "pull", "active", "debounce", "boolean"} {
		if x.has(key) {
			x.fault(key, "remove it, or i2c", "%s has i2c and %s", x.what, key)
		}
	}
	device, chip := l.chipNamed(x)
	if device == nil || device.Driver == "" {
		return
	}
	driver, _ := i2c.FindDriver(device.Driver)
	fields := driver.Fields(device.Settings)
	var names []string
	for i := range fields {
		names = append(names, fields[i].Name)
	}
	name := x.text("field", s.Name)
	chip.Field = indexOf(names, name)
	if chip.Field < 0 {
		x.fault("field", suggest(name, names, "fields"), "%s reads field %s, which %s (%s) does not deliver", x.what, name, device.Name, driver.Name)
		return
	}
	device.Used[chip.Field] = true
	in.Chip, in.Field = &chip, name
	l.chipField(x, s, fields[chip.Field])
	s.StaleAfter = x.duration("stale_after", max(defaultStaleAfter, 4*device.Every))
	if s.StaleAfter <= device.Every {
		x.fault("stale_after", fmt.Sprintf("give at least %s, or read the device more often", formatSeconds(seconds(2*device.Every))),
			"stale_after of %s is %s, and %s is read every %s: it would be invalid in between", x.what, formatSeconds(seconds(s.StaleAfter)), device.Name, formatSeconds(seconds(device.Every)))
	}
}

// chipField gives a signal the unit and the range of a driver's field.
func (l *loader) chipField(x keys, s *hal.Signal, f i2c.Field) {
	if x.has("unit") && !sameUnit(s.Unit, f.Unit) {
		x.fault("unit", fmt.Sprintf("write unit: %q, or leave it out", f.Unit), "%s reads %s, which is in %s", x.what, f.Name, orNone(f.Unit))
	}
	if !x.has("unit") {
		s.Unit = f.Unit
	}
	s.Boolean, s.Minimum, s.Maximum = f.Boolean, f.Minimum, f.Maximum
	if f.Boolean && x.has("range") {
		x.fault("range", "remove it", "%s has a range, and %s is 0 or 1", x.what, f.Name)
		return
	}
	if low, high, ok := x.limits("range"); ok {
		s.Minimum, s.Maximum = low, high
	}
}

// chipNamed finds the device that a signal names.
func (l *loader) chipNamed(x keys) (*i2c.Device, Chip) {
	name := x.text("i2c", "")
	var names []string
	for b := range l.robot.Buses {
		for d := range l.robot.Buses[b].Devices {
			device := &l.robot.Buses[b].Devices[d]
			if device.Name == name {
				return device, Chip{Bus: b, Device: d}
			}
			names = append(names, device.Name)
		}
	}
	if name != "" {
		x.fault("i2c", suggest(name, names, "i2c devices"), "%s names i2c device %s, which does not exist", x.what, name)
	}
	return nil, Chip{}
}

// unreadChips warns of devices that are polled for nobody.
func (l *loader) unreadChips(k keys) {
	for _, b := range l.robot.Buses {
		for _, d := range b.Devices {
			if d.Driver != "" && !slices.Contains(d.Used, true) {
				l.warn(k.where("i2c"), fmt.Sprintf("no signal reads i2c device %s", d.Name), "add a signal with i2c: "+d.Name+", or remove the device")
			}
		}
	}
}
