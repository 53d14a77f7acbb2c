package i2c

import (
	"math"
	"slices"
	"time"
)

// Field is one value that a driver delivers.
type Field struct {
	Name    string
	Unit    string  // as in robot.yaml
	Boolean bool    // 0 or 1
	Minimum float64 // what the chip can measure, in Unit
	Maximum float64
}

// Settings of a device that robot.yaml can give. Each driver uses some of them.
type Settings struct {
	Shunt     float64 // ina219, ina226: resistance of the shunt in ohm; default 0.1
	FullScale float64 // ads1115: the highest voltage that can be measured; default 4.096
	NoTarget  float64 // vl53l0x, vl53l1x: distance in m when nothing reflects; NaN: none, the reading is invalid
}

// DefaultSettings are those of a device that names none.
func DefaultSettings() Settings {
	return Settings{Shunt: 0.1, FullScale: 4.096, NoTarget: math.NaN()}
}

// Keys of robot.yaml that only some drivers use.
const (
	KeyShunt     = "shunt"
	KeyFullScale = "full_scale"
	KeyNoTarget  = "no_target"
)

// Driver is a kind of chip.
type Driver struct {
	Name      string
	Title     string
	Datasheet string
	Addresses []uint16      // that the chip can have; the first is the default
	Every     time.Duration // default time between two readings
	Fastest   time.Duration // shortest
	Keys      []string      // settings that it uses
	Fields    func(Settings) []Field

	make func(s Settings, used []bool) chip
}

// drivers are all there are.
var drivers = []Driver{
	ads1115Driver, bme280Driver, ina219Driver, ina226Driver, mpu6050Driver, pcf8574Driver, vl53l0xDriver, vl53l1xDriver,
}

// Drivers gives all drivers in the order of their names.
func Drivers() []Driver { return slices.Clone(drivers) }

// FindDriver gives the driver of a name.
func FindDriver(name string) (Driver, bool) {
	for i := range drivers {
		if drivers[i].Name == name {
			return drivers[i], true
		}
	}
	return Driver{}, false
}

// maxFields is how many values one device can deliver.
const maxFields = 8

// chip is one device as a machine that is stepped: it never sleeps.
type chip interface {
	// begin forgets what is known of the chip: the next step sets it up from the
	// state in which its supply leaves it.
	begin()
	// step does one short round of transfers. wait is how long to leave the chip
	// alone; done says that values has a new reading, measured at the time of this step
	// at the latest. A value that the chip cannot vouch for is NaN.
	step(d *device, values []float64) (wait time.Duration, done bool, err error)
}

// addresses gives a range of addresses.
func addresses(first, last uint16) []uint16 {
	var all []uint16
	for a := first; a <= last; a++ {
		all = append(all, a)
	}
	return all
}
