//go:build linux

package permission

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pi is a user of a machine with the groups that boards have.
func pi() *machine {
	names := map[uint32]string{0: "root", 20: "dialout", 1000: "pi"}
	name := func(id uint32) string { return names[id] }
	return &machine{uid: 1000, gids: []uint32{1000}, user: name, group: name, listed: func(uint32, uint32) bool { return false }}
}

// TestCure: what a person reads, to the letter.
func TestCure(t *testing.T) {
	for _, c := range []struct {
		name   string
		file   file
		access Access
		change func(m *machine)
		want   string
	}{
		{"not in the group", file{0, 20, 0o660}, ReadWrite, nil,
			"user pi is not in group dialout: sudo usermod -aG dialout pi, then log in again or restart the service"},
		{"in the group since", file{0, 20, 0o660}, ReadWrite, func(m *machine) { m.listed = func(uid, gid uint32) bool { return uid == 1000 && gid == 20 } },
			"user pi is in group dialout, but was not when it logged in: log in again or restart the service"},
		{"no group at all", file{0, 0, 0o660}, ReadWrite, nil,
			"it is root:root 0660, which lets no group use it: dancer doctor says what to install"},
		{"the group may only read", file{0, 20, 0o640}, ReadWrite, nil,
			"it is root:dialout 0640, which lets no group use it: dancer doctor says what to install"},
		{"which is enough for a joystick", file{0, 20, 0o640}, Read, nil,
			"user pi is not in group dialout: sudo usermod -aG dialout pi, then log in again or restart the service"},
		{"its own", file{1000, 20, 0o060}, ReadWrite, nil,
			"user pi owns it, and its mode is 0060: chmod u+rw /dev/x"},
		{"in the group, and refused", file{0, 20, 0o660}, ReadWrite, func(m *machine) { m.gids = append(m.gids, 20) },
			"its owner, group and mode (root:dialout 0660) let user pi use it, so the service's DeviceAllow or something like it does not: dancer doctor looks"},
		{"root, and refused", file{0, 0, 0o600}, ReadWrite, func(m *machine) { m.uid = 0 },
			"its owner, group and mode (root:root 0600) let user root use it, so the service's DeviceAllow or something like it does not: dancer doctor looks"},
	} {
		m := pi()
		m.stat = func(string) (file, error) { return c.file, nil }
		if c.change != nil {
			c.change(m)
		}
		a := Advice{machine: m}
		if got := a.Cure("/dev/x", c.access); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	m := pi()
	m.stat = func(string) (file, error) { return file{}, errors.New("away") }
	if got := (&Advice{machine: m}).Cure("/dev/x", Read); got != "its folder is closed, or it went away: ls -ld /dev/x" {
		t.Error(got)
	}
}

// TestCureIsRemembered: the lists are read again only when the file has changed, such
// as by udev's rule, which comes a moment after the device.
func TestCureIsRemembered(t *testing.T) {
	m, asked, now := pi(), 0, file{0, 0, 0o600}
	m.stat = func(string) (file, error) { return now, nil }
	m.listed = func(uint32, uint32) bool { asked++; return false }
	a := Advice{machine: m}
	if got := a.Cure("/dev/x", ReadWrite); !strings.Contains(got, "lets no group use it") {
		t.Error(got)
	}
	now = file{0, 20, 0o660}
	for range 3 {
		if got := a.Cure("/dev/x", ReadWrite); !strings.Contains(got, "usermod -aG dialout pi") {
			t.Error(got)
		}
	}
	if asked != 1 {
		t.Errorf("the lists were read %d times", asked)
	}
}

// TestThisMachine: the lists and the files of the machine that runs the test.
func TestThisMachine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(name, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	m := this()
	f, err := m.stat(name)
	if err != nil || f.uid != uint32(os.Geteuid()) || f.mode.Perm() != fs.FileMode(0o640) {
		t.Errorf("the file is %+v, %v", f, err)
	}
	if m.user(0) != "root" || m.group(0) != "root" || m.user(4_000_000_000) != "4000000000" || m.group(4_000_000_000) != "4000000000" {
		t.Errorf("names are %s, %s, %s", m.user(0), m.group(0), m.user(4_000_000_000))
	}
	if !m.listed(0, 0) || m.listed(0, 4_000_000_000) || m.listed(4_000_000_000, 0) {
		t.Error("root is not in the group root, or in one that does not exist")
	}
	if got := (&Advice{}).Cure(name, ReadWrite); !strings.Contains(got, "let user "+m.user(m.uid)+" use it") {
		t.Error(got)
	}
}
