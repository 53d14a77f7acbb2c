package doctor

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"dancer/runtime/spine"
)

// lookKernel: the GPIO character device's second version came with Linux 5.10
// (include/uapi/linux/gpio.h, CONFIG_GPIO_CDEV_V1).
func (m *Machine) lookKernel(context.Context) ([]Finding, error) {
	release, err := m.read("proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return nil, fmt.Errorf("kernel release %q is no version", release)
	}
	if major < 5 || major == 5 && minor < 10 {
		return one(Finding{ID: "kernel", Severity: Fault, Found: "Linux " + release + ", older than 5.10",
			Why:  "GPIO lines are requested through an interface that Linux has since 5.10: no pin of the robot will work",
			Cure: "sudo apt-get update && sudo apt-get full-upgrade && sudo reboot"})
	}
	return one(ok("kernel", "Linux %s", release))
}

// lookPreemption: how long the kernel itself may keep a reflex waiting.
func (m *Machine) lookPreemption(context.Context) ([]Finding, error) {
	model, dynamic, err := m.preemption()
	if err != nil {
		return nil, err
	}
	f := Finding{ID: "preemption-model", Severity: Note, Found: model, Cure: m.realTimeKernel()}
	switch model {
	case "PREEMPT_RT":
		return one(ok("preemption-model", "PREEMPT_RT"))
	case "full", "lazy":
		f.Why = "reflexes are as fast as with PREEMPT_RT nearly always; PREEMPT_RT bounds the rare late one as well"
		return one(f)
	case "unknown":
		f.Found = "chosen at boot (PREEMPT_DYNAMIC); which one, only root may see"
		f.Why, f.Cure = "with none or voluntary a long system call of anything else delays a reflex", "sudo dancer doctor"
		return one(f)
	}
	f.Severity = Warning
	f.Why = "a long system call of any program keeps a reflex waiting, for milliseconds on a busy machine"
	if dynamic {
		f.Cure = "sudo mount -t debugfs none /sys/kernel/debug 2>/dev/null; echo full | sudo tee /sys/kernel/debug/sched/preempt   # until the next boot; for good: preempt=full on the kernel's command line"
	}
	return one(f)
}

// preemption names the model: PREEMPT_RT, full, lazy, voluntary, none, "none or
// voluntary", or unknown. Sources: kernel/sched/core.c (the file in debugfs has
// the chosen one in brackets; the parameter is preempt=), init/Makefile (the
// words in the version), sys/kernel/realtime (every PREEMPT_RT kernel).
func (m *Machine) preemption() (model string, dynamic bool, err error) {
	if rt, err := m.read("sys/kernel/realtime"); err == nil && rt == "1" {
		return "PREEMPT_RT", false, nil
	}
	version, err := m.read("proc/sys/kernel/version")
	if err != nil {
		return "", false, err
	}
	words := strings.Fields(version)
	switch {
	case slices.Contains(words, "PREEMPT_RT"), strings.Contains(version, "PREEMPT RT"):
		return "PREEMPT_RT", false, nil
	case slices.Contains(words, "PREEMPT_DYNAMIC"):
		return m.chosenPreemption(), true, nil
	case slices.Contains(words, "PREEMPT"):
		return "full", false, nil
	}
	if model := m.builtPreemption(); model != "" {
		return model, false, nil
	}
	return "none or voluntary", false, nil
}

// chosenPreemption is what a PREEMPT_DYNAMIC kernel runs with.
func (m *Machine) chosenPreemption() string {
	if text, err := m.read("sys/kernel/debug/sched/preempt"); err == nil {
		if _, after, found := strings.Cut(text, "("); found {
			chosen, _, _ := strings.Cut(after, ")")
			return chosen
		}
	}
	if command, err := m.read("proc/cmdline"); err == nil {
		for _, word := range slices.Backward(strings.Fields(command)) {
			if value, found := strings.CutPrefix(word, "preempt="); found {
				return value
			}
		}
	}
	if model := m.builtPreemption(); model != "" {
		return model
	}
	return "unknown"
}

// builtPreemption is the model that the kernel was built with, "" when its
// configuration cannot be read.
func (m *Machine) builtPreemption() string {
	config := m.kernelConfig()
	for _, c := range []struct{ option, model string }{
		{"CONFIG_PREEMPT_RT=y", "PREEMPT_RT"}, {"CONFIG_PREEMPT=y", "full"}, {"CONFIG_PREEMPT_LAZY=y", "lazy"},
		{"CONFIG_PREEMPT_VOLUNTARY=y", "voluntary"}, {"CONFIG_PREEMPT_NONE=y", "none"},
	} {
		if strings.Contains(config, "\n"+c.option+"\n") {
			return c.model
		}
	}
	return ""
}

// kernelConfig gives the kernel's configuration, "" when it cannot be read.
func (m *Machine) kernelConfig() string {
	release, _ := m.read("proc/sys/kernel/osrelease") // without it there is no file of that name
	if text, err := m.read("boot/config-" + release); err == nil {
		return "\n" + text + "\n"
	}
	f, err := m.Root.Open("proc/config.gz")
	if err != nil {
		return ""
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(z, maxRead))
	if err != nil {
		return ""
	}
	return "\n" + string(text) + "\n"
}

// realTimeKernel is how a PREEMPT_RT kernel is installed here; "" where there is
// no package for it.
func (m *Machine) realTimeKernel() string {
	release, _ := m.read("etc/os-release") // without it the system has no package that we know
	id := ""
	for line := range strings.Lines(release) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "ID="); found {
			id = strings.Trim(value, `"`)
		}
	}
	arch, _ := m.read("proc/sys/kernel/arch") // since Linux 6.1
	switch {
	case strings.HasPrefix(m.board, "jetson"):
		return "echo 'deb https://repo.download.nvidia.com/jetson/rt-kernel " + m.tegraRelease() + " main' | sudo tee /etc/apt/sources.list.d/nvidia-rt.list && sudo apt-get update && " +
			"sudo apt-get install nvidia-l4t-rt-kernel nvidia-l4t-rt-kernel-headers nvidia-l4t-rt-kernel-oot-modules nvidia-l4t-display-rt-kernel && sudo reboot"
	case m.board == "raspberry-pi-5":
		return "apt-cache search --names-only 'linux-image-rpi.*-rt'"
	case strings.HasPrefix(m.board, "raspberry-pi"):
		return "sudo apt-get install linux-image-rpi-v8-rt && K=$(cd /boot/firmware && ls kernel8?rt.img) && echo kernel=$K | sudo tee -a /boot/firmware/config.txt && sudo reboot"
	case id == "ubuntu":
		return "sudo pro enable realtime-kernel"
	case id == "debian" && arch == "x86_64":
		return "sudo apt-get install linux-image-rt-amd64 && sudo reboot"
	case id == "debian" && arch == "aarch64":
		return "sudo apt-get install linux-image-rt-arm64 && sudo reboot"
	}
	return ""
}

// tegraRelease reads "# R36 (release), REVISION: 4.3, GCID: ..." as r36.4.
func (m *Machine) tegraRelease() string {
	text, _ := m.read("etc/nv_tegra_release")
	var major, minor int
	if _, err := fmt.Sscanf(text, "# R%d (release), REVISION: %d", &major, &minor); err != nil {
		return "rRELEASE"
	}
	return fmt.Sprintf("r%d.%d", major, minor)
}

const lateReflex = "without it reflexes come up to 4 ms late on a busy machine"

// lookPriority: whether the spine's thread gets what it asks for.
func (m *Machine) lookPriority(context.Context) ([]Finding, error) {
	const id = "real-time-priority"
	grants := m.unit()
	refused := m.System.RealTime()
	share, group := m.groupShare()
	switch {
	case share == 0:
		return one(Finding{ID: id, Severity: Warning, Found: "the control group " + group + " has no real-time share (cpu.rt_runtime_us is 0)",
			Why: "the kernel shares real-time among control groups and refuses SCHED_FIFO to a group without a share; " + lateReflex,
			// A group's share must fit into its parent's, so that the parent comes first.
			Cure: "echo 500000 | sudo tee /sys/fs/cgroup/cpu/system.slice/cpu.rt_runtime_us " + quote("/sys/fs/cgroup/cpu"+group+"/cpu.rt_runtime_us")})
	case m.who.uid == m.System.UID && refused == nil:
		return one(ok(id, "SCHED_FIFO %d is granted to %s", spine.Priority, m.who.name))
	case grants.realTime && m.who.uid != m.System.UID:
		return one(ok(id, "SCHED_FIFO %d by dancer@.service", spine.Priority))
	case m.System.UID == 0 && refused != nil:
		return one(Finding{ID: id, Severity: Warning, Found: fmt.Sprintf("SCHED_FIFO %d is refused even to root: %v", spine.Priority, refused),
			Why:  "a container or the kernel's real-time groups (CONFIG_RT_GROUP_SCHED) keep it away; " + lateReflex,
			Cure: "docker run --cap-add=SYS_NICE --ulimit rtprio=50 ...   # in a container; else a kernel without CONFIG_RT_GROUP_SCHED"})
	case grants.realTime:
		return one(Finding{ID: id, Severity: Note, Found: fmt.Sprintf("SCHED_FIFO %d is refused to %s, and granted to dancer@.service", spine.Priority, m.who.name),
			Why: "a robot run by hand is slower than as a service; " + lateReflex, Cure: "sudo systemctl start dancer@NAME"})
	}
	return one(Finding{ID: id, Severity: Warning, Found: fmt.Sprintf("SCHED_FIFO %d is refused to %s%s", spine.Priority, m.who.name, because(refused)),
		Why: lateReflex, Cure: setcap})
}

// setcap grants both privileges of the spine to the installed binary.
const setcap = "sudo setcap cap_sys_nice,cap_ipc_lock+ep $(readlink -f $(command -v dancer))"

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// groupShare gives the real-time share of the control group in which the robot
// runs or will run, in microseconds a period; -1 where the kernel has no shares
// (no CONFIG_RT_GROUP_SCHED, or control groups of version 2, which have none).
func (m *Machine) groupShare() (share int64, group string) {
	group = "/system.slice"
	if m.who.uid == m.System.UID {
		group = m.ownGroup()
	}
	for _, mount := range []string{"cpu", "cpu,cpuacct"} {
		if share, err := m.number("sys/fs/cgroup/" + mount + group + "/cpu.rt_runtime_us"); err == nil {
			return share, group
		}
	}
	return -1, group
}

// ownGroup is the control group of this process in the cpu hierarchy of version
// 1: "4:cpu,cpuacct:/user.slice".
func (m *Machine) ownGroup() string {
	for _, row := range m.table("proc/self/cgroup", 3) {
		if slices.Contains(strings.Split(row[1], ","), "cpu") {
			return strings.TrimSuffix(strings.Join(row[2:], ":"), "/")
		}
	}
	return ""
}

// lookBandwidth: Documentation/scheduler/sched-rt-group.rst.
func (m *Machine) lookBandwidth(context.Context) ([]Finding, error) {
	const id = "real-time-bandwidth"
	runtime, err := m.number("proc/sys/kernel/sched_rt_runtime_us")
	if err != nil {
		return nil, err
	}
	period, err := m.number("proc/sys/kernel/sched_rt_period_us")
	if err != nil {
		return nil, err
	}
	f := Finding{ID: id, Severity: Warning, Found: fmt.Sprintf("sched_rt_runtime_us is %d of %d", runtime, period),
		Cure: "echo kernel.sched_rt_runtime_us=950000 | sudo tee /etc/sysctl.d/60-dancer.conf && sudo sysctl --system"}
	switch {
	case runtime == 0:
		f.Severity, f.Why = Fault, "the kernel runs no real-time thread at all: the spine would stand still"
	case runtime < 0:
		f.Why = "a real-time thread that spins keeps its processor for good, ssh and the watchdog's feeder included"
	case runtime < period/2:
		f.Why = "once the share is used up the kernel stops all real-time threads, the spine included, until the period is over"
	default:
		return one(ok(id, "%s of each %d ms", percent(runtime, period), period/1000))
	}
	return one(f)
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return "?"
	}
	return strconv.FormatFloat(float64(part)*100/float64(whole), 'f', -1, 64) + "%"
}

// lookMemory: whether the spine may keep its memory from being paged out.
func (m *Machine) lookMemory(context.Context) ([]Finding, error) {
	const id = "locked-memory"
	f := Finding{ID: id, Severity: Warning, Found: "RLIMIT_MEMLOCK is too small for " + m.who.name + ", and CAP_IPC_LOCK is missing",
		Why: "a reflex can wait for the disk when memory is short", Cure: setcap}
	grants := m.unit()
	switch {
	case m.who.uid == m.System.UID && m.System.MayLock():
		return one(ok(id, "may be locked by %s", m.who.name))
	case grants.lock && m.who.uid != m.System.UID:
		return one(ok(id, "by dancer@.service"))
	case grants.lock:
		f.Severity, f.Found, f.Cure = Note, "not for "+m.who.name+"; for dancer@.service it is", "sudo systemctl start dancer@NAME"
	}
	return one(f)
}

// goodClocks are read without a system call and count in less than a
// microsecond.
var goodClocks = []string{"tsc", "arch_sys_counter", "arch_mem_counter", "kvm-clock", "hyperv_clocksource_tsc_page", "riscv_clocksource"}

// lookClockSource: Documentation/timers/timekeeping.rst.
func (m *Machine) lookClockSource(context.Context) ([]Finding, error) {
	const id, folder = "clock-source", "sys/devices/system/clocksource/clocksource0/"
	current, err := m.read(folder + "current_clocksource")
	if err != nil {
		return nil, err
	}
	if slices.Contains(goodClocks, current) {
		return one(ok(id, "%s", current))
	}
	f := Finding{ID: id, Severity: Warning, Found: current, Why: "every look at the clock is a slow system call, and the spine looks in every cycle",
		Cure: "sudo dmesg | grep -i clocksource   # says why the kernel gave up the better one"}
	if strings.Contains(current, "jiffies") {
		f.Severity, f.Why = Fault, "the clock counts in steps of the kernel's tick, 1 to 10 ms: leases, windows and deadlines are as coarse"
	}
	available, _ := m.read(folder + "available_clocksource") // the cure names none then
	for _, better := range strings.Fields(available) {
		if slices.Contains(goodClocks, better) {
			f.Cure = "echo " + quote(better) + " | sudo tee /" + folder + "current_clocksource"
			break
		}
	}
	return one(f)
}

// lookClockSynchronised: the wall clock is only for displays, ids and the
// moment T of a plan in a cell, so that an unsynchronised one is no fault.
func (m *Machine) lookClockSynchronised(context.Context) ([]Finding, error) {
	const id = "clock-synchronised"
	inStep, err := m.System.InStep()
	if err != nil {
		return nil, err
	}
	if inStep {
		return one(ok(id, "the wall clock is synchronised"))
	}
	return one(Finding{ID: id, Severity: Note, Found: "the wall clock is not synchronised",
		Why: "logs and questions carry wrong times, and certificates can be refused; decisions do not depend on it", Cure: "sudo timedatectl set-ntp true"})
}
