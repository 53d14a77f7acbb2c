//go:build linux

package permission

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// Access is what a device is opened for, as the bits of a mode.
type Access fs.FileMode

// The ways to open a device.
const (
	Read      Access = 4
	ReadWrite Access = 6
)

// Advice gives cures and remembers the last one: a device can stay closed for months,
// and nothing in the spine is collected. The zero value is ready. One goroutine owns it.
type Advice struct {
	machine *machine // tests; nil: this one
	of      facts
	text    string
}

// facts are what a cure depends on, but for the lists of users and groups.
type facts struct {
	path   string
	file   file
	access Access
}

// file is a device file's owner, group and mode.
type file struct {
	uid, gid uint32
	mode     fs.FileMode
}

// Cure says why this process was refused a device, and what to do, such as "user pi is
// not in group dialout: sudo usermod -aG dialout pi, then log in again or restart the
// service". It is looked up again only when the file's owner, group or mode change.
func (a *Advice) Cure(path string, access Access) string {
	m := a.machine
	if m == nil {
		m = this()
	}
	f, err := m.stat(path)
	if err != nil {
		return "its folder is closed, or it went away: ls -ld " + path
	}
	if now := (facts{path, f, access}); a.text == "" || now != a.of {
		a.of, a.text = now, m.cure(path, f, access)
	}
	return a.text
}

// machine is where users are looked up; tests put their own in its place.
type machine struct {
	uid    uint32   // effective, of this process
	gids   []uint32 // the same
	stat   func(path string) (file, error)
	user   func(uid uint32) string           // name, or the number
	group  func(gid uint32) string           // the same
	listed func(uid uint32, gid uint32) bool // the user is in the group by the lists
}

// this is the running machine.
func this() *machine {
	m := &machine{uid: uint32(os.Geteuid()), gids: []uint32{uint32(os.Getegid())}, stat: statOf, user: userName, group: groupName, listed: isListed}
	groups, _ := os.Getgroups() // none, then
	for _, gid := range groups {
		m.gids = append(m.gids, uint32(gid))
	}
	return m
}

func (m *machine) cure(path string, f file, access Access) string {
	me, group := m.user(m.uid), m.group(f.gid)
	needed, mode := fs.FileMode(access), f.mode.Perm()
	is := fmt.Sprintf("%s:%s %04o", m.user(f.uid), group, mode)
	switch {
	case m.may(f, needed):
		return "its owner, group and mode (" + is + ") let user " + me + " use it, so the service's DeviceAllow or something like it does not: dancer doctor looks"
	case f.uid == m.uid:
		return "user " + me + " owns it, and its mode is " + fmt.Sprintf("%04o", mode) + ": chmod u+rw " + path
	case f.gid == 0 || mode>>3&needed != needed:
		return "it is " + is + ", which lets no group use it: dancer doctor says what to install"
	case m.listed(m.uid, f.gid):
		return "user " + me + " is in group " + group + ", but was not when it logged in: log in again or restart the service"
	}
	return "user " + me + " is not in group " + group + ": sudo usermod -aG " + group + " " + me + ", then log in again or restart the service"
}

// may is the kernel's rule for owner, group and mode.
func (m *machine) may(f file, needed fs.FileMode) bool {
	mode := f.mode.Perm()
	switch {
	case m.uid == 0:
		return true
	case f.uid == m.uid:
		mode >>= 6
	case slices.Contains(m.gids, f.gid):
		mode >>= 3
	}
	return mode&needed == needed
}

func statOf(path string) (file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return file{}, err
	}
	s := info.Sys().(*syscall.Stat_t) // on Linux always
	return file{s.Uid, s.Gid, info.Mode()}, nil
}

func userName(uid uint32) string {
	text := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(text); err == nil {
		return u.Username
	}
	return text
}

func groupName(gid uint32) string {
	text := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(text); err == nil {
		return g.Name
	}
	return text
}

func isListed(uid, gid uint32) bool {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.FormatUint(uint64(gid), 10))
}
