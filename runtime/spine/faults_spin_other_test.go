//go:build !amd64

package spine

import "errors"

// spinThreads knows the registers of amd64 alone.
func spinThreads(int, <-chan struct{}) error { return errors.ErrUnsupported }
