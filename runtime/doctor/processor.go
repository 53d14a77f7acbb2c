package doctor

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// lookGovernor: Documentation/admin-guide/pm/cpufreq.rst.
func (m *Machine) lookGovernor(context.Context) ([]Finding, error) {
	const id = "cpu-governor"
	governors := map[string]bool{}
	for _, file := range m.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_governor") {
		governor, err := m.read(file)
		if err != nil {
			return nil, err
		}
		governors[governor] = true
	}
	names := slices.Sorted(maps.Keys(governors))
	found := strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		return one(ok(id, "the processor's frequency is not scaled"))
	case found == "performance":
		return one(ok(id, "performance"))
	}
	f := Finding{ID: id, Severity: Note, Found: found, Why: "a reflex that finds the processor at its lowest frequency takes two to three times as long",
		Cure: "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"}
	// The powersave of intel_pstate and amd_pstate scales; everybody else's stays at the lowest frequency.
	driver, _ := m.read("sys/devices/system/cpu/cpufreq/policy0/scaling_driver")
	if governors["powersave"] && !strings.Contains(driver, "pstate") {
		f.Severity, f.Why = Warning, "the processor stays at its lowest frequency: decisions take two to three times as long, and leases run out"
	}
	return one(f)
}

// sleepBound is what a processor may take to wake up, in microseconds, before
// it is worth a note: a reflex has one millisecond.
const sleepBound = 300

// lookIdle: Documentation/admin-guide/pm/cpuidle.rst.
func (m *Machine) lookIdle(context.Context) ([]Finding, error) {
	const id = "cpu-idle"
	var deep, files []string
	for _, folder := range m.glob("sys/devices/system/cpu/cpu0/cpuidle/state*") {
		latency, err := m.number(folder + "/latency")
		if err != nil {
			return nil, err
		}
		off, _ := m.read(folder + "/disable") // absent where it cannot be turned off
		if latency <= sleepBound || off == "1" {
			continue
		}
		name, _ := m.read(folder + "/name")
		deep = append(deep, fmt.Sprintf("%s wakes up in %d us", name, latency))
		files = append(files, "/sys/devices/system/cpu/cpu*/cpuidle/"+path.Base(folder)+"/disable")
	}
	if len(deep) == 0 {
		return one(ok(id, "processors wake up within %d us", sleepBound))
	}
	return one(Finding{ID: id, Severity: Note, Found: strings.Join(deep, ", "), Why: "the first reflex after a quiet moment waits for the processor to wake up",
		Cure: "echo 1 | sudo tee " + strings.Join(files, " ")})
}

// Bits of the firmware's answer GET_THROTTLED (Raspberry Pi documentation,
// vcgencmd get_throttled).
const (
	underVoltage = 1 << 0
	slowedNow    = 1<<1 | 1<<2 | 1<<3
	wasUnder     = 1 << 16
	wasSlowed    = 1<<17 | 1<<18 | 1<<19
)

// lookPower: a Raspberry Pi says whether its supply is too weak, in the
// firmware driver's file (hexadecimal, without 0x) or, in mainline, by the
// sensor rpi_volt (Documentation/hwmon/raspberrypi-hwmon.rst).
func (m *Machine) lookPower(context.Context) ([]Finding, error) {
	const id = "power-supply"
	bits, known, err := m.throttled()
	if err != nil {
		return nil, err
	}
	f := Finding{ID: id, Found: fmt.Sprintf("throttled=0x%x", bits)}
	const supply = "vcgencmd get_throttled   # 0x0 after a supply of 5.1 V and 3 A (Pi 5: 5 A), a short thick cable and a powered USB hub"
	const heat = "vcgencmd measure_temp   # then a heat sink, a fan, or more air in the housing"
	switch {
	case !known:
		return one(ok(id, "this machine does not report its supply"))
	case bits&underVoltage != 0:
		f.Severity, f.Found = Fault, "under-voltage now, "+f.Found
		f.Why, f.Cure = "the board slows down, USB devices drop off, and the next motor start can reset it or damage the card", supply
	case bits&wasUnder != 0:
		f.Severity, f.Found = Warning, "under-voltage since boot, "+f.Found
		f.Why, f.Cure = "the supply breaks down under load, most likely when motors start: then the board slows down or resets", supply
	case bits&slowedNow != 0:
		f.Severity, f.Found = Warning, "slowed down now by heat, "+f.Found
		f.Why, f.Cure = "decisions take longer, and leases run out", heat
	case bits&wasSlowed != 0:
		f.Severity, f.Found = Note, "slowed down by heat since boot, "+f.Found
		f.Why, f.Cure = "in the same work it will be slowed down again", heat
	default:
		return one(ok(id, "no under-voltage and no throttling since boot"))
	}
	return one(f)
}

func (m *Machine) throttled() (bits uint64, known bool, err error) {
	if files := m.glob("sys/devices/platform/soc*/*firmware*/get_throttled"); len(files) > 0 {
		text, err := m.read(files[0])
		if err != nil {
			return 0, false, err
		}
		if bits, err = strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64); err != nil {
			return 0, false, fmt.Errorf("read /%s: %q is no hexadecimal number", files[0], text)
		}
		return bits, true, nil
	}
	for _, file := range m.glob("sys/class/hwmon/hwmon*/name") {
		if name, err := m.read(file); err == nil && name == "rpi_volt" {
			alarm, err := m.number(path.Dir(file) + "/in0_lcrit_alarm")
			if err != nil {
				return 0, false, err
			}
			return uint64(alarm) & underVoltage, true, nil
		}
	}
	return 0, false, nil
}

// hot is where boards begin to slow down, in thousandths of a degree: 80 on a
// Raspberry Pi; a Jetson Orin's 99 has the same margin to its critical point.
const hot = 80_000

// lookTemperature: Documentation/driver-api/thermal/sysfs-api.rst. A zone that
// is switched off does not answer (a Jetson's say EAGAIN) and is left out.
func (m *Machine) lookTemperature(context.Context) ([]Finding, error) {
	const id = "temperature"
	var highest int64
	where := ""
	for _, file := range m.glob("sys/class/thermal/thermal_zone*/temp") {
		if t, err := m.number(file); err == nil && (where == "" || t > highest) {
			highest = t
			where, _ = m.read(path.Dir(file) + "/type")
		}
	}
	if where == "" {
		return one(ok(id, "this machine does not report its temperature"))
	}
	found := fmt.Sprintf("%.1f C (%s)", float64(highest)/1000, where)
	if highest < hot {
		return one(ok(id, "%s", found))
	}
	return one(Finding{ID: id, Severity: Warning, Found: found, Why: "the board slows down about here: decisions take longer, and leases run out",
		Cure: "cat /sys/class/thermal/thermal_zone*/temp   # then a heat sink, a fan, or more air in the housing"})
}

// lookSwap: proc(5), /proc/swaps.
func (m *Machine) lookSwap(context.Context) ([]Finding, error) {
	const id = "swap"
	text, err := m.read("proc/swaps")
	if absent(err) { // a kernel without swap
		return one(ok(id, "none"))
	}
	if err != nil {
		return nil, err
	}
	var disks []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 5 && strings.HasPrefix(fields[0], "/") && !strings.HasPrefix(fields[0], "/dev/zram") {
			disks = append(disks, fields[0])
		}
	}
	if len(disks) == 0 {
		return one(ok(id, "none on a disk"))
	}
	cure := "sudo swapoff -a"
	if m.exists("etc/dphys-swapfile") {
		cure = "sudo systemctl disable --now dphys-swapfile"
	}
	return one(Finding{ID: id, Severity: Note, Found: strings.Join(disks, ", "),
		Why: "the spine is locked in memory, but a brain that was paged out loses its lease, and the card wears", Cure: cure})
}

// leastMemory is what a robot's two processes and a recording need to breathe.
const leastMemory = 64 << 10 // kB

// lookAvailable: proc(5), MemAvailable in kB.
func (m *Machine) lookAvailable(context.Context) ([]Finding, error) {
	const id = "available-memory"
	text, err := m.read("proc/meminfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		var kB int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kB); err != nil {
			continue
		}
		if kB >= leastMemory {
			return one(ok(id, "%d MB", kB>>10))
		}
		return one(Finding{ID: id, Severity: Warning, Found: fmt.Sprintf("%d MB", kB>>10), Why: "the kernel will end programs, and the brain can be one of them",
			Cure: "ps -eo rss,comm --sort=-rss | head"})
	}
	return nil, fmt.Errorf("read /proc/meminfo: no MemAvailable")
}
