package privilege

import "unsafe"

func address(n *int32) uintptr { return uintptr(unsafe.Pointer(n)) }
