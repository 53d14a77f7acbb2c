package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"dancer/boards"
)

// Machine is what is examined.
type Machine struct {
	Root   fs.FS  // of the machine, with proc, sys, dev and etc
	System System // system calls
	User   string // whose permissions count; "": the caller, or for root the service's user where the service is installed

	board string // set by Examine
	model string
	who   identity
}

// System is what cannot be read from a file. Every field must be set; This
// gives the running machine's.
type System struct {
	UID       uint32                                    // of the caller
	GIDs      []uint32                                  // of the caller
	RealTime  func() error                              // whether a thread may have the spine's priority
	MayLock   func() bool                               // whether the spine may lock its memory
	Disk      func(path string) (Disk, error)           // the file system at a path, by statfs
	PowerSave func(wireless string) (bool, error)       // of a wireless interface
	InStep    func() (bool, error)                      // whether the wall clock is synchronised
	Line      func(boards.Line) (Line, error)           // where a GPIO line is and who has it
	Reach     func(ctx context.Context, b Broker) error // a whole connection to a broker, with login

	Probe func(bus string, address uint16) error // whether an I2C device answers: package hal/i2c's
}

// Disk is the room in a file system.
type Disk struct {
	Total, Free uint64 // bytes; Free is what the caller may use
	Files       uint64 // inodes, 0 where the file system has no bound
	FreeFiles   uint64
}

// Line is a GPIO line as the kernel lists it.
type Line struct {
	Chip     string // /dev/gpiochip0
	Offset   int
	Used     bool
	Consumer string // who has it, "" when nobody or unknown
}

// Broker is how a robot reaches its conductor's broker.
type Broker struct {
	URL          string
	Username     string
	PasswordFile string
	CAFile       string
	Fingerprint  string
}

// maxRead bounds one file: /proc/mounts of a machine with many containers is
// the largest of them.
const maxRead = 1 << 20

// read gives a small file without the white space around it. Device-tree
// strings end with a zero byte.
func (m *Machine) read(name string) (string, error) {
	f, err := m.Root.Open(rooted(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRead))
	if err != nil {
		return "", err
	}
	return strings.Trim(string(data), " \t\r\n\x00"), nil
}

// number reads a file with one decimal number.
func (m *Machine) number(name string) (int64, error) {
	text, err := m.read(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read /%s: %q is no number", rooted(name), text)
	}
	return n, nil
}

// glob gives the names that match, in order, without the leading slash.
func (m *Machine) glob(pattern string) []string {
	names, _ := fs.Glob(m.Root, pattern) // the patterns are ours and sound
	slices.Sort(names)
	return names
}

func (m *Machine) exists(name string) bool {
	_, err := fs.Stat(m.Root, rooted(name))
	return err == nil
}

// rooted turns an absolute path into a name of Root.
func rooted(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// maxLinks bounds the symbolic links of one path, as the kernel does.
const maxLinks = 40

// resolve follows the symbolic links of an absolute path as far as it exists;
// what does not exist stays as it is.
func (m *Machine) resolve(name string) string {
	done, rest := "/", strings.Split(rooted(name), "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := path.Join(done, part)
		target, err := fs.ReadLink(m.Root, rooted(next))
		if err != nil {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return name
		}
		if strings.HasPrefix(target, "/") {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done
}

// absent says that a file is not there: the usual case for hardware that a
// machine does not have.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// owner gives who owns a file: root where the file system does not say.
func owner(info fs.FileInfo) (uid, gid uint32) {
	if s, isStat := info.Sys().(*syscall.Stat_t); isStat {
		return s.Uid, s.Gid
	}
	return 0, 0
}

// quote makes a word for the shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:@+%=,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
