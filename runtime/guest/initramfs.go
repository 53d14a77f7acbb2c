package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// File is one file of the guest.
type File struct {
	Path string      // in the guest, absolute
	Link string      // where a symbolic link leads, or
	From string      // a file of this machine to copy, or
	Data []byte      // its content
	Mode os.FileMode // permissions; 0: 0o755
}

// Kinds of files in the mode of a cpio header (inode(7)).
const (
	modeFolder  = 0o040000
	modeDevice  = 0o020000 // of characters
	modeRegular = 0o100000
	modeLink    = 0o120000
)

// console is the device on which the first process's standard streams are opened
// before it can mount anything: major 5, minor 1 (kernel: admin-guide/devices.txt).
const console = "dev/console"

// null stands in for it where the kernel has no console: major 1, minor 3. A Go program
// ends at once if it has neither.
const null = "dev/null"

// writeInitramfs writes files as a cpio archive in the format that the kernel
// unpacks, "newc" (kernel: driver-api/early-userspace/buffer-format.rst). Folders
// above a file are made, /dev/console and /dev/null. system is a folder of this machine whose
// whole content comes first, "" for none; files are not written over its own.
func writeInitramfs(to io.Writer, system string, files []File) error {
	w := &cpio{out: bufio.NewWriterSize(to, 1<<20), folders: map[string]bool{}}
	if system != "" {
		w.tree(system)
	}
	w.above(console)
	w.header(console, modeDevice|0o600, 0, 5, 1)
	w.header(null, modeDevice|0o666, 0, 1, 3)
	for _, f := range files {
		w.file(f)
	}
	w.header("TRAILER!!!", 0, 0, 0, 0)
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err != nil {
		return fmt.Errorf("write initramfs: %w", w.err)
	}
	return nil
}

// cpio keeps the first error; what follows it does nothing.
type cpio struct {
	out     *bufio.Writer
	inode   int
	folders map[string]bool
	err     error
}

// header begins an entry: six digits of a magic number, then 13 fields of eight
// hexadecimal digits, then the name. Header with name and data are padded to four
// bytes each.
func (w *cpio) header(name string, mode uint32, size int64, major, minor int) {
	if w.err != nil {
		return
	}
	if size < 0 || size >= 1<<32 {
		w.err = fmt.Errorf("%s has %d bytes: the format holds less than 4 GiB", name, size)
		return
	}
	w.inode++
	h := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		w.inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(name)+1, 0, name)
	w.write([]byte(h))
	w.pad(int64(len(h)))
}

func (w *cpio) write(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
	}
}

func (w *cpio) pad(length int64) { w.write(make([]byte, (4-length%4)%4)) }

// above makes the folders that a file needs.
func (w *cpio) above(name string) {
	var missing []string
	for folder := path.Dir(name); folder != "." && folder != "/" && !w.folders[folder]; folder = path.Dir(folder) {
		w.folders[folder] = true
		missing = append(missing, folder)
	}
	slices.Reverse(missing)
	for _, folder := range missing {
		w.header(folder, modeFolder|0o755, 0, 0, 0)
	}
}

// tree writes what a folder holds. A link to a folder counts as one, so that nothing
// makes a folder in its place.
func (w *cpio) tree(root string) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		if err != nil || w.err != nil || name == "" {
			return errors.Join(err, w.err)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			w.folders[name] = true
			w.header(name, modeFolder|uint32(info.Mode().Perm()), 0, 0, 0)
		case fs.ModeSymlink:
			w.folders[name] = true
			to, err := os.Readlink(path)
			w.link(name, to)
			return err
		case 0:
			w.copy(name, path, uint32(info.Mode().Perm()))
		}
		return w.err
	})
	if w.err == nil {
		w.err = err
	}
}

func (w *cpio) link(name, to string) {
	w.header(name, modeLink|0o777, int64(len(to)), 0, 0)
	w.write([]byte(to))
	w.pad(int64(len(to)))
}

func (w *cpio) file(f File) {
	if w.err != nil {
		return
	}
	name := strings.TrimPrefix(path.Clean(f.Path), "/")
	w.above(name)
	if f.Link != "" {
		w.link(name, f.Link)
		return
	}
	mode := uint32(f.Mode.Perm())
	if mode == 0 {
		mode = 0o755
	}
	if f.From == "" {
		w.header(name, modeRegular|mode, int64(len(f.Data)), 0, 0)
		w.write(f.Data)
		w.pad(int64(len(f.Data)))
		return
	}
	w.copy(name, f.From, mode)
}

func (w *cpio) copy(name, from string, mode uint32) {
	in, err := os.Open(from)
	if err != nil {
		w.err = err
		return
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		w.err = err
		return
	}
	w.header(name, modeRegular|mode, info.Size(), 0, 0)
	if w.err == nil {
		_, w.err = io.CopyN(w.out, in, info.Size())
	}
	w.pad(info.Size())
}
