package doctor

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// serviceUser is the user of packaging/dancer.sysusers, and serviceUnit what
// packaging/install installs.
const (
	serviceUser = "dancer"
	serviceUnit = "etc/systemd/system/dancer@.service"
)

// identity is a user with its groups.
type identity struct {
	name string
	uid  uint32
	gids []uint32
}

// identify finds whose permissions count. Root is not asked about itself where
// the service is installed: what root may do, the robot's user may not.
func (m *Machine) identify() (identity, error) {
	name := m.User
	if name == "" && m.System.UID == 0 && m.exists(serviceUnit) {
		if _, err := m.account(serviceUser); err == nil {
			name = serviceUser
		}
	}
	if name != "" {
		return m.account(name)
	}
	who := identity{name: strconv.FormatUint(uint64(m.System.UID), 10), uid: m.System.UID, gids: m.System.GIDs}
	for _, fields := range m.table("etc/passwd", 4) {
		if fields[2] == who.name {
			who.name = fields[0]
			break
		}
	}
	return who, nil
}

// account finds a user of /etc/passwd and its groups.
func (m *Machine) account(name string) (identity, error) {
	for _, fields := range m.table("etc/passwd", 4) {
		if fields[0] != name {
			continue
		}
		uid, err1 := strconv.ParseUint(fields[2], 10, 32)
		gid, err2 := strconv.ParseUint(fields[3], 10, 32)
		if err1 != nil || err2 != nil {
			break
		}
		who := identity{name, uint32(uid), []uint32{uint32(gid)}}
		for _, group := range m.table("etc/group", 4) {
			gid, err := strconv.ParseUint(group[2], 10, 32)
			if err == nil && slices.Contains(strings.Split(group[3], ","), name) {
				who.gids = append(who.gids, uint32(gid))
			}
		}
		return who, nil
	}
	return identity{}, fmt.Errorf("find user %s: not in /etc/passwd", name)
}

// table reads a file of fields between colons.
func (m *Machine) table(name string, fields int) [][]string {
	text, err := m.read(name)
	if err != nil {
		return nil
	}
	var rows [][]string
	for line := range strings.Lines(text) {
		if row := strings.Split(strings.TrimSpace(line), ":"); len(row) >= fields {
			rows = append(rows, row)
		}
	}
	return rows
}

// groupName gives a group's name, or its number.
func (m *Machine) groupName(gid uint32) string { return m.nameOf("etc/group", gid) }

func (m *Machine) userName(uid uint32) string { return m.nameOf("etc/passwd", uid) }

func (m *Machine) nameOf(table string, id uint32) string {
	number := strconv.FormatUint(uint64(id), 10)
	for _, row := range m.table(table, 3) {
		if row[2] == number {
			return row[0]
		}
	}
	return number
}

// may says whether the user has all of the bits (4 read, 2 write, 1 search) of
// a file. Access lists beyond the mode are not looked at.
func (who identity) may(info fs.FileInfo, bits fs.FileMode) bool {
	if who.uid == 0 {
		return true
	}
	uid, gid := owner(info)
	mode := info.Mode().Perm()
	switch {
	case uid == who.uid:
		mode >>= 6
	case slices.Contains(who.gids, gid):
		mode >>= 3
	}
	return mode&bits == bits
}

// describe is how ls shows a file's owner, group and mode.
func (m *Machine) describe(info fs.FileInfo) string {
	uid, gid := owner(info)
	return fmt.Sprintf("%s:%s %04o", m.userName(uid), m.groupName(gid), info.Mode().Perm())
}

// groupCure is the command that lets the user have a device, through the group
// that owns it, or through the udev rule where no group does.
func (m *Machine) groupCure(device string, info fs.FileInfo) string {
	_, gid := owner(info)
	if mode := info.Mode().Perm(); gid == 0 || mode&0o060 != 0o060 {
		if strings.Contains(device, "gpiochip") {
			return "sudo install -m 0644 packaging/60-dancer.rules /etc/udev/rules.d/ && sudo systemd-sysusers packaging/dancer.sysusers && " +
				"sudo usermod -aG dancer-gpio " + quote(m.who.name) + " && sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=gpio"
		}
		return "sudo chgrp dialout " + quote(device) + " && sudo chmod 0660 " + quote(device) + " && sudo usermod -aG dialout " + quote(m.who.name)
	}
	return "sudo usermod -aG " + quote(m.groupName(gid)) + " " + quote(m.who.name) + "   # then log in again, or restart the service"
}
