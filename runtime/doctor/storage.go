package doctor

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mount is one line of /proc/self/mountinfo (proc(5)).
type mount struct {
	point  string
	device string // major:minor
	root   string // the folder of the file system that is mounted
	kind   string // ext4, overlay, ...
	source string
	option []string // of the mount and of the file system
}

func (mt mount) has(option string) bool { return slices.Contains(mt.option, option) }

// mounts lists what is mounted, a later one over an earlier one.
func (m *Machine) mounts() ([]mount, error) {
	text, err := m.read("proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var all []mount
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 6 || len(right) < 3 {
			continue
		}
		all = append(all, mount{
			point: unescape(left[4]), device: left[2], root: unescape(left[3]), kind: right[0], source: unescape(right[1]),
			option: append(strings.Split(left[5], ","), strings.Split(right[2], ",")...),
		})
	}
	if len(all) == 0 {
		return nil, errors.New("read /proc/self/mountinfo: nothing is mounted")
	}
	return all, nil
}

// unescape undoes the octal escapes of white space in a mount point.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// mountOf gives the mount that a path is on.
func (m *Machine) mountOf(name string) (mount, error) {
	all, err := m.mounts()
	if err != nil {
		return mount{}, err
	}
	var best mount
	for _, mt := range all {
		under := mt.point == "/" || name == mt.point || strings.HasPrefix(name, mt.point+"/")
		if under && len(mt.point) >= len(best.point) {
			best = mt
		}
	}
	if best.point == "" {
		return best, fmt.Errorf("find the file system of %s: none is mounted there", name)
	}
	return best, nil
}

// lookRoot: a root that was mounted read only after an error, or that is an
// overlay which forgets.
func (m *Machine) lookRoot(context.Context) ([]Finding, error) {
	const id = "root-file-system"
	mt, err := m.mountOf("/")
	if err != nil {
		return nil, err
	}
	switch {
	case mt.kind == "overlay" && m.forgets(mt):
		return one(Finding{ID: id, Severity: Note, Found: "overlay in memory",
			Why:  "what is written to / is gone after a power cut: a robot's data folder must be on another file system",
			Cure: "dancer doctor ROBOT.yaml --data FOLDER   # says whether the data folder survives"})
	case mt.has("ro") && mt.kind == "ext4":
		return one(Finding{ID: id, Severity: Warning, Found: mt.kind + ", read only",
			Why: "if nobody made it so on purpose, the kernel did after an error: latches and decisions cannot be kept", Cure: "sudo dmesg | grep -i -E 'ext4|mmc|remount'"})
	}
	return one(ok(id, "%s, %s", mt.kind, mt.option[0]))
}

// forgets says that a file system loses everything with the power. An overlay
// does when its upper folder is in memory.
func (m *Machine) forgets(mt mount) bool {
	switch mt.kind {
	case "tmpfs", "ramfs", "devtmpfs", "rootfs":
		return true
	case "overlay":
		for _, option := range mt.option {
			if upper, found := strings.CutPrefix(option, "upperdir="); found {
				all, _ := m.mounts()
				at := -1
				for i, other := range all {
					under := upper == other.point || strings.HasPrefix(upper, strings.TrimSuffix(other.point, "/")+"/")
					if under && other.kind != "overlay" && (at < 0 || len(other.point) >= len(all[at].point)) {
						at = i
					}
				}
				// raspi-config's and overlayroot's upper folder is on a tmpfs of the initramfs, which is not in the list.
				return at < 0 || m.forgets(all[at])
			}
		}
	}
	return false
}

// lookErrors: ext4 counts the errors of a file system in its superblock
// (Documentation/ABI/testing/sysfs-fs-ext4), the MMC core those of a bus since
// boot (debugfs, since Linux 5.19, root only).
func (m *Machine) lookErrors(context.Context) ([]Finding, error) {
	const id = "file-system-errors"
	var findings []Finding
	looked := 0
	for _, file := range m.glob("sys/fs/ext4/*/errors_count") {
		count, err := m.number(file)
		if err != nil {
			return findings, err
		}
		looked++
		if device := path.Base(path.Dir(file)); count > 0 {
			findings = append(findings, Finding{ID: id, Severity: Warning, Subject: "/dev/" + device, Found: fmt.Sprintf("%d errors since it was last checked", count),
				Why:  "the card or disk returns wrong data, or lost power while writing: the next file it loses may be the latches",
				Cure: "sudo touch /forcefsck && sudo reboot   # then, if it comes again, a new card; tune2fs -l shows the last error"})
		}
	}
	for _, file := range m.glob("sys/kernel/debug/mmc*/err_stats") {
		text, err := m.read(file)
		if err != nil {
			continue // root only
		}
		looked++
		if n := dataErrors(text); n > 0 {
			findings = append(findings, Finding{ID: id, Severity: Warning, Subject: path.Base(path.Dir(file)), Found: fmt.Sprintf("%d data errors on the bus since boot", n),
				Why: "the card, its contacts or its supply fail now and then", Cure: "sudo dmesg | grep -i mmc   # then reseat or replace the card"})
		}
	}
	if len(findings) == 0 {
		return one(ok(id, "none in %d counters", looked))
	}
	return findings, nil
}

// dataErrors sums up the lines "# Data Timeout Occurred:	 0" and "# Data CRC
// Errors Occurred:	 0" (drivers/mmc/core/debugfs.c). Errors of commands are
// usual while cards are looked for.
func dataErrors(text string) int {
	sum := 0
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, ":")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); found && err == nil && strings.HasPrefix(name, "# Data ") {
			sum += n
		}
	}
	return sum
}

// lookWear: an eMMC says how much of its life is used (JEDEC eMMC 5.0,
// Documentation/driver-api/mmc/mmc-dev-attrs.rst: life_time of type A and B in
// tenths, 0x0b over; pre_eol_info 1 normal, 2 warning, 3 urgent). An SD card says
// nothing.
func (m *Machine) lookWear(context.Context) ([]Finding, error) {
	const id = "storage-wear"
	var findings []Finding
	for _, folder := range m.glob("sys/block/mmcblk*/device") {
		name := path.Base(path.Dir(folder))
		if strings.Contains(name, "boot") || strings.Contains(name, "rpmb") {
			continue // partitions of their own of the same chip
		}
		f, err := m.wear(folder)
		if err != nil {
			return findings, err
		}
		f.ID, f.Subject = id, "/dev/"+name
		findings = append(findings, f)
	}
	if len(findings) == 0 {
		return one(ok(id, "no SD card and no eMMC"))
	}
	return findings, nil
}

func (m *Machine) wear(folder string) (Finding, error) {
	kind, err := m.read(folder + "/type")
	if err != nil {
		return Finding{}, err
	}
	model, _ := m.read(folder + "/name") // nice to have
	date, _ := m.read(folder + "/date")
	if kind != "MMC" {
		return Finding{Severity: Note, Found: strings.TrimSpace(fmt.Sprintf("SD card %s, made %s", model, date)),
			Why:  "SD cards do not tell how worn they are, and recording writes all day: use a high-endurance one, and keep a spare",
			Cure: "lsblk -d -o NAME,SIZE,TRAN,MODEL   # a USB or NVMe disk for --data wears far less"}, nil
	}
	used := 0
	life, _ := m.read(folder + "/life_time") // absent before eMMC 5.0
	for _, word := range strings.Fields(life) {
		if n, err := strconv.ParseInt(word, 0, 32); err == nil {
			used = max(used, int(n))
		}
	}
	end, _ := m.read(folder + "/pre_eol_info")
	f := Finding{Found: fmt.Sprintf("eMMC %s, up to %d%% of its life used", model, min(used*10, 100)),
		Why: "an eMMC at the end of its life turns read only: latches and decisions cannot be kept", Cure: "sudo mmc extcsd read /dev/mmcblk0 | grep -i -E 'life|eol'"}
	reserve, _ := strconv.ParseInt(end, 0, 32)
	switch {
	case reserve >= 3 || used >= 0x0b:
		f.Severity = Fault
	case reserve == 2 || used >= 9:
		f.Severity = Warning
	case used == 0:
		return ok("", "eMMC %s, it does not tell its wear", model), nil
	default:
		return ok("", "%s", f.Found), nil
	}
	return f, nil
}

// Bounds of free room on a disk.
const (
	// reserve is what recordings leave free (storage/recording): below it they stop.
	reserve = 64 << 20
	// roomy is what a machine should have free besides.
	roomy = 512 << 20
)

// lookFree looks at / and /var; a robot's folder has a check of its own.
func (m *Machine) lookFree(context.Context) ([]Finding, error) {
	var findings []Finding
	seen := ""
	for _, folder := range []string{"/", "/var"} {
		mt, err := m.mountOf(m.resolve(folder))
		if err != nil {
			return findings, err
		}
		if mt.point == seen {
			continue
		}
		seen = mt.point
		disk, err := m.System.Disk(mt.point)
		if err != nil {
			return findings, err
		}
		findings = append(findings, freeDisk("free-disk", mt.point, disk, roomy))
	}
	return findings, nil
}

// freeDisk judges the room on one file system; want is what there should be.
func freeDisk(id, subject string, d Disk, want uint64) Finding {
	f := Finding{ID: id, Subject: subject, Found: fmt.Sprintf("%d MB of %d MB free", d.Free>>20, d.Total>>20),
		Cure: "sudo du -xh --max-depth=2 " + quote(subject) + " | sort -h | tail   # what takes the room; sudo apt-get clean and sudo journalctl --vacuum-size=50M give some back"}
	if d.Files > 0 {
		f.Found += fmt.Sprintf(", %d of %d inodes", d.FreeFiles, d.Files)
	}
	switch {
	case d.Free < reserve || d.Files > 0 && d.FreeFiles < 100:
		f.Severity, f.Why = Fault, "recordings have stopped, and soon questions, decisions and latches cannot be kept"
	case d.Free < want || d.Files > 0 && d.FreeFiles < 1000:
		f.Severity, f.Why = Warning, fmt.Sprintf("there should be %d MB: when 64 MB are left recordings stop, then nothing is kept", want>>20)
	default:
		f.Severity, f.Cure = OK, ""
	}
	return f
}

// dataFileSystem judges the file system under a data folder: it must keep what
// was fsynced, rename atomically and know users; recordings want hard links.
func (m *Machine) dataFileSystem(folder string) (Finding, error) {
	const id = "data-file-system"
	mt, err := m.mountOf(m.resolve(folder))
	if err != nil {
		return Finding{}, err
	}
	f := Finding{ID: id, Subject: folder, Found: mt.kind + " on " + mt.point, Cure: "dancer run ROBOT.yaml --data /a/folder/on/ext4"}
	switch mt.kind {
	case "vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk":
		f.Severity, f.Why = Fault, "it knows no users and no hard links, and a power cut can lose a file that was renamed: the latches are such a file"
	case "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "glusterfs":
		f.Severity, f.Why = Warning, "with the network away every write hangs: questions and decisions are not kept, and a start can hang"
	case "ext2":
		f.Severity, f.Why = Warning, "it has no journal: a power cut can lose files that were written"
	case "squashfs", "iso9660", "erofs":
		f.Severity, f.Why = Fault, "it is read only"
	default:
		return m.localFileSystem(mt, f), nil
	}
	return f, nil
}

// localFileSystem judges what is left by its options.
func (m *Machine) localFileSystem(mt mount, f Finding) Finding {
	switch {
	case m.forgets(mt):
		f.Severity, f.Found = Fault, mt.kind+" in memory on "+mt.point
		f.Why = "it is empty after a power cut: a latched reflex comes back unlatched"
	case mt.has("ro"):
		f.Severity, f.Found, f.Cure = Fault, f.Found+", read only", "sudo mount -o remount,rw "+quote(mt.point)
		f.Why = "latches and decisions cannot be kept"
	case mt.has("nobarrier") || mt.has("barrier=0"):
		f.Severity, f.Found, f.Cure = Warning, f.Found+", without write barriers", "sudo mount -o remount,barrier=1 "+quote(mt.point)+"   # and in /etc/fstab"
		f.Why = "what was synced can still be lost in a power cut"
	default:
		return Finding{ID: f.ID, Severity: OK, Subject: f.Subject, Found: f.Found}
	}
	return f
}
