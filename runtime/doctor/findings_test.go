package doctor

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// TestFindings changes one thing of a machine that is well, and holds what is
// said of it: every severity of every check is here once at least.
func TestFindings(t *testing.T) {
	const (
		rt, pi, jetson, virtual = "debian-rt-arm64", "raspberry-pi-4", "jetson-orin-nano", "virtual-machine"
		unitFile                = "etc/systemd/system/dancer@.service"
	)
	for _, c := range []struct {
		name   string
		tree   string
		files  map[string]string // "" removes
		system func(*System)
		id     string
		want   Severity
		found  string
		cure   string
	}{
		{"old kernel", rt, map[string]string{"proc/sys/kernel/osrelease": "4.19.0-26-arm64"}, nil, "kernel", Fault, "4.19.0-26-arm64, older than 5.10", "full-upgrade"},
		{"oldest kernel that will do", rt, map[string]string{"proc/sys/kernel/osrelease": "5.10.0"}, nil, "kernel", OK, "Linux 5.10.0", ""},
		{"no version", rt, map[string]string{"proc/sys/kernel/osrelease": "linux"}, nil, "kernel", Warning, `could not look: kernel release "linux"`, ""},

		{"real time by name alone", rt, map[string]string{"sys/kernel/realtime": ""}, nil, "preemption-model", OK, "PREEMPT_RT", ""},
		{"old name", rt, map[string]string{"sys/kernel/realtime": "", "proc/sys/kernel/version": "#1 SMP PREEMPT RT Tue Mar 2 19:54:23 PST 2021"}, nil, "preemption-model", OK, "PREEMPT_RT", ""},
		{"Debian's usual arm64", rt, map[string]string{"sys/kernel/realtime": "", "proc/sys/kernel/version": "#1 SMP Debian 6.1.147-1 (2025-08-02)"}, nil,
			"preemption-model", Warning, "none or voluntary", "linux-image-rt-arm64"},
		{"the same with its configuration", rt, map[string]string{"sys/kernel/realtime": "", "proc/sys/kernel/version": "#1 SMP Debian 6.1.147-1 (2025-08-02)",
			"boot/config-6.12.41+deb13-rt-arm64": "CONFIG_HZ=250\n# CONFIG_PREEMPT is not set\nCONFIG_PREEMPT_VOLUNTARY=y\n"}, nil, "preemption-model", Warning, "voluntary", "linux-image-rt-arm64"},
		{"dynamic, chosen at boot", virtual, map[string]string{"proc/cmdline": "quiet preempt=voluntary"}, nil, "preemption-model", Warning, "voluntary", "tee /sys/kernel/debug/sched/preempt"},
		{"dynamic, seen by root", virtual, map[string]string{"sys/kernel/debug/sched/preempt": "none voluntary (full) lazy\n"}, nil, "preemption-model", Note, "full", "linux-image-rt-amd64"},
		{"dynamic, lazy", virtual, map[string]string{"sys/kernel/debug/sched/preempt": "full (lazy)\n"}, nil, "preemption-model", Note, "lazy", "linux-image-rt-amd64"},
		{"dynamic, unknown", virtual, map[string]string{"proc/config.gz": ""}, nil, "preemption-model", Note, "which one, only root may see", "sudo dancer doctor"},
		{"damaged configuration", virtual, map[string]string{"proc/config.gz": "not packed"}, nil, "preemption-model", Note, "only root may see", "sudo dancer doctor"},

		{"refused to root", virtual, nil, func(s *System) { s.RealTime = func() error { return syscall.EPERM } }, "real-time-priority", Warning, "refused even to root: operation not permitted", "SYS_NICE"},
		{"group without a share", virtual, map[string]string{"proc/self/cgroup": "1:cpu,cpuacct:/user.slice", "sys/fs/cgroup/cpu/user.slice/cpu.rt_runtime_us": "0"},
			func(s *System) { s.RealTime = func() error { return syscall.EPERM } }, "real-time-priority", Warning, "/user.slice has no real-time share", "cpu.rt_runtime_us"},
		{"services without a share", rt, map[string]string{"sys/fs/cgroup/cpu,cpuacct/system.slice/cpu.rt_runtime_us": "0"}, nil, "real-time-priority", Warning, "/system.slice has no real-time share", "cpu.rt_runtime_us"},
		{"by hand beside the service", jetson, nil, func(s *System) { *s = asUser(1000, 1000, 20) }, "real-time-priority", Note, "refused to nvidia, and granted to dancer@.service", "systemctl start"},
		{"by hand beside the service, memory", jetson, nil, func(s *System) { *s = asUser(1000, 1000, 20) }, "locked-memory", Note, "not for nvidia", "systemctl start"},
		{"unit without capabilities", rt, map[string]string{unitFile: "[Service]\nRestart=always\nUser=dancer\n"}, nil, "real-time-priority", Warning, "refused to dancer", "setcap"},
		{"unit without capabilities, memory", rt, map[string]string{unitFile: "[Service]\nRestart=always\nUser=dancer\n"}, nil, "locked-memory", Warning, "too small for dancer", "setcap"},
		{"unit with limits alone", rt, map[string]string{unitFile: "[Service]\nType=notify\nWatchdogSec=5s\nRestart=always\nLimitRTPRIO=50\nLimitMEMLOCK=infinity\n"}, nil, "service-unit", OK, "has what packaging/install gives", ""},
		{"drop-in takes the priority away", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nRestrictRealtime=yes\n"}, nil, "service-unit", Warning, "grants no real-time priority", "packaging/install"},
		{"drop-in empties the list", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nAmbientCapabilities=\nLimitMEMLOCK=64K\nLimitRTPRIO=50\n"}, nil, "service-unit", Warning, "grants no locked memory", "packaging/install"},
		{"drop-in hides devices", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nPrivateDevices=yes\n"}, nil, "service-unit", Fault, "PrivateDevices hides", "packaging/install"},
		{"drop-in closes GPIO", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nDeviceAllow=\nDeviceAllow=char-tty* rw\n"}, nil, "service-unit", Fault, "lacks char-gpiochip", "packaging/install"},
		{"nothing restarts it", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nRestart=on-failure\n"}, nil, "service-unit", Fault, "Restart is not always", "packaging/install"},
		{"nobody watches it", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nWatchdogSec=0\n"}, nil, "service-unit", Warning, "does not watch the spine", "packaging/install"},
		{"never ready", rt, map[string]string{unitFile + ".d/local.conf": "[Service]\nType=exec\n"}, nil, "service-unit", Warning, "does not watch the spine", "packaging/install"},
		{"no such user", rt, map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"}, nil, "service-unit", Fault, "its user dancer does not exist", "packaging/install"},

		{"no bound", rt, map[string]string{"proc/sys/kernel/sched_rt_runtime_us": "-1"}, nil, "real-time-bandwidth", Warning, "sched_rt_runtime_us is -1", "sched_rt_runtime_us=950000"},
		{"no real time", rt, map[string]string{"proc/sys/kernel/sched_rt_runtime_us": "0"}, nil, "real-time-bandwidth", Fault, "is 0 of 1000000", "sched_rt_runtime_us=950000"},
		{"a small share", rt, map[string]string{"proc/sys/kernel/sched_rt_runtime_us": "100000"}, nil, "real-time-bandwidth", Warning, "100000 of 1000000", "sched_rt_runtime_us=950000"},
		{"half", rt, map[string]string{"proc/sys/kernel/sched_rt_runtime_us": "500000"}, nil, "real-time-bandwidth", OK, "50% of each 1000 ms", ""},
		{"no number", rt, map[string]string{"proc/sys/kernel/sched_rt_runtime_us": "much"}, nil, "real-time-bandwidth", Warning, `could not look: read /proc/sys/kernel/sched_rt_runtime_us: "much" is no number`, ""},

		{"slow clock", virtual, map[string]string{"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"}, nil, "clock-source", Warning, "hpet", "echo tsc | sudo tee"},
		{"slow clock, no other", virtual, map[string]string{"sys/devices/system/clocksource/clocksource0/current_clocksource": "acpi_pm",
			"sys/devices/system/clocksource/clocksource0/available_clocksource": "acpi_pm"}, nil, "clock-source", Warning, "acpi_pm", "dmesg"},
		{"tick", rt, map[string]string{"sys/devices/system/clocksource/clocksource0/current_clocksource": "jiffies"}, nil, "clock-source", Fault, "jiffies", "dmesg"},
		{"clock cannot be asked", rt, nil, func(s *System) { s.InStep = func() (bool, error) { return false, syscall.ENOSYS } }, "clock-synchronised", Warning, "could not look", ""},

		{"lowest frequency", pi, map[string]string{"sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "powersave"}, nil, "cpu-governor", Warning, "powersave", "echo performance"},
		{"powersave that scales", pi, map[string]string{"sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "powersave", "sys/devices/system/cpu/cpufreq/policy0/scaling_driver": "intel_pstate"},
			nil, "cpu-governor", Note, "powersave", "echo performance"},
		{"one cluster slow", jetson, map[string]string{"sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance"}, nil, "cpu-governor", Note, "performance, schedutil", "echo performance"},
		{"performance", pi, map[string]string{"sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance"}, nil, "cpu-governor", OK, "performance", ""},
		{"deep sleep turned off", jetson, map[string]string{"sys/devices/system/cpu/cpu0/cpuidle/state1/disable": "1"}, nil, "cpu-idle", OK, "within 300 us", ""},

		{"under-voltage now", pi, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "50005"}, nil, "power-supply", Fault, "under-voltage now, throttled=0x50005", "5.1 V"},
		{"hot now", pi, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "80008"}, nil, "power-supply", Warning, "slowed down now by heat", "heat sink"},
		{"was hot", pi, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "e0000"}, nil, "power-supply", Note, "slowed down by heat since boot", "heat sink"},
		{"good supply", pi, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "0"}, nil, "power-supply", OK, "no under-voltage", ""},
		{"mainline kernel", pi, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "", "sys/class/hwmon/hwmon1/name": "rpi_volt", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"},
			nil, "power-supply", Fault, "under-voltage now", "5.1 V"},
		{"firmware babbles", pi, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "xyz"}, nil, "power-supply", Warning, `could not look: read /sys/devices/platform/soc/soc:firmware/get_throttled: "xyz"`, ""},
		{"hot", pi, map[string]string{"sys/class/thermal/thermal_zone0/temp": "81500"}, nil, "temperature", Warning, "81.5 C (cpu-thermal)", "heat sink"},
		{"hottest of two", pi, map[string]string{"sys/class/thermal/thermal_zone1/temp": "80000", "sys/class/thermal/thermal_zone1/type": "gpu"}, nil, "temperature", Warning, "80.0 C (gpu)", "heat sink"},
		{"a zone that is off", pi, map[string]string{"sys/class/thermal/thermal_zone1/temp": "-"}, nil, "temperature", OK, "48.7 C", ""},
		{"swap partition", rt, map[string]string{"proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 100 0 -2\n"}, nil, "swap", Note, "/dev/sda2", "swapoff -a"},
		{"no swap in the kernel", rt, map[string]string{"proc/swaps": ""}, nil, "swap", OK, "none", ""},
		{"little memory", rt, map[string]string{"proc/meminfo": "MemTotal: 400000 kB\nMemAvailable:      40960 kB\n"}, nil, "available-memory", Warning, "40 MB", "ps -eo"},

		{"Wi-Fi cannot be asked", pi, nil, func(s *System) { s.PowerSave = func(string) (bool, error) { return false, syscall.EOPNOTSUPP } }, "wifi-power-save", Warning,
			"could not look: wlan0: operation not supported: see: iw dev wlan0 get power_save", ""},
		{"Wi-Fi awake", pi, nil, func(s *System) { s.PowerSave = func(string) (bool, error) { return false, nil } }, "wifi-power-save", OK, "off", ""},
		{"no watchdog", rt, map[string]string{"sys/class/watchdog/watchdog0/state": "", "sys/class/watchdog/watchdog0/identity": "", "sys/class/watchdog/watchdog0/timeout": ""},
			nil, "hardware-watchdog", Note, "none", "softdog"},
		{"watchdog that does not tell", pi, map[string]string{"sys/class/watchdog/watchdog0/state": "", "etc/systemd/system.conf.d/dancer-watchdog.conf": "[Manager]\nRuntimeWatchdogSec=15s\n"},
			nil, "hardware-watchdog", OK, "RuntimeWatchdogSec is set", ""},
		{"watchdog turned off again", pi, map[string]string{"sys/class/watchdog/watchdog0/state": "", "etc/systemd/system.conf.d/dancer-watchdog.conf": "[Manager]\nRuntimeWatchdogSec=15s\n",
			"etc/systemd/system.conf.d/z.conf": "[Manager]\nRuntimeWatchdogSec=off\n"}, nil, "hardware-watchdog", Warning, "nobody feeds it", "--hardware-watchdog"},
		{"configured and not fed", pi, map[string]string{"etc/systemd/system.conf.d/dancer-watchdog.conf": "[Manager]\nRuntimeWatchdogSec=15s\n"}, nil,
			"hardware-watchdog", Warning, "nobody feeds it", "daemon-reexec"},
		{"fed by systemd", rt, map[string]string{"etc/systemd/system.conf.d/dancer-watchdog.conf": "[Manager]\nRuntimeWatchdogSec=15s\n"}, nil, "hardware-watchdog", OK, "fed by systemd", ""},
		{"fed by a robot", rt, map[string]string{"etc/systemd/system.conf.d/dancer-watchdog.conf": "", "etc/systemd/system.conf.d/watchdog.conf": ""}, nil, "hardware-watchdog", OK, "fed by a robot", ""},
		{"it reset the machine", rt, map[string]string{"sys/class/watchdog/watchdog0/bootstatus": "32\n"}, nil, "hardware-watchdog", Warning, "reset this machine", "journalctl -b -1"},
		{"it was heat", rt, map[string]string{"sys/class/watchdog/watchdog0/bootstatus": "1"}, nil, "hardware-watchdog", OK, "is active", ""},
		{"no way out", pi, map[string]string{"sys/class/watchdog/watchdog0/nowayout": "1"}, nil, "hardware-watchdog", Note, "cannot be turned off", "nowayout=0"},

		{"root turned read only", rt, map[string]string{"proc/self/mountinfo": "26 1 254:1 / / ro - ext4 /dev/vda1 ro,errors=remount-ro\n"}, nil, "root-file-system", Warning, "ext4, read only", "dmesg"},
		{"raspi-config overlay", pi, map[string]string{"proc/self/mountinfo": "26 1 0:30 / / rw - overlay overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work\n"}, nil,
			"root-file-system", Note, "overlay in memory", "--data"},
		{"container", virtual, map[string]string{"proc/self/mountinfo": "26 1 0:30 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/docker/u\n27 26 254:1 / /var/lib/docker rw - ext4 /dev/vda1 rw\n"}, nil,
			"root-file-system", OK, "overlay, rw", ""},
		{"errors on the card", pi, map[string]string{"sys/fs/ext4/mmcblk0p2/errors_count": "4"}, nil, "file-system-errors", Warning, "4 errors", "forcefsck"},
		{"errors on the bus", jetson, map[string]string{"sys/kernel/debug/mmc0/err_stats": "# Command Timeout Occurred:\t 3\n# Data Timeout Occurred:\t 2\n# Data CRC Errors Occurred:\t 1\n"}, nil,
			"file-system-errors", Warning, "3 data errors on the bus", "replace the card"},
		{"eMMC", pi, map[string]string{"sys/block/mmcblk0/device/type": "MMC", "sys/block/mmcblk0/device/life_time": "0x01 0x02", "sys/block/mmcblk0/device/pre_eol_info": "0x01"}, nil,
			"storage-wear", OK, "up to 20% of its life used", ""},
		{"worn eMMC", pi, map[string]string{"sys/block/mmcblk0/device/type": "MMC", "sys/block/mmcblk0/device/life_time": "0x09 0x02", "sys/block/mmcblk0/device/pre_eol_info": "0x01"}, nil,
			"storage-wear", Warning, "up to 90%", "extcsd"},
		{"eMMC at its end", pi, map[string]string{"sys/block/mmcblk0/device/type": "MMC", "sys/block/mmcblk0/device/life_time": "0x0b 0x02", "sys/block/mmcblk0/device/pre_eol_info": "0x01"}, nil,
			"storage-wear", Fault, "up to 100%", "extcsd"},
		{"eMMC without reserve", pi, map[string]string{"sys/block/mmcblk0/device/type": "MMC", "sys/block/mmcblk0/device/life_time": "0x01 0x01", "sys/block/mmcblk0/device/pre_eol_info": "0x03"}, nil,
			"storage-wear", Fault, "up to 10%", "extcsd"},
		{"disk nearly full", pi, nil, func(s *System) { s.Disk = disk(Disk{Total: 8 << 30, Free: 300 << 20}) }, "free-disk", Warning, "300 MB of 8192 MB free", "du -xh"},
		{"disk full", pi, nil, func(s *System) { s.Disk = disk(Disk{Total: 8 << 30, Free: 63 << 20}) }, "free-disk", Fault, "63 MB", "du -xh"},
		{"no inodes", pi, nil, func(s *System) { s.Disk = disk(Disk{Total: 8 << 30, Free: 4 << 30, Files: 500000, FreeFiles: 99}) }, "free-disk", Fault, "99 of 500000 inodes", "du -xh"},
		{"disk cannot be asked", pi, nil, func(s *System) { s.Disk = func(string) (Disk, error) { return Disk{}, syscall.EIO } }, "free-disk", Warning, "could not look: input/output error", ""},

		{"not in the group", pi, nil, func(s *System) { s.GIDs = []uint32{1000, 986} }, "serial-permission", Warning, "user pi may not use it (root:dialout 0660)", "usermod -aG dialout pi"},
		{"GPIO of nobody", pi, map[string]string{"dev/gpiochip1": ""}, func(s *System) { s.GIDs = []uint32{1000, 20} }, "gpio-permission", Warning, "user pi may not use it (root:gpio 0660)", "usermod -aG gpio pi"},
		{"board without GPIO", pi, map[string]string{"dev/gpiochip0": "", "dev/gpiochip1": ""}, nil, "gpio-permission", Warning, "no GPIO chip on a raspberry-pi-4", "dmesg"},
		{"console elsewhere", pi, map[string]string{"proc/consoles": "tty1 -WU (EC p) 4:1\n", "proc/cmdline": "console=tty1 quiet"}, nil, "serial-console", OK, "no console", ""},
		{"console by the link's name", pi, map[string]string{"proc/consoles": "tty1 -WU (EC p) 4:1\n", "proc/cmdline": "console=serial0,115200 console=tty1"}, nil, "serial-console", Note, "console", "raspi-config"},
		{"brltty will come", pi, map[string]string{"proc/612/comm": "bash", "usr/lib/udev/rules.d/85-brltty.rules": "x"}, nil, "serial-grabber", Warning, "udev rule", "mask"},
		{"nothing to grab yet", pi, map[string]string{"dev/ttyUSB0": ""}, nil, "serial-grabber", Note, "is running", "disable --now ModemManager"},
		{"quick adapter", jetson, map[string]string{"sys/bus/usb-serial/devices/ttyUSB0/latency_timer": "1"}, nil, "usb-serial-latency", OK, "no adapter", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machines(t)[c.tree]
			change(m.Root.(fstest.MapFS), c.files)
			if c.system != nil {
				c.system(&m.System)
			}
			report := examine(t, m, nil)
			complete(t, report)
			for _, f := range report.Findings {
				if f.ID == c.id && f.Severity == c.want && strings.Contains(f.Found, c.found) && strings.Contains(f.Cure, c.cure) {
					return
				}
			}
			t.Errorf("no %s %s with %q and %q in %+v", c.want, c.id, c.found, c.cure, ofID(report, c.id))
		})
	}
}

func disk(d Disk) func(string) (Disk, error) { return func(string) (Disk, error) { return d, nil } }

func change(files fstest.MapFS, changes map[string]string) {
	for name, text := range changes {
		if text == "" {
			delete(files, name)
			continue
		}
		files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644, Sys: &syscall.Stat_t{}}
	}
}

func ofID(r Report, id string) (found []Finding) {
	for _, f := range r.Findings {
		if f.ID == id {
			found = append(found, f)
		}
	}
	return found
}

// TestQuote: a name from a robot's file cannot add to a cure that is copied.
func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"/dev/ttyUSB0": "/dev/ttyUSB0", "a b": "'a b'", "": "''", "x'; rm -rf /": `'x'\''; rm -rf /'`, "$HOME": "'$HOME'"} {
		if got := quote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

// TestResolve: links as the kernel follows them, and a circle ends.
func TestResolve(t *testing.T) {
	m := Machine{Root: machines(t)["raspberry-pi-4"].Root}
	files := m.Root.(fstest.MapFS)
	change(files, map[string]string{"dev/a": "b", "dev/b": "/dev/a", "dev/root": "/"})
	for _, name := range []string{"dev/a", "dev/b", "dev/root"} {
		files[name].Mode = 0o777 | fs.ModeSymlink
	}
	for name, want := range map[string]string{
		"/dev/serial/by-id/usb-Silicon_Labs_CP2102_0001-if00-port0": "/dev/ttyUSB0", "/dev/serial0": "/dev/ttyS0",
		"/dev/nothing/here": "/dev/nothing/here", "/dev/a": "/dev/a", "/": "/", "/dev/root/etc/../dev/serial0": "/dev/ttyS0",
	} {
		if got := m.resolve(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !absent(errors.Join(syscall.ENOENT)) {
		t.Error("ENOENT is not absent")
	}
}
