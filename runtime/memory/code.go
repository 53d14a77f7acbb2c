package memory

import (
	"os"
	"reflect"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Code is where the machine code of some packages is.
type Code []mapping

// FindCode finds the packages of the functions given, of each package one. The
// linker lays a package's functions side by side, so it looks to both sides of
// each as far as the package's name goes.
func FindCode(functions ...any) Code {
	var code Code
	for _, f := range functions {
		at := reflect.ValueOf(f).Pointer()
		from, to := reach(at, -stride), reach(at, stride)+stride
		page := uintptr(os.Getpagesize())
		code = append(code, mapping{from &^ (page - 1), (to + page - 1) &^ (page - 1)})
	}
	return code
}

// stride is how far FindCode looks from one address to the next: less than a page,
// which is what it is about. Between two addresses of a package, up to gap may
// belong to others, which were inlined.
const (
	stride = 256
	gap    = 4096
)

// reach gives the last address, in steps from at, that is of the same package.
func reach(at uintptr, step int) uintptr {
	name, last := packageAt(at), at
	for miss := 0; miss < gap; miss += stride {
		at += uintptr(step)
		if packageAt(at) == name {
			last, miss = at, 0
		}
	}
	return last
}

// packageAt names the package whose code is at an address, "" for none.
func packageAt(at uintptr) string {
	f := runtime.FuncForPC(at)
	if f == nil {
		return ""
	}
	name := f.Name()
	folder := strings.LastIndexByte(name[:len(name)-len(arguments(name))], '/') + 1
	own, _, _ := strings.Cut(name[folder:], ".")
	return name[:folder+len(own)]
}

// arguments is what follows the name of a generic function: types, with the paths
// of their packages.
func arguments(name string) string {
	if i := strings.IndexByte(name, '['); i >= 0 {
		return name[i:]
	}
	return ""
}

// Prefault maps the code now, so that the first to run it does not wait for a page
// fault. Kernels before 5.14 refuse; it allocates nothing.
func (c Code) Prefault() error {
	for _, m := range c {
		if err := m.advise(unix.MADV_POPULATE_READ); err != nil {
			return err
		}
	}
	return nil
}
