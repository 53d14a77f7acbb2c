//go:build linux

package can

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBadHardwarePage: what docs/bad-hardware.md shows of CAN interfaces is what they
// say, and all of it.
func TestBadHardwarePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/bad-hardware.md")
	if err != nil {
		t.Fatal(err)
	}
	open := func(errno unix.Errno, index int) string {
		b := New(Config{Interface: "can0", Socket: &Socket{Open: func(b *Bus) (int, error) {
			b.address.Ifindex = index
			return -1, errno
		}}})
		return b.Reopen().Error()
	}
	says := []string{open(unix.ENODEV, 0), open(unix.ENETDOWN, 3), open(unix.ENODEV, 3), open(unix.EAFNOSUPPORT, 0)}
	for _, want := range says {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("the page lacks: %s", want)
		}
	}
	if n := strings.Count(string(text), "\nopen CAN interface"); n != len(says) {
		t.Errorf("the page has %d messages of CAN interfaces, want %d", n, len(says))
	}
}
