package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// listeners gives the local addresses of the TCP sockets that a process listens
// on and of its unconnected UDP sockets, from /proc alone.
func listeners(t *testing.T, pid int) []netip.AddrPort {
	t.Helper()
	mine := map[string]bool{}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		to, err := os.Readlink(l)
		if err == nil && strings.HasPrefix(to, "socket:[") {
			mine[strings.Trim(to[len("socket:"):], "[]")] = true
		}
	}
	var found []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			f := strings.Fields(line)
			if len(f) < 10 || !mine[f[9]] {
				continue
			}
			listening := f[3] == "0A" || strings.HasPrefix(table, "udp") && strings.Trim(f[2], "0:") == ""
			if listening {
				found = append(found, hexAddress(t, f[1]))
			}
		}
	}
	return found
}

// hexAddress reads an address as /proc/net writes it: 32-bit words in the
// machine's order, then the port.
func hexAddress(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		t.Fatalf("read address %q", text)
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(number))
}

func TestHexAddress(t *testing.T) {
	if got := hexAddress(t, "0100007F:20E4").String(); binary.NativeEndian.Uint16([]byte{1, 0}) == 1 && got != "127.0.0.1:8420" {
		t.Errorf("got %s", got)
	}
}
