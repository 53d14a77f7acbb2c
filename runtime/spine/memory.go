package spine

import (
	"bytes"
	"os"
	"strconv"
)

// memoryKills is how many processes the kernel has ended on this machine for want
// of memory, those of a cgroup included; 0 where it does not say.
func memoryKills() uint64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(text, []byte("\noom_kill "))
	number, _, _ := bytes.Cut(after, []byte("\n"))
	n, _ := strconv.ParseUint(string(number), 10, 64) // absent before Linux 4.13
	return n
}
